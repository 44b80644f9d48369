"""The scans of a service: requests of many organizations come and go, and ask again later.

A `ScanGroup` is a block around one job. A service has no block, so here a scan has an id, by which
whoever asks finds it: in memory while it is new, in the store for ever, and after a restart. What
`start` has returned is promised: it is in the store, and what the process could not do is gone on
with by the next one. A creation that may have been sent is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import logging
import re
from contextvars import Context
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from bestdefense_async.core.check import check_seconds
from bestdefense_async.errors import (
    BestDefenseError,
    ClientClosed,
    ConfigError,
    JournalError,
    LifecycleError,
)
from bestdefense_async.models import ScanOptions, Site
from bestdefense_async.runs.targets import Target
from bestdefense_async.services.batch import BatchSettings
from bestdefense_async.services.handle import ScanHandle
from bestdefense_async.services.known import KnownScans
from bestdefense_async.services.left import LEAST_SWEEP, LeftRuns
from bestdefense_async.services.stored import StoredScan
from bestdefense_async.services.tenant_scans import (
    TenantScans,
    TenantScansStats,
    label_of,
    label_of_run,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.runs.store.protocol import Store
    from bestdefense_async.services.handle import Watched
    from bestdefense_async.services.tracked import TrackedScan
    from bestdefense_async.view import View

    TenantOf: TypeAlias = Callable[[str], View | Awaitable[View | None] | None]

_INDEX: Final = re.compile("0|[1-9][0-9]{0,8}")
_log = logging.getLogger("bestdefense_async.services")


class Scans:
    """Scans many sites for many organizations, for as long as the program lives.

        async with client.scans(store="runs.db", drain=10.0) as scans:
            handle = await scans.start("shop.example.com", tenant=view)
            ...
            handle = await scans.find(handle.id)

    `open` and `aclose` do without a block. Leaving always drains: nothing more is started, what
    was sent is answered and recorded, and the rest is gone on with after the next start.

    Made by `BestDefense.scans`, which says what its arguments mean.
    """

    def __init__(
        self,
        client: View,
        *,
        store: Store | None,
        drain: float,
        tenant_of: TenantOf | None,
        max_active: int,
        scan_timeout: float | None,
        polling: PollPolicy,
        on_event: Callable[[str | None, ScanEvent], object],
    ) -> None:
        self._client = client
        self._store = store
        self._drain = check_seconds("drain", drain, or_zero=True)
        self._tenant_of = tenant_of
        self._polling = polling
        self._known = KnownScans()
        foreign: set[str] = set()
        self._settings = BatchSettings(
            max_active=max_active,
            scan_timeout=scan_timeout,
            polling=self._polling,
            on_event=on_event,
            ended=self._ended,
            listened=self._known.listened,
            foreign=foreign,
        )
        self._tenants: dict[str, TenantScans] = {}
        self._left = (
            None
            if store is None
            else LeftRuns(store, client.base_url, ours=self._ours, foreign=foreign)
        )
        self._is_open = False
        self._ends = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Begin, and go on with what an earlier process left, where its tokens are known.

        Raises:
            LifecycleError: It was opened before.
            JournalError: The store cannot be used.
        """
        if self._is_open or self._closing is not None:
            raise LifecycleError("Scans are opened once: make others with client.scans().")
        self._is_open = True
        if self._left is not None:
            await self._sweep(self._left)
            self._sweeper = asyncio.get_running_loop().create_task(
                self._keep_sweeping(self._left), context=Context()
            )
        return self

    async def aclose(self, *, drain: float | None = None) -> None:
        """Start nothing more, let what was sent be answered and recorded, and leave.

        It is finished in the background when the caller is cancelled meanwhile.

        Args:
            drain: Seconds that calls under way may take; None takes what `client.scans` was told.
        """
        if not self._is_open:
            return
        seconds = self._drain if drain is None else check_seconds("drain", drain, or_zero=True)
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(seconds))
        await asyncio.shield(self._closing)

    async def _close(self, drain: float) -> None:
        self._ends.set()
        self._known.close()
        if self._sweeper is not None:
            # What it reads is read on a thread, which would outlive a cancellation.
            await asyncio.wait([self._sweeper], timeout=max(drain, 1.0))
            self._sweeper.cancel()
        await asyncio.gather(*(each.drain(drain) for each in self._tenants.values()))

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(
        self,
        site: str | Target | Site,
        *,
        tenant: View | None = None,
        options: ScanOptions | None = None,
        asked_by: str | None = None,
    ) -> ScanHandle:
        """Start a scan and return at once, with what finds it again.

        When it returns the scan is promised: it is in the store, if there is one. It is created
        when its turn comes. A site that is being scanned with the same options is not scanned
        twice: the handle is one of that scan, and `is_joined`.

        Args:
            site: A host name, a URL, a site or its id.
            tenant: The organization, by its view; None is the client's own.
            options: What to scan; None is a security scan with the server's defaults.
            asked_by: Who asked, for the log.

        Raises:
            TargetError: The text names no site. `UnknownSite` when the organization has none such.
            AuthError, QuotaExceeded: The organization is refused at present; see `refusal`.
            ClientClosed: The service is closed.
            JournalError: It cannot be recorded.
            BestDefenseError: The sites cannot be listed.
        """
        self._check_open()
        view = self._client if tenant is None else tenant
        options = ScanOptions() if options is None else options
        async with self._line_of(view) as line:
            scan, is_joined = await self._started(line, site, options, asked_by)
        told = scan.update()
        event = "scan.joined" if is_joined else "scan.accepted"
        fields = {"event": event, "scan": told.id, "tenant": told.tenant, "target": told.target}
        _log.info(
            "%s %s of %s for %s",
            event,
            told.id,
            told.target,
            asked_by or told.tenant or "the client",
            extra={"bestdefense": {**fields, "asked_by": asked_by}},
        )
        return ScanHandle(scan, is_joined=is_joined)

    async def _started(
        self,
        line: TenantScans,
        site: str | Target | Site,
        options: ScanOptions,
        asked_by: str | None,
    ) -> tuple[Watched, bool]:
        if line.refusal is not None:
            raise copy.copy(line.refusal)
        guard = line.view.guard
        if isinstance(site, Site):
            target, site_id = site.hostname, site.id
        else:
            wanted = site if isinstance(site, Target) else Target(site)
            if wanted.host is not None:
                guard.check_host(wanted.host, asked_by=asked_by)
            target, site_id = wanted.text, await line.resolve(wanted)
        await guard.check_site(site_id, asked_by=asked_by)
        while True:
            self._check_open()
            # In a task and a context of its own: it goes on when the request is cancelled, which
            # has perhaps been promised to somebody else by then, and shows its trace to nobody.
            begun = asyncio.get_running_loop().create_task(
                line.begin(target, site_id, options, asked_by=asked_by), context=Context()
            )
            begun.add_done_callback(self._known.begun)
            scan, is_joined = await asyncio.shield(begun)
            if scan.elsewhere is None or self._left is None:
                return scan, is_joined
            # Its process may be gone: then its scans go on here, and this one is asked for again.
            await self._left.look()
            await self._take_left(line)
            if line.under_way(options, site_id) is None:
                followed = await self._left.elsewhere(scan.elsewhere)
                if followed is not None:
                    return followed, True

    async def find(self, id_: str, *, tenant: View | None = None) -> ScanHandle | None:
        """Return the scan with an id, from memory or else from the store; None without one.

        Args:
            id_: What `ScanHandle.id` was.
            tenant: Find it only when it is of this organization: for what comes from a client.

        Raises:
            JournalError: The store cannot be read.
        """
        name, _, number = id_.rpartition("-")
        label = label_of_run(name)
        if label is None or _INDEX.fullmatch(number) is None:
            return None
        if tenant is not None and await self._label_of(tenant) != label:
            return None
        scan = self._known.get(id_)
        if scan is not None and scan.stopped_by is None:
            return ScanHandle(scan)
        stored = await self._read(name, int(number), id_)
        return None if stored is None else ScanHandle(stored)

    async def _read(self, name: str, index: int, id_: str) -> StoredScan | None:
        if self._store is None:
            return None
        try:
            record = await self._store.record(name)
        except JournalError:
            # Raises when it cannot be read.
            await self._store.list(only_unended=True, with_counts=False)
            return None
        outcome = await record.outcome(index) if record.name == name else None
        if outcome is None:
            return None
        tenant = name_of(label_of_run(name) or "")
        return StoredScan(id_, tenant, record, index, outcome)

    def running(self, *, tenant: View | None = None) -> list[ScanHandle]:
        """Return the scans of this process that have not ended, of one organization or of all."""
        return [
            ScanHandle(scan)
            for line in self._tenants.values()
            if tenant is None or line.view.is_same_tenant(tenant)
            for scan in line.scans()
        ]

    def refusal(self, tenant: View | None = None) -> BestDefenseError | None:
        """Return why nothing is started for an organization now; None while something is.

        A refusal (401, 402, a host that is away) is tried again after half a minute, and then at
        doubled times up to ten minutes. What was promised before waits for that.
        """
        view = self._client if tenant is None else tenant
        for line in self._tenants.values():
            if line.view.is_same_tenant(view):
                return line.refusal
        return None

    def stats(self) -> tuple[TenantScansStats, ...]:
        """Return what the scans do now, by organization. Reads only."""
        return tuple(line.stats() for line in self._tenants.values())

    def _check_open(self) -> None:
        if self._closing is not None:
            raise ClientClosed("The service is closed: nothing is started any more.")
        if not self._is_open:
            raise LifecycleError("Use Scans as `async with client.scans(...) as scans`.")

    async def _label_of(self, view: View) -> str:
        """Return how an organization stands in ids and names of runs."""
        if view.is_same_tenant(self._client):
            return ""
        if view.name is not None:
            return label_of(view.name)
        return f"~~{(await view.token_key())[:16]}"

    @contextlib.asynccontextmanager
    async def _line_of(self, view: View) -> AsyncIterator[TenantScans]:
        """Give the scans of an organization, those of earlier processes included."""
        label = await self._label_of(view)
        line = self._tenants.get(label)
        if line is None:
            line = self._tenants[label] = TenantScans(
                label, view, store=self._store, settings=self._settings
            )
        line.users += 1
        try:
            await line.give(view)
            await self._take_left(line)
            yield line
        finally:
            line.users -= 1

    async def _take_left(self, line: TenantScans) -> None:
        if self._left is not None:
            for scan in await self._left.take(line):
                self._known.add(scan)

    def _ours(self) -> set[str]:
        """Return the runs that are open here."""
        return {each.name for line in self._tenants.values() for each in line.batches}

    async def _keep_sweeping(self, left: LeftRuns) -> None:
        while not await self._ends_within(max(left.next_sweep / self._polling.speed, LEAST_SWEEP)):
            try:
                await self._sweep(left)
            except BestDefenseError as error:
                _log.warning("What other processes left was not looked for: %s", error)
            for label in [label for label, line in self._tenants.items() if line.is_idle]:
                del self._tenants[label]

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ends.wait()
        return self._ends.is_set()

    async def _sweep(self, left: LeftRuns) -> None:
        """Find the runs that processes left, and go on with those whose tokens are known."""
        await left.look()
        for label in left.labels():
            try:
                view = await self._view_of(label)
                if view is not None:
                    async with self._line_of(view):
                        pass  # entering it is all
            except BestDefenseError as error:
                _log.warning("The scans of %s wait: %s", name_of(label) or "the client", error)

    async def _view_of(self, label: str) -> View | None:
        """Return the view of an organization, None while its token is not known here."""
        if label in self._tenants:
            return self._tenants[label].view
        name = name_of(label)
        if name is None or self._tenant_of is None:
            return None if label else self._client
        view = self._tenant_of(name)
        if inspect.isawaitable(view):
            view = await view
        if view is not None and view.name != name:
            raise ConfigError(f"tenant_of returned {view!r} for {name!r}.")
        return view

    def _ended(self, scan: TrackedScan) -> None:
        line = self._tenants.get(label_of_run(scan.follower.name) or "")
        if line is not None:
            line.forget(scan)
        self._known.ended(scan)
