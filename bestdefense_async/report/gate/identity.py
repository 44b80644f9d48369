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

from bestdefense_async.models import Finding, Severity
from bestdefense_async.report.run import Row, Run
from bestdefense_async.report.text import without_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Found: TypeAlias = tuple[Row, Finding]
"""A finding, and the target it belongs to."""


def fingerprint(row: Row, finding: Finding) -> str:
    """Return 32 hexadecimal characters that name this finding, the same in every run.

    They are made from the site, the weakness and the location. Ids, evidence and severity are left
    out: they may change although the weakness stays.
    """
    weakness = finding.cwe or finding.weakness or ""
    parts = (site_of(row), weakness, finding.title or "", location_of(finding))
    raw = "\0".join(parts).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:32]


def site_of(row: Row) -> str:
    """Return what identifies the site of a row: its id, else the target."""
    return row.site_id or row.target


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
    def of(cls, rows: Iterable[Row]) -> KnownFindings:
        """Return the findings of these rows; a row without a verdict has none that count.

        Of a site that occurs twice, the last row counts.
        """
        judged = {site_of(row): row for row in rows if row.has_verdict}
        listed: dict[str, list[Found]] = {}
        for row in judged.values():
            for finding in row.findings:
                listed.setdefault(fingerprint(row, finding), []).append((row, finding))
        for found in listed.values():
            found.sort(key=lambda pair: _worst_first(pair[1]))
        return cls(listed, frozenset(judged))

    def match(self, row: Row) -> dict[int, Found]:
        """Return, by its index in the row, each known finding and the earlier one that it is."""
        names = [fingerprint(row, finding) for finding in row.findings]
        unused = {name: list(self._listed.get(name, ())) for name in names}
        known: dict[int, Found] = {}
        for at in sorted(range(len(names)), key=lambda at: _worst_first(row.findings[at])):
            before = unused[names[at]]
            if before and _covers(before[0][1].severity, row.findings[at].severity):
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
    """With the rows of the older run."""
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


def compare_runs(run: Run, older: Run) -> Changes:
    """Return what is new, fixed and unchanged since the older run.

    Only listed findings can be told apart. A finding counts as fixed only when its site has a
    verdict in the newer run: what was not looked at is not mended.
    """
    before = KnownFindings.of(older.rows)
    judged = {site_of(row) for row in run.rows if row.has_verdict}
    new: list[Found] = []
    unchanged: list[Found] = []
    used: set[int] = set()
    for row in run.rows:
        known = before.match(row)
        used.update(id(found) for found in known.values())
        for at, finding in enumerate(row.findings):
            (unchanged if at in known else new).append((row, finding))
    return Changes(
        new_findings=tuple(new),
        fixed_findings=tuple(
            found for found in before if site_of(found[0]) in judged and id(found) not in used
        ),
        unchanged_findings=tuple(unchanged),
    )


def _by_severity(found: Iterable[Found]) -> Counter[Severity]:
    return Counter(finding.severity for _, finding in found)
