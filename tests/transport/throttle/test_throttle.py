"""Waiting for a permit: order, deadlines, cancellation, several windows, loops, many waiters."""

import asyncio
import random
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.errors import LimitWaitTooLong, WrongLoop
from bestdefense_async.transport.throttle.throttle import Throttle
from tests.support.virtual_time import run_virtual

KNOWN = -1e9
"""A history known since long ago: no slow start."""

MINUTE = {"x": (Limit(60, per=60.0),)}

Main = Callable[[], Coroutine[Any, Any, None]]


def virtual(test: Main) -> Callable[[], None]:
    """Run a test in virtual time that starts at 1,000 s."""

    def run() -> None:
        run_virtual(test(), start=1000.0)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run


def clock() -> float:
    """Return the virtual time since the test began."""
    return asyncio.get_running_loop().time() - 1000.0


async def call(
    throttle: Throttle, took: float = 0.0, *, limit_class: str = "x", again: bool = False
) -> float:
    """Make a call that is answered after a while; return when it was admitted."""
    async with throttle.admit(limit_class, again=again) as permit:
        admitted = clock()
        await asyncio.sleep(took)
        permit.answered({})
        return admitted


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def free_places(throttle: Throttle, limit_class: str = "x", most: int = 100) -> int:
    """Count how many calls would be admitted right now; leave everything as it was."""
    async with asyncio.TaskGroup() as group:
        done = asyncio.Event()
        count = 0

        async def hold() -> None:
            nonlocal count
            async with throttle.admit(limit_class) as permit:
                count += 1
                await done.wait()
                permit.unsent()

        tasks = [group.create_task(hold()) for _ in range(most)]
        await settled()
        found = count
        for task in tasks[found:]:
            task.cancel()
        await settled()
        done.set()
    return found


@virtual
async def test_a_full_burst_leaves_at_once_and_no_call_more() -> None:
    """The 60th of 60 waits nothing, the 61st a whole period: the phase is unknown."""
    throttle = Throttle(MINUTE, known_since=KNOWN)
    admitted = await asyncio.gather(*(call(throttle) for _ in range(61)))
    assert admitted[:60] == [0.0] * 60
    assert 60.0 < admitted[60] < 60.2


@virtual
async def test_a_cold_burst_starts_at_once_and_is_out_within_two_seconds() -> None:
    """With an unknown history three calls leave at once, and each answer allows one more."""
    throttle = Throttle(MINUTE)
    admitted = await asyncio.gather(*(call(throttle, took=0.3) for _ in range(60)))
    assert admitted[:3] == [0.0] * 3
    assert admitted[3] == pytest.approx(0.3)
    assert admitted[59] <= 2.0


@virtual
async def test_calls_are_admitted_in_the_order_they_asked() -> None:
    """Nobody overtakes, not even a call that asks just when others are waking up."""
    throttle = Throttle({"x": (Limit(3, per=1.0),)}, known_since=KNOWN)
    order: list[int] = []

    async def ask(number: int) -> None:
        async with throttle.admit("x") as permit:
            order.append(number)
            permit.answered({})

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(ask(number))
            await asyncio.sleep(0.15)
    assert order == list(range(40))


@virtual
async def test_a_call_does_not_pass_those_that_are_just_waking() -> None:
    """Granted but not yet running is still ahead."""
    throttle = Throttle({"x": (Limit(3, per=1.0),)}, known_since=KNOWN)
    order: list[str] = []

    async def ask(name: str) -> None:
        async with throttle.admit("x") as permit:
            order.append(name)
            permit.unsent()

    holders = [throttle.admit("x") for _ in range(3)]
    for holder in holders:
        await holder.__aenter__()
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("first"))
        group.create_task(ask("second"))
        await settled()
        for holder in holders:
            holder.unsent()
        # Both waiters are granted and have not run, and a third place is free.
        await ask("third")
    assert order == ["first", "second", "third"]


