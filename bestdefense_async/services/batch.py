"""Some scans of one organization with the same options: a run of the store, and who works on it.

A run wants each site once and has an end, and a service has neither. So a service has a run after
the other: one takes scans until a site of it is wanted again or it is full, and it ends when all
of its scans have. Mostly one is open at a time.

A group that met a refusal starts nothing more. What it could not do waits here, with its place in
the record, for the next group over the same run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import (
    BestDefenseError,
    JournalError,
    JournalLost,
    LifecycleError,
    RunStopped,
    ScanCancelled,
)
from bestdefense_async.models import Outcome, OutcomeStatus, ScanEvent, ScanFinished, ScanStarted
from bestdefense_async.runs.group import ScanGroup
from bestdefense_async.runs.inputs import ExistingScan, IndexedInput
from bestdefense_async.runs.store.null_journal import NullJournal
from bestdefense_async.services.tracked import TrackedScan
from bestdefense_async.services.updates import is_pending

if TYPE_CHECKING:
    from bestdefense_async.models import ScanOptions
    from bestdefense_async.runs.inputs import Handle
    from bestdefense_async.runs.store.protocol import Family, HeldRun, Journal
    from bestdefense_async.view import View

MOST_SCANS: Final = 5000
"""Scans of one run: so many are read to go on with it after a restart, in half a second."""

_log = logging.getLogger("bestdefense_async.services")


@frozen(kw_only=True)
class BatchSettings:
    """How the scans of a service go, and whom its batches tell."""

    max_active: int
    scan_timeout: float | None
    polling: PollPolicy
    on_event: Callable[[str | None, ScanEvent], object]
    """Called with the tenant's name and each event of its groups."""
    ended: Callable[[TrackedScan], object]
    listened: Callable[[TrackedScan], object]
    foreign: Collection[str]
    """Runs of other organizations that are labelled like one of ours."""


class BatchOwner(Protocol):
    """The organization whose scans a batch has."""

    name: str | None
    """What it is called; None for the client's own."""
    view: View
    """It may be given anew."""

    def refused(self, error: BestDefenseError) -> None:
        """Hear why nothing more can be started."""

    def proven(self) -> None:
        """Hear that a scan was created."""

    def idled(self, batch: ScanBatch) -> None:
        """Hear that all scans of a batch have ended."""


