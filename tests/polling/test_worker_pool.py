"""Workers that take an item only where there is room for it."""

from __future__ import annotations

import asyncio

from bestdefense_async.polling.queues import WorkerPool
from tests.support.fake_scans import run


class Work:
    """A pool whose room a test decides."""

    def __init__(self, room: int, pick: int = 0) -> None:
        self.room = room
        self.pick = pick
        self.taken: list[str] = []
        self.under_way = 0
        self.pool: WorkerPool[str] = WorkerPool(
            self._handle,
            limit=10,
            crashed=self._crashed,
            room=lambda: self.room - self.under_way,
            pick=lambda count: min(self.pick, count - 1),
        )

    async def _handle(self, item: str) -> None:
        self.taken.append(item)
        self.under_way += 1
        await asyncio.sleep(1.0)
        self.under_way -= 1

    def _crashed(self, error: BaseException) -> None:
        raise error


def test_no_more_items_are_taken_than_there_is_room_for() -> None:
    """Three workers begin for three places, and the next item leaves when one is free."""

    async def main() -> None:
        work = Work(3)
        for item in "abcdef":
            work.pool.submit(item)
        await asyncio.sleep(0.5)
        assert work.taken == ["a", "b", "c"]
        await work.pool.join()

        assert sorted(work.taken) == list("abcdef")

    run(main)


def test_without_room_an_item_waits_and_one_of_a_higher_priority_still_goes_before_it() -> None:
    """Nothing leaves the queue early; `hire` lets it go on."""

    async def main() -> None:
        work = Work(0)
        work.pool.submit("low")
        await asyncio.sleep(1.0)
        work.pool.submit("high", priority=1)
        work.room = 1
        work.pool.hire()
        await work.pool.join()

        assert work.taken == ["high", "low"]

    run(main)


def test_another_item_than_the_first_may_be_picked() -> None:
    """The others keep their order."""

    async def main() -> None:
        work = Work(0, pick=2)
        for item in "abcd":
            work.pool.submit(item)
        work.room = 1
        work.pool.hire()
        await asyncio.sleep(0.5)
        work.pick = 0
        await work.pool.join()

        assert work.taken[0] in "cd"
        assert work.taken[1:] == sorted(work.taken[1:])

    run(main)
