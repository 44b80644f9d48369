"""What a call does about a 429 of a real server: it believes what the server asks."""

import asyncio
from typing import Any

import pytest

from bestdefense_async import BestDefense, LimitWaitTooLong, RateLimited, RetryPolicy
from bestdefense_async.sandbox import Sandbox

PATIENT = RetryPolicy(attempts=9)
ASKS: Any = {"status": 429, "headers": {"Retry-After": "1"}}


@pytest.mark.looptime
async def test_a_server_that_keeps_asking_for_a_second_is_believed(bd_sandbox: Sandbox) -> None:
    """Eight times in a row, each waited for 1 to 2 s, for a hint is floored."""
    bd_sandbox.fault("sites.list", times=8, **ASKS)
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, retry=PATIENT) as bd:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await bd.sites.list()
        took = loop.time() - started

    assert bd_sandbox.count("sites.list") == 9
    assert 8 * 1.0 <= took <= 8 * 2.1


@pytest.mark.looptime
async def test_an_error_tells_the_words_of_the_server(bd_sandbox: Sandbox) -> None:
    """`retry_after` is what it asked for, not what we make of it."""
    bd_sandbox.fault("sites.list", **ASKS)
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, retry=RetryPolicy(attempts=1)) as bd:
        with pytest.raises(RateLimited) as caught:
            await bd.sites.list()

    assert caught.value.retry_after == 1.0


@pytest.mark.looptime
@pytest.mark.parametrize(("timeout", "requests"), [(1.5, 1), (2.5, 2)])
async def test_a_call_ends_at_once_when_the_pause_outlasts_it(
    bd_sandbox: Sandbox, timeout: float, requests: int
) -> None:
    """The pause that is kept is a second longer than the hint, and that one counts."""
    bd_sandbox.fault("sites.list", times=1, **ASKS)
    async with BestDefense(bd_sandbox.token, bd_sandbox.url, retry=PATIENT) as bd:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if requests == 1:
            with pytest.raises(RateLimited) as caught:
                await bd.sites.list(timeout=timeout)
            assert caught.value.retry_after == 1.0
            assert loop.time() - started < 0.5
        else:
            await bd.sites.list(timeout=timeout)
            assert loop.time() - started == pytest.approx(2.0, abs=0.2)

    assert bd_sandbox.count("sites.list") == requests


@pytest.mark.looptime
async def test_a_wait_for_a_scan_is_not_parked_by_one_refused_poll(bd_sandbox: Sandbox) -> None:
    """A pause of days is for the patience of who waits; the scan goes on at the server."""
    async with BestDefense(bd_sandbox.token, bd_sandbox.url) as bd:
        report = await bd.reports.create(bd_sandbox.site_ids[0])
        asks = {"Retry-After": "999999"}
        bd_sandbox.fault("reports.progress", status=429, times=1, headers=asks)
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(LimitWaitTooLong):
            await bd.reports.wait(report)
        took = loop.time() - started

    assert 300.0 < took < 400.0
    assert bd_sandbox.count("reports.progress") == 1
