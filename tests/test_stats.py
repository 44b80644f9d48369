"""An operator's three questions to a client: how many scans are in flight, who waits, and why."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import BestDefense, Limit, RetryPolicy
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.transport.observe import WaitReason
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from bestdefense_async.stats import ClientStats, TenantStats

SOON = PollPolicy(shortest=0.02, remaining_shortest=0.02, longest=0.02)
SELDOM = PollPolicy(shortest=1e5, longest=1e5)


@contextlib.asynccontextmanager
async def running(*calls: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Let calls run while the block lasts, and cancel those that have not ended then."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        await asyncio.sleep(0.05)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def of(stats: ClientStats, name: str) -> TenantStats:
    """Return what one tenant does."""
    return next(each for each in stats.tenants if each.name == name)


async def test_scans_in_flight_are_counted_by_what_is_waited_for() -> None:
    """Those that wait for their next poll, those whose poll is due, and polls under way."""
    async with (
        Sandbox(sites=4, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=2) as bd,
    ):
        view = bd.with_token(sandbox.add_token(), name="org-a")
        reports = [(await bd.reports.create(site)).id for site in sandbox.site_ids]
        sandbox.fault("reports.progress", kind="hang")
        waits = [view.reports.wait(one, policy=SOON) for one in reports[:3]]
        async with running(*waits, view.reports.wait(reports[3], policy=SELDOM)):
            await until(lambda: sandbox.count("reports.progress") == 1)
            await until(lambda: of(bd.stats(), "org-a").polls["reports"].due == 2)
            await asyncio.sleep(0.2)
            stats = bd.stats()
        polls = of(stats, "org-a").polls["reports"]

        assert (polls.waiting, polls.due, polls.under_way) == (4, 2, 1)
        assert 0.15 <= polls.unasked <= 5.0
        assert (stats.in_flight, of(stats, "org-a").in_flight) == (1, 1)
        assert of(bd.stats(), "org-a").polls["reports"].waiting == 0


async def test_who_waits_for_a_slot_and_since_when() -> None:
    """One has both slots, another waits for one; the pace is none."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=2) as bd,
    ):
        sandbox.fault("sites.list", kind="hang")
        views = [bd.with_token(sandbox.add_token(), name=name) for name in ("busy", "calm")]
        calls = [view.sites.list() for view in views for _ in range(3)]
        async with running(*calls):
            await until(lambda: bd.stats().in_flight == 2 and bd.stats().waiting_for_slot == 4)
            await asyncio.sleep(0.1)
            stats = bd.stats()

    assert (stats.slots, stats.in_flight, stats.waiting_for_slot) == (2, 2, 4)
    assert stats.requests_per_second is None
    busy, calm = of(stats, "busy"), of(stats, "calm")
    assert (busy.calls, busy.in_flight, busy.waiting_for_slot) == (3, 2, 1)
    assert (calm.calls, calm.in_flight, calm.waiting_for_slot) == (3, 0, 3)
    assert 0.1 <= calm.oldest_for_slot <= 5.0
    assert of(stats, "tenant-1").oldest_for_slot == 0.0


