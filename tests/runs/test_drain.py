"""Draining a group, and which of its inputs go first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.errors import LifecycleError, RunStopped
from bestdefense_async.runs import NullJournal, ScanGroup
from bestdefense_async.runs.inputs import IndexedInput
from tests.support.fake_scans import FakeScans, hosts, kinds, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.models import Outcome


async def test_a_group_that_is_not_open_cannot_be_drained() -> None:
    """Draining before the block is a mistake of the caller."""
    with pytest.raises(LifecycleError):
        await ScanGroup(FakeScans()).drain()


def test_draining_lets_creations_in_flight_land_and_starts_nothing_more() -> None:
    """What was sent gets its report id, what was not is not started; no scan is waited for."""

    async def slow(operation: str, subject: str, nth: int) -> None:
        if operation == "create":
            await asyncio.sleep(5.0)

    async def main() -> None:
        client = FakeScans(100, duration=3600.0, fault=slow)
        loop = asyncio.get_running_loop()
        async with ScanGroup(client, max_active=40) as group:
            group.feed(hosts(100))
            await asyncio.sleep(2.0)
            began = loop.time()
            await group.drain()
            assert loop.time() - began < 10.0
            outcomes = [outcome async for outcome in group]

        assert len(client.created) == client.calls("create") == 8
        assert kinds(outcomes) == {"running": 8, "not_started": 92}
        for outcome in outcomes:
            assert isinstance(getattr(outcome, "error", None), RunStopped)
            assert (outcome.report_id is not None) == (outcome.status == "running")

    run(main)


def test_draining_gives_up_after_its_timeout() -> None:
    """A creation that is not answered in time is unknown, as after any stop."""

    async def endless(operation: str, subject: str, nth: int) -> None:
        if operation == "create":
            await asyncio.sleep(1e6)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with ScanGroup(FakeScans(3, fault=endless)) as group:
            group.feed(hosts(3))
            await asyncio.sleep(2.0)
            began = loop.time()
            await group.drain(timeout=7.0)
            assert loop.time() - began == pytest.approx(7.0, abs=0.1)
            outcomes = [outcome async for outcome in group]
        assert kinds(outcomes) == {"unknown": 3}

    run(main)


def test_draining_ends_an_endless_input_and_the_iteration() -> None:
    """The consumer of a service sees the last outcome and then the end."""

    async def endless() -> AsyncIterator[str]:
        for host in hosts(2):
            yield host
        await asyncio.sleep(1e6)

    async def main() -> None:
        outcomes: list[Outcome] = []

        async def consume(group: ScanGroup) -> None:
            outcomes.extend([outcome async for outcome in group])

        async with ScanGroup(FakeScans(2, duration=60.0)) as group:
            group.feed(endless())
            handle = group.start("h1.example")
            consumer = asyncio.create_task(consume(group))
            await asyncio.sleep(200.0)
            await group.drain()
            await asyncio.wait_for(consumer, 1.0)
            with pytest.raises(LifecycleError):
                group.feed(hosts(1))
            assert handle.is_done
        assert len(outcomes) == 2

    run(main)


def test_the_iterable_with_the_higher_priority_is_read_first() -> None:
    """A slot that becomes free goes to the most urgent input."""

    async def main() -> None:
        client = FakeScans(20, duration=60.0)
        async with ScanGroup(client, max_active=2) as group:
            group.feed(hosts(10))
            group.feed([f"h{n}.example" for n in range(10, 20)], priority=5)
            async for _ in group:
                pass
        order = list(client.created)
        urgent = [index for index, site in enumerate(order) if int(site[1:]) >= 10]
        assert urgent[-1] <= 11  # two of the others may have had a slot before

    run(main)


def test_an_urgent_start_overtakes_those_that_wait() -> None:
    """A service gives a person who waits precedence over its nightly run."""

    async def main() -> None:
        client = FakeScans(10, duration=60.0)
        async with ScanGroup(client, max_active=1) as group:
            handles = [group.start(host) for host in hosts(9)]
            await asyncio.sleep(1.0)
            urgent = group.start("h9.example", priority=1)
            await urgent.outcome()
            assert sum(handle.is_done for handle in handles) == 1
            await handles[-1].outcome()
        assert list(client.created)[:2] == ["s0", "s9"]

    run(main)


def test_what_a_journal_gives_back_keeps_its_index() -> None:
    """New inputs count on behind those that the journal knows."""

    class Resumed(NullJournal):
        next_index = 7

    async def main() -> None:
        async with ScanGroup(FakeScans(5), journal=Resumed()) as group:
            group.feed([IndexedInput(3, "h3.example"), IndexedInput(5, "h1.example"), "h2.example"])
            outcomes = {outcome.index: outcome.target async for outcome in group}
        assert outcomes == {3: "h3.example", 5: "h1.example", 7: "h2.example"}

    run(main)
