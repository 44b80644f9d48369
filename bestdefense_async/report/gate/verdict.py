"""The gate: may this run pass?

It fails closed. A target without a verdict is not a clean target: it makes the run incomplete,
which is a verdict of its own. An undocumented severity counts as worse than any threshold. A
failure is reported together with what is missing, and wins over it.

Each finding is waived, known from the baseline, or open, and only open ones can break a rule. A
waiver or a baseline takes single findings out of all rules, and nothing else: no target without a
verdict, and no finding that is only counted, which cannot be told apart from others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.models import Finding, Severity
from bestdefense_async.report.gate.identity import KnownFindings, site_of
from bestdefense_async.report.gate.waivers import Waiver, Waivers
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.report.gate.policy import GatePolicy
    from bestdefense_async.report.run import Row


@frozen(kw_only=True)
class FindingStatus:
    """What becomes of one finding."""

    state: str = "open"
    """open, waived or known."""
    waiver: Waiver | None = None
    """The one that covers it."""


OPEN: Final = FindingStatus()
KNOWN: Final = FindingStatus(state="known")


@frozen(kw_only=True)
class WaiverUse:
    """What a waiver did."""

    waiver: Waiver
    state: str
    """used, expired, or stale: in force and matching nothing."""
    findings: int = 0
    """Findings it covers."""


@frozen(kw_only=True)
class FindingStatuses:
    """What becomes of every finding of a run."""

    by_index: Mapping[tuple[int, int], FindingStatus] = field(factory=dict)
    """By the index of the row and of the finding in it; what is absent is open."""
    uses: tuple[WaiverUse, ...] = ()
    """One per waiver, in the order of the file."""
    unknown_sites: int = 0
    """Sites with a verdict that the baseline has none of."""

    @classmethod
    def of(
        cls, rows: Sequence[Row], *, baseline: Iterable[Row] | None, waivers: Waivers | None
    ) -> FindingStatuses:
        """Return them; what both a waiver and the baseline cover is waived."""
        known = None if baseline is None else KnownFindings.of(baseline)
        found: dict[tuple[int, int], FindingStatus] = {}
        if known is not None:
            for index, row in enumerate(rows):
                matched = known.match(row) if row.has_verdict else ()
                found.update({(index, at): KNOWN for at in matched})
        covered: Counter[int] = Counter()
        if waivers is not None:
            for index, row in enumerate(rows):
                for at, finding in enumerate(row.findings):
                    covering = waivers.covering(row, finding)
                    covered.update(map(id, covering))
                    if covering:
                        found[index, at] = FindingStatus(state="waived", waiver=covering[0])
        judged = {site_of(row) for row in rows if row.has_verdict}
        return cls(
            by_index=found,
            uses=() if waivers is None else _uses(waivers, covered),
            unknown_sites=0 if known is None else len(judged - known.sites),
        )

    def open_counts(self, index: int, row: Row) -> dict[Severity, int]:
        """Return the open findings of the row with that index by severity, worst first."""
        counts = row.counts()
        for at, finding in enumerate(row.findings):
            if (index, at) in self.by_index:
                counts[finding.severity] -= 1
        return {severity: count for severity, count in counts.items() if count > 0}


def _uses(waivers: Waivers, covered: Counter[int]) -> tuple[WaiverUse, ...]:
    uses = []
    for entry in waivers.entries:
        findings = covered[id(entry)]
        state = "used" if findings else "stale" if waivers.is_active(entry) else "expired"
        uses.append(WaiverUse(waiver=entry, state=state, findings=findings))
    return tuple(uses)


_MOST_UNKNOWN: Final = 3
"""Undocumented severities that a clause names; the rest is counted."""


@frozen(kw_only=True)
class Wording:
    """Puts what decided into words."""

    total: int
    adjective: str
    """`new ` when only new findings count."""

    def rule_broken(self, hits: Sequence[Mapping[Severity, int]], rule: str) -> str:
        """Return which rule failed, with how many findings, on how many sites."""
        sums: Counter[Severity] = Counter()
        for each in hits:
            sums.update(each)
        severities = sorted(sums, key=lambda severity: (-severity.rank, severity))
        unknown = [severity for severity in severities if not severity.is_known]
        rest = unknown[_MOST_UNKNOWN:]
        listed = [
            f"{sums[severity]} {self.adjective}{visible(severity, longest=40)}"
            for severity in severities
            if severity not in set(rest)
        ]
        if rest:
            listed.append(
                f"{sum(sums[severity] for severity in rest)} of {len(rest)} other severities"
            )
        sites = f"on {len(hits)} of {counted(self.total, 'site')}"
        return f"{', '.join(listed)} {rule} {sites}"

    def nothing_found(self, policy: GatePolicy) -> str:
        """Return what was asked for and not found."""
        sites = counted(self.total, "site")
        if policy.fail_on is not None:
            return f"nothing {self.adjective}>= {policy.fail_on} on {sites}"
        if policy.max_counts:
            return f"no more {self.adjective}findings than allowed on {sites}"
        return f"no threshold for {sites}"

    def no_verdict(self, missing: int) -> str:
        """Return how many targets have no verdict."""
        if not self.total:
            return "no site was scanned"
        verb = "has" if missing == 1 else "have"
        return f"{missing} of {counted(self.total, 'site')} {verb} no verdict"


def waiver_line(use: WaiverUse) -> str:
    """Return one line about a waiver that did nothing: what it is, and why."""
    state = "matches nothing" if use.state == "stale" else f"expired on {use.waiver.expires}"
    at = "" if use.waiver.line is None else f" of line {use.waiver.line}"
    return f"the waiver{at} {state}: {use.waiver}"


EXIT_PASSED: Final = 0
EXIT_FAILED: Final = 1
EXIT_INCOMPLETE: Final = 3
EXIT_REFUSED: Final = 4


@frozen(kw_only=True)
class Verdict:
    """What the gate says about a run."""

    status: str
    """passed, failed or incomplete."""
    reasons: tuple[str, ...]
    """One clause per rule that decided, failures first; never empty."""
    findings: int
    """Open findings at or above the threshold."""
    sites: int
    """Targets that have at least one of them."""
    total: int
    """All targets."""
    missing: int
    """Targets without a verdict."""
    threshold: Severity | None = None
    """The severity from which a finding fails the run; None when there is no such rule."""
    exceeded: frozenset[Severity] = frozenset()
    """Severities of which there are more findings than their limit allows."""
    waived: int = 0
    """Findings that a waiver covers."""
    known: int | None = None
    """Findings that the baseline has too, waived ones left out; None without a baseline."""
    new: int | None = None
    """Findings that the baseline does not have, waived ones left out; None without one."""
    statuses: FindingStatuses = field(factory=FindingStatuses, repr=False)
    """What became of each finding."""
    is_refused: bool = False
    """Whether the token is what kept the missing ones from being scanned."""

    @property
    def sentence(self) -> str:
        """One line, like `gate: FAILED, 3 high >= high on 2 of 40 sites`."""
        return f"gate: {self.status.upper()}, {'; '.join((*self.reasons, *self.notes))}"

    @property
    def notes(self) -> tuple[str, ...]:
        """One clause for each thing that was left out of the rules, and for waivers that are off.

        Empty without waivers and baseline.
        """
        states = Counter(use.state for use in self.statuses.uses)
        sites = self.statuses.unknown_sites
        clauses = (
            (self.waived, f"{counted(self.waived, 'finding')} waived"),
            (self.known, f"{counted(self.known or 0, 'finding')} known from the baseline"),
            (sites, f"{counted(sites, 'site')} not in the baseline"),
            (states["expired"], f"{counted(states['expired'], 'waiver')} expired"),
            (states["stale"], f"{counted(states['stale'], 'waiver')} matching nothing"),
        )
        return tuple(clause for number, clause in clauses if number)

    @property
    def uses(self) -> tuple[WaiverUse, ...]:
        """What each waiver did, in the order of the file."""
        return self.statuses.uses

    def breaks(self, severity: Severity) -> bool:
        """Return whether an open finding of this severity is among what failed the run."""
        is_above = self.threshold is not None and severity.rank >= self.threshold.rank
        return (
            is_above or severity in self.exceeded or (bool(self.exceeded) and not severity.is_known)
        )

    def with_status(self, index: int, row: Row) -> list[tuple[Finding, FindingStatus]]:
        """Return what `Row.reported` gives for the row with that index, each with its status."""
        found = self.statuses.by_index
        return [(one, found.get((index, at), OPEN)) for at, one in enumerate(row.reported())]

    def failing(self, index: int, row: Row) -> list[Finding]:
        """Return the findings of the row with that index that failed the run."""
        found = self.with_status(index, row)
        return [
            one for one, status in found if status.state == "open" and self.breaks(one.severity)
        ]


def judge(
    rows: Iterable[Row],
    policy: GatePolicy,
    *,
    baseline: Iterable[Row] | None = None,
    waivers: Waivers | None = None,
) -> Verdict:
    """Return the verdict about these targets; an empty run is incomplete.

    Args:
        rows: How each target ended.
        policy: The rules.
        baseline: The rows of an earlier run: a finding it has, listed, of the same site and at
            least as severe, breaks no rule. A site without a verdict there excuses nothing.
        waivers: Findings that were accepted.
    """
    rows = tuple(rows)
    statuses = FindingStatuses.of(rows, baseline=baseline, waivers=waivers)
    counts = [statuses.open_counts(index, row) for index, row in enumerate(rows)]
    missing = [row for row in rows if not row.has_verdict]
    hits = _at_least(counts, policy.fail_on)
    exceeded = _exceeded(counts, policy)
    wording = Wording(total=len(rows), adjective="" if baseline is None else "new ")
    failures = [wording.rule_broken(found, f"> {most} allowed") for _, most, found in exceeded]
    if hits:
        failures.insert(0, wording.rule_broken(hits, f">= {policy.fail_on}"))
    is_complete = bool(rows) and len(missing) <= policy.allow_incomplete.of(len(rows))
    status = "failed" if failures else "passed" if is_complete else "incomplete"
    reasons = failures or ([] if status == "incomplete" else [wording.nothing_found(policy)])
    if missing or not rows:
        reasons = [*reasons, wording.no_verdict(len(missing))]
    states = Counter(status.state for status in statuses.by_index.values())
    return Verdict(
        status=status,
        reasons=tuple(reasons),
        findings=sum(sum(found.values()) for found in hits),
        sites=len(hits),
        total=len(rows),
        missing=len(missing),
        threshold=policy.fail_on,
        exceeded=frozenset(severity for severity, _, _ in exceeded),
        waived=states["waived"],
        known=None if baseline is None else states["known"],
        new=None if baseline is None else sum(sum(found.values()) for found in counts),
        statuses=statuses,
        is_refused=_is_refused(rows, missing),
    )


def exit_code(verdict: Verdict) -> int:
    """Return the exit code of a verdict: 0 passed, 1 failed, 3 incomplete, 4 refused.

    Incomplete becomes 4 when the token is the reason: another run would end the same way.
    """
    if verdict.status == "failed":
        return EXIT_FAILED
    if verdict.status == "passed":
        return EXIT_PASSED
    return EXIT_REFUSED if verdict.is_refused else EXIT_INCOMPLETE


_Counts = dict[Severity, int]
"""Open findings of one target."""


def _at_least(counts: list[_Counts], threshold: Severity | None) -> list[_Counts]:
    """Return, for each target that has any, its findings at or above the threshold."""
    if threshold is None:
        return []
    return _kept(counts, lambda severity: severity.rank >= threshold.rank)


def _exceeded(
    counts: list[_Counts], policy: GatePolicy
) -> list[tuple[Severity, int, list[_Counts]]]:
    """Return each limit with too many findings, and those; unknown severities count for each."""
    broken = []
    for severity, most in policy.max_counts.items():
        found = _kept(counts, lambda each: each == severity or not each.is_known)  # noqa: B023
        if sum(sum(each.values()) for each in found) > most:
            broken.append((severity, most, found))
    return broken


def _kept(counts: list[_Counts], is_meant: Callable[[Severity], bool]) -> list[_Counts]:
    kept = (
        {severity: count for severity, count in each.items() if is_meant(severity)}
        for each in counts
    )
    return [each for each in kept if each]


def _is_refused(rows: tuple[Row, ...], missing: list[Row]) -> bool:
    """Return whether the token explains the gap.

    A token that is not accepted explains it anywhere in a run. A missing permission may concern
    one site only, so it explains the gap when no site at all could be scanned.
    """
    kinds = {row.error.kind for row in missing if row.error is not None}
    if "AuthError" in kinds:
        return True
    return bool(missing) and len(missing) == len(rows) and kinds == {"PermissionDenied"}
