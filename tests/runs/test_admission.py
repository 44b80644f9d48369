"""Slots: never more than the limit, none lost, the most urgent first."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.runs.admission import PrioritySemaphore
from tests.support.fake_scans import run


def test_a_free_slot_is_handed_over_at_once() -> None:
    """A request made while a slot is free has it when `request` returns."""
    slots = PrioritySemaphore(1)
    granted: list[str] = []

    slots.request(lambda: granted.append("first"))
    slots.request(lambda: granted.append("second"))

    assert granted == ["first"]
    slots.release()
    assert granted == ["first", "second"]


def test_a_higher_priority_overtakes_and_equals_keep_their_order() -> None:
    """Priorities decide among those that wait; the order of asking decides among equals."""
    slots = PrioritySemaphore(1)
    granted: list[str] = []
    for name, priority in [("held", 0), ("a", 0), ("low", -1), ("b", 0), ("high", 7)]:
        slots.request(partial(granted.append, name), priority=priority)

    for _ in range(4):
        slots.release()

    assert granted == ["held", "high", "a", "b", "low"]


@given(seed=st.integers(0, 2**32), limit=st.integers(1, 4))
def test_no_slot_is_lost_or_held_twice_under_random_cancellation(seed: int, limit: int) -> None:
    """A task cancelled while it waits, or in the very tick it was granted, leaves none held."""

    async def main() -> None:
        chance = random.Random(seed)
        slots = PrioritySemaphore(limit)
        held = 0

        async def work() -> None:
            nonlocal held
            await slots.acquire(priority=chance.randrange(3))
            held += 1
            assert held <= limit
            try:
                await asyncio.sleep(chance.choice([0.0, 1.0]))
            finally:
                held -= 1
                slots.release()

        tasks = []
        for _ in range(30):
            tasks.append(asyncio.create_task(work()))
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.5]))
            if chance.random() < 0.4:
                chance.choice(tasks).cancel()
        await asyncio.wait(tasks)
        free = []
        for _ in range(limit):
            slots.request(lambda: free.append(1))
        assert len(free) == limit

    run(main)
