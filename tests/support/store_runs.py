"""A process that works with a store until it is done or killed: `python store_runs.py ...`."""

import asyncio
import resource
import sys
from collections import Counter
from pathlib import Path

from bestdefense_async.errors import BestDefenseError
from bestdefense_async.runs.store.sqlite import SqliteStore
from tests.support.stores import begin, claim, create


async def fill(path: Path) -> None:
    """Claim and create scans until the disk is full, and tell how many."""
    told: Counter[str] = Counter()
    async with SqliteStore(path) as store:
        run = await create(store)
        # From here on it may not grow without end: what a full disk looks like.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
        for index in range(50_000):
            try:
                await claim(run.journal, index)
                told["claimed"] += 1
                await run.journal.created(index, report_id=f"r{index}")
                told["created"] += 1
            except BestDefenseError as error:
                told[error.kind] += 1
                break
    print(told["claimed"], told["created"], told["JournalError"])  # noqa: T201 - for the parent


async def hold(path: Path) -> None:
    """Begin a run, write into it as fast as possible, and keep it until the parent says so."""
    loop = asyncio.get_running_loop()
    async with SqliteStore(path) as store:
        run = await create(store)
        await claim(run.journal, 0)
        print("held", flush=True)  # noqa: T201 - the parent waits for it
        end = loop.run_in_executor(None, sys.stdin.readline)
        index = 1
        while not end.done():
            await begin(run.journal, index)
            index += 1
        await run.journal.aclose()


async def many(path: Path) -> None:
    """Begin run after run until it is killed."""
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    async with SqliteStore(path) as store:
        while True:
            await create(store)


if __name__ == "__main__":
    job, path = sys.argv[1:]
    asyncio.run({"fill": fill, "hold": hold, "many": many}[job](Path(path)))
