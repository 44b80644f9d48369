"""Which remediations a run asks for, and what they cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Severity
from bestdefense_async.orchestration.repairs import Repair, Repaired
from bestdefense_async.output.text import counted

if TYPE_CHECKING:
    from bestdefense_async.models import Finding
    from bestdefense_async.output.run import Run


@frozen(kw_only=True)
class Asked:
    """What a run asks to be repaired."""

    repairs: tuple[Repair, ...]
    """The worst first, so that it is the least that goes without when credits run out."""
    unnamed: int
    """Findings that cannot be triggered: only counted, or without an id."""


def asked_by(run: Run, *, min_severity: str, per: str) -> Asked:
    """Return the repairs for the findings of a run at or above a severity, unknown ones too.

    Args:
        run: A saved run.
        min_severity: The least severity.
        per: `finding`, or `weakness` for one repair of all its findings in a report.
    """
    least = Severity(min_severity).rank
    gathered: dict[tuple[str, str], list[Finding]] = {}
    targets: dict[str, str] = {}
    unnamed = 0
    for row in run.rows:
        wanted = [finding for finding in row.findings if finding.severity.rank >= least]
        counts = row.counts().items()
        unnamed += sum(count for severity, count in counts if severity.rank >= least) - len(wanted)
        for finding in wanted:
            name = finding.id if per == "finding" else finding.weakness
            if row.report_id is None or name is None:
                unnamed += 1
            else:
                gathered.setdefault((row.report_id, name), []).append(finding)
                targets[row.report_id] = row.target
    repairs = [
        _repair(report_id, found, targets[report_id], is_group=per != "finding")
        for (report_id, _), found in gathered.items()
    ]
    repairs.sort(key=lambda each: -1 if each.severity is None else -each.severity.rank)
    return Asked(repairs=tuple(repairs), unnamed=unnamed)


def _repair(report_id: str, found: list[Finding], target: str, *, is_group: bool) -> Repair:
    worst = max(found, key=lambda finding: finding.severity.rank)
    ids = [finding.id for finding in found if finding.id is not None]
    return Repair(
        report_id=report_id,
        finding_id=None if is_group else worst.id,
        weakness=worst.weakness,
        covers=tuple(ids) if is_group and len(ids) == len(found) else (),
        severity=worst.severity,
        target=target,
    )


def cost_of(count: int, credits_remaining: int | None) -> str:
    """Say what triggering costs."""
    left = "" if credits_remaining is None else f"; credits left: {credits_remaining}"
    return f"{counted(count, 'remediation')} would be triggered, a credit each{left}"


def agree(count: int, credits_remaining: int | None, *, is_agreed: bool) -> None:
    """Ask before credits are spent; not when there are none to spend.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if is_agreed or not count or credits_remaining == 0:
        return
    cost = cost_of(count, credits_remaining)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"{cost}: add -y to agree.")
    click.confirm(f"{cost}. Trigger them?", abort=True, err=True)


def record_of(ended: Repaired, word: str | None = None) -> dict[str, Any]:
    """Return what became of a repair as it stands in outputs."""
    repair, remediation, error = ended.repair, ended.remediation, ended.error
    return {
        "outcome": str(ended.word) if word is None else word,
        "severity": None if repair.severity is None else str(repair.severity),
        "target": repair.target or None,
        "weakness": repair.weakness,
        "report_id": repair.report_id,
        "finding_id": repair.finding_id,
        "remediation_id": None if remediation is None else remediation.id,
        "stage": None
        if remediation is None or remediation.stage is None
        else str(remediation.stage),
        "pull_request_url": None if remediation is None else remediation.pull_request_url,
        "error": None if error is None else {"kind": error.kind, "message": str(error)},
    }
