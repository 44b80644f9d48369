"""Groups and waits that share a token's polls, and leave each other alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.runs import ExistingScan, ScanGroup
from tests.support.fake_scans import FakeScans, hosts, kinds, run

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome


async def follow(client: FakeScans, targets: Any, **options: Any) -> list[Outcome]:
    """Return the outcomes of a group."""
    async with ScanGroup(client, **options) as group:
        group.feed(targets)
        return [outcome async for outcome in group]


def created(count: int) -> list[ExistingScan]:
    """Return scans that were started elsewhere."""
    return [
        ExistingScan(target=f"h{n}", site_id=f"s{n}", report_id=f"r-s{n}", started_at=0.0)
        for n in range(count)
    ]


def test_two_groups_that_follow_the_same_scans_share_every_poll() -> None:
    """And a wait beside them; each has all outcomes."""

    async def main() -> None:
        alone, shared = FakeScans(5), FakeScans(5)
        shared.created = dict.fromkeys((f"s{n}" for n in range(5)), 1_000.0)
        alone.created = dict(shared.created)
        await follow(alone, created(5))
        one, two, _ = await asyncio.gather(
            follow(shared, created(5)), follow(shared, created(5)), shared.polls.wait("r-s0")
        )

        assert kinds(one) == kinds(two) == {"done": 5}
        assert shared.calls("progress") < 1.7 * alone.calls("progress")

    run(main)


def test_leaving_a_group_ends_its_own_waits_and_no_others() -> None:
    """A poll with no other waiter is cancelled, and no task is left after the block."""
    hanging: set[str] = set()

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "progress" and is_hanging.is_set():
            hanging.add(subject)
            try:
                await asyncio.sleep(1_000.0)
            finally:
                hanging.discard(subject)

    is_hanging = asyncio.Event()

    async def main() -> None:
        client = FakeScans(12, duration=500.0, fault=fault)
        stays = asyncio.create_task(follow(client, hosts(5)))
        wait = asyncio.create_task(client.polls.wait("r-s3"))
        await asyncio.sleep(50.0)
        others = asyncio.all_tasks()
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
            async with ScanGroup(client) as leaves:
                leaves.feed(hosts(12)[5:])
                await asyncio.sleep(50.0)
                assert len(client.polls) == 12
                is_hanging.set()
                await asyncio.sleep(60.0)
                assert hanging == {f"r-s{n}" for n in range(12)}
                raise ZeroDivisionError
        is_hanging.clear()

        assert hanging == {f"r-s{n}" for n in range(5)}
        assert len(client.polls) == 5
        assert len(asyncio.all_tasks() - others) == 5  # the workers of the polls that go on
        assert kinds([one async for one in leaves]) == {"running": 7}
        assert kinds(await stays) == {"done": 5}
        assert (await wait).is_completed

    run(main)


def test_each_group_asks_by_its_own_policy() -> None:
    """A group that is in a hurry does not hurry the scans of another."""

    async def main() -> None:
        client = FakeScans(2, duration=1_000.0)
        eager = PollPolicy(shortest=5.0, longest=5.0)
        patient = PollPolicy(shortest=200.0, longest=200.0)
        await asyncio.gather(
            follow(client, ["h0.example"], polling=eager),
            follow(client, ["h1.example"], polling=patient),
        )

        assert client.asked["progress", "r-s0"] > 150
        assert client.asked["progress", "r-s1"] < 10

    run(main)


def test_a_group_that_was_left_frees_what_it_waited_for() -> None:
    """Two thousand waits, and nothing of them is left in the scheduler that lives on."""

    async def main() -> None:
        client = FakeScans(2_001, duration=1e6)
        wait = asyncio.create_task(client.polls.wait("r-s2000"))
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
            async with ScanGroup(client, max_active=2_000) as group:
                group.feed(hosts(2_000))
                await asyncio.sleep(100.0)
                assert len(client.polls) == 2_001
                raise ZeroDivisionError

        assert len(client.polls) == 1
        assert len(client.polls._timers) < 100  # noqa: SLF001 - memory is what is tested
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

    run(main)
