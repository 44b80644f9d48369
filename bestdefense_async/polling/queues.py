"""What is due when, what is due now, and who works it off.

A wait is rounded up to a grid of about a hundredth of itself. Nobody notices that, and what is due
together shares one bucket: a report costs a place in a list, being due costs it no comparison with
others, and the loop needs one timer for all of a bucket.

`ReadyQueue`: reports that are due and wait for their poll, in the order in which asking gains
most.

While the polls keep up it is a plain queue. Once they have fallen behind, because a budget or a
slow server holds them up, who is asked first decides how late the ends are noticed: the report
with the largest gap^2 x hazard, which is about half the lag of taking turns. Never the one that is
expected to end soonest: those that are overdue would starve the rest.

Every such rank changes with time, and each differently, so no heap keeps them. All are ranked
afresh whenever a quarter of them has been asked: by then the rest has grown older by a fraction of
what it has waited, and ranking costs four evaluations per poll, however many there are.

`WorkerPool`: a few tasks that work off a queue and end when it is empty.

A worker lives only while there is something to do: an idle pool holds no task, so nothing has to
be woken, and nothing is left behind. `submit` never waits; who may submit how much is decided
elsewhere.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from bestdefense_async.core.polling import urgency
from bestdefense_async.polling.subscription import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from bestdefense_async.polling.subscription import PolledReport


FINEST: Final = 2.0**-10
"""The finest grid in seconds."""
SWEEP_FROM: Final = 64
"""Entries that do not count which a timer queue may hold beyond half of it."""


def round_up(now: float, wait: float) -> float:
    """Return the first moment on the grid that is at least `wait` seconds after `now`."""
    grid = max(math.ldexp(1.0, math.frexp(max(wait, FINEST))[1] - 7), FINEST)
    return math.ceil((now + wait) / grid) * grid


class TimerQueue:
    """Reports by the moment they are due."""

    def __init__(self) -> None:
        self._buckets: dict[float, Bucket] = {}
        self._times: list[float] = []
        self._size = 0
        self.counting: int = 0
        """Entries that count: reports that are not due yet."""

    def __len__(self) -> int:
        """Return how many entries there are, those that do not count included."""
        return self._size

    @property
    def next_due(self) -> float:
        """The moment of the earliest bucket, inf when there is none."""
        return self._times[0] if self._times else math.inf

    def put(self, report: PolledReport, due: float) -> None:
        """Enter a report, or move it: where it was before it no longer counts."""
        bucket = self._buckets.get(due)
        if bucket is None:
            bucket = self._buckets[due] = Bucket(due)
            heapq.heappush(self._times, due)
        self.counting += report.bucket is None
        report.bucket = bucket
        bucket.reports.append(report)
        self._size += 1

    def remove(self, report: PolledReport) -> None:
        """Let a report count no longer, if it did."""
        self.counting -= report.bucket is not None
        report.bucket = None

    def take(self, now: float) -> list[PolledReport]:
        """Remove and return what is due, in order; one whose `bucket` was taken away is not."""
        taken: list[PolledReport] = []
        while self._times and self._times[0] <= now:
            bucket = self._buckets.pop(heapq.heappop(self._times))
            self._size -= len(bucket.reports)
            for report in bucket.reports:
                if report.bucket is bucket:
                    self.remove(report)
                    taken.append(report)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._times.clear()
        self._size = self.counting = 0

    def shrink(self, wanted: int) -> None:
        """Forget what does not count when that is most of it; `wanted` is how many may count."""
        if self._size <= 2 * wanted + SWEEP_FROM:
            return
        for bucket in self._buckets.values():
            bucket.reports = [one for one in bucket.reports if one.bucket is bucket]
        self._buckets = {due: one for due, one in self._buckets.items() if one.reports}
        self._times = sorted(self._buckets)
        self._size = sum(len(one.reports) for one in self._buckets.values())


class Timer:
    """Rings once, at the earliest time it was set to; set it again for the rest.

    It holds nothing but its timer, so that whoever owns it is free as soon as nothing is due.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._when = math.inf

    def set(self, when: float, ring: Callable[[float], None]) -> None:
        """Call `ring` at this loop time, unless it rings before; inf is never.

        It is given the present time, which is never before `when`: the loop fires a timer up to
        its clock's resolution early.
        """
        if when == math.inf or (self._timer is not None and self._when <= when):
            return
        self.stop()
        self._when = when
        self._timer = self._loop.call_at(when, self._fire, when, ring, context=Context())

    def stop(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, when: float, ring: Callable[[float], None]) -> None:
        self._timer = None
        ring(max(self._loop.time(), when))


BEHIND: Final = 1.0
"""Seconds for which something has to have waited before the order matters."""
SHARE: Final = 4
"""One part in so many is asked between two rankings."""


