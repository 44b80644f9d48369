"""One scan of a service: where it stands, who listens, and where its record is.

However many requests ask for a scan, there is one `TrackedScan`. Whoever looks at it holds a
`ScanHandle`, which costs nothing and may be dropped at any time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from bestdefense_async.errors import BestDefenseError
from bestdefense_async.models import Outcome, ScanOptions, Site
from bestdefense_async.runs.inputs import ExistingScan, Handle, ScanState
from bestdefense_async.runs.store.protocol import StoredInput
from bestdefense_async.services.updates import Listener, ScanUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.services.updates import Update


@define(eq=False, kw_only=True)
class TrackedScan:
    """A scan that this process starts and follows."""

    id: str
    index: int
    tenant: str | None
    target: str
    site_id: str
    options: ScanOptions
    asked_by: str | None = None
    follower: Follower
    handle: Handle | None = None
    """None before it is handed to a group, and while its tenant is refused."""
    report_id: str | None = None
    """The scan that is there when no group has it."""
    started_at: float | None = None
    outcome: Outcome | None = None
    ended_at: float = 0.0
    """Loop time."""
    stopped_by: BestDefenseError | None = None
    """Why it is not followed here any more, though it has not ended."""
    accepted: asyncio.Event = field(factory=asyncio.Event)
    """Set once it is recorded: from then on it is promised."""
    elsewhere: StoredInput | None = None
    """Where its site is under way by another process: then this one is nothing."""
    listeners: set[Listener] = field(factory=set)
    _told: tuple[object, ...] = ()
    _is_over: asyncio.Event = field(factory=asyncio.Event)

    @property
    def state(self) -> ScanState:
        """How far it is."""
        if self.outcome is not None:
            return ScanState.ENDED
        if self.handle is None:
            return ScanState.WAITING if self.report_id is None else ScanState.RUNNING
        state = self.handle.state  # it has ended a moment earlier than we hear of it
        return ScanState.READING if state is ScanState.ENDED else state

    @property
    def item(self) -> Site | ExistingScan:
        """What a group is to do: follow the scan that is there, or create one."""
        if self.report_id is None:
            return Site(id=self.site_id, hostname=self.target)
        return ExistingScan(
            target=self.target,
            site_id=self.site_id,
            report_id=self.report_id,
            started_at=self.started_at or 0.0,
        )

    def update(self) -> ScanUpdate:
        """Return where it stands."""
        handle = self.handle
        return ScanUpdate(
            id=self.id,
            tenant=self.tenant,
            target=self.target,
            state=self.state,
            percentage=None if handle is None else handle.percentage,
            report_id=(handle and handle.report_id) or self.report_id,
            outcome=self.outcome,
        )

    def tell(self) -> None:
        """Tell the listeners where it stands, unless that is no news."""
        if not self.listeners:
            return
        update = self.update()
        now = (update.state, update.percentage, update.report_id)
        if now != self._told:
            self._told = now
            for listener in self.listeners:
                listener.put(update)

    def end(self, outcome: Outcome, now: float) -> None:
        """Record its outcome, and tell everybody; `now` is the loop's."""
        self.outcome, self.ended_at = outcome, now
        self.report_id = outcome.report_id
        self.tell()
        self._leave()

    def stop(self, why: BestDefenseError) -> None:
        """Leave it to whoever goes on with its record."""
        self.stopped_by = why
        self._leave()

    def _leave(self) -> None:
        self._is_over.set()
        for listener in self.listeners:
            listener.close()

    async def updates(self) -> AsyncIterator[Update]:
        """Yield where it stands, and then every change, until it has ended."""
        listener = Listener()
        now = self.update()
        self._told = (now.state, now.percentage, now.report_id)
        listener.put(now)
        if self._is_over.is_set():
            listener.close()
        self.listeners.add(listener)
        self.follower.listened(self)
        try:
            while (update := await listener.fetch()) is not None:
                yield update
        finally:
            self.listeners.discard(listener)

    async def wait(self) -> Outcome:
        """Wait for its outcome.

        Raises:
            RunStopped: The service is closed. The scan goes on, and is found by its id later.
            JournalLost: Another process has taken it over, likewise.
        """
        await self._is_over.wait()
        if self.outcome is None:
            assert self.stopped_by is not None  # noqa: S101 - that is the other end
            raise self.stopped_by
        return self.outcome

    async def cancel(self) -> Outcome:
        """Give it up, and return its outcome once that is recorded."""
        if self.outcome is None and self.stopped_by is None:
            await self.follower.cancel(self)
        return await self.wait()


class Follower(Protocol):
    """Where a scan is worked on."""

    @property
    def name(self) -> str:
        """The run that the scan is in."""

    def listened(self, scan: TrackedScan) -> None:
        """Hear that somebody listens to a scan."""

    async def cancel(self, scan: TrackedScan) -> None:
        """Give a scan up, and record it."""
