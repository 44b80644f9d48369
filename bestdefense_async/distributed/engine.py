"""What the engine carries: one job per shard, which only wakes whoever takes it.

The engine's truths are not ours. It delivers at least once, and a paused worker that comes back
finishes the job of its successor. So a job is never retried: it is finished, and another one takes
its place; and what it says is a hint, since the store's fence decides. No two jobs of one shard
wait at a time (its queueing lock).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Final

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status

from bestdefense_async.distributed.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.distributed.address import Address
    from bestdefense_async.distributed.shards import WaitingShard

SHARD_TASK: Final = "bestdefense.shard"
SWEEP_TASK: Final = "bestdefense.sweep"
COMMON_QUEUE: Final = "bestdefense"
"""The queue that every worker listens to."""
FAULTS: Final = (ConnectorException, psycopg.Error, OSError)
"""What the engine raises when the database does not do what it asks for."""
STALLED: Final = 60.0
"""Seconds without a heartbeat after which a worker's jobs are replaced."""
_CONNECTIONS: Final = 4
_RECONNECT: Final = 5.0
"""Seconds after which lost connections are asked for anew: the pool would wait longer each time."""
_AT_ONCE: Final = 500
_LARGEST: Final = 2**31 - 1


def open_app(address: Address) -> App:
    """Return the engine on our schema; it is opened with `open_async`."""

    async def configure(connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"SET search_path = {SCHEMA}")
        await connection.commit()

    connector = PsycopgConnector(
        conninfo=address.conninfo,
        configure=configure,
        min_size=1,
        max_size=_CONNECTIONS,
        reconnect_timeout=_RECONNECT,
    )
    return App(connector=connector)


def queue_of(credential: str, base_url: str) -> str:
    """Return the queue of an organization at a server: who cannot serve it never hears of it."""
    return f"{credential}@{hashlib.sha256(base_url.encode()).hexdigest()[:12]}"


async def wake(app: App, shards: Sequence[WaitingShard]) -> None:
    """Put a job into the queue for each of these shards, for which none waits.

    Those come first after which their organization has had the fewest targets: so each has its
    share, and small ones do not wait for large ones.
    """
    jobs = [
        Job(
            queue=queue_of(each.credential, each.base_url),
            priority=max(-each.turn, -_LARGEST),
            lock=None,
            queueing_lock=f"{each.run}/{each.number}",
            task_name=SHARD_TASK,
            task_kwargs={"run": each.run, "shard": each.number},
        )
        for each in shards
    ]
    for first in range(0, len(jobs), _AT_ONCE):
        part = jobs[first : first + _AT_ONCE]
        try:
            await app.job_manager.batch_defer_jobs_async(part)
        except AlreadyEnqueued:
            for job in part:
                with contextlib.suppress(AlreadyEnqueued):
                    await app.job_manager.defer_job_async(job)


def expect_failure() -> None:
    """Let the loop not complain when the end of the job that runs cannot be recorded.

    The engine waits for no job, so nobody would hear of it. Another job takes its place.
    """
    job = asyncio.current_task()
    if job is not None:
        job.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


async def replace_stalled(app: App) -> None:
    """Finish the jobs of workers that are not heard of: the sweep makes new ones."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED):
        await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
