"""What the store costs per scan: commits, statements, CPU and bytes; and many runs in one process.

    python benchmarks/store.py [--scans 2000 20000] [--active 1000] [--starting 8] [--runs 1000]

Each scan is accepted, claimed, created and finished with ten findings, as a group does it: so many
are active at a time, and so many creations under way. No server is asked, so this is the most the
store can ever be asked for. The last line of the first table waits for every answer before the next
write, which is what a run of one scan at a time costs. The directory should be on the disk that
will hold the runs.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

from bestdefense_async.models import Finding, Outcome, OutcomeStatus, ScanOptions, Severity
from bestdefense_async.runs import Target
from bestdefense_async.runs.store import files
from bestdefense_async.runs.store.connection import FileConnection
from bestdefense_async.runs.store.protocol import HeldRun, Journal
from bestdefense_async.runs.store.sqlite import SqliteStore

FINDINGS = tuple(
    Finding(severity=Severity("medium"), title="A finding of usual length", cwe=f"CWE-{number}")
    for number in range(10)
)


async def scan(journal: Journal, index: int, starting: asyncio.Semaphore) -> None:
    """Write what a group writes for one scan."""
    target, site_id, report_id = f"host-{index}.example", f"site-{index}", f"report-{index}"
    journal.accepted(index, target=target, site_id=site_id)
    async with starting:
        await journal.claim(index, target=target, site_id=site_id, at=time.time())
        await journal.created(index, report_id=report_id)
    outcome = Outcome(
        index=index,
        target=target,
        status=OutcomeStatus.DONE,
        site_id=site_id,
        report_id=report_id,
        findings=FINDINGS,
        finished_at=time.time(),
    )
    await journal.finished(outcome, security_id=index)


async def scan_all(run: HeldRun, scans: int, active: int, starting: int) -> None:
    """Write many scans, so many at a time."""
    left = iter(range(scans))
    places = asyncio.Semaphore(starting)

    async def worker() -> None:
        for index in left:
            await scan(run.journal, index, places)

    await asyncio.gather(*(worker() for _ in range(active)))


async def begin(store: SqliteStore, scans: int) -> HeldRun:
    """Begin a run with a plan."""
    plan = [Target(f"host-{index}.example") for index in range(scans)]
    return await store.create(
        base_url="http://127.0.0.1:1", token_key="0" * 16, options=ScanOptions(), plan=plan
    )


class Counted(FileConnection):
    """A connection that counts what it is told to do."""

    statements = 0

    def execute(self, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
        """Count, and do it."""
        Counted.statements += 1
        return super().execute(*values)  # type: ignore[arg-type]


async def measure(directory: Path, scans: int, active: int, starting: int) -> str:
    """Return one line of the first table."""
    path = directory / f"{scans}-{active}.db"
    async with SqliteStore(path) as store:
        run = await begin(store, scans)
        commits, statements = store.commits, Counted.statements
        wall, cpu = time.perf_counter(), time.process_time()
        await scan_all(run, scans, active, starting)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        commits, statements = store.commits - commits, Counted.statements - statements
        await run.journal.end()
        begun = time.perf_counter()
        await run.record.result()
        read = time.perf_counter() - begun
    size = path.stat().st_size
    return (
        f"{scans:>7} {active:>7} {commits / scans:>13.3f} {statements / scans:>16.3f} "
        f"{1000 * wall / scans:>13.3f} {1000 * cpu / scans:>12.3f} {size / scans:>11.0f} "
        f"{1000 * read:>12.0f}"
    )


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def many(directory: Path, runs: int) -> str:
    """Return the line about many runs in one process."""
    async with SqliteStore(directory / "many.db") as store:
        await begin(store, 1)
        threads, before = threading.active_count(), descriptors()
        cpu = time.process_time()
        held = await asyncio.gather(*(begin(store, 10) for _ in range(runs)))
        await asyncio.gather(*(scan_all(run, 10, 10, 8) for run in held))
        cpu = time.process_time() - cpu
        opened = descriptors() - before
        line = (
            f"{runs} runs of 10 scans at once: {opened} descriptors and "
            f"{threading.active_count() - threads} threads more than one run, "
            f"{store.commits} commits, {1000 * cpu / (10 * runs):.3f} ms of CPU per scan"
        )
        await asyncio.gather(*(run.journal.end() for run in held))
    return line


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--active", type=int, default=1000)
    parser.add_argument("--starting", type=int, default=8)
    parser.add_argument("--alone", type=int, default=500)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--dir", type=Path, default=None)
    args = parser.parse_args()
    files.FileConnection = Counted  # type: ignore[misc]
    print(
        "  scans  active  commits/scan  statements/scan  wall ms/scan  CPU ms/scan  bytes/scan"
        "  read all ms"
    )
    with tempfile.TemporaryDirectory(dir=args.dir) as directory:
        for scans in args.scans:
            print(asyncio.run(measure(Path(directory), scans, args.active, args.starting)))
        print(asyncio.run(measure(Path(directory), args.alone, 1, 1)))
        print(asyncio.run(many(Path(directory), args.runs)))


if __name__ == "__main__":
    main()
