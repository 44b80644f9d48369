"""Slots: none lost, the most urgent first. The gate: what it lets through, and when it looks."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.admission import Fate
from bestdefense_async.errors import BestDefenseError, ServerError
from bestdefense_async.runs.admission import Outage, PrioritySemaphore, StartGate
from tests.support.fake_scans import denied, run


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


class Host:
    """A host that is looked at, and says whether it is there."""

    def __init__(self, *, most: int = 8, patience: float = 300.0) -> None:
        self.looks: list[float] = []
        self.is_there = False
        self.error: BestDefenseError = ServerError("x", status=503)
        self.outages: list[Outage] = []
        self.reasons: list[BestDefenseError] = []
        self.opened = 0
        self.gate = StartGate(
            self.look,
            most=most,
            patience=patience,
            opened=self._open,
            changed=self.outages.append,
            given_up=self._give_up,
        )

    async def look(self) -> None:
        """Answer, or not."""
        self.looks.append(asyncio.get_running_loop().time())
        if not self.is_there:
            raise self.error

    def lose(self, count: int = 1) -> None:
        """Let creations be lost."""
        for each in [self.gate.began() for _ in range(count)]:
            self.gate.ended(each, Fate.AWAY, self.error)

    def win(self) -> None:
        """Let a creation be taken."""
        self.gate.ended(self.gate.began(), Fate.THERE)

    def _open(self) -> None:
        self.opened += 1

    def _give_up(self, error: BestDefenseError) -> None:
        self.reasons.append(error)
        self.gate.lift()


def test_a_host_that_comes_back_is_noticed_and_told_about_once() -> None:
    """One outage is one beginning and one end, however many looks and trials it takes."""

    async def main() -> None:
        host = Host()
        host.lose(7)
        assert host.outages == []
        host.lose()
        assert (host.gate.room(), host.gate.is_away) == (0, True)
        await asyncio.sleep(20.0)
        assert len(host.looks) >= 5
        host.is_there = True
        await asyncio.sleep(10.0)
        assert host.gate.room() == 1
        host.lose()  # the trial
        assert host.gate.room() == 0
        await asyncio.sleep(2.0)
        assert host.gate.is_away
        reader = asyncio.create_task(host.gate.there())
        host.win()
        await reader

        assert host.gate.room() == 2
        assert [each.until is None for each in host.outages] == [True, False]
        assert host.outages[0].since == host.outages[1].since
        assert host.gate.cancel() == set()

    run(main)


def test_a_host_that_stays_away_ends_the_starting_when_patience_is_over() -> None:
    """It says for how long, and what the last creation met; nobody who reads waits any more."""

    async def main() -> None:
        host = Host(patience=60.0)
        host.lose(8)
        await asyncio.sleep(59.0)
        assert host.reasons == []
        await asyncio.sleep(2.0)

        (reason,) = host.reasons
        assert "60 s" in str(reason)
        assert "can be resumed" in str(reason)
        await host.gate.there()
        assert host.gate.room() > 0  # what comes now ends with its reason
        assert host.outages[-1].until is not None

    run(main)


def test_a_look_that_is_refused_for_the_tokens_sake_shows_that_the_host_is_there() -> None:
    """A 401 is an answer of the API."""

    async def main() -> None:
        host = Host()
        host.lose(8)
        host.error = denied()
        await asyncio.sleep(1.0)

        assert host.gate.room() == 1

    run(main)


def test_a_poll_is_a_look_but_not_at_once_and_not_after_a_lost_trial() -> None:
    """A poll may be older than the outage, and where creations alone fail it proves nothing."""

    async def main() -> None:
        host = Host()
        host.lose(8)
        host.gate.polled()
        await asyncio.sleep(0.0)
        assert host.gate.room() == 0
        await asyncio.sleep(11.0)
        looks = len(host.looks)
        host.gate.polled()
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        assert (host.gate.room(), len(host.looks)) == (1, looks)
        host.lose()
        await asyncio.sleep(0.4)
        host.gate.polled()
        await asyncio.sleep(0.0)
        assert host.gate.room() == 0
        for task in host.gate.cancel():
            await asyncio.wait([task])

    run(main)


def test_a_trial_takes_any_of_those_that_wait() -> None:
    """Otherwise twenty bad targets at the head of the queue would keep a good host away."""

    async def main() -> None:
        host = Host()
        assert {host.gate.pick(20) for _ in range(50)} == {0}
        host.lose(8)
        host.is_there = True
        await asyncio.sleep(1.0)

        assert len({host.gate.pick(20) for _ in range(50)}) > 5

    run(main)


def test_what_was_cancelled_or_is_the_programs_fault_says_nothing() -> None:
    """Eight creations that ended without a word of the host leave all places."""

    async def main() -> None:
        host = Host()
        for each in [host.gate.began() for _ in range(8)]:
            host.gate.ended(each, Fate.NOTHING)

        assert host.gate.room() == 8

    run(main)
