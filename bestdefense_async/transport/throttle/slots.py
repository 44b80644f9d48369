"""Slots for requests under way, given in turns: first between queues, then by order of arrival.

One queue for all would let whoever asks for five thousand calls at once make everybody else wait
for them. So each tenant has queues of its own, and a slot that becomes free goes, at once, to the
tenant that has the fewest at present; among equals, to the one that has waited for its turn
longest. Counting what a tenant *has* matters where its calls take long, or hang: plain turns would
let it keep every slot that it was ever given, until it held nearly all.

A tenant's polls have a queue beside that of its other calls: they do not wait behind its five
thousand creations. And they have a part of the slots only, so that creations and downloads find
room however many scans are waited for.

Where requests are paced, a slot is given when the pace allows it too: one after the other, evenly
spread, whoever waits. aiolimiter keeps the pace, with a bucket of one (a larger one starts almost
twice the rate in the first second), and one task asks it, because among several it does not keep
their order.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_POLLS: Final = 2 / 3
"""Most of the slots that polls may have."""


class SlotQueue:
    """One tenant's calls of one kind at the slots.

    Args:
        beside: The queue of the tenant's other calls: then this one is for polls, which have a part
            of the slots only.
    """

    __slots__ = ("_twin", "is_for_polls", "used", "waiters")

    def __init__(self, *, beside: SlotQueue | None = None) -> None:
        self.is_for_polls: bool = beside is not None
        self._twin = beside
        if beside is not None:
            beside._twin = self  # noqa: SLF001  # the two are one tenant's
        self.used: int = 0
        """Slots that its calls have now."""
        self.waiters: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        """Calls that wait, the first to come first, with the loop time since when."""

    @property
    def used_by_tenant(self) -> int:
        """Slots that the tenant has now."""
        return self.used if self._twin is None else self.used + self._twin.used

    def those_that_wait(self) -> list[SlotQueue]:
        """Return the queues of the tenant in which calls wait."""
        return [each for each in (self, self._twin) if each is not None and each.waiters]

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self.waiters)

    @property
    def waiting_since(self) -> float:
        """Loop time since when the first of them waits, inf when nobody does."""
        return next(iter(self.waiters.values()), math.inf)


class _Turns:
    """Queues in which calls wait, by how many slots their tenants have: few different numbers."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: dict[int, OrderedDict[SlotQueue, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._levels)

    @property
    def fewest(self) -> int:
        """How many slots the tenants have that have the fewest."""
        return min(self._levels)

    def first(self) -> SlotQueue:
        """Return the queue whose turn it is."""
        return next(iter(self._levels[self.fewest]))

    def add(self, queue: SlotQueue) -> None:
        """Let a queue wait for its turn, behind those whose tenants have as many slots."""
        self._levels.setdefault(queue.used_by_tenant, OrderedDict())[queue] = None

    def remove(self, queue: SlotQueue) -> None:
        """Forget a queue; call it before its tenant's number of slots changes."""
        level = self._levels[queue.used_by_tenant]
        del level[queue]
        if not level:
            del self._levels[queue.used_by_tenant]


class Slots:
    """At most so many requests under way at a time.

    Args:
        limit: How many, 1 or more; two thirds of them may be polls.
        rate: Most requests that begin per second, above 0; None for as many as have a slot.
    """

    def __init__(self, limit: int, *, rate: float | None = None) -> None:
        self.limit: int = limit
        self.most_polls: int = max(1, int(limit * _POLLS))
        """How many of them polls may have."""
        self.used: int = 0
        """Slots that are taken now."""
        self.rate: float | None = rate
        self.waiting: int = 0
        """How many calls of all tenants wait."""
        self._limiter: AsyncLimiter | None = None
        self._polls = 0
        self._turns = _Turns()
        self._poll_turns = _Turns()
        self._pump: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def take(self, queue: SlotQueue) -> bool:
        """Take a slot if one is free and nobody waits for it; else use `wait`."""
        if self.used >= self.limit or self.rate is not None or self._turns:
            return False
        if queue.is_for_polls and (self._polls >= self.most_polls or self._poll_turns):
            return False
        self._count(queue, 1)
        return True

    async def wait(self, queue: SlotQueue) -> None:
        """Wait for a slot in turn, and take it. Cancelled, none is held."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if not queue.waiters:
            self._turns_of(queue).add(queue)
        queue.waiters[waiter] = loop.time()
        self.waiting += 1
        self._changed.set()
        if self.rate is not None and self._pump is None:
            # In a context of its own: it works for everybody.
            self._pump = loop.create_task(
                self._give_at_pace(self.rate), context=contextvars.Context()
            )
        try:
            await waiter
        except BaseException:
            if queue.waiters.pop(waiter, None) is not None:
                self.waiting -= 1
                if not queue.waiters:
                    self._turns_of(queue).remove(queue)
            elif not waiter.cancelled():
                self.release(queue)
            raise

    def release(self, queue: SlotQueue) -> None:
        """Give a slot back; whose turn it is has it when this returns."""
        self._count(queue, -1)
        if self.rate is not None:
            self._changed.set()
        elif self.waiting:
            self._give()

    def close(self) -> None:
        """Stop giving slots at the pace; nobody may wait any more."""
        if self._pump is not None:
            self._pump.cancel()

    def _turns_of(self, queue: SlotQueue) -> _Turns:
        return self._poll_turns if queue.is_for_polls else self._turns

    def _count(self, queue: SlotQueue, change: int) -> None:
        """Count a slot more or less of a tenant, whose turn comes later or sooner by that."""
        moved = queue.those_that_wait() if self.waiting else ()
        for each in moved:
            self._turns_of(each).remove(each)
        self.used += change
        queue.used += change
        if queue.is_for_polls:
            self._polls += change
        for each in moved:
            self._turns_of(each).add(each)

    def _next(self) -> SlotQueue | None:
        """Return whose turn it is, None when nobody who waits may have a slot."""
        if self.used >= self.limit:
            return None
        turns, polls = self._turns, self._poll_turns
        if polls and self._polls < self.most_polls and not (turns and turns.fewest < polls.fewest):
            turns = polls  # among equals first: they are bounded
        return turns.first() if turns else None

    def _give(self) -> None:
        """Give a free slot to whose turn it is."""
        while (queue := self._next()) is not None:
            waiter = next(iter(queue.waiters))
            is_there = not waiter.done()
            if is_there:
                self._count(queue, 1)
            turns = self._turns_of(queue)
            del queue.waiters[waiter]
            self.waiting -= 1
            if not queue.waiters:
                turns.remove(queue)
            if is_there:
                waiter.set_result(None)
                return

    async def _give_at_pace(self, rate: float) -> None:
        if self._limiter is None:
            from aiolimiter import AsyncLimiter  # noqa: PLC0415  # only where a rate is kept

            self._limiter = AsyncLimiter(1, 1 / rate)
        try:
            while self.waiting:
                self._changed.clear()
                if self._next() is None:
                    await self._changed.wait()
                    continue
                await self._limiter.acquire()
                self._give()
        finally:
            self._pump = None
