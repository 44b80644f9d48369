"""The scan group with the real client against the real sandbox."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense, RetryPolicy
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import AuthError, PermissionDenied
from bestdefense_async.models import Outcome, ScanEvent, ScanStarted
from bestdefense_async.runs import ScanGroup
from bestdefense_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SPEED = 1_200.0
POLLING = PollPolicy(speed=SPEED)


def client_of(sandbox: Sandbox) -> BestDefense:
    """Return a client that does not try long."""
    return BestDefense(sandbox.token, sandbox.url, retry=RetryPolicy(attempts=3, base=0.01))


async def test_two_hundred_sites_are_scanned_each_once() -> None:
    """By host name, by URL and by id, each with a verdict; the duplicates are recognised."""
    async with Sandbox(sites=200, speed=SPEED) as sandbox, client_of(sandbox) as client:
        names, ids = sandbox.hostnames, sandbox.site_ids
        targets = [*names[:100], *(f"https://{name}/" for name in names[100:150]), *ids[150:]]
        async with ScanGroup(client, polling=POLLING) as group:
            group.feed([*targets, *ids[:10]])
            outcomes = [outcome async for outcome in group]

        assert Counter(str(outcome.status) for outcome in outcomes) == {
            "done": 200,
            "not_started": 10,
        }
        assert sorted(outcome.index for outcome in outcomes) == list(range(210))
        assert all(one.status == "done" and one.risk for one in outcomes if one.index < 200)
        assert any(one.status == "done" and one.findings for one in outcomes)
        assert sandbox.scans_per_site() == dict.fromkeys(ids, 1)
        assert sandbox.count("reports.create") == 200
        assert sandbox.count("sites.list") == 1


async def test_a_server_that_dies_leaves_an_outcome_for_every_target() -> None:
    """What was created keeps its id, the rest was not started or is unknown; nothing hangs."""
    server = Sandbox(sites=60, speed=SPEED)
    async with server as sandbox, client_of(sandbox) as client:
        for name in sandbox.hostnames[5:]:
            sandbox.script(name, duration=float("inf"))
        outcomes: list[Outcome] = []
        async with ScanGroup(client, polling=POLLING, max_active=20) as group:
            group.feed(sandbox.hostnames)
            async for outcome in group:
                outcomes.append(outcome)
                if len(outcomes) == 5:
                    await server.__aexit__(None, None, None)

        assert sorted(outcome.index for outcome in outcomes) == list(range(60))
        statuses = Counter(str(outcome.status) for outcome in outcomes)
        assert statuses["done"] <= 6
        assert statuses["running"] >= 10
        assert statuses["not_started"] >= 30
        assert all(one.report_id for one in outcomes if one.status == "running")


async def test_a_token_that_is_revoked_in_mid_run_ends_it_with_every_id_kept() -> None:
    """The rest is not started, and each outcome says why."""
    async with Sandbox(sites=60, speed=SPEED) as sandbox, client_of(sandbox) as client:
        for name in sandbox.hostnames[5:]:
            sandbox.script(name, duration=float("inf"))
        outcomes: list[Outcome] = []
        async with ScanGroup(client, polling=POLLING, max_active=20) as group:
            group.feed(sandbox.hostnames)
            async for outcome in group:
                outcomes.append(outcome)
                if len(outcomes) == 5:
                    sandbox.revoke(sandbox.token)

        left = [one for one in outcomes if one.status == "running"]
        errors = {type(one.error) for one in outcomes if one.error is not None}
        assert len(outcomes) == 60
        assert len(left) >= 15
        assert all(one.report_id for one in left)
        assert errors == {AuthError}


async def test_faults_of_the_server_never_make_a_second_scan() -> None:
    """After lost answers, resets and 503s a site has one scan at most, and an outcome."""
    async with Sandbox(sites=40, speed=SPEED, visible_after=0.05) as sandbox:
        sandbox.fault("reports.create", kind="reset", after_effect=True, probability=0.2)
        sandbox.fault("reports.create", status=503, probability=0.2)
        sandbox.fault("reports.create", status=403, site=sandbox.hostnames[7])
        sandbox.fault("reports.progress", status=500, probability=0.2)
        sandbox.fault("reports.overview", status=404, probability=0.2)
        sandbox.script(sandbox.hostnames[3], backwards=True)
        async with client_of(sandbox) as client, ScanGroup(client, polling=POLLING) as group:
            group.feed(_slowly(sandbox.hostnames))
            outcomes = [outcome async for outcome in group]

        sandbox.assert_no_duplicates()
        assert sandbox.count("reports.create") == 40
        assert len(outcomes) == 40
        by_index = {one.index: one for one in outcomes}
        refused = by_index[7]
        if refused.status == "failed":
            assert isinstance(refused.error, PermissionDenied)
        scanned = sandbox.scans_per_site()
        for one in outcomes:
            assert one.status != "done" or scanned[one.site_id or ""] == 1
            assert one.status in {"done", "unknown"} or one.site_id not in scanned


async def _slowly(names: list[str]) -> AsyncIterator[str]:
    for name in names:
        await asyncio.sleep(0)
        yield name


async def test_cancelling_leaves_no_task_and_no_connection() -> None:
    """The house rules of the tests check what is left behind; it takes no time."""
    async with Sandbox(sites=50, speed=1.0) as sandbox, client_of(sandbox) as client:
        started: list[ScanEvent] = []
        has_begun = asyncio.Event()

        def on_event(event: ScanEvent) -> None:
            started.extend([event] if isinstance(event, ScanStarted) else [])
            if len(started) == 10:
                has_begun.set()

        group = ScanGroup(client, max_active=30, on_event=on_event)

        async def work() -> None:
            async with group:
                group.feed(sandbox.hostnames)
                async for _ in group:
                    pass

        task = asyncio.create_task(work())
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        outcomes = [outcome async for outcome in group]
        assert sorted(outcome.index for outcome in outcomes) == list(range(50))
        reports = [one.report_id for one in outcomes if one.status == "running"]
        assert all(reports)
        unknown = {one.site_id for one in outcomes if one.status == "unknown"}
        for site_id in sandbox.scans_per_site():
            status = next(one.status for one in outcomes if one.site_id == site_id)
            assert status == "running" or site_id in unknown
