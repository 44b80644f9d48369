"""Who may be active: so many inputs at a time, the most urgent first.

A slot that becomes free is handed over at once, so nobody who asks later can take it in between.
Waiting costs an entry and no task: whoever has none of its own leaves a callback.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from attrs import define


@define(eq=False)
class Waiter:
    """A place in the queue: what `request` returns and `withdraw` takes."""

    grant: Callable[[], object] | None
    """Called when the slot is there; None once it is, or once nobody wants it any more."""
    has_slot: bool = False


class PrioritySemaphore:
    """At most `limit` slots are held. Higher priorities come first, equal ones in their order."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._queue: list[tuple[int, int, Waiter]] = []
        self._order = itertools.count()

    def request(self, grant: Callable[[], object], *, priority: int = 0) -> Waiter:
        """Ask for a slot. `grant` is called once, perhaps at once, and must not raise."""
        ticket = Waiter(grant)
        heapq.heappush(self._queue, (-priority, next(self._order), ticket))
        self._hand_out()
        return ticket

    async def acquire(self, *, priority: int = 0) -> None:
        """Wait for a slot. Cancelled, none is held."""
        granted = asyncio.Event()
        ticket = self.request(granted.set, priority=priority)
        try:
            await granted.wait()
        except BaseException:
            self.withdraw(ticket)
            raise

    def withdraw(self, ticket: Waiter) -> None:
        """Give up a place in the queue, or the slot that came of it."""
        ticket.grant = None
        if ticket.has_slot:
            ticket.has_slot = False
            self.release()

    def release(self) -> None:
        """Give a slot back; the next in the queue has it when this returns."""
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._queue:
            _, _, ticket = heapq.heappop(self._queue)
            grant, ticket.grant = ticket.grant, None
            if grant is not None:
                self._free -= 1
                ticket.has_slot = True
                grant()