@virtual
async def test_a_call_that_had_its_turn_goes_to_the_front() -> None:
    """A refused call is not sent to the end of the queue; among such calls order holds too."""
    throttle = Throttle({"x": (Limit(1, per=1.0),)}, known_since=KNOWN)
    order: list[str] = []

    async def ask(name: str, *, again: bool = False) -> None:
        async with throttle.admit("x", again=again) as permit:
            order.append(name)
            permit.answered({})

    await ask("before")
    async with asyncio.TaskGroup() as group:
        group.create_task(ask("new 1"))
        group.create_task(ask("new 2"))
        await settled()
        group.create_task(ask("again 1", again=True))
        group.create_task(ask("again 2", again=True))
    assert order == ["before", "again 1", "again 2", "new 1", "new 2"]


@virtual
async def test_a_class_without_limits_admits_everything_at_once() -> None:
    """It has no window; it can still be paused."""
    throttle = Throttle({})
    admitted = await asyncio.gather(*(call(throttle, limit_class="free") for _ in range(1000)))
    assert set(admitted) == {0.0}


@virtual
async def test_classes_do_not_hinder_each_other() -> None:
    """Polls never wait for downloads."""
    throttle = Throttle({"x": (Limit(1, per=60.0),), "y": (Limit(1, per=60.0),)}, known_since=KNOWN)
    await call(throttle)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(call(throttle))
        assert await call(throttle, limit_class="y") == 0.0
        waiting.cancel()


@virtual
async def test_two_windows_are_kept_together() -> None:
    """10 per second and 15 per minute: the burst of ten, five a second later, then a long wait."""
    throttle = Throttle({"x": (Limit(10, per=1.0), Limit(15, per=60.0))}, known_since=KNOWN)
    admitted = await asyncio.gather(*(call(throttle) for _ in range(16)))
    assert admitted[:10] == [0.0] * 10
    assert all(1.0 < moment < 2.2 for moment in admitted[10:15])
    assert admitted[15] > 60.0