class ScanBatch:
    """Scans of one tenant with the same options.

    Args:
        name: The run's, with which the ids of its scans begin.
        owner: Whose scans they are.
        options: What is scanned.
        held: The run, None without a store.
        settings: What all batches of a service share.
    """

    def __init__(
        self,
        *,
        name: str,
        owner: BatchOwner,
        options: ScanOptions,
        held: HeldRun | None,
        settings: BatchSettings,
    ) -> None:
        self.name: str = name
        self.options: ScanOptions = options
        self.scans: dict[int, TrackedScan] = {}
        """Those that have not ended, by their indexes in the run."""
        self.is_open: bool = True
        """Whether it takes more scans."""
        self._owner = owner
        self._journal: Journal = NullJournal() if held is None else held.journal
        self._is_recorded = held is not None
        self._settings = settings
        self._indexes = itertools.count(self._journal.next_index)
        self._sites: set[str] = set()
        self._groups: list[ScanGroup] = []
        self._closed_by: BestDefenseError | None = None

    def takes(self, site_id: str) -> bool:
        """Return whether a scan of a site may join."""
        is_used = self._is_recorded and site_id.lower() in self._sites
        return self.is_open and not is_used and len(self._sites) < MOST_SCANS

    def add(self, target: str, site_id: str, *, asked_by: str | None) -> TrackedScan:
        """Take a scan in: from here on the batch is not idle."""
        return self._put(next(self._indexes), target, site_id, asked_by)

    def adopt(self, outcome: Outcome, item: object) -> TrackedScan:
        """Take a scan in that the record holds and that has not ended."""
        scan = self._put(outcome.index, outcome.target, outcome.site_id or "", None)
        if isinstance(item, ExistingScan):
            scan.report_id, scan.started_at = item.report_id, item.started_at
        scan.accepted.set()
        return scan

    def _put(self, index: int, target: str, site_id: str, asked_by: str | None) -> TrackedScan:
        self._sites.add(site_id.lower())
        scan = self.scans[index] = TrackedScan(
            id=f"{self.name}-{index}",
            index=index,
            tenant=self._owner.name,
            target=target,
            site_id=site_id,
            options=self.options,
            asked_by=asked_by,
            follower=self,
        )
        return scan

    async def accept(self, scan: TrackedScan, family: Family) -> None:
        """Record a scan, durably: from here on it is promised, unless it is `elsewhere`.

        Raises:
            JournalError: It cannot be written.
        """
        scan.elsewhere = await self._journal.accept(
            scan.index, target=scan.target, site_id=scan.site_id, unless=family
        )
        if scan.elsewhere is not None:
            self._sites.discard(scan.site_id.lower())

    async def go(self, scan: TrackedScan) -> None:
        """Let a scan be created, or followed where it exists."""
        if self._closed_by is not None:
            scan.stop(self._closed_by)
        elif scan.outcome is None and scan.handle is None:
            group = await self._group()
            scan.handle = group.start(IndexedInput(scan.index, scan.item))

    async def go_on(self) -> None:
        """Go on with all that could not be done."""
        for scan in list(self.scans.values()):
            await self.go(scan)

    async def _group(self) -> ScanGroup:
        """Return a group that starts scans."""
        if self._groups and self._groups[-1].refusal is None:
            return self._groups[-1]
        group = ScanGroup(
            self._owner.view,
            options=self.options,
            max_active=self._settings.max_active,
            scan_timeout=self._settings.scan_timeout,
            polling=self._settings.polling,
            on_event=self._hear,
            journal=self._journal,
        )
        self._groups.append(group)
        return await group.__aenter__()

    def _hear(self, event: ScanEvent) -> None:
        self._settings.on_event(self._owner.name, event)
        if not isinstance(event, ScanFinished):
            if isinstance(event, ScanStarted):
                self._owner.proven()
                self._tell(event.index)
            return
        outcome = event.outcome
        scan = self.scans.get(outcome.index)
        if scan is None:
            return
        if not is_pending(outcome):
            self._end(scan, outcome)
            return
        scan.handle, scan.report_id, scan.started_at = None, outcome.report_id, outcome.started_at
        error = outcome.error or RunStopped("It was stopped.")
        if isinstance(error, JournalLost):
            self.is_open, self._closed_by = False, error
        if self._closed_by is None:
            scan.tell()
            self._owner.refused(error)
        else:
            self._stop(scan)

    def _tell(self, index: int) -> None:
        if index in self.scans:
            self.scans[index].tell()

    def _end(self, scan: TrackedScan, outcome: Outcome) -> None:
        self._forget(scan)
        scan.end(outcome, asyncio.get_running_loop().time())
        self._settings.ended(scan)

    def _stop(self, scan: TrackedScan) -> None:
        self._forget(scan)
        scan.stop(self._closed_by or RunStopped("It was stopped."))
        self._settings.ended(scan)

    def _forget(self, scan: TrackedScan) -> None:
        del self.scans[scan.index]
        if not self.scans:
            self._owner.idled(self)

    def listened(self, scan: TrackedScan) -> None:
        """Hear that somebody listens to a scan."""
        self._settings.listened(scan)

    def discard(self, scan: TrackedScan, why: BestDefenseError) -> None:
        """Take a scan out that could not be accepted."""
        if self.scans.get(scan.index) is scan:
            self._forget(scan)
            scan.stop(why)

    async def cancel(self, scan: TrackedScan) -> None:
        """Give a scan up, and record it. A creation that is on its way is answered first."""
        reason = ScanCancelled("The scan was cancelled.")
        handle = scan.handle
        if handle is None:
            outcome = _given_up(scan, reason)
            self._end(scan, outcome)
        else:
            outcome = await self._cancelled(handle, reason)
        with contextlib.suppress(JournalError):  # then it is started again after a restart
            if outcome.status is OutcomeStatus.NOT_STARTED:
                await self._journal.refused(scan.index, error=reason)
            elif handle is None:
                await self._journal.finished(outcome)

    async def _cancelled(self, handle: Handle, reason: BestDefenseError) -> Outcome:
        for group in self._groups:
            group.cancel(handle, reason)
        return await handle.outcome()

    async def end(self) -> None:
        """End the run: all of its scans have ended."""
        self.is_open = False
        is_refused = not self._groups or self._groups[-1].refusal is not None
        for group in self._groups:
            try:
                await group.__aexit__(None, None, None)
            except Exception:  # noqa: BLE001 - a fault of the program must not keep it open
                _log.exception("A group of %s failed.", self.name)
        try:
            if is_refused:  # else the last group has done it
                await self._journal.end()
            await self._journal.aclose()
        except JournalError as error:
            _log.warning("Run %s could not be ended in its record: %s", self.name, error)

    async def drain(self, timeout: float) -> None:
        """Start nothing more, let what was sent be answered, and leave the run to be taken up."""
        self.is_open = False
        self._closed_by = RunStopped(
            "The service was closed. The scan is not lost: ask for it by its id later."
        )
        if not self.scans:
            await self.end()
            return
        for group in self._groups:
            with contextlib.suppress(LifecycleError):
                await group.drain(timeout)
        for scan in list(self.scans.values()):
            self._stop(scan)
        try:
            await self._journal.aclose()
        except JournalError as error:
            _log.warning("The record of %s could not be closed: %s", self.name, error)


def _given_up(scan: TrackedScan, reason: BestDefenseError) -> Outcome:
    """Return the outcome of a scan that no group has."""
    is_there = scan.report_id is not None
    return Outcome(
        index=scan.index,
        target=scan.target,
        status=OutcomeStatus.RUNNING if is_there else OutcomeStatus.NOT_STARTED,
        site_id=scan.site_id,
        report_id=scan.report_id,
        error=reason,
        started_at=scan.started_at,
    )
