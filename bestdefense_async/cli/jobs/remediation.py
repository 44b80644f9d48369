"""Which findings of a run to remediate, what that costs, and what became of each remediation."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import define, field, frozen

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import emit
from bestdefense_async.errors import AuthError, ConfigError, PermissionDenied, RunStopped
from bestdefense_async.models import Severity
from bestdefense_async.report.text import counted, joined
from bestdefense_async.runs.remediation import (
    RemediationBatch,
    RemediationOutcome,
    RemediationRequest,
    RemediationStatus,
    without_existing,
)

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Finding
    from bestdefense_async.report.result import RunResult


@frozen(kw_only=True)
class RemediationPlan:
    """What is to be remediated."""

    requests: tuple[RemediationRequest, ...]
    """The worst first, so that it is the least that goes without when credits run out."""
    unnamed: int
    """Findings that cannot be triggered: only counted, or without an id."""


def plan_for(run: RunResult, *, min_severity: str, per: str) -> RemediationPlan:
    """Return what to remediate of a run: findings at or above a severity, unknown ones too.

    Args:
        run: A saved run.
        min_severity: The least severity.
        per: `finding`, or `weakness` for one request for all its findings in a report.
    """
    least = Severity(min_severity).rank
    gathered: dict[tuple[str, str], list[Finding]] = {}
    targets: dict[str, str] = {}
    unnamed = 0
    for row in run.outcomes:
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
    requests = [
        _request(report_id, found, targets[report_id], is_group=per != "finding")
        for (report_id, _), found in gathered.items()
    ]
    requests.sort(key=lambda each: -1 if each.severity is None else -each.severity.rank)
    return RemediationPlan(requests=tuple(requests), unnamed=unnamed)


def _request(
    report_id: str, found: list[Finding], target: str, *, is_group: bool
) -> RemediationRequest:
    worst = max(found, key=lambda finding: finding.severity.rank)
    ids = [finding.id for finding in found if finding.id is not None]
    return RemediationRequest(
        report_id=report_id,
        finding_id=None if is_group else worst.id,
        weakness=worst.weakness,
        covers=tuple(ids) if is_group and len(ids) == len(found) else (),
        severity=worst.severity,
        target=target,
    )


def cost_of(count: int, credits_remaining: int | None) -> str:
    """Return a sentence about what triggering costs."""
    left = "" if credits_remaining is None else f"; credits left: {credits_remaining}"
    return f"{counted(count, 'remediation')} would be triggered, a credit each{left}"


def confirm(count: int, credits_remaining: int | None, *, is_agreed: bool) -> None:
    """Ask before credits are spent; not when there are none to spend.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if is_agreed or not count or credits_remaining == 0:
        return
    cost = cost_of(count, credits_remaining)
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"{cost}. Add -y to agree.")
    click.confirm(f"{cost}. Trigger them?", abort=True, err=True)


def record_of(ended: RemediationOutcome, outcome: str | None = None) -> dict[str, Any]:
    """Return what became of a request, as outputs show it."""
    request, remediation, error = ended.request, ended.remediation, ended.error
    return {
        "outcome": str(ended.status) if outcome is None else outcome,
        "severity": None if request.severity is None else str(request.severity),
        "target": request.target or None,
        "weakness": request.weakness,
        "report_id": request.report_id,
        "finding_id": request.finding_id,
        "remediation_id": None if remediation is None else remediation.id,
        "stage": None
        if remediation is None or remediation.stage is None
        else str(remediation.stage),
        "pull_request_url": None if remediation is None else remediation.pull_request_url,
        "error": None if error is None else {"kind": error.kind, "message": str(error)},
    }


_COLUMNS: Final = ("outcome", "severity", "target", "weakness", "finding_id", "pull_request_url")
_SAID: Final = {
    RemediationStatus.TRIGGERED: "triggered",
    RemediationStatus.EXISTS: "triggered before",
    RemediationStatus.REFUSED: "refused",
    RemediationStatus.UNKNOWN: "unknown",
    RemediationStatus.NOT_TRIGGERED: "not triggered",
}


@define
class RemediationTrigger:
    """One use of the command: check what exists, trigger the rest, write what became of it."""

    plan: RemediationPlan
    format_: str
    missing: tuple[RemediationRequest, ...] = ()
    """What is still to be triggered, known after `check_existing`."""
    credits_remaining: int | None = None
    _results: list[RemediationOutcome] = field(factory=list)

    async def check_existing(self, bd: BestDefense) -> None:
        """Find out what has a remediation already, and how many credits are left."""
        listed = await bd.remediation.list()
        self.credits_remaining = listed.credits_remaining
        self.missing, before = without_existing(self.plan.requests, listed.remediations)
        self._results.extend(before)

    def write_plan(self) -> None:
        """Write what would be triggered, and what it would cost."""
        new = (
            RemediationOutcome(request=each, status=RemediationStatus.NOT_TRIGGERED)
            for each in self.missing
        )
        records = [record_of(each) for each in self._results]
        records += [record_of(each, "would_trigger") for each in new]
        emit("remediations", records, self.format_, columns=_COLUMNS)
        streams.say(cost_of(len(self.missing), self.credits_remaining))
        _say_unnamed(self.plan.unnamed)

    async def trigger(self, bd: BestDefense, interruption: Interruption) -> int:
        """Trigger what is missing, write how each ended, and return the exit code.

        A signal lets those under way end, and sends no further one.
        """
        run = RemediationBatch(bd.remediation, credits_remaining=self.credits_remaining)
        if self.missing:
            streams.say(f"triggering {counted(len(self.missing), 'remediation')}")
        interruption.is_handled = True
        stopping = asyncio.ensure_future(_stop_when_asked(run, interruption))
        try:
            await run.run(self.missing, self._results.append)
        finally:
            stopping.cancel()
        records = [record_of(each) for each in self._results]
        emit("remediations", records, self.format_, columns=_COLUMNS)
        _say_ends(self._results, run.credits_remaining)
        _say_unnamed(self.plan.unnamed)
        if interruption.count:
            return Exit.INTERRUPTED
        return _code(self._results, self.plan.unnamed)


async def _stop_when_asked(run: RemediationBatch, interruption: Interruption) -> None:
    await interruption.requested.wait()
    streams.say("stopping: waiting for answers to what was sent; a second signal ends at once")
    run.stop(RunStopped("Interrupted before it was sent."))


def _code(results: list[RemediationOutcome], unnamed: int) -> Exit:
    if any(isinstance(each.error, AuthError | PermissionDenied) for each in results):
        return Exit.TOKEN
    is_complete = not unnamed and all(
        each.status in {RemediationStatus.TRIGGERED, RemediationStatus.EXISTS} for each in results
    )
    return Exit.OK if is_complete else Exit.INCOMPLETE


def _say_ends(results: list[RemediationOutcome], credits_remaining: int | None) -> None:
    counts = Counter(each.status for each in results)
    said = joined(
        [f"{counts[status]} {_SAID[status]}" for status in RemediationStatus if counts[status]]
    )
    left = "" if credits_remaining is None else f"; credits left: {credits_remaining}"
    streams.say(f"remediations: {said or 'nothing to trigger'}{left}")
    reasons = Counter(str(each.error) for each in results if each.error is not None)
    for reason, count in reasons.most_common(5):
        streams.say(f"{count} x {reason}")


def _say_unnamed(unnamed: int) -> None:
    if unnamed:
        verb = "has" if unnamed == 1 else "have"
        streams.say(
            f"{counted(unnamed, 'finding')} {verb} no name in the run and cannot be triggered"
        )
