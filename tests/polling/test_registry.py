"""One scheduler per token, and what all of them share: with the real client on a real server."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from bestdefense_async import AuthError, BestDefense, ClientClosed, Limit
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.sandbox import Sandbox
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

SOON = PollPolicy(shortest=0.02, remaining_shortest=0.02, longest=0.02)
SELDOM = PollPolicy(shortest=1e5, longest=1e5)


async def vault() -> str:
    """Return a token."""
    return "fetched"


@attrs.define
class Vault:
    """A callable that is compared by value, so that it has no hash."""

    token: str

    async def __call__(self) -> str:
        """Return the token."""
        return self.token


async def test_the_same_token_has_the_same_scheduler(tmp_path: Path) -> None:
    """By its text, or by the source it comes from."""
    path = tmp_path / "token"
    async with BestDefense("t", "http://127.0.0.1:9") as bd:
        sources: list[Any] = ["t", "u", path, vault, Vault("t")]
        views = [bd.with_token(source) for source in sources]
        again = [bd.with_token(source) for source in sources]

        assert [a.polls is b.polls for a, b in zip(views, again, strict=True)] == [True] * 5
        held = [view.polls for view in views]
        assert len(set(map(id, held))) == 5
        assert bd.polls is held[0]


def test_a_client_can_be_made_before_there_is_a_loop() -> None:
    """Only who waits needs one."""
    bd = BestDefense("t", "http://127.0.0.1:9")
    with pytest.raises(RuntimeError):
        _ = bd.polls
    asyncio.run(bd.aclose())


async def test_schedulers_that_nobody_waits_with_are_forgotten() -> None:
    """A service may see any number of tokens in its life."""
    async with BestDefense("t", "http://127.0.0.1:9") as bd:
        waiting = asyncio.create_task(bd.reports.wait("r"))
        await asyncio.sleep(0)
        for number in range(100):
            assert len(bd.with_token(f"t{number}").polls) == 0
        gc.collect()

        assert len(bd.stats().tenants) == 1
        assert len(bd.polls) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_wait_goes_on_when_its_view_is_dropped() -> None:
    """What is waited for holds the tenant, and another view of the token finds it."""
    async with Sandbox(sites=1, speed=0.001) as sandbox:
        token = sandbox.add_token()
        async with BestDefense(sandbox.token, sandbox.url) as bd:
            report = await bd.reports.create(sandbox.site_ids[0])
            waiting = asyncio.create_task(bd.with_token(token).reports.wait(report.id))
            await asyncio.sleep(0)
            gc.collect()

            assert len(bd.with_token(token).polls) == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


async def test_all_who_wait_for_a_report_with_one_token_share_its_polls() -> None:
    """Fifty waits through fifty views and a group cost the polls of one."""
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        report = await bd.reports.create(sandbox.site_ids[0])
        waits = [
            asyncio.create_task(bd.with_token(sandbox.token).reports.wait(report.id, policy=SOON))
            for _ in range(50)
        ]
        await until(lambda: sandbox.count("reports.progress") >= 2)
        polls = sandbox.count("reports.progress")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

        assert polls <= 20
        assert len(bd.polls) == 0


async def test_closing_the_client_ends_every_wait() -> None:
    """Those between two polls, those under way and those that come later; no task is left."""
    async with Sandbox(sites=3, speed=0.001) as sandbox:
        bd = BestDefense(sandbox.token, sandbox.url)
        other = bd.with_token(sandbox.add_token())
        reports = [await bd.reports.create(site) for site in sandbox.site_ids]
        sandbox.fault("reports.progress", kind="hang")
        waits = [
            asyncio.create_task(view.reports.wait(report.id, policy=policy))
            for view in (bd, other)
            for report, policy in zip(reports, (SOON, SOON, SELDOM), strict=True)
        ]
        await until(lambda: sandbox.count("reports.progress") >= 4)
        async with asyncio.timeout(10):
            await asyncio.gather(bd.aclose(), bd.aclose())
            ended = await asyncio.gather(*waits, return_exceptions=True)

        assert {type(error) for error in ended} == {ClientClosed}
        with pytest.raises(ClientClosed):
            await bd.reports.wait(reports[0].id)


async def test_a_dead_token_ends_its_own_waits_and_no_others() -> None:
    """Each names its report; another token goes on."""
    async with Sandbox(sites=3, speed=0.001) as sandbox:
        token = sandbox.add_token()
        async with BestDefense(sandbox.token, sandbox.url) as bd:
            dead = bd.with_token(token)
            reports = [await bd.reports.create(site) for site in sandbox.site_ids]
            goes_on = asyncio.create_task(bd.reports.wait(reports[0].id, policy=SOON))
            waits = [asyncio.create_task(dead.reports.wait(one.id)) for one in reports[1:]]
            waits.append(asyncio.create_task(dead.reports.wait(reports[0].id, policy=SOON)))
            await until(lambda: sandbox.count("reports.progress") >= 2)
            sandbox.revoke(token)
            async with asyncio.timeout(20):
                ended: list[Any] = await asyncio.gather(*waits, return_exceptions=True)

            assert {type(error) for error in ended} == {AuthError}
            assert {error.report_id for error in ended} == {report.id for report in reports}
            assert not goes_on.done()
            goes_on.cancel()
            await asyncio.gather(goes_on, return_exceptions=True)


async def test_polls_of_many_tokens_leave_room_for_creations() -> None:
    """Every poll hangs, on three tokens; a creation still finds a connection at once."""
    async with (
        Sandbox(sites=40, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=6) as bd,
    ):
        reports = [await bd.reports.create(site) for site in sandbox.site_ids[:10]]
        sandbox.fault("reports.progress", kind="hang")
        views = [bd, *(bd.with_token(sandbox.add_token()) for _ in range(2))]
        waits = [
            asyncio.create_task(view.reports.wait(report.id, policy=SOON))
            for view in views
            for report in reports
        ]
        await until(lambda: sandbox.count("reports.progress") >= 4)
        await asyncio.sleep(0.1)  # any more would come now
        assert sandbox.count("reports.progress") == 4
        async with asyncio.timeout(20):
            for site in sandbox.site_ids[10:]:
                await bd.reports.create(site)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_polls_that_cannot_be_sent_keep_no_other_tokens_polls_waiting() -> None:
    """One token's polls wait for the end of a pause, more than there are slots."""
    async with (
        Sandbox(sites=30, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=6) as bd,
    ):
        paused = bd.with_token(sandbox.add_token(), name="paused")
        reports = [await bd.reports.create(site) for site in sandbox.site_ids]
        late = {"Retry-After": "60"}
        sandbox.fault("reports.progress", site=sandbox.site_ids[0], status=429, headers=late)
        waits = [asyncio.create_task(paused.reports.wait(reports[0].id, policy=SOON))]
        while not sandbox.count("reports.progress"):  # noqa: ASYNC110  # has no event
            await asyncio.sleep(0.01)
        waits += [asyncio.create_task(paused.reports.wait(one.id, policy=SOON)) for one in reports]
        await asyncio.sleep(0.2)
        polls = sandbox.count("reports.progress")
        waits.append(asyncio.create_task(bd.reports.wait(reports[1].id, policy=SOON)))
        await until(lambda: sandbox.count("reports.progress") - polls >= 5)

        assert polls == 1
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.parametrize(("in_flight", "polls"), [(1, 1), (2, 1), (3, 2), (60, 40), (300, 200)])
async def test_polls_take_two_thirds_of_the_slots_at_most(in_flight: int, polls: int) -> None:
    """However many slots there are: no constant of ours bounds a large client."""
    async with (
        Sandbox(sites=1, speed=0.001) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=in_flight) as bd,
    ):
        sandbox.fault("reports.progress", kind="hang")
        at_once = PollPolicy(shortest=1e-9)
        waits = [
            asyncio.create_task(bd.reports.wait(f"report-{number}", policy=at_once))
            for number in range(250)
        ]
        await until(lambda: sandbox.count("reports.progress") >= polls)
        stats = bd.stats()

        assert stats.in_flight == polls
        assert stats.tenants[0].polls["reports"].under_way == polls
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_a_limit_of_progress_is_the_budget_of_all_who_wait() -> None:
    """Polls are spread evenly below it, and so never meet the limit's own queue."""
    async with Sandbox(sites=20, speed=0.001) as sandbox:
        limits = {"reports.progress": Limit(20, per=1.0)}
        waited: list[str] = []
        async with BestDefense(
            sandbox.token,
            sandbox.url,
            limits=limits,
            hooks=[lambda event: waited.append(event.kind)],
        ) as bd:
            reports = [await bd.reports.create(site) for site in sandbox.site_ids]
            waits = [asyncio.create_task(bd.reports.wait(one.id, policy=SOON)) for one in reports]
            begun = asyncio.get_running_loop().time()
            await until(lambda: sandbox.count("reports.progress") >= 10)
            polls = sandbox.count("reports.progress")
            took = asyncio.get_running_loop().time() - begun
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

        assert polls <= 20 * took + 3
        assert "wait" not in waited
