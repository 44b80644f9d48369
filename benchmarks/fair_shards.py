"""How long small organizations wait beside large ones, by worker processes on one database.

    python -m benchmarks.fair_shards [--tenants 200] [--scale 50] [--workers 2] [--scan 8]

Two hundred organizations with 10 to 5,000 targets (as many between 10 and 100 as between 100 and
1,000) begin a run at the same time, in a random order. All sizes are divided by the scale, shards
as well, so that the scans are few enough for two cores and the proportions stay: a worker has room
for the same number of shards. A scan takes a few seconds; the time of a run is waiting, not CPU.
Prints by tenths of the organizations, the smallest first, how long they took, and how many times
as long as one of them alone on the same workers.

Goal: the small ones, a quarter of all, take at most 1.5 x as long as alone.
"""

import argparse
import asyncio
import math
import random
import statistics
from typing import TYPE_CHECKING

import psycopg

from bestdefense_async import BestDefense
from bestdefense_async.distributed.enqueue import enqueue
from bestdefense_async.distributed.shards import SHARD_SIZE
from bestdefense_async.distributed.store import PostgresStore
from bestdefense_async.testing.process import SandboxProcess
from tests.support.postgres import new_database, own_server
from tests.support.workers import Workers

if TYPE_CHECKING:
    from bestdefense_async.models import Site
    from bestdefense_async.view import View

SMALLEST, LARGEST = 10, 5000
SCAN = 240.0
"""Seconds that a scan takes, before it is sped up."""


class Tenants:
    """The organizations of a sandbox, and the runs that they begin in a database."""

    def __init__(self, sandbox: SandboxProcess, bd: BestDefense, database: str, scale: int) -> None:
        self._sandbox = sandbox
        self._bd = bd
        self._database = database
        self._shard = max(1, SHARD_SIZE // scale)
        self.tokens: dict[str, str] = {}
        self._sites: dict[str, tuple[View, list[Site]]] = {}

    async def add(self, name: str, targets: int) -> None:
        """Make one whose scans all take equally long."""
        token = self.tokens[name] = self._sandbox.add_organization(name, sites=targets)
        view = self._bd.with_token(token, name=name)
        sites = list(await view.sites.list())
        for site in sites:
            self._sandbox.script(site.id, duration=SCAN)
        self._sites[name] = (view, sites)

    async def begin(self, store: PostgresStore, name: str) -> str:
        """Begin a run of one and return its name."""
        view, sites = self._sites[name]
        run = await enqueue(view, sites, store=store, credential=name, shard_size=self._shard)
        return run.name

    async def finished(self, runs: list[str]) -> dict[str, float]:
        """Wait for runs; return when each was finished, on the database's clock."""
        async with await psycopg.AsyncConnection.connect(self._database, autocommit=True) as found:
            while True:
                rows = await found.execute(
                    "SELECT name, max(finished_at), bool_and(finished_at IS NOT NULL)"
                    " FROM bestdefense.scan JOIN bestdefense.run ON run.id = scan.run"
                    " WHERE name = ANY(%s) GROUP BY name",
                    (runs,),
                )
                ends = {name: at for name, at, is_over in await rows.fetchall() if is_over}
                if len(ends) == len(runs):
                    return ends
                await asyncio.sleep(1.0)

    async def now(self) -> float:
        """Return the time of the database."""
        async with await psycopg.AsyncConnection.connect(self._database) as asked:
            rows = await asked.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            return float((await rows.fetchall())[0][0])


async def measure(tenants: Tenants, workers: Workers, sizes: list[int], count: int) -> None:
    """Print what organizations of these sizes, in their order, take together and alone."""
    names = [f"org-{number:03}" for number in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        await tenants.add(name, size)
    async with PostgresStore(workers.database) as store:
        order = random.sample(names, len(names))
        runs = {name: await tenants.begin(store, name) for name in order}
        for _ in range(count):
            workers.start()
        await asyncio.to_thread(workers.wait_until_ready)
        begun = await tenants.now()
        ends = await tenants.finished(list(runs.values()))
        took = [ends[runs[name]] - begun for name in names]
        print(
            f"all after {max(took):.0f} s\n{'tenth':>7}{'targets':>12}{'alone':>8}{'median':>8}"
            f"{'most':>8}{'x':>7}{'most x':>8}"
        )
        tenth = len(names) // 10
        for number in range(10):
            part = slice(number * tenth, (number + 1) * tenth)
            at = await tenants.now()
            run = await tenants.begin(store, names[part][tenth // 2])
            alone = (await tenants.finished([run]))[run] - at
            usual, most = statistics.median(took[part]), max(took[part])
            print(
                f"{number + 1:7}{f'{sizes[part][0]}-{sizes[part][-1]}':>12}{alone:8.1f}{usual:8.1f}"
                f"{most:8.1f}{usual / alone:7.2f}{most / alone:8.2f}",
                flush=True,
            )


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenants", type=int, default=200)
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--scan", type=float, default=8.0, help="seconds that one takes")
    options = parser.parse_args()
    random.seed(16)
    steps = range(options.tenants)
    spread = math.log(LARGEST / SMALLEST) / (options.tenants - 1)
    whole = [SMALLEST * math.exp(step * spread) for step in steps]
    sizes = [math.ceil(size / options.scale) for size in whole]
    speed = SCAN / options.scan
    settings = {
        "speed": speed,
        "lease": 20.0,
        "concurrency": options.concurrency,
        "shard_size": max(1, SHARD_SIZE // options.scale),
    }
    print(f"{options.tenants} organizations, {sum(sizes)} targets ({min(sizes)} to {max(sizes)})")
    with (
        own_server() as server,
        new_database(server.url("postgres")) as database,
        SandboxProcess(seed=7, sites=1, speed=speed) as sandbox,
    ):
        async with BestDefense(sandbox.token, sandbox.url) as bd:
            tenants = Tenants(sandbox, bd, database, options.scale)
            with Workers(database, sandbox.url, tenants.tokens, settings) as workers:
                await measure(tenants, workers, sizes, options.workers)


if __name__ == "__main__":
    asyncio.run(main())
