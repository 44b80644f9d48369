"""The rows of the HTML report's tables: the numbers of its pictures, and what they stand for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.report.summary import BANDS, by_band, severity_band
from bestdefense_async.report.text import joined, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.models import Finding, Outcome
    from bestdefense_async.report.gate.identity import Changes
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

MOST_FINDINGS: Final = 100
MOST_WAIVERS: Final = 100
MOST_WEAKNESSES: Final = 50
MOST_SITES: Final = 2_500
"""Rows of the table of all sites; the report says when there are more."""
MOST_REASONS: Final = 5
MOST_GAPS: Final = 500
"""Rows of the table of sites without a verdict."""

_SEVERITY_BANDS: Final = tuple(name for name in BANDS if name not in {"clean", "not_scanned"})


def severity_rows(run: RunResult, changes: Changes | None) -> list[dict[str, Any]]:
    """Return one row per severity: findings, sites, and what changed.

    Documented severities are always there, others have one row when they occur.
    """
    findings: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    for outcome in run.outcomes:
        counts = by_band(outcome.counts())
        findings.update(counts)
        sites.update(counts.keys())
    kinds = (
        {"new": changes.new, "fixed": changes.fixed, "unchanged": changes.unchanged}
        if changes
        else {}
    )
    moved = {kind: by_band(dict(counter)) for kind, counter in kinds.items()}
    return [
        {
            "band": name,
            "numbers": [
                findings[name],
                sites[name],
                *(counts.get(name, 0) for counts in moved.values()),
            ],
        }
        for name in _SEVERITY_BANDS
        if name != "other" or findings[name]
    ]


def worst_findings(verdict: Verdict, changes: Changes | None) -> list[dict[str, Any]]:
    """Return the most serious findings that are listed; waived and known ones come last."""
    new = set() if changes is None else {id(finding) for _, finding in changes.new_findings}
    listed = [
        (judged.outcome, finding, status.state)
        for judged in verdict.outcomes
        for finding, status in judged.findings[: len(judged.outcome.findings)]
    ]
    listed.sort(
        key=lambda each: (
            each[2] != "open",
            -each[1].severity.rank,
            id(each[1]) not in new,
            *_names(each[0], each[1]),
        )
    )
    return [
        _finding_row(outcome, finding, [state, *(["new"] if id(finding) in new else [])])
        for outcome, finding, state in listed[:MOST_FINDINGS]
    ]


def _names(outcome: Outcome, finding: Finding) -> tuple[str, str, str, str]:
    return (outcome.target, finding.cwe or "", finding.title or "", finding.url or "")


def _finding_row(outcome: Outcome, finding: Finding, badges: list[str]) -> dict[str, Any]:
    return {
        "band": severity_band(finding.severity),
        "severity": visible(finding.severity, longest=30),
        "target": visible(outcome.target, longest=100),
        "title": visible(finding.title or finding.weakness or "not named", longest=160),
        "cwe": visible(finding.cwe or "", longest=20),
        "url": visible(finding.url or "", longest=160),
        "guidance": visible(finding.guidance or "", longest=240),
        "badges": [badge for badge in badges if badge != "open"],
    }


def gap_reasons(gaps: Iterable[Outcome]) -> str:
    """Return why targets have no verdict, the most frequent reasons with their numbers."""
    kinds = Counter("no risk summary" if gap.error is None else gap.error.kind for gap in gaps)
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{count:,} {visible(kind, longest=30)}" for kind, count in ranked[:MOST_REASONS]]
    if len(ranked) > MOST_REASONS:
        listed.append(f"{sum(count for _, count in ranked[MOST_REASONS:]):,} for other reasons")
    return joined(listed)


def waiver_rows(verdict: Verdict) -> list[dict[str, Any]]:
    """Return what each waiver did, those that need attention first."""
    urgency = ("expired", "stale", "used")
    uses = sorted(verdict.uses, key=lambda use: urgency.index(use.state))
    return [
        {
            "what": visible(use.waiver, longest=160),
            "reason": visible(use.waiver.reason, longest=240),
            "expires": use.waiver.expires.isoformat(),
            "state": "matches nothing" if use.state == "stale" else use.state,
            "findings": use.findings,
        }
        for use in uses[:MOST_WAIVERS]
    ]