async def test_who_waits_for_the_pace() -> None:
    """Slots are free, and calls wait for their turn at one request per second."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, requests_per_second=0.5) as bd,
        running(*(bd.sites.list() for _ in range(4))),
    ):
        await until(lambda: sandbox.count("sites.list") == 1)
        stats = bd.stats()

    assert stats.requests_per_second == 0.5
    assert stats.in_flight < stats.slots
    assert stats.waiting_for_slot == of(stats, "tenant-1").waiting_for_slot == 3


async def test_who_waits_for_a_limit_a_pause_and_an_unknown_history() -> None:
    """By operation: how many, since when, when the next may leave, and why."""
    limits = {"sites.list": Limit(1, per=60.0), "agents.manifest": Limit(20, per=3_600.0)}
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, limits=limits) as bd,
    ):
        await bd.sites.list()
        report = await bd.reports.create(sandbox.site_ids[0])
        late = {"Retry-After": "30"}
        sandbox.fault("reports.progress", status=429, headers=late)
        sandbox.fault("agents.manifest", kind="hang")
        calls = [call() for call in (bd.sites.list, bd.agents.manifest) for _ in range(9)]
        async with running(*calls, *(bd.reports.progress(report) for _ in range(3))):
            await until(lambda: len(of(bd.stats(), "tenant-1").limits) == 3)
            await until(lambda: of(bd.stats(), "tenant-1").limits["reports.progress"].waiting == 3)
            await asyncio.sleep(0.1)
            limit = of(bd.stats(), "tenant-1").limits
        after = of(bd.stats(), "tenant-1")

    assert {name: each.reason for name, each in limit.items()} == {
        "sites.list": WaitReason.LIMIT,
        "reports.progress": WaitReason.PAUSE,
        "agents.manifest": WaitReason.HISTORY,
    }
    assert limit["sites.list"].waiting == 9
    assert limit["reports.progress"].waiting == 3
    opens = {name: each.opens_in for name, each in limit.items()}
    assert opens["sites.list"] == pytest.approx(60.0, abs=5.0)
    assert opens["reports.progress"] == pytest.approx(30.0, abs=5.0)
    assert opens["agents.manifest"] is None
    assert all(each.oldest >= 0.1 for each in limit.values())
    assert (after.limits, after.calls) == ({}, 0)


async def test_calls_before_their_next_try_are_those_that_are_left() -> None:
    """Neither in flight nor waiting for a slot or a limit; the retry they pause for is paid."""
    slow = RetryPolicy(base=30.0, longest_backoff=30.0)
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, retry=slow) as bd,
    ):
        sandbox.fault("sites.list", status=503)
        async with running(*(bd.sites.list() for _ in range(5))):
            await until(lambda: sandbox.count("sites.list") >= 5)
            await until(lambda: of(bd.stats(), "tenant-1").in_flight == 0)
            (tenant,) = bd.stats().tenants

    assert (tenant.calls, tenant.in_flight, tenant.waiting_for_slot, tenant.limits) == (5, 0, 0, {})
    assert tenant.retry_units == 500.0 - 5 * 14.0


async def test_a_new_connection_is_waited_for() -> None:
    """The first calls of a client find none that is open."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        calls = [asyncio.create_task(bd.sites.list()) for _ in range(5)]
        seen = 0
        while not all(call.done() for call in calls):
            await asyncio.sleep(0)
            seen = max(seen, bd.stats().connecting)
        await asyncio.gather(*calls)

    assert seen >= 1
    assert bd.stats().connecting == 0


async def test_the_cost_does_not_grow_with_those_who_wait() -> None:
    """Twenty thousand calls wait for a limit and a slot, and as many for scans."""
    limits = {"sites.list": Limit(1, per=3_600.0)}
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, limits=limits, max_in_flight=1) as bd,
    ):
        await bd.sites.list()
        sandbox.fault("vortex.alerts", kind="hang")
        waits = [bd.sites.list() for _ in range(10_000)]
        slots = [bd.vortex.alerts(1) for _ in range(10_000)]
        scans = [bd.reports.wait(f"r-{number}", policy=SOON) for number in range(20_000)]
        async with running(*waits, *slots, *scans):
            await asyncio.sleep(0.5)
            tasks = [bd.stats() for _ in range(3)]
            began = time.perf_counter()
            for _ in range(100):
                bd.stats()
            spent = (time.perf_counter() - began) / 100
        (tenant,) = tasks[0].tenants

        assert tenant.limits["sites.list"].waiting == 10_000
        assert tenant.waiting_for_slot >= 9_999
        assert tenant.polls["reports"].waiting == 20_000
        assert tenant.polls["reports"].due >= 19_000
        assert spent < 0.001
