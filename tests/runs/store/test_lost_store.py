"""A store that goes away, or is lost to another owner, while creations are on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import JournalError, JournalLost, RateLimited
from bestdefense_async.runs import ScanGroup, Target
from tests.support.fake_scans import FakeScans, hosts, kinds
from tests.support.stores import (
    begin,
    claim,
    create,
    done,
    followed,
    statuses,
    take,
)
from tests.support.waiting import until

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.store.protocol import Store

FAST = PollPolicy(speed=600.0)


class SlowScans(FakeScans):
    """Answers creations when it is told to, one by one."""

    def __init__(self, sites: int, **options: Any) -> None:
        super().__init__(sites, **options)
        self.sent = asyncio.Semaphore(0)
        self.answers = asyncio.Semaphore(0)

    async def _ask(self, operation: str, subject: str) -> None:
        if operation == "create":
            self.sent.release()
            await self.answers.acquire()
        await super()._ask(operation, subject)


async def _ended(group: ScanGroup) -> list[Outcome]:
    return [outcome async for outcome in group]


async def test_an_answer_that_comes_after_the_run_was_lost_is_recorded_and_followed(
    store: Store, backend: Any
) -> None:
    """The group stops at once, but for the creation that was sent; the new owner follows it."""
    client = SlowScans(3, duration=0.0)
    other: Store = backend.open()
    run = await create(store, plan=map(Target, hosts(3)))
    async with ScanGroup(client, journal=run.journal, max_starting=2, polling=FAST) as group:
        group.feed(await run.record.remaining())
        await client.sent.acquire()
        await client.sent.acquire()
        backend.give_up(store)
        taken = await take(other)
        assert set((await statuses(other)).values()) == {"unknown", "not_started"}

        client.answers.release()  # of the first one, after which the third cannot be claimed
        outcomes = asyncio.create_task(_ended(group))
        await until(lambda: group.refusal is not None)
        client.answers.release()
        ended = await outcomes

    assert isinstance(group.refusal, JournalLost)
    assert kinds(ended) == {"running": 2, "not_started": 1}
    assert {each.report_id for each in ended} == {"r-s0", "r-s1", None}
    assert client.calls("create") == 2
    assert sorted(followed(await taken.record.remaining())) == [0, 1]
    await other.aclose()


async def test_a_late_answer_is_followed_although_another_input_names_its_site(
    store: Store, backend: Any
) -> None:
    """The other input was told whose duplicate it is, and is not taken for the first one later."""
    client = FakeScans(2, duration=0.0)
    other: Store = backend.open()
    run = await create(store, plan=map(Target, [*hosts(2), "H0.example."]))
    await claim(run.journal, 0)
    client.created["s0"] = 0.0
    backend.give_up(store)
    taken = await take(other)
    async with ScanGroup(client, journal=taken.journal, polling=FAST) as group:
        group.feed(await taken.record.remaining())
        ended = await _ended(group)
        await run.journal.created(0, report_id="r-s0")

    assert {each.index: str(each.status) for each in ended} == {1: "done", 2: "not_started"}
    assert [each.index async for each in group] == [0]
    assert await statuses(other) == {0: "done", 1: "done"}
    await other.aclose()


async def test_what_is_answered_while_the_store_is_away_is_recorded_when_it_is_back(
    store: Store, backend: Any
) -> None:
    """Nothing more is started, what was sent is followed to its end, and its end is written."""
    client = SlowScans(3, duration=0.2)
    run = await create(store, plan=map(Target, hosts(3)))
    async with ScanGroup(client, journal=run.journal, max_starting=2, polling=FAST) as group:
        group.feed(await run.record.remaining())
        await client.sent.acquire()
        await client.sent.acquire()
        with backend.away():
            client.answers.release()
            client.answers.release()
            await until(lambda: group.refusal is not None)
        ended = await _ended(group)
    await run.journal.aclose()

    assert kinds(ended) == {"done": 2, "not_started": 1}
    assert await statuses(store) == {0: "done", 1: "done", 2: "not_started"}


async def test_a_store_that_stays_away_has_its_scans_named(store: Store, backend: Any) -> None:
    """On the stream and in the error: whoever starts such a site again would pay twice."""
    client = SlowScans(3, duration=0.0)
    run = await create(store, plan=map(Target, hosts(3)))
    async with ScanGroup(client, journal=run.journal, max_starting=1, polling=FAST) as group:
        group.feed(await run.record.remaining())
        await client.sent.acquire()
        with backend.away():
            client.answers.release()
            ended = await _ended(group)
            with pytest.raises(JournalError, match="started again: report r-s0 of target 0"):
                await run.journal.aclose()

    assert kinds(ended) == {"done": 1, "not_started": 2}
    assert client.calls("create") == 1


async def test_an_answer_is_recorded_although_nobody_waits_for_it_any_more(
    store: Store, backend: Any
) -> None:
    """The store was away when it came, and the group was gone when the store was back."""
    run = await create(store)
    await claim(run.journal, 0)
    with backend.away():
        with pytest.raises(JournalError):
            await run.journal.created(0, report_id="r0")
        assert not (await claim(run.journal, 0)).is_ours
    await run.journal.aclose()

    assert await statuses(store) == {0: "running"}
    assert followed(await (await take(store)).record.remaining()) == [0]


async def test_what_was_certainly_not_sent_is_not_unknown_because_the_store_was_away(
    store: Store, backend: Any
) -> None:
    """Neither a claim that was given back, nor one that was refused, nor one that failed."""
    run = await create(store, plan=map(Target, hosts(4)))
    for index in range(3):
        await claim(run.journal, index)
    with backend.away():
        for work in (
            run.journal.give_back(0),
            run.journal.give_back(1),
            run.journal.refused(2, error=RateLimited("Slow down.", status=429)),
            claim(run.journal, 3),
        ):
            with pytest.raises(JournalError):
                await work

    await begin(run.journal, 0)
    await run.journal.finished(done(0))
    assert await statuses(store) == {0: "done"} | dict.fromkeys(range(1, 4), "not_started")
    for index in range(1, 4):
        await begin(run.journal, index)
    await run.journal.aclose()
    assert await statuses(store) == {0: "done"} | dict.fromkeys(range(1, 4), "running")
