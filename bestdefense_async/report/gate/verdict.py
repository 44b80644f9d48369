"""The gate: may this run pass?

It fails closed. A target without a verdict is not a clean target: it makes the run incomplete,
which is a verdict of its own, and no allowance covers a run in which none has one. An undocumented
severity counts as worse than any threshold. A failure is reported together with what is missing,
and wins over it.

Each finding is waived, known from the baseline, or open, and only open ones can break a rule. A
waiver or a baseline takes single findings out of all rules, and nothing else: no target without a
verdict, and no finding that is only counted, which cannot be told apart from others.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.models import Finding, Outcome, Severity
from bestdefense_async.report.gate.identity import KnownFindings, refuse_same_scans, site_of
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.waivers import Cover, Waiver, Waivers
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@frozen(kw_only=True)
class FindingStatus:
    """What becomes of one finding."""

    state: str = "open"
    """open, waived or known."""
    waiver: Waiver | None = None
    """The one that covers it."""
    is_reworded: bool = False
    """Whether only its weakness and path were matched: the words have changed."""


OPEN: Final = FindingStatus()


@frozen(kw_only=True)
class WaiverUse:
    """What a waiver did."""

    waiver: Waiver
    state: str
    """used, expired, or stale: in force and matching nothing."""
    findings: int
    """Findings it covers."""
    by: str = "exact"
    """exact; else why its fingerprint should be written anew: former or reworded."""
    fingerprint: str | None = None
    """What to write then."""

    @property
    def needs_attention(self) -> bool:
        """Whether a person has to do something about it."""
        return self.state != "used" or self.by != "exact"


@frozen(kw_only=True)
class JudgedOutcome:
    """One target, and what becomes of each of its findings."""

    outcome: Outcome
    findings: tuple[tuple[Finding, FindingStatus], ...]
    """What `Outcome.reported` gives, each with its status."""

    @property
    def is_marked(self) -> bool:
        """Whether any finding is waived or known."""
        return any(status.state != "open" for _, status in self.findings)

    def open_counts(self) -> dict[Severity, int]:
        """Return the open findings by severity, worst first."""
        counts = self.outcome.counts()
        for finding, status in self.findings:
            if status.state != "open":
                counts[finding.severity] -= 1
        return {severity: count for severity, count in counts.items() if count > 0}


class _Marks:
    """Marks findings as waived or known, and counts what the waivers did."""

    def __init__(self, baseline: Iterable[Outcome] | None, waivers: Waivers | None) -> None:
        self._known = None if baseline is None else KnownFindings.of(baseline)
        self._waivers = waivers
        self._covered: dict[int, list[Cover]] = {}

    def judged(self, outcome: Outcome) -> JudgedOutcome:
        """Return a target with its marks; what both a waiver and the baseline cover is waived."""
        statuses = [OPEN] * len(outcome.findings)
        if self._known is not None and outcome.has_verdict:
            for at, known in self._known.match(outcome).items():
                statuses[at] = FindingStatus(state="known", is_reworded=known.is_reworded)
        covers = [] if self._waivers is None else self._waivers.covering(outcome)
        for at, found in enumerate(covers):
            for cover in found:
                self._covered.setdefault(id(cover.waiver), []).append(cover)
            if found:
                is_reworded = found[0].by == "reworded"
                waiver = found[0].waiver
                statuses[at] = FindingStatus(state="waived", waiver=waiver, is_reworded=is_reworded)
        reported = outcome.reported()
        statuses += [OPEN] * (len(reported) - len(statuses))
        return JudgedOutcome(outcome=outcome, findings=tuple(zip(reported, statuses, strict=True)))

    def uses(self) -> tuple[WaiverUse, ...]:
        """Return what each waiver did, in the order of the file."""
        entries = () if self._waivers is None else self._waivers.entries
        return tuple(self._use(entry) for entry in entries)

    def _use(self, entry: Waiver) -> WaiverUse:
        covers = self._covered.get(id(entry), [])
        is_active = self._waivers is not None and self._waivers.is_active(entry)
        state = "used" if covers else "stale" if is_active else "expired"
        inexact = next((cover for cover in covers if cover.by != "exact"), None)
        if inexact is None:
            return WaiverUse(waiver=entry, state=state, findings=len(covers))
        return WaiverUse(
            waiver=entry,
            state=state,
            findings=len(covers),
            by=inexact.by,
            fingerprint=inexact.fingerprint,
        )

    def unknown_sites(self, outcomes: Iterable[Outcome]) -> int:
        """Return how many sites with a verdict the baseline has none of."""
        if self._known is None:
            return 0
        return len({site_of(one) for one in outcomes if one.has_verdict} - self._known.sites)


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
    """Return one line about a waiver that needs attention: what it is, and why."""
    at = "" if use.waiver.line is None else f" of line {use.waiver.line}"
    if use.state == "expired":
        says = f"expired on {use.waiver.expires}"
    elif use.state == "stale":
        says = "matches nothing"
    elif use.by == "former":
        says = f"has a fingerprint of the former way, now {use.fingerprint}"
    else:
        says = f"fits by weakness and path alone: the finding is now {use.fingerprint}"
    return f"the waiver{at} {says}: {use.waiver}"


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
    policy: GatePolicy
    """The rules."""
    exceeded: frozenset[Severity] = frozenset()
    """Severities of which there are more findings than their limit allows."""
    waived: int = 0
    """Findings that a waiver covers."""
    known: int | None = None
    """Findings that the baseline has too, waived ones left out; None without a baseline."""
    new: int | None = None
    """Findings that the baseline does not have, waived ones left out; None without one."""
    outcomes: tuple[JudgedOutcome, ...] = field(default=(), repr=False)
    """The targets in the order of the run, each with what became of its findings."""
    uses: tuple[WaiverUse, ...] = field(default=(), repr=False)
    """What each waiver did, in the order of the file."""
    unknown_sites: int = 0
    """Sites with a verdict that the baseline has none of."""
    reworded: int = 0
    """Findings that are waived or known by weakness and path alone: their words have changed."""
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
        states = Counter(use.state for use in self.uses)
        sites = self.unknown_sites
        former = sum(use.by == "former" for use in self.uses)
        clauses = (
            (self.waived, f"{counted(self.waived, 'finding')} waived"),
            (self.known, f"{counted(self.known or 0, 'finding')} known from the baseline"),
            (self.reworded, f"{self.reworded:,} of these by weakness and path alone"),
            (sites, f"{counted(sites, 'site')} not in the baseline"),
            (states["expired"], f"{counted(states['expired'], 'waiver')} expired"),
            (states["stale"], f"{counted(states['stale'], 'waiver')} matching nothing"),
            (former, f"{counted(former, 'waiver')} with a fingerprint of the former way"),
        )
        return tuple(clause for number, clause in clauses if number)

    def breaks(self, severity: Severity) -> bool:
        """Return whether an open finding of this severity is among what failed the run."""
        least = self.policy.fail_on
        is_above = least is not None and severity.rank >= least.rank
        return (
            is_above or severity in self.exceeded or (bool(self.exceeded) and not severity.is_known)
        )

    def failing(self, judged: JudgedOutcome) -> list[Finding]:
        """Return the findings of a target that failed the run."""
        return [
            finding
            for finding, status in judged.findings
            if status.state == "open" and self.breaks(finding.severity)
        ]


def judge(
    outcomes: Iterable[Outcome],
    policy: GatePolicy,
    *,
    baseline: Iterable[Outcome] | None = None,
    waivers: Waivers | None = None,
) -> Verdict:
    """Return the verdict about these targets; a run in which none has one is incomplete.

    Args:
        outcomes: How each target ended.
        policy: The rules.
        baseline: The outcomes of an earlier run: a finding it has, listed, of the same site and at
            least as severe, breaks no rule. A site without a verdict there excuses nothing.
        waivers: Findings that were accepted.

    Raises:
        ConfigError: The baseline holds one of these scans: it would excuse whatever was found.
    """
    outcomes = tuple(outcomes)
    if baseline is not None:
        baseline = tuple(baseline)
        refuse_same_scans(outcomes, baseline)
    marks = _Marks(baseline, waivers)
    judged = tuple(map(marks.judged, outcomes))
    counts = [each.open_counts() for each in judged]
    missing = [outcome for outcome in outcomes if not outcome.has_verdict]
    hits = _at_least(counts, policy.fail_on)
    exceeded = _exceeded(counts, policy)
    wording = Wording(total=len(outcomes), adjective="" if baseline is None else "new ")
    failures = [wording.rule_broken(found, f"> {most} allowed") for _, most, found in exceeded]
    if hits:
        failures.insert(0, wording.rule_broken(hits, f">= {policy.fail_on}"))
    is_complete = len(missing) <= policy.allow_incomplete.of(len(outcomes))
    is_complete = is_complete and len(missing) < len(outcomes)  # nothing judged is nothing passed
    status = "failed" if failures else "passed" if is_complete else "incomplete"
    reasons = failures or ([] if status == "incomplete" else [wording.nothing_found(policy)])
    if missing or not outcomes:
        reasons = [*reasons, wording.no_verdict(len(missing))]
    states = Counter(status.state for each in judged for _, status in each.findings)
    return Verdict(
        status=status,
        reasons=tuple(reasons),
        findings=sum(sum(found.values()) for found in hits),
        sites=len(hits),
        total=len(outcomes),
        missing=len(missing),
        policy=policy,
        exceeded=frozenset(severity for severity, _, _ in exceeded),
        waived=states["waived"],
        known=None if baseline is None else states["known"],
        new=None if baseline is None else sum(sum(found.values()) for found in counts),
        outcomes=judged,
        uses=marks.uses(),
        unknown_sites=marks.unknown_sites(outcomes),
        reworded=sum(status.is_reworded for each in judged for _, status in each.findings),
        is_refused=_is_refused(outcomes, missing),
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


def _is_refused(outcomes: tuple[Outcome, ...], missing: list[Outcome]) -> bool:
    """Return whether the token explains the gap.

    A token that is not accepted explains it anywhere in a run. A missing permission may concern
    one site only, so it explains the gap when no site at all could be scanned.
    """
    kinds = {outcome.error.kind for outcome in missing if outcome.error is not None}
    if "AuthError" in kinds:
        return True
    return bool(missing) and len(missing) == len(outcomes) and kinds == {"PermissionDenied"}
