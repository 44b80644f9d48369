"""What is done for one scan, with no idea of the others: create it, ask for it, read its result."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from bestdefense_async.core.admission import may_start_later
from bestdefense_async.core.retry import is_fate_unknown
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    EnvelopeError,
    IntegrityError,
    JournalError,
    LifecycleError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ResponseTooLarge,
    RunStopped,
    ServerError,
    TLSError,
    TransportError,
)
from bestdefense_async.models import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.core.request import Claim
    from bestdefense_async.models import Alerts, Overview, Report, ScanOptions, Site
    from bestdefense_async.polling.scheduler import PollScheduler
    from bestdefense_async.runs.admission import Outage
    from bestdefense_async.runs.inputs import Scan
    from bestdefense_async.runs.site_index import SiteIndex
    from bestdefense_async.runs.store.protocol import Journal

log: logging.Logger = logging.getLogger("bestdefense_async.runs")

RESULT_WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts to read the result of a scan that is complete: the overview or the
alerts may come a moment later. While the host gives no result to any scan, the last one repeats."""

_PASSING: Final = (NotFound, RateLimited, ServerError, TransportError)
_LASTING: Final = (EnvelopeError, IntegrityError, NotFound, ResponseTooLarge, TLSError)
"""What says that this result cannot be read, and not that the host is away."""


class _Sites(Protocol):
    """What a group asks of sites."""

    async def list(self) -> tuple[Site, ...]:
        """Return every site of the organization."""


class _Reports(Protocol):
    """What a group asks of reports."""

    async def create(
        self, site: str, options: ScanOptions | None = None, *, claim: Claim | None = None
    ) -> Report:
        """Start a scan of a site; `claim` is taken in the instant before the request leaves."""

    async def overview(self, report_id: str) -> Overview:
        """Return what a report consists of."""


class _Vortex(Protocol):
    """What a group asks of security scans."""

    async def alerts(self, security_id: int) -> Alerts:
        """Return counts and findings of a security report."""


class ScanClient(Protocol):
    """The few operations a group needs: a `BestDefense` or a view of one has them."""

    @property
    def sites(self) -> _Sites:
        """To find sites by host name."""

    @property
    def reports(self) -> _Reports:
        """To create and follow scans."""

    @property
    def vortex(self) -> _Vortex:
        """To read results."""

    @property
    def site_index(self) -> SiteIndex:
        """To find the sites of targets: shared with all others that use the token."""

    @property
    def polls(self) -> PollScheduler:
        """To wait for scans: shared with all others that use the token."""


class ScanClaim:
    """The claim of one creation: it stands from the instant before the creation is sent.

    `Scan.started_at` says whether it stands. None means that certainly nothing was sent.
    """

    def __init__(
        self,
        scan: Scan,
        site_id: str,
        journal: Journal,
        refusal: Callable[[], BaseException | None],
    ) -> None:
        self._scan = scan
        self._site_id = site_id
        self._journal = journal
        self._refusal = refusal
        self.duplicate_of: int | None = None
        """The input that names the same site, when that is why the claim was not ours."""

    async def take(self) -> None:
        """Record durably that the creation is sent next.

        Raises:
            TargetError: Another input of the run names the same site.
            RunStopped: Somebody else has claimed it.
            JournalError: It cannot be written.
            BestDefenseError: Why nothing is started any more.
        """
        refusal = self._scan.error or self._refusal()
        if refusal is not None:
            raise refusal
        scan, at = self._scan, time.time()
        answer = await self._journal.claim(
            scan.index, target=scan.text, site_id=self._site_id, at=at
        )
        self.duplicate_of = answer.duplicate_of
        if answer.duplicate_of is not None:
            raise scan.repeats(answer.duplicate_of)
        if not answer.is_ours:
            raise RunStopped("Another owner has claimed this target.")
        scan.started_at = at

    async def give_back(self) -> None:
        """Record that the creation was certainly not begun: it may be claimed again."""
        self._scan.started_at = None
        await self._journal.give_back(self._scan.index)


@frozen(kw_only=True)
class Creation:
    """How an attempt to create a scan ended."""

    error: BestDefenseError | None = None
    """Why there is no scan, as far as is known; None when there is one."""
    outcome: Outcome | None = None
    """The outcome of the input; None when the scan is followed, or may be created later."""
    duplicate_of: int | None = None
    """The input that names the same site, where that is why there is no scan."""


