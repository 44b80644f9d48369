"""The gate: may this run pass?

It fails closed. A target without a verdict is not a clean target: it makes the run incomplete,
which is a verdict of its own. A severity nobody has documented counts as worse than any
threshold. A failure is said together with what is missing, and wins over it. A baseline or a
waiver takes single findings out of all rules, and nothing else: no target without a verdict, and
no finding that is only counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import SEVERITIES, Finding, Severity
from bestdefense_async.output.clauses import Clauses
from bestdefense_async.output.marks import OPEN, Mark, Marks, WaiverUse
from bestdefense_async.output.text import counted

if TYPE_CHECKING:
    from bestdefense_async.output.run import Row
    from bestdefense_async.output.waivers import Waivers

EXIT_PASSED: Final = 0
EXIT_FAILED: Final = 1
EXIT_INCOMPLETE: Final = 3
EXIT_REFUSED: Final = 4

_WHOLE: Final = 100
"""Per cent."""

_ALLOWANCE: Final = re.compile(r"([0-9]{1,9})(%?)", re.ASCII)


@frozen
class Allowance:
    """How many targets may stay without a verdict."""

    number: int
    is_percent: bool = False

    def of(self, total: int) -> int:
        """Return the number of targets out of `total`, rounded down."""
        return total * self.number // _WHOLE if self.is_percent else self.number


def read_allowance(text: str | int | Allowance) -> Allowance:
    """Return the allowance written as `3` (targets) or `5%` (of the targets).

    Raises:
        ConfigError: It is neither, or more than 100 %.
    """
    if isinstance(text, Allowance):
        return text
    match = _ALLOWANCE.fullmatch(str(text).strip())
    if match is None or (match[2] and int(match[1]) > _WHOLE):
        raise ConfigError(f"{text!r} is no number of targets: write like 3 or 5%.")
    return Allowance(int(match[1]), is_percent=bool(match[2]))


def _as_severity(word: str | None) -> Severity | None:
    """Return the threshold; None and the word `none` mean there is none."""
    if word is None or word.strip().lower() == "none":
        return None
    severity = Severity(word)
    if not severity.is_known:
        raise ConfigError(
            f"{word!r} is no severity: choose one of {', '.join(SEVERITIES)} or none."
        )
    return severity


def _as_limits(limits: Mapping[str, int]) -> dict[Severity, int]:
    checked: dict[Severity, int] = {}
    for word, most in limits.items():
        severity = _as_severity(word)
        if severity is None or most < 0:
            raise ConfigError(f"{word!r}: {most!r} is no limit of findings.")
        checked[severity] = most
    return checked


@frozen(kw_only=True)
class Policy:
    """The rules of the gate; each of them must hold.

    Raises:
        ConfigError: A severity is not one the API documents, or a number makes no sense.
    """

    fail_on: Severity | None = field(default=Severity.HIGH, converter=_as_severity)
    """A finding of this severity or worse fails; None never does."""
    max_counts: Mapping[Severity, int] = field(factory=dict, converter=_as_limits)
    """Most findings of exactly that severity in the whole run; undocumented ones count too."""
    allow_incomplete: Allowance = field(default=Allowance(0), converter=read_allowance)
    """Targets that may stay without a verdict."""


@frozen(kw_only=True)
class Verdict:
    """What the gate says about a run."""

    word: str
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
    marks: Marks = field(factory=Marks, repr=False)
    """What became of each finding."""
    is_refused: bool = False
    """Whether the token is what kept the missing ones from being scanned."""

    @property
    def sentence(self) -> str:
        """One line, like `gate: FAILED, 3 high >= high on 2 of 40 sites`."""
        return f"gate: {self.word.upper()}, {'; '.join((*self.reasons, *self.notes))}"

    @property
    def notes(self) -> tuple[str, ...]:
        """One clause for each thing that was left out of the rules, and for waivers that are off.

        Empty without waivers and baseline.
        """
        states = Counter(use.state for use in self.marks.uses)
        sites = self.marks.unknown_sites
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
        return self.marks.uses

    def breaks(self, severity: Severity) -> bool:
        """Tell whether an open finding of this severity is among what failed the run."""
        is_above = self.threshold is not None and severity.rank >= self.threshold.rank
        return (
            is_above or severity in self.exceeded or (bool(self.exceeded) and not severity.is_known)
        )

    def marked(self, place: int, row: Row) -> list[tuple[Finding, Mark]]:
        """Return the findings of the row at that place, as `Row.reported`, with their marks."""
        found = self.marks.by_place
        return [(one, found.get((place, at), OPEN)) for at, one in enumerate(row.reported())]

    def failing(self, place: int, row: Row) -> list[Finding]:
        """Return those findings of the row at that place that failed the run."""
        marked = self.marked(place, row)
        return [one for one, mark in marked if mark.word == "open" and self.breaks(one.severity)]


def judge(
    rows: Iterable[Row],
    policy: Policy,
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
        waivers: Findings somebody has accepted.
    """
    rows = tuple(rows)
    marks = Marks.of(rows, baseline=baseline, waivers=waivers)
    counts = [marks.open_counts(place, row) for place, row in enumerate(rows)]
    missing = [row for row in rows if not row.has_verdict]
    hits = _at_least(counts, policy.fail_on)
    exceeded = _exceeded(counts, policy)
    clauses = Clauses(total=len(rows), adjective="" if baseline is None else "new ")
    failures = [clauses.broken(found, f"> {most} allowed") for _, most, found in exceeded]
    if hits:
        failures.insert(0, clauses.broken(hits, f">= {policy.fail_on}"))
    is_complete = bool(rows) and len(missing) <= policy.allow_incomplete.of(len(rows))
    word = "failed" if failures else "passed" if is_complete else "incomplete"
    reasons = failures or ([] if word == "incomplete" else [clauses.nothing(policy)])
    if missing or not rows:
        reasons = [*reasons, clauses.gap(len(missing))]
    states = Counter(mark.word for mark in marks.by_place.values())
    return Verdict(
        word=word,
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
        marks=marks,
        is_refused=_is_refused(rows, missing),
    )


