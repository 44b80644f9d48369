"""Runs on several processes: what they survive, and what they cost.

    python -m benchmarks.workers [--targets 2000] [--kills 20] [--workers 3] [--only killed]

Starts a PostgreSQL of its own, a sandbox, and workers as processes. Prints a row per disturbance:
how many scans were doubled or lost by the server's ledger, how many are unknown and how many of
those had really started, and the time against an undisturbed run of the same scans. The run has the
pace of real ones at 10 times their speed: it waits for scans, not for processors. Kills are spread
over the time that the undisturbed run took; the row says how often one came and how long a worker
takes to start, for so long one of the workers is away after each.

Then CPU per scan against one embedded process that scans the same at the same speed, in turns, with
statements and transactions per scan, which no other load of the machine changes; scans per second
with 1 to 4 workers. `benchmarks.fair_shards` has organizations of very different sizes, and
`benchmarks.shared_limits` processes that share a limit.

Goals: 0 doubled, 0 lost, unknown <= kills x shards x 8, at most 1.3 x the time and 1.3 x the CPU,
at most 1 transaction per scan.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
from attrs import frozen

from bestdefense_async import BestDefense
from bestdefense_async.distributed.enqueue import enqueue
from bestdefense_async.distributed.store import PostgresStore
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess
from tests.support.postgres import Server, new_database, own_server
from tests.support.workers import SPEED, Spent, Workers, enqueued, over

SHARD = 50
LEASE = 6.0
PACE = 10.0
"""Seconds of a scan that pass in one, where the machine must not be what a run waits for."""
BLOCKS = 3

Disturb = Callable[[Workers, Server, "asyncio.Task[Any]", "Disturbance"], Awaitable[int]]


@frozen
class Disturbance:
    """How much is done to a run."""

    kills: int
    usual: float
    """Seconds that the run takes undisturbed."""

    @property
    def between(self) -> float:
        """Seconds between two kills, so that all of them come before the end."""
        return 0.75 * self.usual / self.kills


async def nothing(_: Workers, __: Server, ended: "asyncio.Task[Any]", ___: Disturbance) -> int:
    """Let them work."""
    await ended
    return 0


async def killed(workers: Workers, _: Server, ended: "asyncio.Task[Any]", how: Disturbance) -> int:
    """Kill one at random again and again, and start another."""
    done = 0
    while not ended.done() and done < how.kills:
        await asyncio.wait([ended], timeout=random.uniform(0.5, 1.5) * how.between)
        if not ended.done():
            workers.replace(random.choice(workers.processes))
            done += 1
    return done


async def paused(workers: Workers, _: Server, ended: "asyncio.Task[Any]", how: Disturbance) -> int:
    """Stop one for longer than its lease, and let it go on; three times."""
    for _number in range(3):
        await asyncio.wait([ended], timeout=how.usual / 12)
        process = random.choice(workers.processes)
        process.send_signal(signal.SIGSTOP)
        await asyncio.wait([ended], timeout=1.5 * LEASE)
        process.send_signal(signal.SIGCONT)
    return 3


async def cut(_: Workers, server: Server, ended: "asyncio.Task[Any]", how: Disturbance) -> int:
    """End all connections of the workers; three times."""
    for _number in range(3):
        await asyncio.wait([ended], timeout=how.usual / 5)
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'bestdefense'"
            )
    return 3


async def restarted(
    _: Workers, server: Server, ended: "asyncio.Task[Any]", how: Disturbance
) -> int:
    """Restart the database."""
    await asyncio.wait([ended], timeout=how.usual / 3)
    server.stop()
    await asyncio.sleep(1.0)
    server.start()
    return 1


async def wrong_clocks(
    workers: Workers, _: Server, ended: "asyncio.Task[Any]", how: Disturbance
) -> int:
    """Kill two, and start others whose clocks are ten minutes ahead and behind."""
    for wrong in (600.0, -600.0):
        await asyncio.wait([ended], timeout=how.usual / 5)
        workers.replace(workers.processes[0], clock_ahead=wrong)
    return 2


SCENARIOS: dict[str, Disturb] = {
    "undisturbed": nothing,
    "killed": killed,
    "paused": paused,
    "connections cut": cut,
    "database restarted": restarted,
    "wrong clocks": wrong_clocks,
}


async def survived(
    server: Server, name: str, *, targets: int, kills: int, count: int, baseline: float
) -> float:
    """Let workers carry out a run, disturb them, and print what became of it."""
    with new_database(server.url("postgres")) as database:
        async with Sandbox(seed=7, sites=targets, speed=PACE) as sandbox:
            run = await enqueued(sandbox, database, sandbox.hostnames, shard_size=SHARD)
            begun = time.monotonic()
            settings = {"lease": LEASE, "speed": PACE}
            with Workers(database, sandbox.url, {"default": sandbox.token}, settings) as workers:
                for _ in range(count):
                    workers.start()
                ended = asyncio.create_task(_until_over(database, run))
                await asyncio.to_thread(workers.wait_until_ready)
                start = time.monotonic() - begun
                how = Disturbance(kills, baseline)
                times = await SCENARIOS[name](workers, server, ended, how)
                await ended
                took = time.monotonic() - begun
                workers.stop()
            async with PostgresStore(database) as store:
                outcomes = (await (await store.record(run)).result()).outcomes
            started = sandbox.scans_per_site()
            statuses = Counter(str(each.status) for each in outcomes)
            unknown = [each for each in outcomes if each.status == "unknown"]
            real = sum(each.site_id in started for each in unknown)
            followed = {each.site_id for each in outcomes if each.status in {"done", "unknown"}}
            lost = len(started.keys() - followed) + targets - statuses["done"] - len(unknown)
    doubled = sum(n > 1 for n in started.values())
    print(
        f"{name:20} {times:5} {doubled:8} {lost:5} {len(unknown):4} ({real:3} started) "
        f"{took:6.1f} s {took / (baseline or took):5.2f} x"
        + (f"  (one every {how.between:.1f} s)" if name == "killed" else "")
        + ("" if baseline else f"  (a worker starts in {start:.1f} s)"),
        flush=True,
    )
    return took


async def _until_over(database: str, run: str) -> None:
    while True:
        with contextlib.suppress(Exception):  # the database may be away
            await over(database, run)
            return
        await asyncio.sleep(0.2)


EMBEDDED = """
import asyncio, sys, time
from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy as Policy
async def main(url, token, path, count, speed):
    async with BestDefense(token, url) as bd:
        hosts = [site.hostname for site in await bd.sites.list()][:count]
        begun, cpu = time.monotonic(), time.process_time()
        run = bd.scan_many(hosts, store=path, max_active=count, polling=Policy(speed=speed))
        async with run:
            async for _ in run: pass
        print(time.process_time() - cpu, time.monotonic() - begun)
