"""The scans of one organization, and what becomes of them while it is refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from attrs import frozen

from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ClientClosed,
    JournalMismatch,
    LifecycleError,
)
from bestdefense_async.runs.run_settings import take_over
from bestdefense_async.runs.store.protocol import Family
from bestdefense_async.runs.store.reconcile import reconcile
from bestdefense_async.services.batch import ScanBatch
from bestdefense_async.services.updates import is_pending

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from bestdefense_async.models import ScanOptions
    from bestdefense_async.runs.store.protocol import HeldRun, Store
    from bestdefense_async.runs.targets import Target
    from bestdefense_async.services.batch import BatchSettings
    from bestdefense_async.services.tracked import TrackedScan
    from bestdefense_async.view import View

FIRST_RETRY: Final = 30.0
"""Seconds after a refusal until it is tried again whether it still holds; doubled each time."""
LONGEST_RETRY: Final = 600.0
LINGER: Final = 60.0
"""Seconds for which an idle batch waits for another scan before it ends."""

_NAME: Final = re.compile(r"scans-(?P<label>[\w.~-]*)-[0-9a-f]{16}", re.ASCII)

_log = logging.getLogger("bestdefense_async.services")


def run_name(label: str) -> str:
    """Return the name of a new run of an organization; it cannot be guessed."""
    return f"scans-{label}-{secrets.token_hex(8)}"


def label_of_run(name: str) -> str | None:
    """Return whose run it is; None for one that no service began."""
    found = _NAME.fullmatch(name)
    return None if found is None else found["label"]


def label_of(name: str) -> str:
    """Return how the name of an organization stands in an id: as it is, but for odd characters."""
    return quote(name.replace("~", "\0"), safe="").replace("%", "~")


def name_of(label: str) -> str | None:
    """Return the name of an organization; None when it has none."""
    if not label or label.startswith("~~"):
        return None
    return unquote(label.replace("~", "%")).replace("\0", "~")


@frozen(kw_only=True)
class TenantScansStats:
    """What the scans of one organization do."""

    name: str | None
    """What it is called; None for the client's own."""
    by_state: Mapping[str, int]
    """Scans that have not ended, by their state."""
    refusal: BestDefenseError | None
    """Why nothing is started now."""


