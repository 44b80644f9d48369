"""Who may be active: so many inputs at a time, the most urgent first.

A slot that becomes free is handed over at once, so a later request cannot take it in between.
Waiting costs an entry and no task: a callback is called when the slot is there.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from attrs import define


@define(eq=False)
class Waiter:
    """An entry of the queue: what `request` returns and `withdraw` takes."""

    grant: Callable[[], object] | None
    """Called when the slot is there; None once it is, or once the entry is withdrawn."""
    has_slot: bool = False


class PrioritySemaphore:
    """At most `limit` slots are held. Higher priorities come first, equal ones in their order."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._queue: list[tuple[int, int, Waiter]] = []
        self._order = itertools.count()

    def request(self, grant: Callable[[], object], *, priority: int = 0) -> Waiter:
        """Request a slot. `grant` is called once, perhaps at once, and must not raise."""
        waiter = Waiter(grant)
        heapq.heappush(self._queue, (-priority, next(self._order), waiter))
        self._hand_out()
        return waiter

    async def acquire(self, *, priority: int = 0) -> None:
        """Wait for a slot. Cancelled, none is held."""
        granted = asyncio.Event()
        waiter = self.request(granted.set, priority=priority)
        try:
            await granted.wait()
        except BaseException:
            self.withdraw(waiter)
            raise

    def withdraw(self, waiter: Waiter) -> None:
        """Leave the queue, or give back the slot that came of it."""
        waiter.grant = None
        if waiter.has_slot:
            waiter.has_slot = False
            self.release()

    def release(self) -> None:
        """Give a slot back; the next in the queue has it when this returns."""
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._queue:
            _, _, waiter = heapq.heappop(self._queue)
            grant, waiter.grant = waiter.grant, None
            if grant is not None:
                self._free -= 1
                waiter.has_slot = True
                grant()
