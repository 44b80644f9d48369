"""The gate: may this run pass?

It fails closed. A target without a verdict is not a clean target: it makes the run incomplete,
which is a verdict of its own. A severity nobody has documented counts as worse than any
threshold. A failure is said together with what is missing, and wins over it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.output.text import counted, visible

if TYPE_CHECKING:
    from bestdefense_async.output.run import Row

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
    """Most findings of exactly that severity in the whole run."""
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
    """Findings at or above the threshold."""
    sites: int
    """Targets that have at least one of them."""
    total: int
    """All targets."""
    missing: int
    """Targets without a verdict."""
    threshold: Severity | None = None
    """The severity from which a finding fails the run; None when there is no such rule."""
    is_refused: bool = False
    """Whether the token is what kept the missing ones from being scanned."""

    @property
    def sentence(self) -> str:
        """One line, like `gate: FAILED, 3 high >= high on 2 of 40 sites`."""
        return f"gate: {self.word.upper()}, {'; '.join(self.reasons)}"


def judge(rows: Iterable[Row], policy: Policy) -> Verdict:
    """Return the verdict about these targets; an empty run is incomplete."""
    rows = tuple(rows)
    missing = [row for row in rows if not row.has_verdict]
    hits = _hits(rows, policy.fail_on)
    failures = [*_threshold_failure(hits, len(rows), policy), *_limit_failures(rows, policy)]
    is_complete = bool(rows) and len(missing) <= policy.allow_incomplete.of(len(rows))
    word = "failed" if failures else "passed" if is_complete else "incomplete"
    reasons = failures or ([] if word == "incomplete" else [_nothing(policy, len(rows))])
    if missing or not rows:
        reasons = [*reasons, _gap(len(missing), len(rows))]
    return Verdict(
        word=word,
        reasons=tuple(reasons),
        findings=sum(sum(counts.values()) for counts in hits),
        sites=len(hits),
        total=len(rows),
        missing=len(missing),
        threshold=policy.fail_on,
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


def _hits(rows: tuple[Row, ...], threshold: Severity | None) -> list[dict[Severity, int]]:
    """Return, for each row that has any, its findings at or above the threshold."""
    if threshold is None:
        return []
    kept = (
        {word: count for word, count in row.counts().items() if word.rank >= threshold.rank}
        for row in rows
    )
    return [counts for counts in kept if counts]


def _threshold_failure(hits: list[dict[Severity, int]], total: int, policy: Policy) -> list[str]:
    if not hits:
        return []
    sums: Counter[Severity] = Counter()
    for counts in hits:
        sums.update(counts)
    words = sorted(sums, key=lambda word: (-word.rank, word))
    listed = ", ".join(f"{sums[word]} {visible(word, longest=40)}" for word in words)
    return [f"{listed} >= {policy.fail_on} on {len(hits)} of {counted(total, 'site')}"]


def _limit_failures(rows: tuple[Row, ...], policy: Policy) -> list[str]:
    """Return a clause per limit that is exceeded; unknown severities count against each."""
    failures = []
    for severity, most in policy.max_counts.items():
        found = sum(
            count
            for row in rows
            for word, count in row.counts().items()
            if word == severity or not word.is_known
        )
        if found > most:
            failures.append(f"{found} {severity} > {most} allowed")
    return failures


def _nothing(policy: Policy, total: int) -> str:
    if policy.fail_on is None:
        return f"no threshold for {counted(total, 'site')}"
    return f"nothing >= {policy.fail_on} on {counted(total, 'site')}"


def _gap(missing: int, total: int) -> str:
    if not total:
        return "no site was scanned"
    return f"{missing} of {counted(total, 'site')} {'has' if missing == 1 else 'have'} no verdict"


def _is_refused(rows: tuple[Row, ...], missing: list[Row]) -> bool:
    """Tell whether the token explains the gap.

    A token that is not accepted explains it anywhere in a run. A missing permission may concern
    one site only, so it explains the gap when no site at all could be scanned.
    """
    kinds = {row.error.kind for row in missing if row.error is not None}
    if "AuthError" in kinds:
        return True
    return bool(missing) and len(missing) == len(rows) and kinds == {"PermissionDenied"}
