"""Slots in turns, and the politeness rate of a client."""

import asyncio

import pytest

from bestdefense_async.transport.throttle.slots import SlotQueue, Slots
from tests.support.virtual_time import run_virtual


async def take(slots: Slots, queue: SlotQueue) -> None:
    """Take a slot as a call does: at once, or in turn."""
    if not slots.take(queue):
        await slots.wait(queue)


async def test_tenants_take_turns_however_many_calls_one_of_them_makes() -> None:
    """The second tenant's ten calls are served among the first twenty, beside five hundred."""
    slots, busy, calm = Slots(2), SlotQueue(), SlotQueue()
    served: list[str] = []

    async def one(queue: SlotQueue, name: str) -> None:
        await take(slots, queue)
        served.append(name)
        await asyncio.sleep(0)
        slots.release(queue)

    calls = [one(busy, "busy") for _ in range(500)] + [one(calm, "calm") for _ in range(10)]
    await asyncio.gather(*calls)

    assert served.index("calm") <= 4
    assert [name for name in served[:24] if name == "calm"] == ["calm"] * 10
    assert (slots.used, busy.used, calm.used, slots.waiting) == (0, 0, 0, 0)


async def test_who_has_fewest_slots_is_next() -> None:
    """A tenant whose calls hang keeps no more than its share from one whose calls are quick."""
    slots, slow, quick = Slots(6), SlotQueue(), SlotQueue()
    for _ in range(6):
        assert slots.take(slow)
    tasks = [asyncio.create_task(slots.wait(queue)) for queue in (slow, quick) for _ in range(50)]
    await asyncio.sleep(0)
    for _ in range(3):
        slots.release(slow)
    assert (slow.used, quick.used) == (3, 3)
    for _ in range(40):
        slots.release(quick)
    assert (slow.used, quick.used, slots.waiting) == (3, 3, 57)
    slots.release(slow)
    slots.release(slow)
    assert (slow.used, quick.used, slots.waiting) == (3, 3, 55)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_tenants_polls_and_calls_are_one_tenants() -> None:
    """Its two queues together have no more turns than another's one."""
    slots, busy, calm = Slots(6), SlotQueue(), SlotQueue()
    polls = SlotQueue(beside=busy)
    blockers = SlotQueue()
    for _ in range(6):
        assert slots.take(blockers)
    tasks = [
        asyncio.create_task(slots.wait(queue)) for queue in (busy, polls, calm) for _ in range(9)
    ]
    await asyncio.sleep(0)
    for _ in range(6):
        slots.release(blockers)
    assert (busy.used + polls.used, calm.used) == (3, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_polls_have_two_thirds_of_the_slots_and_do_not_wait_for_the_rest() -> None:
    """Neither do other calls wait for polls, nor polls of a tenant for its other calls."""
    slots, other = Slots(6), SlotQueue()
    polls = SlotQueue(beside=other)
    assert [slots.take(polls) for _ in range(5)] == [True] * 4 + [False]
    waiting_polls = [asyncio.create_task(slots.wait(polls)) for _ in range(9)]
    await asyncio.sleep(0)
    assert [slots.take(other) for _ in range(3)] == [True, True, False]
    waiting_calls = [asyncio.create_task(slots.wait(other)) for _ in range(9)]
    await asyncio.sleep(0)
    slots.release(other)
    assert (polls.used, other.used) == (4, 2)
    slots.release(polls)
    slots.release(other)
    assert (polls.used, other.used) == (4, 2)
    assert (polls.waiting, other.waiting) == (8, 7)
    for task in waiting_polls + waiting_calls:
        task.cancel()
    await asyncio.gather(*waiting_polls, *waiting_calls, return_exceptions=True)


def test_the_pace_goes_on_when_a_call_comes_while_polls_have_their_part() -> None:
    """Who may begin does not wait for those that may not."""

    async def main() -> float:
        slots, other, loop = Slots(3, rate=10.0), SlotQueue(), asyncio.get_running_loop()
        polls = SlotQueue(beside=other)
        await take(slots, polls)
        await take(slots, polls)
        waiting = asyncio.create_task(take(slots, polls))
        await asyncio.sleep(1.0)
        began = loop.time()
        async with asyncio.timeout(5.0):
            await take(slots, other)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        slots.close()
        return loop.time() - began

    assert run_virtual(main(), start=1000.0) == pytest.approx(0.0, abs=0.001)


async def test_calls_of_one_tenant_keep_their_order() -> None:
    """Who comes first has the slot first, also while others go away."""
    slots, queue = Slots(1), SlotQueue()
    served: list[int] = []

    async def one(number: int) -> None:
        await take(slots, queue)
        served.append(number)
        await asyncio.sleep(0)
        slots.release(queue)

    tasks = [asyncio.create_task(one(number)) for number in range(30)]
    await asyncio.sleep(0)
    for task in tasks[5:30:3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert served == [number for number in range(30) if number < 5 or (number - 5) % 3]


async def test_cancelled_at_any_moment_no_slot_is_lost() -> None:
    """Also in the turn of the loop in which the slot was given."""
    for ticks in range(6):
        slots, queue = Slots(1), SlotQueue()
        assert slots.take(queue)
        waiting = asyncio.create_task(slots.wait(queue))
        await asyncio.sleep(0)
        slots.release(queue)
        for _ in range(ticks):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if not waiting.cancelled():
            slots.release(queue)
        assert slots.take(queue)


def test_requests_leave_evenly_and_in_order() -> None:
    """Four per second: the first at once, each next one a quarter of a second later."""

    async def main() -> list[tuple[int, float]]:
        slots, queue = Slots(100, rate=4.0), SlotQueue()
        left: list[tuple[int, float]] = []

        async def one(number: int) -> None:
            await take(slots, queue)
            left.append((number, asyncio.get_running_loop().time()))

        await asyncio.gather(*(one(number) for number in range(40)))
        return left

    left = run_virtual(main(), start=1000.0)
    assert [number for number, _ in left] == list(range(40))
    assert [when - 1000.0 for _, when in left] == pytest.approx(
        [number / 4 for number in range(40)], abs=0.001
    )


def test_an_idle_hour_saves_nothing_up() -> None:
    """Politeness is about every moment, so there is no burst."""

    async def main() -> None:
        slots, queue, loop = Slots(100, rate=0.5), SlotQueue(), asyncio.get_running_loop()
        await take(slots, queue)
        await asyncio.sleep(3600.0)
        begun = loop.time()
        for _ in range(3):
            await take(slots, queue)
        assert loop.time() - begun == pytest.approx(4.0, abs=0.001)

    run_virtual(main(), start=1000.0)


def test_the_pace_waits_for_a_slot() -> None:
    """What waited for its slot does not catch up: two requests never leave together."""

    async def main() -> list[float]:
        slots, queue, loop = Slots(1, rate=1.0), SlotQueue(), asyncio.get_running_loop()
        left: list[float] = []

        async def one(takes: float) -> None:
            await take(slots, queue)
            left.append(loop.time() - 1000.0)
            await asyncio.sleep(takes)
            slots.release(queue)

        await asyncio.gather(one(10.0), one(0.0), one(0.0))
        return left

    first, second, third = run_virtual(main(), start=1000.0)
    assert first == 0.0
    assert second == pytest.approx(10.0, abs=0.001)
    assert third - second >= 0.999


def test_a_cancelled_turn_takes_little_time_from_others() -> None:
    """Cancelled at any place in the queue, the others keep their rate."""

    async def main() -> None:
        slots, queue, loop = Slots(100, rate=1.0), SlotQueue(), asyncio.get_running_loop()
        await take(slots, queue)
        tasks = [asyncio.create_task(take(slots, queue)) for _ in range(6)]
        await asyncio.sleep(0.5)
        for task in tasks[0], tasks[3], tasks[5]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert loop.time() == pytest.approx(1003.0, abs=0.001)

    run_virtual(main(), start=1000.0)
