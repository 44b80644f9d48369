"""A process that works with a journal until it is done or killed: `python journal_runs.py ...`."""

import asyncio
import resource
import sys
from collections import Counter
from pathlib import Path

from bestdefense_async.models import ScanOptions
from bestdefense_async.runs import SqliteJournal

URL = "http://127.0.0.1:1"


async def fill(path: Path) -> None:
    """Claim and create scans until the disk is full, and tell how many."""
    told: Counter[str] = Counter()
    journal = await SqliteJournal.create(path, base_url=URL, token="t", options=ScanOptions())
    # After the file exists, it may not grow without end: what a full disk looks like.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    async with journal:
        for index in range(5_000):
            try:
                if not await _claim(journal, index):
                    break
                told["claimed"] += 1
                await journal.created(index, report_id=f"r{index}")
                told["created"] += 1
            except Exception as error:  # noqa: BLE001 - its kind is what the test asks
                told[type(error).__name__] += 1
                break
    print(told["claimed"], told["created"], told["JournalError"])  # noqa: T201 - for the parent


async def hold(path: Path) -> None:
    """Make a journal, write into it as fast as possible, and keep it until the parent says so."""
    loop = asyncio.get_running_loop()
    async with await SqliteJournal.create(
        path, base_url=URL, token="t", options=ScanOptions()
    ) as journal:
        await _claim(journal, 0)
        print("held", flush=True)  # noqa: T201 - the parent waits for it
        end = loop.run_in_executor(None, sys.stdin.readline)
        index = 1
        while not end.done():
            await _claim(journal, index)
            await journal.created(index, report_id=f"r{index}")
            index += 1


async def _claim(journal: SqliteJournal, index: int) -> bool:
    await journal.accepted(index, target=f"h{index}.example", site_id=f"s{index}")
    return await journal.claimed(index, site_id=f"s{index}", at=1.0)


if __name__ == "__main__":
    job, path = sys.argv[1:]
    asyncio.run({"fill": fill, "hold": hold}[job](Path(path)))
