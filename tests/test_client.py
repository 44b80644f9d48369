"""Opening, sharing and closing a client."""

import asyncio
import subprocess
import sys
import threading

import aiohttp
import pytest

from bestdefense_async import BestDefense, ClientClosed, ConfigError, RetryPolicy, WrongLoop
from bestdefense_async.sandbox import Sandbox
from tests.support.waiting import until


async def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor's variable names."""
    async with Sandbox(sites=2) as sandbox:
        monkeypatch.setenv("BD_API_TOKEN", sandbox.token)
        monkeypatch.setenv("BD_BASE_URL", sandbox.url + "/")
        async with BestDefense() as bd:
            assert bd.base_url == sandbox.url
            assert len(await bd.sites.list()) == 2


async def test_a_client_without_a_token_serves_its_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own calls end with one sentence that says which variable to set; nothing is sent."""
    monkeypatch.delenv("BD_API_TOKEN", raising=False)
    monkeypatch.delenv("BESTDEFENSE_API_KEY", raising=False)
    async with Sandbox(sites=2) as sandbox, BestDefense(base_url=sandbox.url) as bd:
        with pytest.raises(ConfigError, match="BD_API_TOKEN"):
            await bd.sites.list()
        assert not sandbox.ledger
        assert len(await bd.with_token(sandbox.token).sites.list()) == 2


async def test_views_share_the_pool_and_see_their_own_organization() -> None:
    """One client serves many tenants."""
    async with Sandbox(sites=2) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        other = bd.with_token(sandbox.add_token(organization="other"))
        mine, theirs = await asyncio.gather(bd.sites.list(), other.sites.list())
        assert len(mine) == 2
        assert not {site.id for site in mine} & {site.id for site in theirs}


@pytest.mark.parametrize("turns", range(6))
async def test_closing_ends_what_is_under_way_and_may_be_repeated(turns: int) -> None:
    """Promptly, also twice at once with answers outstanding; afterwards calls are refused."""
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("sites.list", kind="hang")
        bd = BestDefense(sandbox.token, sandbox.url, retry=RetryPolicy(attempts=1))
        calls = [asyncio.ensure_future(bd.sites.list()) for _ in range(5)]
        await until(lambda: sandbox.count("sites.list") == len(calls))
        async with asyncio.timeout(10):
            first = asyncio.ensure_future(bd.aclose())
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.gather(first, bd.aclose())
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(answer) for answer in answers} == {ClientClosed}
        await bd.aclose()
        with pytest.raises(ClientClosed):
            await bd.sites.list()


def test_use_on_another_loop_is_a_typed_error() -> None:
    """A client belongs to the loop that used it first."""

    async def first() -> tuple[BestDefense, Sandbox]:
        sandbox = Sandbox(sites=1)
        await sandbox.__aenter__()
        bd = BestDefense(sandbox.token, sandbox.url)
        await bd.sites.list()
        return bd, sandbox

    async def second(bd: BestDefense) -> None:
        with pytest.raises(WrongLoop):
            await bd.sites.list()
        with pytest.raises(WrongLoop):
            await bd.token_key()

    async def last(bd: BestDefense, sandbox: Sandbox) -> None:
        await bd.aclose()
        await sandbox.__aexit__(None, None, None)

    with asyncio.Runner() as runner:
        bd, sandbox = runner.run(first())
        thread = threading.Thread(target=lambda: asyncio.run(second(bd)))
        thread.start()
        thread.join()
        runner.run(last(bd, sandbox))


FORKS = """
import asyncio, os
from bestdefense_async import BestDefense, WrongLoop
from bestdefense_async.sandbox import Sandbox
from tests.support.waiting import until

async def child(bd):
    try:
        await bd.sites.list()
    except WrongLoop as error:
        print(error, flush=True)

async def parent():
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        await bd.sites.list()
        pid = os.fork()
        if pid == 0:
            asyncio._set_running_loop(None)
            asyncio.run(child(bd))
            os._exit(0)
        os.waitpid(pid, 0)
        assert len(await bd.sites.list()) == 1

asyncio.run(parent())
"""


def test_use_after_a_fork_is_a_typed_error() -> None:
    """Two processes on one connection would read each other's answers."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert "fork" in ended.stdout


async def test_a_borrowed_session_is_neither_closed_nor_changed() -> None:
    """Its owner goes on using it."""
    async with Sandbox(sites=1) as sandbox, aiohttp.ClientSession() as session:
        async with BestDefense(sandbox.token, sandbox.url, session=session) as bd:
            await bd.sites.list()
        assert not session.closed
        assert "Authorization" not in session.headers
        async with session.get(sandbox.url + "/api/sites") as response:
            assert response.status == 401


@pytest.mark.slow(timeout=300)
async def test_calls_cancelled_at_random_leave_the_client_as_new() -> None:
    """10,000 calls, most of them cancelled after some turns of the loop."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, max_in_flight=20) as bd,
    ):
        tasks = []
        for number in range(10_000):
            tasks.append(asyncio.ensure_future(bd.sites.list()))
            for _ in range(number * 7919 % 5):
                await asyncio.sleep(0)
            if number >= 30:
                tasks[number - number * 104_729 % 30].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(bd.sites.list() for _ in range(40)))
        assert all(len(sites) == 1 for sites in answers)
