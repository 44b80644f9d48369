"""Worker processes, and what tests do to them: start, kill, stop and wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field, frozen

from bestdefense_async import BestDefense
from bestdefense_async.distributed.enqueue import enqueue
from bestdefense_async.distributed.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.distributed.shards import ShardCounts
    from bestdefense_async.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
SPEED = 1_200.0


@frozen
class Spent:
    """What workers have spent."""

    cpu: float
    """Seconds, from when they were ready."""
    transactions: int
    """Those of our own tables, not the engine's."""
    statements: int
    """In these transactions, their beginnings and ends included."""


@define
class Workers:
    """Workers of one database and one host, which end with the block."""

    database: str
    url: str
    tokens: dict[str, str]
    """Tokens by the names of credentials."""
    settings: dict[str, Any] = field(factory=dict)
    processes: list[subprocess.Popen[str]] = field(factory=list, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()

    def start(self, *, clock_ahead: float = 0.0) -> subprocess.Popen[str]:
        """Start one, whose clock may be wrong by so many seconds."""
        settings = {
            "lease": 3.0,
            "drain": 1.0,
            "sweep": "* * * * * *",
            "speed": SPEED,
            **self.settings,
            "clock_ahead": clock_ahead,
            "tokens": {name: f"TOKEN_{number}" for number, name in enumerate(self.tokens)},
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.support.worker_process"),
                *(self.database, self.url, json.dumps(settings)),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                **{f"TOKEN_{n}": token for n, token in enumerate(self.tokens.values())},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def wait_until_ready(self) -> None:
        """Wait until those that were started have begun to work. Once for each."""
        for process in self.processes:
            if process.stdout is not None:
                process.stdout.readline()

    def stop(self) -> Spent:
        """Stop all in order; return what those have spent that were left."""
        for process in self.processes:
            process.terminate()
        told = [process.communicate(timeout=60)[0] for process in self.processes]
        spent = [line.split() for each in told for line in each.splitlines() if "spent" in line]
        self.processes.clear()
        return Spent(
            sum(float(each[1]) for each in spent),
            sum(int(each[2]) for each in spent),
            sum(int(each[3]) for each in spent),
        )

    def replace(
        self, process: subprocess.Popen[str], *, clock_ahead: float = 0.0
    ) -> subprocess.Popen[str]:
        """Kill one as a crash would, and start another."""
        process.kill()
        process.communicate()
        self.processes.remove(process)
        return self.start(clock_ahead=clock_ahead)


async def enqueued(sandbox: Sandbox, database: str, targets: Sequence[Any], **options: Any) -> str:
    """Begin a run for workers and return its name."""
    async with BestDefense(sandbox.token, sandbox.url) as client, PostgresStore(database) as store:
        run = await enqueue(client, targets, store=store, **options)
        return run.name


async def over(database: str, name: str, *, every: float = 0.2) -> ShardCounts:
    """Wait until nothing more happens to a run."""
    async with PostgresStore(database) as store:
        while True:
            progress = await store.shard_counts(name)
            if progress.is_over:
                return progress
            await asyncio.sleep(every)
