"""Limits in a database: several processes with one token are never refused, and stop together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

psycopg = pytest.importorskip("psycopg")

from bestdefense_async import BestDefense, Limit  # noqa: E402
from bestdefense_async.distributed import limits as shared  # noqa: E402
from bestdefense_async.distributed.limits import PostgresLimits  # noqa: E402
from bestdefense_async.sandbox import Sandbox  # noqa: E402
from tests.support.callers import OPERATION, Callers  # noqa: E402
from tests.support.waiting import until  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bestdefense_async.sandbox.world.limits import Policy

POLICIES: tuple[Policy, ...] = ("fixed", "clock", "sliding-log", "weighted", "bucket")


@contextlib.asynccontextmanager
async def client_of(sandbox: Sandbox, database: str, limit: Limit) -> AsyncIterator[BestDefense]:
    """Give a client as another process has it: only the database is shared."""
    async with (
        PostgresLimits(database) as limits,
        BestDefense(
            sandbox.token, sandbox.url, limits={OPERATION: limit}, shared_limits=limits
        ) as client,
    ):
        yield client


async def calls(
    sandbox: Sandbox, database: str, limit: Limit, *, processes: int, each: int
) -> None:
    """Let several clients make calls as fast as they may."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client_of(sandbox, database, limit))
            for _ in range(processes)
        ]
        await asyncio.gather(*(client.agents.manifest() for client in clients for _ in range(each)))


@pytest.mark.parametrize("policy", POLICIES)
async def test_four_processes_share_a_limit_without_a_refusal(
    database: str, policy: Policy
) -> None:
    """Whatever policy the server counts by."""
    limit = Limit(20, per=1.0)
    async with Sandbox(sites=1, limits={OPERATION: (20, 1.0)}, policy=policy) as sandbox:
        await calls(sandbox, database, limit, processes=4, each=10)
        statuses = [each.status for each in sandbox.ledger]

    assert statuses == [200] * 40


@pytest.mark.slow(timeout=120)
@pytest.mark.parametrize("where", ["database", "file"])
async def test_a_process_that_is_killed_or_has_a_wrong_clock_spends_nothing_twice(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What it had in hand counts as spent; in a database the moments are the server's."""
    place = str(tmp_path) if where == "file" else request.getfixturevalue("database")
    async with Sandbox(sites=1, limits={OPERATION: (30, 2.0)}, policy="weighted") as sandbox:
        with Callers(sandbox, (30, 2.0), place, at_once=4) as callers:
            await asyncio.gather(
                callers.start(), callers.start(clock_ahead=600.0 if where == "database" else 0.0)
            )
            killed = await callers.start()
            callers.go()
            await until(lambda: sandbox.count(OPERATION) >= 45)
            killed.kill()
            known = sandbox.count(OPERATION)
            await until(lambda: sandbox.count(OPERATION) >= known + 45)
        statuses = {each.status for each in sandbox.ledger}

    assert statuses <= {200, None}  # of those that were killed, nobody waited for the answer


class LateLimits(PostgresLimits):
    """Limits of a process that is so busy that it sees what the database says late."""

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Give a connection whose answers wait for a third of a second."""
        async with super().transaction() as connection:
            yield self
            self.connection = connection

    async def execute(self, *statement: Any) -> Any:
        """Carry it out, and do something else before the answer is looked at."""
        assert self._connection is not None
        cursor = await self._connection.execute(*statement)
        time.sleep(0.3)  # noqa: ASYNC251 - it is what happens to a busy loop
        return cursor


async def test_a_busy_process_tells_its_calls_no_earlier_than_they_were(database: str) -> None:
    """It cannot know how old the database's moment is when it sees it, and assumes the worst."""
    limit = Limit(5, per=1.5)
    async with Sandbox(sites=1, limits={OPERATION: (5, 1.5)}, policy="sliding-log") as sandbox:
        async with (
            LateLimits(database) as late,
            BestDefense(
                sandbox.token, sandbox.url, limits={OPERATION: limit}, shared_limits=late
            ) as busy,
            client_of(sandbox, database, limit) as other,
        ):
            await asyncio.gather(*(busy.agents.manifest() for _ in range(5)))
            await asyncio.gather(*(other.agents.manifest() for _ in range(5)))
        statuses = [each.status for each in sandbox.ledger]

    assert statuses == [200] * 10


async def test_a_process_that_comes_later_knows_what_was_spent(database: str) -> None:
    """Also of one that was closed: the next one waits."""
    limit = Limit(3, per=600.0)
    async with Sandbox(sites=1, limits={OPERATION: (3, 600.0)}) as sandbox:
        await calls(sandbox, database, limit, processes=1, each=3)
        async with client_of(sandbox, database, limit) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.agents.manifest()
        assert sandbox.count(OPERATION) == 3


async def test_a_refusal_anywhere_pauses_everywhere(database: str) -> None:
    """The server counts otherwise than we do: one process is told, the others do not ask."""
    limit = Limit(50, per=60.0)
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault(OPERATION, status=429, headers={"Retry-After": "30"}, times=1)
        async with (
            client_of(sandbox, database, limit) as one,
            client_of(sandbox, database, limit) as other,
        ):
            for client in (one, other):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await client.agents.manifest()
        assert sandbox.count(OPERATION) == 1


async def test_calls_go_on_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each process keeps the limit by what it knows itself, and says so once."""
    monkeypatch.setattr(shared, "PATIENCE", 0.3)
    away = "postgresql://me:p4ss-w0rd@127.0.0.1:1/x"
    async with Sandbox(sites=1) as sandbox:
        async with client_of(sandbox, away, Limit(50, per=60.0)) as client:
            await client.agents.manifest()
            await client.agents.manifest()
        assert sandbox.count(OPERATION) == 2

    said = [each.getMessage() for each in caplog.records if "cannot be shared" in each.getMessage()]
    assert len(said) == 1
    assert "p4ss-w0rd" not in caplog.text


async def test_what_cannot_be_read_of_a_row_is_begun_anew(database: str) -> None:
    """Somebody else may have written it."""
    limit = Limit(5, per=60.0)
    async with Sandbox(sites=1) as sandbox:
        await calls(sandbox, database, limit, processes=1, each=1)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE bestdefense.rate SET content = '[]'")
        await calls(sandbox, database, limit, processes=1, each=2)
        assert sandbox.count(OPERATION) == 3
