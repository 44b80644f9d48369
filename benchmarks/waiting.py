"""What a scan that waits costs: memory, wake-ups, and leaving all of them.

    python -m benchmarks.waiting [--counts 1000 10000 100000] [--seconds 4]

Follows scans through `ScanGroup` with a client that answers at once and keeps nothing, each number
in a process of its own, beside the plain way: one task per scan that sleeps and polls. Both ask
about as often; site and report ids are UUIDs, of 96 bytes each, and are told apart from the rest.

Goals: at most 550 B per waiting scan, the same from 10^3 to 10^5 (ratio at most 1.2); leaving
100,000 waits at most 0.05 of what it costs to cancel 100,000 tasks; CPU per wake-up at most 0.08
of a GET, which takes about 100 us (see ladder.py), so 8 us.
"""

import argparse
import asyncio
import gc
import json
import random
import resource
import subprocess
import sys
import time
import uuid
from pathlib import Path

from bestdefense_async.core.request import Claim
from bestdefense_async.models import Progress, Report, ScanOptions
from bestdefense_async.polling.scheduler import PollScheduler
from bestdefense_async.runs import ScanGroup
from bestdefense_async.runs.site_index import SiteIndex

EVERY = 13.0
"""Seconds between two polls of a task: what the policy does on average in the first half minute."""
ID_BYTES = 96
WORKERS = 66
"""Polls at a time: what a client with its default number of requests under way lets them."""
NEVER = Progress(is_completed=False)


def new_id(chance: random.Random) -> str:
    """Return a UUID."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def used_bytes() -> int:
    """Return the memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


class Client:
    """Creates scans that never end, and counts."""

    def __init__(self, count: int) -> None:
        self.sites = self.reports = self.vortex = self
        self.all_created = asyncio.Event()
        self._left = count
        self.polls = PollScheduler(self.progress, limit=WORKERS)
        self.site_index = SiteIndex(self.list)
        self.polled = 0
        self._chance = random.Random(1)

    async def list(self) -> tuple[()]:
        """Return no sites: targets are ids."""
        return ()

    async def create(
        self,
        site: str,  # noqa: ARG002
        options: ScanOptions | None = None,  # noqa: ARG002
        *,
        claim: Claim,
    ) -> Report:
        """Start a scan."""
        await claim.take()
        self._left -= 1
        if self._left == 0:
            self.all_created.set()
        return Report(id=new_id(self._chance))

    async def progress(self, report_id: str) -> Progress:  # noqa: ARG002
        """Answer at once."""
        self.polled += 1
        return NEVER


class Left(Exception):
    """Raised to leave a group with everything under way."""


async def in_group(count: int, seconds: float) -> dict[str, float]:
    """Measure scans in a group."""
    client, chance, result = Client(count), random.Random(2), {}
    before, cpu = used_bytes(), 0.0
    options = ScanOptions(types=("dns",))
    try:
        async with ScanGroup(
            client, max_active=count, options=options, scan_timeout=86_400.0
        ) as group:
            group.feed(new_id(chance) for _ in range(count))
            await client.all_created.wait()
            await asyncio.sleep(0.2)
            client.polled, cpu = 0, time.process_time()
            await asyncio.sleep(seconds)
            cpu = time.process_time() - cpu
            result["wake_us"] = cpu / max(client.polled, 1) * 1e6
            result["bytes"] = (used_bytes() - before) / count
            scans = group._pipeline.live.values()  # noqa: SLF001
            subscriptions = [scan.subscription for scan in scans]
            cpu = time.process_time()
            for subscription in subscriptions:
                if subscription is not None:
                    client.polls.cancel(subscription)
            result["cancel_s"] = time.process_time() - cpu
            del scans, subscriptions
            cpu = time.process_time()
            raise Left  # noqa: TRY301 - leaving is what is measured
    except Left:
        result["leave_s"] = time.process_time() - cpu
    return result


async def drained(count: int) -> float:
    """Return the CPU seconds until `count` waits whose scans have all ended are told."""
    is_over = asyncio.Event()
    told = 0

    async def progress(_: str) -> Progress:
        return Progress(is_completed=True)

    async def one(number: int) -> None:
        nonlocal told
        await polls.wait(str(number))
        told += 1
        if told == count:
            is_over.set()

    polls = PollScheduler(progress, limit=WORKERS)
    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    await asyncio.sleep(0)
    cpu = time.process_time()
    await is_over.wait()
    cpu = time.process_time() - cpu
    await asyncio.gather(*tasks)
    return cpu


async def tasks(count: int, seconds: float) -> dict[str, float]:
    """Measure the plain way."""
    chance, polled = random.Random(2), 0

    async def progress(report_id: str) -> Progress:  # noqa: ARG001
        nonlocal polled
        polled += 1
        return NEVER

    async def one(site_id: str) -> None:
        report_id = site_id[::-1]
        await asyncio.sleep(chance.random() * EVERY)
        while not (await progress(report_id)).is_completed:  # noqa: ASYNC110 - the plain way
            await asyncio.sleep(EVERY)

    before = used_bytes()
    running = [asyncio.create_task(one(new_id(chance))) for _ in range(count)]
    await asyncio.sleep(0.2)
    polled, cpu = 0, time.process_time()
    await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    result = {"wake_us": cpu / max(polled, 1) * 1e6, "bytes": (used_bytes() - before) / count}
    cpu = time.process_time()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return result | {"cancel_s": time.process_time() - cpu}


async def measure(way: str, count: int, seconds: float) -> dict[str, float]:
    """Return the figures of one way."""
    if way == "drain":
        return {"drain_s": await drained(count)}
    return await (in_group if way == "group" else tasks)(count, seconds)


def child(way: str, count: int, seconds: float) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.waiting", "--one", way]
    command += ["--counts", str(count), "--seconds", str(seconds)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--one", choices=["group", "tasks", "drain"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        measured = measure(arguments.one, arguments.counts[0], arguments.seconds)
        print(json.dumps(asyncio.run(measured)))
        return
    print(f"{'waiting scans':>14}{'B each':>8}{'less ids':>9}{'task':>7}", end="")
    print(f"{'wake us':>9}{'task':>7}{'cancel s':>10}{'leave s':>9}{'task':>7}{'x':>7}")
    for count in arguments.counts:
        ours = child("group", count, arguments.seconds)
        plain = child("tasks", count, arguments.seconds)
        print(
            f"{count:14,}{ours['bytes']:8.0f}{ours['bytes'] - 2 * ID_BYTES:9.0f}"
            f"{plain['bytes']:7.0f}{ours['wake_us']:9.1f}{plain['wake_us']:7.1f}"
            f"{ours['cancel_s']:10.3f}{ours['leave_s']:9.3f}{plain['cancel_s']:7.3f}"
            f"{ours['cancel_s'] / plain['cancel_s']:7.3f}"
        )
    most = max(arguments.counts)
    print(f"goal: 550 B; 8 us; x <= 0.05 for cancelling {most:,} waits against tasks")
    print("cancel: the waits alone; leave: the whole group, with an outcome for every scan")
    drain = child("drain", most, 0.0)["drain_s"]
    print(f"{most:,} calls of wait() whose scans have ended are told in {drain:.2f} s of CPU")


if __name__ == "__main__":
    main()
