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

from attrs import evolve, field, frozen

from bestdefense_async.models import Finding, Outcome, Severity
from bestdefense_async.report.gate.identity import (
    KnownFindings,
    called,
    fingerprint,
    refuse_same_scans,
    site_of,
)
from bestdefense_async.report.gate.policy import GatePolicy, Wording
from bestdefense_async.report.gate.waivers import Cover, Waiver, Waivers, WaiverUse
from bestdefense_async.report.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bestdefense_async.report.gate.identity import Changes


@frozen(kw_only=True)
class JudgedFinding:
    """One finding and what becomes of it; or several that are only counted, as one line of a list.

    Of two that are equal in everything each is one of its own.
    """

    outcome: Outcome
    finding: Finding
    fingerprint: str | None
    """None for what is counted and not listed: it cannot be told apart or waived."""
    occurrence: int = 1
    """1 for the first finding of that fingerprint in the run, then 2, and so on."""
    state: str = "open"
    """open, waived or known."""
    waiver: Waiver | None = None
    """The one that covers it."""
    is_reworded: bool = False
    """Whether only its weakness and path were matched: the words have changed."""
    is_new: bool | None = None
    """Whether an older run does not have it; None when nothing is compared."""

    @property
    def title(self) -> str:
        """What to call it."""
        return called(self.finding)

    @property
    def unique_name(self) -> str:
        """What no other finding of the run has, and this one has in every run."""
        name = self.fingerprint or f"{site_of(self.outcome)} {self.finding.severity}"
        return f"{name}:{self.occurrence}"


@frozen(kw_only=True)
class JudgedOutcome:
    """One target, and what becomes of each of its findings."""

    outcome: Outcome
    findings: tuple[JudgedFinding, ...]
    """Those that `Outcome.reported` gives, in its order."""

    def open_counts(self) -> dict[Severity, int]:
        """Return the open findings by severity, worst first."""
        counts = self.outcome.counts()
        for one in self.findings:
            if one.state != "open":
                counts[one.finding.severity] -= 1
        return {severity: count for severity, count in counts.items() if count > 0}


class _Marks:
    """Marks findings as waived or known, and counts what the waivers did."""

    def __init__(self, baseline: Iterable[Outcome] | None, waivers: Waivers | None) -> None:
        self._known = None if baseline is None else KnownFindings.of(baseline)
        self._waivers = waivers
        self._covered: dict[int, list[Cover]] = {}
        self._seen: Counter[str] = Counter()

    def judged(self, outcome: Outcome) -> JudgedOutcome:
        """Return a target with its marks; what both a waiver and the baseline cover is waived."""
        names = [fingerprint(outcome, finding) for finding in outcome.findings]
        findings = []
        for name, finding in zip(names, outcome.findings, strict=True):
            self._seen[name] += 1
            findings.append(
                JudgedFinding(
                    outcome=outcome,
                    finding=finding,
                    fingerprint=name,
                    occurrence=self._seen[name],
                )
            )
        if outcome.has_verdict:
            self._mark(outcome, names, findings)
        counted_only = outcome.reported()[len(names) :]
        findings += (
            JudgedFinding(outcome=outcome, finding=each, fingerprint=None) for each in counted_only
        )
        return JudgedOutcome(outcome=outcome, findings=tuple(findings))

    def _mark(self, outcome: Outcome, names: list[str], findings: list[JudgedFinding]) -> None:
        known = {} if self._known is None else self._known.match(outcome, names)
        for at, each in known.items():
            findings[at] = evolve(findings[at], state="known", is_reworded=each.is_reworded)
        covers = [] if self._waivers is None else self._waivers.covering(outcome, names)
        for at, found in enumerate(covers):
            for cover in found:
                self._covered.setdefault(id(cover.waiver), []).append(cover)
            if found:
                findings[at] = evolve(
                    findings[at],
                    state="waived",
                    waiver=found[0].waiver,
                    is_reworded=found[0].by == "reworded",
                )

    def uses(self) -> tuple[WaiverUse, ...]:
        """Return what each waiver did, in the order of the file."""
        if self._waivers is None:
            return ()
        return tuple(
            WaiverUse.of(entry, self._covered.get(id(entry), []), self._waivers)
            for entry in self._waivers.entries
        )

    def unknown_sites(self, outcomes: Iterable[Outcome]) -> int:
        """Return how many sites with a verdict the baseline has none of."""
        if self._known is None:
            return 0
        return len({site_of(one) for one in outcomes if one.has_verdict} - self._known.sites)


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

    @property
    def waiver_lines(self) -> list[str]:
        """One line for each waiver that somebody has to do something about."""
        return [str(use) for use in self.uses if use.needs_attention]

    def fails(self, one: JudgedFinding) -> bool:
        """Return whether a finding is among what failed the run."""
        return one.state == "open" and self.breaks(one.finding.severity)

    def failing(self) -> list[JudgedFinding]:
        """Return the findings that failed the run, the worst first; none when it passed."""
        return [one for one in self.ranked() if self.fails(one)]

    def breaks(self, severity: Severity) -> bool:
        """Return whether an open finding of this severity is among what failed the run."""
        least = self.policy.fail_on
        is_above = least is not None and severity.rank >= least.rank
        return (
            is_above or severity in self.exceeded or (bool(self.exceeded) and not severity.is_known)
        )

    def ranked(self, changes: Changes | None = None) -> list[JudgedFinding]:
        """Return every finding, the worst first; those that are waived or known come last.

        Args:
            changes: What changed since an older run: then each finding says whether it is new.
        """
        found: list[JudgedFinding] = []
        for at, judged in enumerate(self.outcomes):
            if changes is None:
                found += judged.findings
                continue
            known = changes.known_at[at]
            found += (evolve(one, is_new=n not in known) for n, one in enumerate(judged.findings))
        return sorted(found, key=_rank)


def _rank(one: JudgedFinding) -> tuple[object, ...]:
    finding = one.finding
    texts = (finding.cwe, finding.weakness, finding.title, finding.url)
    order = (one.state != "open", -finding.severity.rank, not one.is_new, one.outcome.target)
    return (*order, *(text or "" for text in texts))


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
    every = [one for each in judged for one in each.findings]
    states = Counter(one.state for one in every)
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
        reworded=sum(one.is_reworded for one in every),
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
