"""What other processes left in the store, or still hold there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import JournalBusy, JournalMismatch
from bestdefense_async.services.stored import StoredScan
from bestdefense_async.services.tenant_scans import label_of_run, name_of
from bestdefense_async.services.updates import is_pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bestdefense_async.runs.store.protocol import Store, StoredInput
    from bestdefense_async.services.tenant_scans import TenantScans
    from bestdefense_async.services.tracked import TrackedScan

SWEEP_EVERY: Final = 60.0
"""Seconds between two searches for runs that a process left behind."""
SWEEP_SOON: Final = 2.0
"""The same while another process is known to hold some: it may be about to end."""
LEAST_SWEEP: Final = 0.5
"""The least of all, where time runs faster."""

_log = logging.getLogger("bestdefense_async.services")


class LeftRuns:
    """The runs of services that have not ended and are not of this process."""

    def __init__(
        self, store: Store, base_url: str, *, ours: Callable[[], set[str]], foreign: set[str]
    ) -> None:
        self._store = store
        self._base_url = base_url
        self._ours = ours
        self._looking = asyncio.Lock()
        self._looks = 0
        self._left: dict[str, set[str]] = {}
        """Runs whose process is gone, by the label of their organization."""
        self._held: set[str] = set()
        """Runs that other processes hold."""
        self._foreign = foreign

    @property
    def next_sweep(self) -> float:
        """Seconds until the store is worth another look."""
        return SWEEP_SOON if self._held else SWEEP_EVERY

    async def look(self) -> None:
        """Look into the store for runs that are not of this process.

        However many ask at a time, they share one look that begins after they have asked.

        Raises:
            JournalError: It cannot be read.
        """
        before = self._looks
        async with self._looking:
            if self._looks == before:
                self._looks += 1
                await self._look(self._ours())

    async def _look(self, ours: set[str]) -> None:
        held: set[str] = set()
        for info in await self._store.list(only_unended=True, with_counts=False):
            label = label_of_run(info.name)
            is_known = info.name in ours or info.name in self._foreign
            if label is None or is_known or info.base_url != self._base_url:
                continue
            if info.is_held:
                held.add(info.name)
            else:
                self._left.setdefault(label, set()).add(info.name)
        self._held = held

    def labels(self) -> Iterable[str]:
        """Return whose runs wait for somebody to go on with them."""
        return tuple(self._left)

    async def take(self, line: TenantScans) -> list[TrackedScan]:
        """Go on with what an organization was left with; return what has not ended of it.

        Raises:
            BestDefenseError: Not known what a run holds: nothing may be started beside it.
        """
        scans: list[TrackedScan] = []
        if line.label not in self._left and not line.taking.locked():
            return scans
        async with line.taking:
            left = self._left.get(line.label, set())
            while left:
                name = next(iter(left))
                try:
                    scans += await line.take(name)
                except JournalBusy:
                    await self.look()  # somebody has taken it since
                except JournalMismatch as error:
                    _log.warning("Run %s is left alone: %s", name, error)
                    self._foreign.add(name)
                left.discard(name)
            self._left.pop(line.label, None)
        return scans

    async def elsewhere(self, there: StoredInput) -> StoredScan | None:
        """Return a scan that another process follows; None when it has ended, or is not ours.

        Raises:
            JournalError: It cannot be read.
        """
        if there.run in self._foreign:
            return None
        record = await self._store.record(there.run)
        outcome = await record.outcome(there.index)
        if outcome is None or not is_pending(outcome):
            return None
        tenant = name_of(label_of_run(there.run) or "")
        return StoredScan(f"{there.run}-{there.index}", tenant, record, there.index, outcome)
