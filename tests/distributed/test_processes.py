"""Real workers, killed, stopped and cut off: every scan is started once, and none is lost."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

psycopg = pytest.importorskip("psycopg")

from bestdefense_async.distributed.store import PostgresStore  # noqa: E402
from bestdefense_async.sandbox import Sandbox  # noqa: E402
from tests.support.postgres import new_database, own_server  # noqa: E402
from tests.support.workers import SPEED, Workers, enqueued, over  # noqa: E402

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult

STARTING = 8
"""Creations under way in a shard."""


async def result_of(database: str, name: str) -> RunResult:
    """Return a run."""
    async with PostgresStore(database) as store:
        return await (await store.record(name)).result()


def check(sandbox: Sandbox, run: RunResult, *, targets: int, most_unknown: int) -> None:
    """Make sure that the run is true to what the server has seen."""
    sandbox.assert_no_duplicates()
    started = sandbox.scans_per_site()
    statuses = Counter(str(each.status) for each in run.outcomes)
    assert statuses.keys() <= {"done", "unknown"}
    assert statuses.total() == targets
    assert statuses["unknown"] <= most_unknown
    assert all(started.get(each.site_id or "") for each in run.outcomes if each.status == "done")
    assert len(started) <= targets


@pytest.mark.slow(timeout=400)
async def test_workers_that_are_killed_and_stopped_double_and_lose_nothing(database: str) -> None:
    """Each takes over what another has left; one that comes back after its lease starts nothing.

    The engine calls all of them by one name, and the clocks of two are ten minutes wrong.
    """
    chance = random.Random(16)
    async with Sandbox(sites=300, speed=SPEED) as sandbox:
        name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=25)
        with Workers(database, sandbox.url, {"default": sandbox.token}) as workers:
            for wrong in (0.0, 600.0, -600.0):
                workers.start(clock_ahead=wrong)
            ended = asyncio.create_task(over(database, name))
            for number in range(6):
                await asyncio.wait([ended], timeout=chance.uniform(1.0, 2.5))
                if number == 2:
                    stopped = workers.processes[0]
                    stopped.send_signal(signal.SIGSTOP)
                    await asyncio.wait([ended], timeout=5.0)
                    stopped.send_signal(signal.SIGCONT)
                else:
                    workers.replace(chance.choice(workers.processes), clock_ahead=600.0)
            await ended

        check(sandbox, await result_of(database, name), targets=300, most_unknown=6 * 3 * STARTING)


@pytest.mark.slow(timeout=120)
async def test_nobody_waits_for_the_lease_of_a_worker_that_was_killed(database: str) -> None:
    """Its session has ended with it, so another takes its shards long before."""
    async with Sandbox(sites=40, speed=SPEED) as sandbox:
        slow = sandbox.fault("reports.create", delay=0.2)
        name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=20)
        tokens = {"default": sandbox.token}
        with Workers(database, sandbox.url, tokens, {"lease": 600.0}) as workers:
            first = workers.start()
            while sandbox.count("reports.create") < 10:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.05)
            slow.remove()
            workers.replace(first)
            await over(database, name)

        check(sandbox, await result_of(database, name), targets=40, most_unknown=2 * STARTING)


@pytest.mark.slow(timeout=400)
async def test_a_database_that_restarts_in_mid_run_costs_a_moment() -> None:
    """Workers go on with what they have, and nothing is unknown."""
    with own_server() as server, new_database(server.url("postgres")) as database:
        async with Sandbox(sites=150, speed=SPEED) as sandbox:
            name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=25)
            # A crash of the server may take what was committed when it does not wait for the disk.
            settings = {"lease": 20.0, "sweep": "* * * * * */2"}
            tokens = {"default": sandbox.token}
            with Workers(database, sandbox.url, tokens, settings) as workers:
                for _ in range(2):
                    workers.start()
                while sandbox.count("reports.create") < 30:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.05)
                server.stop()
                await asyncio.sleep(1.0)
                server.start()
                await over(database, name)

            check(sandbox, await result_of(database, name), targets=150, most_unknown=0)
