"""The scans of a service that are in memory, and those among them that somebody listens to."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextvars import Context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bestdefense_async.services.tracked import TrackedScan

KEPT_FOR: Final = 3600.0
"""Seconds for which a scan that has ended is kept in memory."""
MOST_KEPT: Final = 10_000
"""The same in number."""
TICK: Final = 0.5
"""Seconds between two looks for changes that somebody listens to."""


class KnownScans:
    """Scans by their ids: those that have not ended, and the latest ones that have."""

    def __init__(self) -> None:
        self._scans: dict[str, TrackedScan] = {}
        self._ended: OrderedDict[str, TrackedScan] = OrderedDict()
        self._heard: set[TrackedScan] = set()
        self._ticker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._scans)

    def get(self, id_: str) -> TrackedScan | None:
        """Return a scan, None when it is not known or not followed here any more."""
        return self._scans.get(id_)

    def add(self, scan: TrackedScan) -> None:
        """Know a scan, unless it has ended meanwhile."""
        if scan.outcome is None and scan.stopped_by is None:
            self._scans[scan.id] = scan

    def begun(self, task: asyncio.Task[tuple[TrackedScan, bool]]) -> None:
        """Know a scan that a task has begun, also when nobody waits for the task any more."""
        if not task.cancelled() and task.exception() is None:
            self.add(task.result()[0])

    def ended(self, scan: TrackedScan) -> None:
        """Keep a scan that has ended for a while, and forget one that is followed elsewhere."""
        if scan.outcome is None:
            self._scans.pop(scan.id, None)
            return
        self._scans[scan.id] = self._ended[scan.id] = scan
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if len(self._ended) <= MOST_KEPT and scan.ended_at - oldest.ended_at < KEPT_FOR:
                break
            del self._ended[oldest.id], self._scans[oldest.id]

    def listened(self, scan: TrackedScan) -> None:
        """Tell the listeners of a scan of every change, from now on."""
        self._heard.add(scan)
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.get_running_loop().create_task(self._tick(), context=Context())

    async def _tick(self) -> None:
        """Look for what has no event of its own, while somebody listens."""
        while self._heard:
            for scan in list(self._heard):
                scan.tell()
                if not scan.listeners:
                    self._heard.discard(scan)
            await asyncio.sleep(TICK)

    def close(self) -> None:
        """Look for nothing any more."""
        if self._ticker is not None:
            self._ticker.cancel()
