"""The findings of a run one by one, each with its status and the name it has everywhere."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.models import Finding, Outcome, Severity
from bestdefense_async.report.gate.identity import Changes, fingerprint
from bestdefense_async.report.gate.verdict import FindingStatus, Verdict
from bestdefense_async.report.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen(kw_only=True)
class ListedFinding:
    """One finding; or several that are only counted, which stand for one line of a list."""

    outcome: Outcome
    finding: Finding
    status: FindingStatus
    fingerprint: str | None
    """None for what is counted and not listed: it cannot be told apart or waived."""
    occurrence: int
    """1 for the first finding of that fingerprint in the run, then 2, and so on."""
    is_new: bool | None
    """Whether an older run does not have it; None when nothing is compared."""
    is_failing: bool
    """Whether it is among what failed the run."""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.finding.title or self.finding.weakness or "not named"


def listed_findings(verdict: Verdict, changes: Changes | None = None) -> list[ListedFinding]:
    """Return every finding of a run, the worst first; those that are waived or known come last."""
    new = None if changes is None else {id(finding) for _, finding in changes.new_findings}
    seen: Counter[str] = Counter()
    found = []
    for judged in verdict.outcomes:
        outcome, named = judged.outcome, len(judged.outcome.findings)
        for at, (finding, status) in enumerate(judged.findings):
            name = fingerprint(outcome, finding) if at < named else None
            seen[name or ""] += 1
            is_open = status.state == "open"
            found.append(
                ListedFinding(
                    outcome=outcome,
                    finding=finding,
                    status=status,
                    fingerprint=name,
                    occurrence=seen[name or ""],
                    is_new=None if new is None else at >= named or id(finding) in new,
                    is_failing=is_open and verdict.breaks(finding.severity),
                )
            )
    return sorted(found, key=_order)


def _order(one: ListedFinding) -> tuple[object, ...]:
    finding = one.finding
    texts = (finding.cwe, finding.weakness, finding.title, finding.url)
    rank = -finding.severity.rank
    is_suppressed = one.status.state != "open"
    return (
        is_suppressed,
        rank,
        not one.is_new,
        one.outcome.target,
        *(text or "" for text in texts),
    )


def counted_by_severity(findings: Iterable[ListedFinding]) -> str:
    """Return like `3 high, 12 low`, worst first."""
    counts: Counter[Severity] = Counter(one.finding.severity for one in findings)
    ranked = sorted(counts, key=lambda severity: (-severity.rank, severity))
    return ", ".join(f"{counts[one]:,} {visible(one, longest=40)}" for one in ranked)
