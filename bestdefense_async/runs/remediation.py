"""Many AI remediations at once, each of which costs a credit.

What already has a remediation is not triggered again, and a trigger whose answer is lost is not
sent again: both would pay twice for one remediation. When the credits are spent, or the server says
that the organization may not do this at all, the rest ends with that error
without being sent.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    OutcomeUnknown,
    PermissionDenied,
    ProvisionalRoute,
    QuotaExceeded,
    RunStopped,
    Sent,
)
from bestdefense_async.models import Remediation, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bestdefense_async.models import Finding
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.resources.remediation import Remediations

AT_ONCE = 8
"""Triggers under way at the same time: so many may be refused after the last credit."""


@frozen(kw_only=True)
class RemediationRequest:
    """One wanted remediation: of a finding, or of all findings of a weakness in a report."""

    report_id: str
    finding_id: str | None = None
    """None for the whole weakness."""
    weakness: str | None = None
    covers: tuple[str, ...] = ()
    """Ids of the findings it is about, where it is about a whole weakness and they are known."""
    severity: Severity | None = None
    """The worst one it is about."""
    target: str = ""
    """The site, for people."""

    @property
    def key(self) -> tuple[str | None, ...]:
        """What makes two requests the same."""
        if self.finding_id is not None:
            return self.report_id, self.finding_id
        return self.report_id, None, self.weakness


@frozen(kw_only=True)
class RemediationPlan:
    """What is to be remediated."""

    requests: tuple[RemediationRequest, ...]
    """The worst first, so that it is the least that goes without when credits run out."""
    unnamed: int
    """Findings that cannot be triggered: only counted, or without an id."""


def plan_remediations(
    run: RunResult, *, min_severity: Severity | str = "high", per: str = "finding"
) -> RemediationPlan:
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


class RemediationStatus(enum.StrEnum):
    """How a wanted remediation ended."""

    TRIGGERED = "triggered"
    EXISTS = "exists"
    """It, or one for its whole weakness, had been triggered before."""
    REFUSED = "refused"
    """The server refused this one."""
    UNKNOWN = "unknown"
    """It was sent and its answer is lost: check before it is sent again."""
    NOT_TRIGGERED = "not_triggered"
    """It was not sent, or credits or permission were lacking."""


@frozen(kw_only=True)
class RemediationOutcome:
    """What became of one wanted remediation."""

    request: RemediationRequest
    status: RemediationStatus
    remediation: Remediation | None = None
    error: BestDefenseError | None = None
    """Why it was not triggered; None when it was, or had been before."""


class RemediationBatch:
    """Triggers remediations, a few at a time and in order.

    Args:
        remediations: The client's `remediation`.
        credits_remaining: Credits known to be left, None when it is not known.
    """

    def __init__(self, remediations: Remediations, *, credits_remaining: int | None = None) -> None:
        self._remediations = remediations
        self._stopped: BestDefenseError | None = None
        self.credits_remaining: int | None = credits_remaining
        """What the server reported last; None before it has."""
        self._record_credits(credits_remaining)

    def stop(self, reason: BestDefenseError) -> None:
        """Send no further trigger; those under way are waited for."""
        self._stopped = self._stopped or reason

    async def run(
        self,
        requests: Iterable[RemediationRequest],
        on_outcome: Callable[[RemediationOutcome], object],
    ) -> None:
        """Trigger each remediation once; `on_outcome` is called once for each, as they end.

        Raises:
            ProvisionalRoute: The host is not the sandbox and the path is not confirmed.
        """
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                on_outcome(await self._ended(request))

        workers = [asyncio.ensure_future(work()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _ended(self, request: RemediationRequest) -> RemediationOutcome:
        if self._stopped is not None:
            return RemediationOutcome(
                request=request, status=RemediationStatus.NOT_TRIGGERED, error=self._stopped
            )
        weakness = request.weakness if request.finding_id is None else None
        try:
            triggered = await self._remediations.trigger(
                request.report_id, finding=request.finding_id, weakness=weakness
            )
        except ProvisionalRoute:
            raise
        except BestDefenseError as error:
            self._record_refusal(error)
            return RemediationOutcome(request=request, status=_status_after(error), error=error)
        self._record_credits(triggered.credits_remaining)
        return RemediationOutcome(
            request=request, status=RemediationStatus.TRIGGERED, remediation=triggered.remediation
        )

    def _record_credits(self, remaining: int | None) -> None:
        if remaining is None:
            return
        # Answers may overtake each other; what is spent does not come back meanwhile.
        known = self.credits_remaining
        self.credits_remaining = remaining if known is None else min(known, remaining)
        if self.credits_remaining <= 0:
            self.stop(RunStopped("No AI remediation credits are left."))

    def _record_refusal(self, error: BestDefenseError) -> None:
        """Stop after a refusal that would meet every other trigger, too."""
        if isinstance(error, QuotaExceeded):
            self.credits_remaining = 0
        is_for_all = isinstance(error, PermissionDenied) and error.is_plan is not None
        if is_for_all or isinstance(error, QuotaExceeded | AuthError):
            self.stop(error)


def _status_after(error: BestDefenseError) -> RemediationStatus:
    if isinstance(error, OutcomeUnknown):
        return RemediationStatus.UNKNOWN
    if isinstance(error, QuotaExceeded) or error.sent is Sent.NO:
        return RemediationStatus.NOT_TRIGGERED
    return RemediationStatus.REFUSED


def without_existing(
    requests: Iterable[RemediationRequest], existing: Iterable[Remediation]
) -> tuple[tuple[RemediationRequest, ...], tuple[RemediationOutcome, ...]]:
    """Return what is still to be triggered, each once, and what has been triggered before.

    A finding is covered by a remediation of its own, or by one of its whole weakness in the same
    report; a weakness also when each of its findings is. The stage does not matter: a rejected one
    is not asked for again by itself.
    """
    known: dict[tuple[str | None, ...], Remediation] = {}
    for one in existing:
        if one.finding_id is not None:
            known[one.report_id, one.finding_id] = one
        elif one.weakness is not None:
            known[one.report_id, None, one.weakness] = one
    missing: dict[tuple[str | None, ...], RemediationRequest] = {}
    covered: dict[tuple[str | None, ...], RemediationOutcome] = {}
    for request in requests:
        group = (request.report_id, None, request.weakness)
        members = [known.get((request.report_id, finding_id)) for finding_id in request.covers]
        found = known.get(request.key) or known.get(group) or _last_of_all(members)
        if found is not None:
            covered[request.key] = RemediationOutcome(
                request=request, status=RemediationStatus.EXISTS, remediation=found
            )
        else:
            missing.setdefault(request.key, request)
    return tuple(missing.values()), tuple(covered.values())


def _last_of_all(members: list[Remediation | None]) -> Remediation | None:
    """Return the last of the members when there are some and none of them is missing."""
    return members[-1] if members and None not in members else None
