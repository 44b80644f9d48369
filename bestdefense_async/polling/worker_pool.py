"""A few tasks that work off a queue and end when it is empty.

A worker lives only while there is something to do: an idle pool holds no task, so nothing has to
be woken, and nothing is left behind. `submit` never waits; who may submit how much is decided
elsewhere.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Item = TypeVar("Item")


class WorkerPool(Generic[Item]):
    """Handles submitted items by priority and then in order, at most `limit` at a time.

    `handle` deals with every error that belongs to an item. One that leaves it is a fault of the
    program: the worker ends and `crashed` is told.
    """

    def __init__(
        self,
        handle: Callable[[Item], Coroutine[None, None, None]],
        *,
        limit: int,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._handle = handle
        self._limit = limit
        self._crashed = crashed
        self._items: list[tuple[int, int, Item]] = []
        self._order = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def submit(self, item: Item, *, priority: int = 0) -> None:
        """Queue `item`; a higher priority goes first. After `cancel` it is dropped."""
        if self._is_closed:
            return
        heapq.heappush(self._items, (-priority, next(self._order), item))
        self._hire()

    def _hire(self) -> None:
        if self._items and len(self._tasks) < self._limit:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _work(self) -> None:
        while self._items:
            await self._handle(heapq.heappop(self._items)[2])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._hire()  # something may have been queued after the worker's last look
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