class ScanWorkflow:
    """The steps of a scan, journal included. Every error ends up in an outcome.

    Args:
        client: Sends what is to be sent.
        options: What is scanned.
        journal: Where each step is written.
        on_journal_error: Called when the journal fails where the scan itself goes on.
        refusal: Returns why nothing is started any more; None while something is.
        host_is_there: Waits while the host takes no creation.
        patience: Seconds for which a host that gives no result at all is asked for one.
    """

    def __init__(
        self,
        client: ScanClient,
        options: ScanOptions,
        journal: Journal,
        *,
        on_journal_error: Callable[[JournalError], None],
        refusal: Callable[[], BestDefenseError | None],
        host_is_there: Callable[[], Awaitable[None]],
        patience: float,
    ) -> None:
        self._client = client
        self._options = options
        self._journal = journal
        self._on_journal_error = on_journal_error
        self._refusal = refusal
        self._host_is_there = host_is_there
        self._patience = patience
        self._results = 0
        """How many results the host has given."""

    def accepted(self, scan: Scan, site_id: str) -> None:
        """Record that the scan is to be created."""
        try:
            self._journal.accepted(scan.index, target=scan.text, site_id=site_id)
        except JournalError as error:
            self._on_journal_error(error)

    def rejected(self, scan: Scan, error: BestDefenseError, *, is_duplicate: bool) -> None:
        """Record that there is nothing to scan."""
        try:
            self._journal.rejected(
                scan.index, target=scan.text, error=error, is_duplicate=is_duplicate
            )
        except JournalError as failure:
            self._on_journal_error(failure)

    def outage(self, outage: Outage) -> None:
        """Record a time in which the host took no creation: its beginning, and its end."""
        if outage.until is None:
            log.warning("Nothing is started while the host is away: %s", outage.error)
        else:
            log.warning("The host took no creation for %.0f s.", outage.until - outage.since)
        try:
            self._journal.span("outage", outage.since, outage.until, outage.error)
        except JournalError as error:
            self._on_journal_error(error)

    async def create(self, scan: Scan, site_id: str) -> Creation:
        """Create the scan, once."""
        claim = ScanClaim(scan, site_id, self._journal, self._refusal)
        try:
            report = await self._client.reports.create(site_id, self._options, claim=claim)
        except BestDefenseError as error:
            return await self._not_created(scan, error.with_traceback(None), claim)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one surprise must not end the other scans
            surprise = _unexpected(error)
            lost = surprise if scan.started_at is None else scan.lost(str(surprise))
            return await self._not_created(scan, lost, claim)
        try:
            await self._journal.created(scan.index, report_id=report.id)
        except JournalError as error:
            self._on_journal_error(error)
        except IntegrityError as error:
            return await self._not_created(scan, error, claim)
        scan.report_id = report.id
        return Creation()

    async def _not_created(self, scan: Scan, error: BestDefenseError, claim: ScanClaim) -> Creation:
        if claim.duplicate_of is not None:
            outcome = scan.outcome(error, now=time.time())
            return Creation(error=error, outcome=outcome, duplicate_of=claim.duplicate_of)
        if scan.started_at is None and may_start_later(error):
            return Creation(error=error)
        if scan.started_at is not None and is_fate_unknown(error):
            if not isinstance(error, OutcomeUnknown):
                cause, error = error, scan.lost(str(error))
                error.__cause__ = cause
            await self._write(self._journal.unknown(scan.index, error=error))
            return Creation(error=error, outcome=scan.outcome(error, now=time.time()))
        return Creation(error=error, outcome=await self.refused(scan, error))

    async def refused(self, scan: Scan, error: BestDefenseError) -> Outcome:
        """Return the outcome of a scan that was certainly not started, written to the journal."""
        if not isinstance(error, JournalError | LifecycleError):  # what stops the run is no refusal
            await self._write(self._journal.refused(scan.index, error=error))
        outcome = scan.outcome(error, now=time.time())
        if outcome.status is not OutcomeStatus.FAILED:
            scan.started_at = None
            outcome = scan.outcome(error, now=time.time())
        return outcome

    async def finish(self, scan: Scan, report_id: str) -> Outcome:
        """Return the outcome of a scan that is no longer followed, written to the journal."""
        security_id: int | None = None
        try:
            if scan.error is None:
                outcome, security_id = await self._result(scan, report_id)
            else:
                outcome = scan.outcome(scan.error, now=time.time())
        except BestDefenseError as error:
            error = error.with_traceback(None)
            if isinstance(error, AuthError):
                error.report_id = report_id
            outcome = scan.outcome(error, now=time.time())
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one surprise must not end the other scans
            outcome = scan.outcome(_unexpected(error), now=time.time())
        try:
            await self._write(self._journal.finished(outcome, security_id=security_id))
        except IntegrityError as error:  # the result is the one of another scan
            outcome = scan.outcome(error.with_traceback(None), now=time.time())
            await self._write(self._journal.finished(outcome))
        return outcome

    async def _result(self, scan: Scan, report_id: str) -> tuple[Outcome, int | None]:
        if "security" not in self._options.types:
            return scan.outcome(None, now=time.time()), None
        security_id, alerts = await self._alerts(report_id)
        found = scan.outcome(
            None, now=time.time(), risk=alerts.risk, findings=tuple(alerts.findings)
        )
        return found, security_id

    async def _alerts(self, report_id: str) -> tuple[int, Alerts]:
        """Return the result, asking again for a few seconds while it is not there.

        While the host is away it is waited for, as long as polls wait: a scan that is complete does
        not fail for that. Away is a host that gives no result to any other scan either; one that
        does has trouble with this scan alone.
        """
        loop = asyncio.get_running_loop()
        until, given, few = loop.time() + self._patience, self._results, len(RESULT_WAITS)
        attempts = failures = 0
        while True:
            try:
                return await self._alerts_now(report_id)
            except _PASSING as error:
                is_away = self._results == given and not isinstance(error, _LASTING)
                is_late = loop.time() >= until or isinstance(self._refusal(), RunStopped)
                attempts, failures, given = attempts + 1, failures + (not is_away), self._results
                if failures > few or (attempts > few and is_late):
                    raise
            await asyncio.sleep(RESULT_WAITS[min(attempts, few) - 1])
            await self._host_is_there()

    async def _alerts_now(self, report_id: str) -> tuple[int, Alerts]:
        overview = await self._client.reports.overview(report_id)
        if overview.security_id is None:
            raise EnvelopeError(f"Report {report_id} is complete and has no security part.")
        alerts = await self._client.vortex.alerts(overview.security_id)
        self._results += 1
        return overview.security_id, alerts

    async def _write(self, entry: Awaitable[None]) -> None:
        try:
            await entry
        except JournalError as error:
            self._on_journal_error(error)


def _unexpected(error: Exception) -> BestDefenseError:
    """Log a fault of the program with its traceback; return an error that names only its kind."""
    log.error("Unexpected error in a scan; the others go on.", exc_info=error)
    return BestDefenseError(f"Unexpected {type(error).__name__}: see the log.")
