"""A worker in a process of its own: `python worker_process.py DATABASE URL SETTINGS`."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from typing import Any

import psycopg

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.distributed import shards
from bestdefense_async.distributed.worker import Worker
from tests.support.callers import wrong_clock


async def main(database: str, url: str, settings: dict[str, Any]) -> None:
    """Work until SIGTERM; tokens come from the environment."""
    statements = 0
    execute = psycopg.Connection.execute

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*given, **options)

    psycopg.Connection.execute = counted  # type: ignore[method-assign]
    names = settings.pop("tokens")
    speed = settings.pop("speed")
    limits = settings.pop("limits", None)
    size = settings.pop("shard_size", shards.SHARD_SIZE)
    shards.SHARD_SIZE = size  # type: ignore[misc]  # all proportions stay with fewer scans
    client = BestDefense(base_url=url, limits=limits)
    async with client:
        worker = Worker(
            client,
            database,
            credentials={name: os.environ[variable] for name, variable in names.items()},
            polling=PollPolicy(speed=speed),
            **settings,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("ready", flush=True)  # noqa: T201 - the parent waits for it
        begun = time.process_time()
        await worker.run()
        cpu = time.process_time() - begun
        print("spent", cpu, worker.store.commits, statements)  # noqa: T201 - for the parent


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    given = json.loads(sys.argv[3])
    with wrong_clock(given.pop("clock_ahead", 0.0)):
        asyncio.run(main(sys.argv[1], sys.argv[2], given))
