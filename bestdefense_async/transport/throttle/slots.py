"""Slots for requests under way, given in turns: first between tenants, then by order of arrival.

One queue for all would let whoever asks for five thousand calls at once make everybody else wait
for them. So each tenant has a queue of its own, the tenants that wait stand in a circle, and a
slot that becomes free goes to the first call of the next tenant, at once.

Where requests are paced, a slot is given when the pace allows it too: one after the other, evenly
spread, whoever waits. aiolimiter keeps the pace, with a bucket of one (a larger one starts almost
twice the rate in the first second), and one task asks it, because among several it does not keep
their order.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class SlotQueue:
    """One tenant's calls at the slots."""

    __slots__ = ("used", "waiters")

    def __init__(self) -> None:
        self.used = 0
        """Slots that its calls have now."""
        self.waiters: deque[asyncio.Future[None]] = deque()
        """Calls that wait, the first to come first; some may have gone away."""

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return sum(not waiter.done() for waiter in self.waiters)


class Slots:
    """At most so many requests under way at a time.

    Args:
        limit: How many, 1 or more.
        rate: Most requests that begin per second, above 0; None for as many as have a slot.
    """

    def __init__(self, limit: int, *, rate: float | None = None) -> None:
        self.limit: int = limit
        self.used: int = 0
        """Slots that are taken now."""
        self.rate: float | None = rate
        self._limiter: AsyncLimiter | None = None
        self._turns: deque[SlotQueue] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._freed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many calls of all tenants wait."""
        return sum(queue.waiting for queue in self._turns)

    def take(self, queue: SlotQueue) -> bool:
        """Take a slot if one is free and nobody waits; else use `wait`."""
        if self.used >= self.limit or self._turns or self.rate is not None:
            return False
        self.used += 1
        queue.used += 1
        return True

    async def wait(self, queue: SlotQueue) -> None:
        """Wait for a slot in turn, and take it. Cancelled, none is held."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not queue.waiters:
            self._turns.append(queue)
        queue.waiters.append(waiter)
        if self.rate is not None and self._pump is None:
            # In a context of its own: it works for everybody.
            self._pump = asyncio.get_running_loop().create_task(
                self._give_at_pace(self.rate), context=contextvars.Context()
            )
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.release(queue)
            else:
                waiter.cancel()
                self._forget_gone(queue)
            raise

    def release(self, queue: SlotQueue) -> None:
        """Give a slot back; whose turn it is has it when this returns."""
        self.used -= 1
        queue.used -= 1
        if self.rate is None:
            self._give()
        else:
            self._freed.set()

    def close(self) -> None:
        """Stop giving slots at the pace; nobody may wait any more."""
        if self._pump is not None:
            self._pump.cancel()

    def _forget_gone(self, queue: SlotQueue) -> None:
        """Drop waiters that went away, where that is cheap: at either end."""
        waiters = queue.waiters
        while waiters and waiters[0].done():
            waiters.popleft()
        while waiters and waiters[-1].done():
            waiters.pop()
        if not waiters and queue in self._turns:
            self._turns.remove(queue)

    def _give(self) -> None:
        """Give a free slot to whose turn it is."""
        while self._turns and self.used < self.limit:
            queue = self._turns.popleft()
            waiters = queue.waiters
            while waiters and waiters[0].done():
                waiters.popleft()
            if not waiters:
                continue
            waiter = waiters.popleft()
            if waiters:
                self._turns.append(queue)
            self.used += 1
            queue.used += 1
            waiter.set_result(None)
            return

    async def _give_at_pace(self, rate: float) -> None:
        if self._limiter is None:
            from aiolimiter import AsyncLimiter  # noqa: PLC0415  # only where a rate is kept

            self._limiter = AsyncLimiter(1, 1 / rate)
        try:
            while self._turns:
                self._freed.clear()
                if self.used >= self.limit:
                    await self._freed.wait()
                    continue
                await self._limiter.acquire()
                self._give()
        finally:
            self._pump = None
