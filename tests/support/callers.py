"""Processes with one token that call one limited operation as fast as they may.

`python -m tests.support.callers SETTINGS` is one of them: it says "ready", waits for a line, and
calls until it is ended. Limits stand in a database, or in a directory of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field

from bestdefense_async import BestDefense, Limit
from bestdefense_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
OPERATION = "agents.manifest"


@define
class Callers:
    """Processes that share a limit; they end with the block."""

    sandbox: Sandbox
    limit: tuple[int, float]
    """Calls and seconds."""
    place: str
    """The address of a database, or a directory."""
    at_once: int = 20
    """Calls that each of them would make at a time."""
    processes: list[subprocess.Popen[str]] = field(factory=list, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            with process:  # waits, and closes the pipes
                pass

    async def start(self, *, clock_ahead: float = 0.0) -> subprocess.Popen[str]:
        """Start one, whose clock may be wrong, and return when it is ready to call."""
        settings = {
            "url": self.sandbox.url,
            "token": self.sandbox.token,
            "limit": self.limit,
            "place": self.place,
            "at_once": self.at_once,
            "clock_ahead": clock_ahead,
        }
        process = subprocess.Popen(  # noqa: ASYNC220 - it is ended with the block
            [sys.executable, "-m", "tests.support.callers", json.dumps(settings)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        return process

    def go(self) -> None:
        """Let all of them call that do not yet."""
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()


@contextlib.contextmanager
def wrong_clock(ahead: float) -> Iterator[None]:
    """Let this process have a clock that is so many seconds ahead."""
    if not ahead:
        yield
        return
    import time_machine

    with time_machine.travel(time.time() + ahead, tick=True):
        yield


async def _call(place: str, url: str, token: str, limit: list[float], at_once: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        shared: dict[str, Any] = {"state_dir": Path(place)}
        if "://" in place:
            from bestdefense_async.distributed.limits import PostgresLimits

            shared = {"shared_limits": await stack.enter_async_context(PostgresLimits(place))}
        limits = {OPERATION: Limit(int(limit[0]), per=limit[1])}
        client = await stack.enter_async_context(BestDefense(token, url, limits=limits, **shared))

        async def call() -> None:
            while True:
                await client.agents.manifest()

        print("ready", flush=True)  # noqa: T201 - the parent waits for it
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(call() for _ in range(at_once)))


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    ahead = given.pop("clock_ahead")
    with wrong_clock(ahead):
        asyncio.run(_call(**given))