asyncio.run(main(*sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])))
"""


def embedded(sandbox: SandboxProcess, targets: int) -> float:
    """Return the CPU seconds of one process that scans without a database."""
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "runs.db")
        arguments = [sandbox.url, sandbox.token, path, str(targets), str(SPEED)]
        done = subprocess.run(
            [sys.executable, "-c", EMBEDDED, *arguments], capture_output=True, check=True
        )
    return float(done.stdout.split()[0])


async def at_work(
    database: str, sandbox: SandboxProcess, *, count: int, settings: dict[str, Any]
) -> tuple[float, Spent]:
    """Let workers scan all sites; return the seconds since they were ready, and what they spent."""
    tokens = {"default": sandbox.token}
    with Workers(database, sandbox.url, tokens, settings) as workers:
        async with (
            BestDefense(sandbox.token, sandbox.url) as bd,
            PostgresStore(database) as store,
        ):
            hosts = [site.hostname for site in await bd.sites.list()]
            begun = await enqueue(bd, hosts, store=store, shard_size=SHARD)
        for _ in range(count):
            workers.start()
        workers.wait_until_ready()
        at = time.monotonic()
        await over(database, begun.name)
        return time.monotonic() - at, workers.stop()


async def cost(server: Server, targets: int) -> None:
    """Print what a scan costs an embedded process and one worker, which take turns."""
    alone, shared = [], []
    spent = Spent(0.0, 0, 0)
    for _ in range(BLOCKS):
        with SandboxProcess(seed=7, sites=targets, speed=SPEED) as sandbox:
            alone.append(1000 * embedded(sandbox, targets) / targets)
        with (
            SandboxProcess(seed=7, sites=targets, speed=SPEED) as sandbox,
            new_database(server.url("postgres")) as database,
        ):
            # As many shards as there are, so that both follow all scans at once.
            settings = {"concurrency": targets // SHARD + 1, "lease": 45.0}
            _, spent = await at_work(database, sandbox, count=1, settings=settings)
            shared.append(1000 * spent.cpu / targets)
    ratio = statistics.median(shared) / statistics.median(alone)
    print(
        f"CPU per scan: {statistics.median(alone):.2f} ms embedded, "
        f"{statistics.median(shared):.2f} ms in a worker: {ratio:.2f} x; "
        f"{spent.statements / targets:.2f} statements and "
        f"{spent.transactions / targets:.2f} transactions per scan",
        flush=True,
    )


async def scaled(server: Server, targets: int) -> None:
    """Print scans per second with one to four workers; the sandbox has a process of its own."""
    for count in (1, 2, 4):
        with (
            new_database(server.url("postgres")) as database,
            SandboxProcess(seed=7, sites=targets, speed=60_000.0) as sandbox,
        ):
            settings = {"speed": 60_000.0}
            took, spent = await at_work(database, sandbox, count=count, settings=settings)
        print(
            f"{count} workers: {targets / took:6.0f} scans/s, "
            f"{1000 * spent.cpu / targets:.1f} ms of CPU, {spent.statements / targets:.2f} "
            f"statements and {spent.transactions / targets:.2f} transactions per scan",
            flush=True,
        )


async def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--only", choices=[*SCENARIOS, "cost"])
    options = parser.parse_args()
    chosen = [*SCENARIOS, "cost"]
    if options.only:
        chosen = [*(["undisturbed"] if options.only in SCENARIOS else []), options.only]
    random.seed(16)
    baseline = 0.0
    with own_server() as server:
        for name in dict.fromkeys(chosen):
            if name in SCENARIOS:
                if name == chosen[0]:
                    print(f"{options.targets} targets, {options.workers} workers")
                    print(f"{'':20} times  doubled  lost  unknown")
                took = await survived(
                    server,
                    name,
                    targets=options.targets,
                    kills=options.kills,
                    count=options.workers,
                    baseline=baseline,
                )
                baseline = baseline or took
        if "cost" in chosen:
            await cost(server, options.targets // 2)
            await scaled(server, options.targets)


if __name__ == "__main__":
    asyncio.run(main())