class ReadyQueue:
    """A queue of reports that becomes a ranking when it is not worked off."""

    def __init__(self) -> None:
        self._queue: deque[PolledReport] = deque()
        self._ranked: list[PolledReport] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._queue) + len(self._ranked)

    def __iter__(self) -> Iterator[PolledReport]:
        yield from self._queue
        yield from self._ranked

    def add(self, reports: Iterable[PolledReport], now: float) -> None:
        """Add reports that have become due."""
        if not self:
            self._since = now
        self._queue.extend(reports)

    def take(self, now: float) -> PolledReport | None:
        """Remove and return the report to ask for now, None when there is none."""
        is_behind = now - self._since >= BEHIND
        while self:
            if is_behind and not self._ranked:
                self._rank(now)
                continue
            report = self._ranked.pop() if self._ranked else self._queue.popleft()
            if not report.is_over:
                # One number for all that became due together: there may be very many.
                report.asked = now if is_behind else self._since
                return report
        return None

    def clear(self) -> None:
        """Forget them all."""
        self._queue.clear()
        self._ranked.clear()

    def first(self) -> PolledReport | None:
        """Return the report whose turn it is next, None when there is none."""
        while self._ranked and self._ranked[-1].is_over:
            self._ranked.pop()
        while self._queue and self._queue[0].is_over:
            self._queue.popleft()
        if self._ranked:
            return self._ranked[-1]
        return self._queue[0] if self._queue else None

    def _rank(self, now: float) -> None:
        """Move the most urgent part from the queue to the ranking, the first one last."""
        weighed = [
            (_urgency(report, now), -index, report)
            for index, report in enumerate(self._queue)
            if not report.is_over
        ]
        weighed.sort(reverse=True)
        cut = -(-len(weighed) // SHARE)
        self._ranked = [report for _, _, report in reversed(weighed[:cut])]
        self._queue = deque(report for _, _, report in weighed[cut:])


def _urgency(report: PolledReport, now: float) -> float:
    return max(
        urgency(
            policy,
            gap=now - report.asked,
            elapsed=now - report.created,
            percentage=report.percentage,
        )
        for policy in report.policies()
    )


CATCH_UP: Final = 0.1
"""Seconds of unspent budget that may be made up for: timers and workers come a little late."""


class Rate:
    """Says when the next poll may leave. Unlike a limit it never lets a burst through."""

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next poll may leave, 0.0 for now."""
        return max(self._next - now, 0.0)

    def spend(self, now: float) -> None:
        """Record that a poll leaves."""
        self._next = max(self._next, now - CATCH_UP) + self._interval


Item = TypeVar("Item")


class WorkerPool(Generic[Item]):
    """Handles submitted items by priority and then in order, at most `limit` at a time.

    `handle` deals with every error that belongs to an item. One that leaves it is a fault of the
    program: the worker ends and `crashed` is told.

    Args:
        room: Returns how many more items may be taken now; call `hire` when that has grown. An
            item that is not taken stays in the queue, so that a later one of a higher priority
            still goes before it.
        pick: Given how many items wait, returns which one is taken next: 0 for the first in turn.
    """

    def __init__(
        self,
        handle: Callable[[Item], Coroutine[None, None, None]],
        *,
        limit: int,
        crashed: Callable[[BaseException], None],
        room: Callable[[], int] | None = None,
        pick: Callable[[int], int] | None = None,
    ) -> None:
        self._handle = handle
        self._limit = limit
        self._crashed = crashed
        self._room = room
        self._pick = pick
        self._items: list[tuple[int, int, Item]] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = 0
        """Workers that have not taken their first item yet."""
        self._is_closed = False

    def submit(self, item: Item, *, priority: int = 0) -> None:
        """Queue `item`; a higher priority goes first. After `cancel` it is dropped."""
        if self._is_closed:
            return
        heapq.heappush(self._items, (-priority, next(self._order), item))
        self.hire()

    def hire(self) -> None:
        """Let workers begin for the items that may be taken."""
        while len(self._tasks) < self._limit and self._takeable() > self._starting:
            self._starting += 1
            # In a context of its own: it works for everybody, and must not show whose call came
            # first in their logs and traces.
            task = asyncio.get_running_loop().create_task(self._work(), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._ended, context=Context())

    def _takeable(self) -> int:
        waiting = len(self._items)
        return waiting if self._room is None or not waiting else min(waiting, self._room())

    async def _work(self) -> None:
        self._starting -= 1
        while self._takeable() > 0:
            await self._handle(self._take())

    def _take(self) -> Item:
        which = 0 if self._pick is None else self._pick(len(self._items))
        if which == 0:
            return heapq.heappop(self._items)[2]
        item = self._items.pop(which)[2]
        heapq.heapify(self._items)
        return item

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._is_closed:
            self.hire()  # something may have been queued after the worker's last look
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)

    async def join(self) -> None:
        """Wait until nothing is queued or under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> set[asyncio.Task[None]]:
        """Drop what is queued, cancel the workers and return those still to be awaited."""
        self._is_closed = True
        self._items.clear()
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)