@virtual
async def test_a_call_waiting_for_one_window_burns_nothing_of_the_other() -> None:
    """Ten callers cancelled while the minute is full leave the hour as it was."""
    throttle = Throttle({"x": (Limit(2, per=60.0), Limit(20, per=3600.0))}, known_since=KNOWN)
    for _ in range(2):
        await call(throttle)
    waiting = [asyncio.create_task(call(throttle)) for _ in range(10)]
    await asyncio.sleep(30.0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(300.0)
    for _ in range(9):
        assert await free_places(throttle) == 2
        for _ in range(2):
            await call(throttle)
        await asyncio.sleep(121.0)
    assert await free_places(throttle) == 0


@virtual
async def test_an_unsent_call_gives_its_permit_back() -> None:
    """As if it had never asked."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    for _ in range(5):
        async with throttle.admit("x") as permit:
            permit.unsent()
    assert await call(throttle) == 0.0


@virtual
async def test_an_unsent_call_of_a_paced_limit_leaves_no_gap() -> None:
    """What leaves evenly is given back as well."""
    throttle = Throttle({"x": (Limit(10, per=60.0, policy="paced"),)}, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        permit.unsent()
    assert await call(throttle) == 0.0
    assert await call(throttle) > 6.0


@virtual
async def test_a_call_that_may_have_been_sent_keeps_its_permit() -> None:
    """An error or a cancellation in the block is no proof that the server got nothing."""
    throttle = Throttle({"x": (Limit(1, per=10.0),)}, known_since=KNOWN)
    with pytest.raises(ConnectionError):
        async with throttle.admit("x"):
            raise ConnectionError
    # One second for a request still on its way, instead of the tenth for one that was answered.
    assert 11.0 < await call(throttle) < 11.1


@virtual
async def test_the_first_word_about_a_call_counts() -> None:
    """What is said later or after the block changes nothing."""
    throttle = Throttle({"x": (Limit(1, per=10.0),)}, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        permit.answered({})
        permit.unsent()
        permit.answered({})
    permit.unsent()
    assert await call(throttle) > 10.0


@virtual
async def test_a_wait_beyond_the_deadline_is_refused_at_once_with_the_numbers() -> None:
    """No call sleeps to a deadline it cannot meet."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    await call(throttle)
    with pytest.raises(LimitWaitTooLong) as caught:
        async with throttle.admit("x", deadline=1030.0):
            pass
    assert clock() == 0.0
    assert caught.value.limit_class == "x"
    assert caught.value.wait == pytest.approx(60.1, abs=0.02)
    assert caught.value.allowed == 30.0


@virtual
async def test_those_ahead_in_the_queue_are_part_of_the_wait() -> None:
    """With five calls ahead and one per minute, the sixth takes at least five minutes."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    await call(throttle)
    waiting = [asyncio.create_task(call(throttle)) for _ in range(5)]
    await settled()
    with pytest.raises(LimitWaitTooLong) as caught:
        async with throttle.admit("x", deadline=1200.0):
            pass
    assert caught.value.wait == pytest.approx(360.0, rel=0.01)
    async with asyncio.timeout(200.0):
        async with throttle.admit("x", deadline=1200.0, again=True) as permit:
            assert clock() < 61.0
            permit.unsent()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@virtual
async def test_a_wait_that_turns_out_too_long_ends_at_the_deadline() -> None:
    """Calls in flight take longer than could be known; the deadline still holds."""
    throttle = Throttle({"x": (Limit(1, per=1.0),)}, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        with pytest.raises(LimitWaitTooLong):
            async with throttle.admit("x", deadline=1005.0):
                pass
        assert clock() == 5.0
        permit.answered({})
    assert 6.0 < await call(throttle) < 6.2


@virtual
async def test_a_call_with_a_deadline_it_can_meet_is_admitted() -> None:
    """And nothing of the deadline is left behind."""
    throttle = Throttle({"x": (Limit(1, per=1.0),)}, known_since=KNOWN)
    await call(throttle)
    async with throttle.admit("x", deadline=1030.0) as permit:
        assert 1.0 < clock() < 1.2
        await asyncio.sleep(60.0)
        permit.answered({})


@virtual
async def test_a_waiter_cancelled_just_when_it_is_granted_gives_the_permit_back() -> None:
    """Between the grant and the waking there is a gap; a permit must not fall into it."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        first = asyncio.create_task(call(throttle))
        second = asyncio.create_task(call(throttle))
        await settled()
        permit.unsent()  # grants the first
        first.cancel()
    assert await second == 0.0
    assert first.cancelled()


@virtual
async def test_a_waiter_whose_coroutine_is_closed_is_gone() -> None:
    """Closed from outside, without a cancellation, it does not swallow the next permit."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        waiting = call(throttle)
        waiting.send(None)
        later = asyncio.create_task(call(throttle))
        await settled()
        waiting.close()
        permit.unsent()
    assert await later == 0.0


async def _lives(  # noqa: C901 - one place draws all fates, so that a seed repeats a run
    throttle: Throttle, chance: random.Random, calls: int
) -> None:
    """Make calls of every fate, cancelled at random moments, then wait until all are gone."""
    order: list[int] = []

    async def live(number: int) -> None:
        again = False
        while True:
            async with throttle.admit("x", again=again) as permit:
                if not again:
                    order.append(number)
                await asyncio.sleep(chance.choice([0.0, 0.0, 0.1, 1.0]))
                fate = chance.random()
                if fate < 0.7:
                    permit.answered({})
                elif fate < 0.8:
                    permit.unsent()
                elif fate < 0.9:
                    permit.refused({"retry-after": "1"})
                    again = True
                    continue
                return

    tasks = []
    for number in range(calls):
        tasks.append(asyncio.create_task(live(number)))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0.0, 0.01, 2.0]))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
    await asyncio.sleep(20.0)
    for task in tasks:
        if chance.random() < 0.5:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == sorted(order)


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(5, 120))
def test_random_cancellations_leak_nothing(seed: int, calls: int) -> None:
    """Whatever happened, two quiet periods later the full burst leaves at once and all is idle."""

    async def main() -> None:
        throttle = Throttle({"x": (Limit(7, per=10.0), Limit(30, per=60.0))}, known_since=KNOWN)
        await _lives(throttle, random.Random(seed), calls)
        await asyncio.sleep(2000.0)
        assert throttle.is_idle
        assert await free_places(throttle) == 7
        assert throttle.is_idle

    run_virtual(main(), start=1000.0)


@pytest.mark.slow(timeout=300)
@pytest.mark.parametrize("order", ["last come", "random"])
def test_a_hundred_thousand_waiters_can_all_be_cancelled(order: str) -> None:
    """In any order, and afterwards the throttle is as new; quadratic would take many minutes."""

    async def main() -> None:
        throttle = Throttle({"x": (Limit(1, per=3600.0),)}, known_since=KNOWN)
        async with throttle.admit("x") as permit:
            waiting = [asyncio.create_task(call(throttle)) for _ in range(100_000)]
            await settled()
            victims = list(waiting)
            if order == "last come":
                victims.reverse()
            elif order == "random":
                random.Random(1).shuffle(victims)
            for task in victims:
                task.cancel()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results)
            permit.unsent()
        assert throttle.is_idle
        assert await call(throttle) == 0.0

    run_virtual(main(), start=1000.0)


@virtual
async def test_cancelled_waiters_do_not_pile_up_behind_one_that_waits() -> None:
    """A caller that gives up and asks again, all through an hour's wait, costs no memory."""
    throttle = Throttle({"x": (Limit(1, per=3600.0),)}, known_since=KNOWN)
    await call(throttle)
    patient = asyncio.create_task(call(throttle))
    for _ in range(5000):
        hasty = asyncio.create_task(call(throttle))
        await settled()
        hasty.cancel()
    await settled()
    assert _size(throttle, {id(patient)}) < 8192
    assert await patient > 3600.0


@pytest.mark.slow(timeout=300)
def test_a_hundred_thousand_waiters_are_served_in_order() -> None:
    """Each wake-up is O(1), so so many take seconds, not hours."""

    async def main() -> None:
        throttle = Throttle({"x": (Limit(1000, per=1.0),)}, known_since=KNOWN)
        order: list[int] = []

        async def ask(number: int) -> None:
            async with throttle.admit("x") as permit:
                order.append(number)
                permit.unsent()

        holders = [throttle.admit("x") for _ in range(1000)]
        for holder in holders:
            await holder.__aenter__()
        waiting = [asyncio.create_task(ask(number)) for number in range(100_000)]
        await settled()
        assert not order
        for holder in holders:
            holder.unsent()
        await asyncio.gather(*waiting)
        assert order == list(range(100_000))

    run_virtual(main(), start=1000.0)


def test_limits_used_in_a_second_loop_say_so() -> None:
    """Times of one loop mean nothing in another; a typed error, not a warning or a hang."""
    throttle = Throttle(MINUTE)
    run_virtual(_one_call(throttle, "x"))
    for limit_class in ("x", "not used before"):
        with pytest.raises(WrongLoop):
            run_virtual(_one_call(throttle, limit_class))


async def _one_call(throttle: Throttle, limit_class: str) -> None:
    async with throttle.admit(limit_class) as permit:
        permit.answered({})


@pytest.mark.looptime
async def test_it_keeps_time_under_looptime() -> None:
    """Users' own tests may run on the clock of looptime."""
    throttle = Throttle({"x": (Limit(2, per=60.0),)}, known_since=KNOWN)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for _ in range(3):
        await call(throttle)
    assert 60.0 < loop.time() - begun < 60.3


@virtual
async def test_a_limit_of_sixty_takes_less_than_four_kilobytes() -> None:
    """With the log of two full periods in it."""
    throttle = Throttle(MINUTE, known_since=KNOWN)
    for _ in range(150):
        await call(throttle)
    assert _size(throttle, {id(MINUTE)}) < 4096


def _size(thing: object, seen: set[int]) -> int:
    """Return the bytes of an object of ours and all it owns, without what others share."""
    shared = (type, asyncio.AbstractEventLoop, Limit, str)
    if id(thing) in seen or callable(thing) or isinstance(thing, shared):
        return 0
    seen.add(id(thing))
    size = sys.getsizeof(thing)
    if isinstance(thing, dict):
        return size + sum(_size(value, seen) for value in thing.values())
    if isinstance(thing, tuple | list):
        return size + sum(_size(value, seen) for value in thing)
    names = getattr(type(thing), "__slots__", ())
    return size + sum(_size(getattr(thing, name, None), seen) for name in names)
