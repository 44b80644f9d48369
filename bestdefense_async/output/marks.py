"""What the rules make of each finding before they count: does it count at all?

A finding is waived, known from the baseline, or open. Only open ones can break a rule. What is
counted and not listed cannot be told apart from anything, so it is always open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.output.fingerprint import KnownFindings, site_of
from bestdefense_async.output.waivers import Waiver, Waivers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bestdefense_async.models import Severity
    from bestdefense_async.output.run import Row


@frozen(kw_only=True)
class Mark:
    """What becomes of one finding."""

    word: str = "open"
    """open, waived or known."""
    waiver: Waiver | None = None
    """The one that covers it."""


OPEN: Final = Mark()
KNOWN: Final = Mark(word="known")


@frozen(kw_only=True)
class WaiverUse:
    """What a waiver did."""

    waiver: Waiver
    state: str
    """used, expired, or stale: in force and matching nothing."""
    findings: int = 0
    """Findings it covers."""


@frozen(kw_only=True)
class Marks:
    """The marks of all findings of a run."""

    by_place: Mapping[tuple[int, int], Mark] = field(factory=dict)
    """By the place of the row and of the finding in it; what is absent is open."""
    uses: tuple[WaiverUse, ...] = ()
    """One per waiver, in the order of the file."""
    unknown_sites: int = 0
    """Sites with a verdict that the baseline has none of."""

    @classmethod
    def of(
        cls, rows: Sequence[Row], *, baseline: Iterable[Row] | None, waivers: Waivers | None
    ) -> Marks:
        """Return the marks; what both a waiver and the baseline cover is waived."""
        known = None if baseline is None else KnownFindings.of(baseline)
        found: dict[tuple[int, int], Mark] = {}
        if known is not None:
            for place, row in enumerate(rows):
                matched = known.match(row) if row.has_verdict else ()
                found.update({(place, at): KNOWN for at in matched})
        covered: Counter[int] = Counter()
        if waivers is not None:
            for place, row in enumerate(rows):
                for at, finding in enumerate(row.findings):
                    covering = waivers.covering(row, finding)
                    covered.update(map(id, covering))
                    if covering:
                        found[place, at] = Mark(word="waived", waiver=covering[0])
        judged = {site_of(row) for row in rows if row.has_verdict}
        return cls(
            by_place=found,
            uses=() if waivers is None else _uses(waivers, covered),
            unknown_sites=0 if known is None else len(judged - known.sites),
        )

    def open_counts(self, place: int, row: Row) -> dict[Severity, int]:
        """Return the open findings of the row at that place by severity, worst first."""
        counts = row.counts()
        for at, finding in enumerate(row.findings):
            if (place, at) in self.by_place:
                counts[finding.severity] -= 1
        return {word: count for word, count in counts.items() if count > 0}


def _uses(waivers: Waivers, covered: Counter[int]) -> tuple[WaiverUse, ...]:
    uses = []
    for entry in waivers.entries:
        findings = covered[id(entry)]
        state = "used" if findings else "stale" if waivers.is_active(entry) else "expired"
        uses.append(WaiverUse(waiver=entry, state=state, findings=findings))
    return tuple(uses)
