"""What is done for one scan, with no idea of the others: create it, ask for it, read its result."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from bestdefense_async.core.retry import is_fate_unknown
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    EnvelopeError,
    JournalError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    RunStopped,
    ServerError,
    TransportError,
)
from bestdefense_async.models import Outcome, OutcomeStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.models import Alerts, Overview, Report, ScanOptions, Site
    from bestdefense_async.polling.scheduler import PollScheduler
    from bestdefense_async.runs.inputs import Scan
    from bestdefense_async.runs.site_index import SiteIndex
    from bestdefense_async.runs.store.protocol import Journal

log: logging.Logger = logging.getLogger("bestdefense_async.runs")

RESULT_WAITS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts to read the result of a scan that is complete: the overview or the
alerts may come a moment later."""

_PASSING: Final = (NotFound, RateLimited, ServerError, TransportError)


class _Sites(Protocol):
    async def list(self) -> tuple[Site, ...]: ...


class _Reports(Protocol):
    async def create(self, site: str, options: ScanOptions | None = None) -> Report: ...
    async def overview(self, report_id: str) -> Overview: ...


class _Vortex(Protocol):
    async def alerts(self, security_id: int) -> Alerts: ...


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


class ScanWorkflow:
    """The steps of a scan, journal included. Every error ends up in an outcome.

    `on_journal_error` is called when the journal fails where the scan itself goes on.
    """

    def __init__(
        self,
        client: ScanClient,
        options: ScanOptions,
        journal: Journal,
        *,
        on_journal_error: Callable[[JournalError], None],
    ) -> None:
        self._client = client
        self._options = options
        self._journal = journal
        self._on_journal_error = on_journal_error

    async def accepted(self, scan: Scan, site_id: str) -> None:
        """Record that the scan is to be created."""
        await self._write(self._journal.accepted(scan.index, target=scan.text, site_id=site_id))

    async def rejected(self, scan: Scan, error: BestDefenseError, *, is_duplicate: bool) -> None:
        """Record that there is nothing to scan."""
        await self._write(
            self._journal.rejected(
                scan.index, target=scan.text, error=error, is_duplicate=is_duplicate
            )
        )

    async def create(self, scan: Scan, site_id: str) -> Outcome | None:
        """Create the scan, once. Return None when it exists now, else the outcome."""
        # From here on a crash leaves a claim, so from here on the fate is unknown.
        at = scan.started_at = time.time()
        try:
            is_ours = await self._journal.claimed(scan.index, site_id=site_id, at=at)
        except JournalError as error:
            return self._unsent(scan, error)
        if not is_ours:
            return self._unsent(scan, RunStopped("Another run has claimed this target."))
        try:
            report = await self._client.reports.create(site_id, self._options)
        except BestDefenseError as error:
            return await self._refused(scan, error.with_traceback(None))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one surprise must not end the other scans
            return await self._refused(scan, scan.lost(str(_unexpected(error))))
        scan.report_id = report.id
        await self._write(self._journal.created(scan.index, report_id=report.id))
        return None

    def _unsent(self, scan: Scan, error: BestDefenseError) -> Outcome:
        scan.started_at = None
        return scan.outcome(error, now=time.time())

    async def _refused(self, scan: Scan, error: BestDefenseError) -> Outcome:
        if is_fate_unknown(error) and not isinstance(error, OutcomeUnknown):
            error = scan.lost(str(error))
        if isinstance(error, OutcomeUnknown):
            await self._write(self._journal.unknown(scan.index, error=error))
            return scan.outcome(error, now=time.time())
        await self._write(self._journal.refused(scan.index, error=error))
        outcome = scan.outcome(error, now=time.time())
        is_refused = outcome.status is OutcomeStatus.FAILED
        return outcome if is_refused else self._unsent(scan, error)

    async def finish(self, scan: Scan, report_id: str) -> Outcome:
        """Return the outcome of a scan that is no longer followed, written to the journal."""
        try:
            if scan.error is None:
                outcome = await self._result(scan, report_id)
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
        await self._write(self._journal.finished(outcome))
        return outcome

    async def _result(self, scan: Scan, report_id: str) -> Outcome:
        if "security" not in self._options.types:
            return scan.outcome(None, now=time.time())
        alerts = await self._alerts(report_id)
        return scan.outcome(
            None, now=time.time(), risk=alerts.risk, findings=tuple(alerts.findings)
        )

    async def _alerts(self, report_id: str) -> Alerts:
        """Return the result, asking again for a few seconds while it is not there."""
        for wait in RESULT_WAITS:
            try:
                return await self._alerts_now(report_id)
            except _PASSING:
                await asyncio.sleep(wait)
        return await self._alerts_now(report_id)

    async def _alerts_now(self, report_id: str) -> Alerts:
        overview = await self._client.reports.overview(report_id)
        if overview.security_id is None:
            raise EnvelopeError(f"Report {report_id} is complete and has no security part.")
        return await self._client.vortex.alerts(overview.security_id)

    async def _write(self, entry: Awaitable[None]) -> None:
        try:
            await entry
        except JournalError as error:
            self._on_journal_error(error)


def _unexpected(error: Exception) -> BestDefenseError:
    """Log a fault of the program with its traceback; return an error that names only its kind."""
    log.error("Unexpected error in a scan; the others go on.", exc_info=error)
    return BestDefenseError(f"Unexpected {type(error).__name__}: see the log.")