def exit_code(verdict: Verdict) -> int:
    """Return the exit code of a verdict: 0 passed, 1 failed, 3 incomplete, 4 refused.

    Incomplete becomes 4 when the token is the reason: another run would end the same way.
    """
    if verdict.word == "failed":
        return EXIT_FAILED
    if verdict.word == "passed":
        return EXIT_PASSED
    return EXIT_REFUSED if verdict.is_refused else EXIT_INCOMPLETE


_Counts = dict[Severity, int]
"""Open findings of one target."""


def _at_least(counts: list[_Counts], threshold: Severity | None) -> list[_Counts]:
    """Return, for each target that has any, its findings at or above the threshold."""
    if threshold is None:
        return []
    return _kept(counts, lambda word: word.rank >= threshold.rank)


def _exceeded(counts: list[_Counts], policy: Policy) -> list[tuple[Severity, int, list[_Counts]]]:
    """Return each limit with too many findings, and those; unknown severities count for each."""
    broken = []
    for severity, most in policy.max_counts.items():
        found = _kept(counts, lambda word: word == severity or not word.is_known)  # noqa: B023
        if sum(sum(each.values()) for each in found) > most:
            broken.append((severity, most, found))
    return broken


def _kept(counts: list[_Counts], is_meant: Callable[[Severity], bool]) -> list[_Counts]:
    kept = ({word: count for word, count in each.items() if is_meant(word)} for each in counts)
    return [each for each in kept if each]


def _is_refused(rows: tuple[Row, ...], missing: list[Row]) -> bool:
    """Tell whether the token explains the gap.

    A token that is not accepted explains it anywhere in a run. A missing permission may concern
    one site only, so it explains the gap when no site at all could be scanned.
    """
    kinds = {row.error.kind for row in missing if row.error is not None}
    if "AuthError" in kinds:
        return True
    return bool(missing) and len(missing) == len(rows) and kinds == {"PermissionDenied"}