class TenantScans:
    """The scans of one organization, by options.

    After a refusal that concerns the organization (401, 402, a host that is away, a disk that is
    full) its starts are refused, and what was promised waits. After a while it is tried again.
    """

    def __init__(
        self, label: str, view: View, *, store: Store | None, settings: BatchSettings
    ) -> None:
        self.label: str = label
        self.name: str | None = name_of(label)
        self.view: View = view
        """The view that was given last."""
        self.refusal: BestDefenseError | None = None
        """Why nothing is started now."""
        self.users: int = 0
        """Those that are about to start something."""
        self.taking: asyncio.Lock = asyncio.Lock()
        """Held while runs of an earlier process are taken over."""
        self.batches: list[ScanBatch] = []
        self._recovery: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._store = store
        self._settings = settings
        self._family = Family(
            has=lambda run: label_of_run(run) == label and run not in settings.foreign,
            is_open=is_pending,
        )
        self._making = asyncio.Lock()
        self._by_site: dict[tuple[ScanOptions, str], TrackedScan] = {}
        self._wait = FIRST_RETRY
        self._lingering: dict[ScanBatch, asyncio.TimerHandle] = {}
        self._is_closing = False

    @property
    def is_idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        return not (self.users or self.batches or self._ending or self.refusal)

    def scans(self) -> Iterable[TrackedScan]:
        """Return those that have not ended."""
        return (scan for batch in self.batches for scan in batch.scans.values())

    def stats(self) -> TenantScansStats:
        """Return what they do now."""
        return TenantScansStats(
            name=self.name,
            by_state=Counter(str(scan.state) for scan in self.scans()),
            refusal=self.refusal,
        )

    def under_way(self, options: ScanOptions, site_id: str) -> TrackedScan | None:
        """Return the scan of a site that has not ended, None without one."""
        return self._by_site.get((options, site_id.lower()))

    async def resolve(self, target: Target) -> str:
        """Return the id of a site.

        Raises:
            TargetError: The organization has no such site, or several.
            BestDefenseError: The sites cannot be listed.
        """
        try:
            return await self.view.site_index.resolve(target)
        except AuthError as error:
            self.refused(error)
            raise

    async def begin(
        self, target: str, site_id: str, options: ScanOptions, *, asked_by: str | None
    ) -> tuple[TrackedScan, bool]:
        """Return the scan of a site, recorded and promised, and whether it was there before.

        It is `elsewhere` when another process has promised the site first.

        Raises:
            JournalError: It cannot be recorded.
        """
        async with self._making:
            self._check_open()
            scan = self.under_way(options, site_id)
            if scan is not None:
                await scan.accepted.wait()
                if scan.stopped_by is not None and scan.elsewhere is None:
                    raise scan.stopped_by
                return scan, True
            batch = await self._batch_for(site_id, options)
            scan = batch.add(target, site_id, asked_by=asked_by)
            self._by_site[options, site_id.lower()] = scan
        try:
            await batch.accept(scan, self._family)
        except BestDefenseError as error:
            self.forget(scan)
            batch.discard(scan, error)
            raise
        finally:
            scan.accepted.set()
        if scan.elsewhere is not None:
            self.forget(scan)
            batch.discard(scan, LifecycleError("Another process scans the site."))
        elif self.refusal is None:  # else it goes on together with the others
            await batch.go(scan)
        return scan, False

    async def _batch_for(self, site_id: str, options: ScanOptions) -> ScanBatch:
        for batch in self.batches:
            if batch.options == options and batch.takes(site_id):
                if batch in self._lingering:
                    self._lingering.pop(batch).cancel()
                return batch
        name, held = run_name(self.label), None
        if self._store is not None:
            held = await self._store.create(
                base_url=self.view.base_url,
                token_key=await self.view.token_key(),
                options=options,
                name=name,
            )
        return self._add(name, options, held)

    def _add(self, name: str, options: ScanOptions, held: HeldRun | None) -> ScanBatch:
        batch = ScanBatch(
            name=name, owner=self, options=options, held=held, settings=self._settings
        )
        self.batches.append(batch)
        return batch

    async def take(self, name: str) -> list[TrackedScan]:
        """Take a run of an earlier process over, and go on with it. Returns what is not ended.

        Raises:
            JournalBusy: Another process holds it.
            JournalMismatch: It is of another organization.
            BestDefenseError: Nobody can tell whose it is, or it cannot be read.
        """
        assert self._store is not None  # noqa: S101 - it has runs
        self._check_open()
        held = await take_over(self.view, self._store, name)
        try:
            with contextlib.suppress(BestDefenseError):  # they stay unknown
                await reconcile(self.view.reports, held.record)
            options = (await held.record.info()).options
            left = {each.index: each.item for each in await held.record.remaining()}
            outcomes = (await held.record.result()).outcomes
        except BaseException:
            await held.journal.aclose()
            raise
        if options is None:
            raise JournalMismatch(f"The record of run {name} is damaged.")
        batch = self._add(name, options, held)
        for outcome in outcomes:
            if outcome.index in left and is_pending(outcome) and outcome.site_id is not None:
                scan = batch.adopt(outcome, left[outcome.index])
                self._by_site[options, outcome.site_id.lower()] = scan
        taken = list(batch.scans.values())
        _log.info("Run %s goes on with %d scans.", name, len(taken))
        if self._is_closing:
            await batch.drain(0.0)
        elif not taken:
            self.idled(batch)
        elif self.refusal is None:
            await batch.go_on()
        return taken

    def _check_open(self) -> None:
        if self._is_closing:
            raise ClientClosed("The service is closed: nothing is started any more.")

    def forget(self, scan: TrackedScan) -> None:
        """Let the site of a scan be scanned again."""
        key = (scan.options, scan.site_id.lower())
        if self._by_site.get(key) is scan:
            del self._by_site[key]

    def refused(self, error: BestDefenseError) -> None:
        """Start nothing for a while."""
        if self.refusal is not None or self._is_closing:
            return
        _log.warning("Nothing is started for %s: %s", self.name or "the client", error)
        self.refusal = error.with_traceback(None)
        self._recovery = self._spawn(self._recover())

    async def _recover(self) -> None:
        """Wait until the refusal may be over, and try again."""
        while True:
            await asyncio.sleep(self._wait / self._settings.polling.speed)
            self._wait = min(2 * self._wait, LONGEST_RETRY)
            if not isinstance(self.refusal, AuthError) or await self._is_accepted():
                break
        await self._go_on()

    async def _go_on(self) -> None:
        self.refusal = None
        for batch in list(self.batches):
            await batch.go_on()

    async def give(self, view: View) -> None:
        """Use a view from now on; one with another source of tokens ends a refusal."""
        before, self.view = self.view, view
        if before.is_same_tenant(view) or self.refusal is None:
            return
        if self._recovery is not None:
            self._recovery.cancel()
        await self._go_on()

    async def _is_accepted(self) -> bool:
        """Return whether the token is accepted, as far as one harmless request tells."""
        try:
            await self.view.sites.list()
        except AuthError:
            return False
        except BestDefenseError:
            return True  # whatever ails the host, it says nothing about the token
        return True

    def proven(self) -> None:
        """Hear that a scan was created: the next refusal is a new one."""
        self._wait = FIRST_RETRY

    def idled(self, batch: ScanBatch) -> None:
        """End a batch without scans, unless another one comes soon."""
        if self._is_closing or batch not in self.batches:
            return
        self._lingering[batch] = asyncio.get_running_loop().call_later(
            LINGER / self._settings.polling.speed, self._drop, batch, context=Context()
        )

    def _drop(self, batch: ScanBatch) -> None:
        self._lingering.pop(batch, None)
        if not batch.scans and batch in self.batches:
            self.batches.remove(batch)
            task = self._spawn(batch.end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, context=Context())

    async def drain(self, timeout: float) -> None:
        """End everything, in order: what was promised stays in the record."""
        self._is_closing = True
        for timer in self._lingering.values():
            timer.cancel()
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])
        if self._ending:
            await asyncio.wait(self._ending)
        async with self._making:  # what is being made is there then
            pass
        await asyncio.gather(*(batch.drain(timeout) for batch in self.batches))
