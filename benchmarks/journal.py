"""What the journal costs per scan: commits, waiting and CPU, against one commit for each write.

    python benchmarks/journal.py [--scans 2000 20000] [--active 100] [--one-by-one 500] [--dir DIR]

Each scan is accepted, claimed, created and finished with ten findings, by as many at a time as a
group has active, as fast as the journal takes it: no server is asked, so this is the most it can
ever be asked for. The comparison writes the same, and waits for every commit before the next write.
At the pace of a real run most writes come alone, and cost what they cost there. The directory
should be on the disk that will hold the runs.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bestdefense_async import Finding, Outcome, ScanOptions, Severity, SqliteJournal
from bestdefense_async.runs import Target, read_journal

FINDINGS = tuple(
    Finding(severity=Severity("medium"), title="A finding of usual length", cwe=f"CWE-{number}")
    for number in range(10)
)


async def _scan(journal: SqliteJournal, index: int) -> None:
    """Write what a group writes for one scan."""
    site_id, report_id = f"site-{index}", f"report-{index}"
    await journal.accepted(index, target=f"host-{index}.example", site_id=site_id)
    await journal.claimed(index, site_id=site_id, at=time.time())
    await journal.created(index, report_id=report_id)
    await journal.finished(
        Outcome(
            status="done",
            index=index,
            target=f"host-{index}.example",
            site_id=site_id,
            report_id=report_id,
            finished_at=time.time(),
            risk=None,
            findings=FINDINGS,
        )
    )


async def _together(journal: SqliteJournal, scans: int, active: int) -> None:
    left = iter(range(scans))

    async def worker() -> None:
        for index in left:
            await _scan(journal, index)

    await asyncio.gather(*(worker() for _ in range(active)))


async def _measure(
    directory: Path, scans: int, work: Callable[[SqliteJournal], Awaitable[None]]
) -> str:
    """Return one line of the result."""
    path = Path(tempfile.mkdtemp(dir=directory)) / "run.journal"
    targets = [Target(f"host-{index}.example") for index in range(scans)]
    async with await SqliteJournal.create(
        path, base_url="http://127.0.0.1:1", token="", options=ScanOptions(), targets=targets
    ) as journal:
        before, wall, cpu = journal.commits, time.perf_counter(), time.process_time()
        await work(journal)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        commits = journal.commits - before
    size = path.stat().st_size
    begun = time.perf_counter()
    read_journal(path)
    read = time.perf_counter() - begun
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()
    return (
        f"{scans:>7} {commits / scans:>13.3f} {1000 * wall / scans:>11.3f} "
        f"{1000 * cpu / scans:>11.3f} {size / scans:>11.0f} {1000 * read:>11.0f}"
    )


def main() -> None:
    """Print one line for each number of scans, and one for the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--active", type=int, default=100)
    parser.add_argument("--one-by-one", type=int, default=500)
    parser.add_argument("--dir", type=Path, default=None)
    args = parser.parse_args()
    print("  scans  commits/scan  wall ms/scan  CPU ms/scan  bytes/scan  read all ms")
    for scans in args.scans:

        async def together(journal: SqliteJournal, scans: int = scans) -> None:
            await _together(journal, scans, args.active)

        print(asyncio.run(_measure(args.dir, scans, together)), f" {args.active} at a time")

    async def one_by_one(journal: SqliteJournal) -> None:
        await _together(journal, args.one_by_one, 1)

    print(asyncio.run(_measure(args.dir, args.one_by_one, one_by_one)), " one commit per write")


if __name__ == "__main__":
    main()
