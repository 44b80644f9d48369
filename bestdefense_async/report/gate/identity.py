"""Which finding of one run is the same finding in another, and what changed between two runs.

Two findings with one fingerprint are two findings: what occurs twice where it occurred once has
one occurrence more. And a finding that became worse is new: accepting a low one does not
accept a critical one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from attrs import frozen

from bestdefense_async.models import Finding, Outcome, Severity
from bestdefense_async.report.text import without_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bestdefense_async.report.result import RunResult

Found: TypeAlias = tuple[Outcome, Finding]
"""A finding, and the target it belongs to."""


def fingerprint(outcome: Outcome, finding: Finding) -> str:
    """Return 32 hexadecimal characters that name this finding, the same in every run.

    They are made from the site, the weakness and the location. Ids, evidence and severity are left
    out: they may change although the weakness stays.
    """
    weakness = finding.cwe or finding.weakness or ""
    parts = (site_of(outcome), weakness, finding.title or "", location_of(finding))
    raw = "\0".join(parts).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:32]


def site_of(outcome: Outcome) -> str:
    """Return what identifies the site of a target: its id, else the target."""
    return outcome.site_id or outcome.target


def location_of(finding: Finding) -> str:
    """Return the affected location without scheme, query and fragment; empty when unknown."""
    return without_scheme(finding.url or "").partition("?")[0].partition("#")[0]


@frozen
class KnownFindings:
    """The findings of an earlier run, to tell which of a later one are new."""

    _listed: dict[str, list[Found]]
    """By fingerprint, the worst first."""
    sites: frozenset[str]
    """Sites that have a verdict in the earlier run; all others are unknown to it."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> KnownFindings:
        """Return the findings of these outcomes; one without a verdict has none that count.

        Of a site that occurs twice, the last one counts.
        """
        judged = {site_of(outcome): outcome for outcome in outcomes if outcome.has_verdict}
        listed: dict[str, list[Found]] = {}
        for outcome in judged.values():
            for finding in outcome.findings:
                listed.setdefault(fingerprint(outcome, finding), []).append((outcome, finding))
        for found in listed.values():
            found.sort(key=lambda pair: _worst_first(pair[1]))
        return cls(listed, frozenset(judged))

    def match(self, outcome: Outcome) -> dict[int, Found]:
        """Return, by its position in the outcome, each known finding and the earlier one."""
        names = [fingerprint(outcome, finding) for finding in outcome.findings]
        unused = {name: list(self._listed.get(name, ())) for name in names}
        known: dict[int, Found] = {}
        for at in sorted(range(len(names)), key=lambda at: _worst_first(outcome.findings[at])):
            before = unused[names[at]]
            if before and _covers(before[0][1].severity, outcome.findings[at].severity):
                known[at] = before.pop(0)
        return known

    def __iter__(self) -> Iterator[Found]:
        for found in self._listed.values():
            yield from found


def _worst_first(finding: Finding) -> tuple[int, str]:
    return (-finding.severity.rank, finding.severity)


def _covers(before: Severity, now: Severity) -> bool:
    """Return whether a severity is no worse than it was; undocumented ones cannot be compared."""
    return before == now or (now.is_known and before.rank >= now.rank)


@frozen(kw_only=True)
class Changes:
    """What differs between a run and an older one."""

    new_findings: tuple[Found, ...]
    """In the order of the run."""
    fixed_findings: tuple[Found, ...]
    """With the outcomes of the older run."""
    unchanged_findings: tuple[Found, ...]

    @property
    def new(self) -> Counter[Severity]:
        """New findings by severity."""
        return _by_severity(self.new_findings)

    @property
    def fixed(self) -> Counter[Severity]:
        """Fixed findings by severity."""
        return _by_severity(self.fixed_findings)

    @property
    def unchanged(self) -> Counter[Severity]:
        """Findings of both runs by severity."""
        return _by_severity(self.unchanged_findings)


def compare_runs(run: RunResult, older: RunResult) -> Changes:
    """Return what is new, fixed and unchanged since the older run.

    Only listed findings can be told apart. A finding counts as fixed only when its site has a
    verdict in the newer run: what was not looked at is not mended.
    """
    before = KnownFindings.of(older.outcomes)
    judged = {site_of(outcome) for outcome in run.outcomes if outcome.has_verdict}
    new: list[Found] = []
    unchanged: list[Found] = []
    used: set[int] = set()
    for outcome in run.outcomes:
        known = before.match(outcome)
        used.update(id(found) for found in known.values())
        for at, finding in enumerate(outcome.findings):
            (unchanged if at in known else new).append((outcome, finding))
    return Changes(
        new_findings=tuple(new),
        fixed_findings=tuple(
            found for found in before if site_of(found[0]) in judged and id(found) not in used
        ),
        unchanged_findings=tuple(unchanged),
    )


def _by_severity(found: Iterable[Found]) -> Counter[Severity]:
    return Counter(finding.severity for _, finding in found)
