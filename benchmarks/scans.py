"""What a scan costs in CPU, against a bare aiohttp loop that sends the same requests.

    python benchmarks/scans.py [--scans 100 1000 10000] [--blocks 7]

Both run against one sandbox in another process, in alternating blocks. The bare loop creates the
scans, polls as often as the group before it did, reads overview and alerts, and decodes only what
it needs for the next request. A group that waits for its store polls more often; so each has a bare
loop of its own, and both are compared by their ratios. Goals of a ScanGroup: at most 1.2 x its CPU
per scan; of one with a store: 1.25 x one without.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp

from bestdefense_async import BestDefense, ScanGroup, ScanOptions, SqliteStore
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.testing.process import SandboxProcess

IN_FLIGHT = 100
SPEED = 600.0


async def _bare(url: str, token: str, sites: list[str], polls: int) -> None:
    """Send what a group sends, with nothing around it; `polls` are those of all scans."""
    left = list(enumerate(sites))
    each, more = divmod(polls, len(sites))
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    headers = {"Authorization": f"Bearer {token}"}

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def get(path: str) -> bytes:
            async with session.get(url + path) as response:
                return await response.read()

        async def worker() -> None:
            while left:
                index, site = left.pop()
                create = f"{url}/api/report/create/for-target/{site}"
                body = {"options": {"security": {"enabled": True}}}
                async with session.post(create, json=body) as response:
                    report = json.loads(await response.read())["id"]
                for _ in range(each + (index < more)):
                    await get(f"/api/report/{report}/progress")
                security = json.loads(await get(f"/api/report/{report}/overview"))
                number = (security["data"]["security"] or {"id": 1})["id"]
                await get(f"/api/report/vortex/{number}/alerts")

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def _group(url: str, token: str, sites: list[str], path: Path | None) -> None:
    """Scan the sites with a group, with a store or without."""
    options = ScanOptions()
    store = None if path is None else SqliteStore(path)
    held = None
    if store is not None:
        held = await store.create(base_url=url, token_key="0" * 16, options=options)
    async with (
        BestDefense(token, url, max_in_flight=IN_FLIGHT) as bd,
        ScanGroup(
            bd,
            options=options,
            max_active=1000,
            polling=PollPolicy(speed=SPEED),
            journal=None if held is None else held.journal,
        ) as group,
    ):
        group.feed(sites)
        async for outcome in group:
            assert outcome.status == "done", outcome  # noqa: S101 - else nothing is compared
    if store is not None:
        await store.aclose()


async def _cost(work: Callable[[], Awaitable[None]], scans: int) -> float:
    started = time.process_time()
    await work()
    return (time.process_time() - started) / scans


async def _measure(sandbox: SandboxProcess, blocks: int) -> None:
    url, token = sandbox.url, sandbox.token
    async with BestDefense(token, url) as bd:
        sites = [site.id for site in await bd.sites.list()]
    await _group(url, token, sites, None)  # everything is imported and compiled then
    costs: dict[str, list[float]] = {"group": [], "store": []}
    bare: dict[str, list[float]] = {"group": [], "store": []}
    polls = {"group": 0, "store": 0}
    with tempfile.TemporaryDirectory() as folder:
        for block in range(blocks):
            for name, path in (("group", None), ("store", Path(folder) / f"{block}.db")):
                before = sandbox.count("reports.progress")
                work = partial(_group, url, token, sites, path)
                costs[name].append(await _cost(work, len(sites)))
                count = sandbox.count("reports.progress") - before
                polls[name] += count
                bare[name].append(await _cost(partial(_bare, url, token, sites, count), len(sites)))
    ratios = {name: _low(costs[name]) / _low(bare[name]) for name in costs}
    print(f"CPU per scan, {blocks} blocks of {len(sites):,} scans")
    for name, words in (("group", "ScanGroup"), ("store", "ScanGroup with a store")):
        many = polls[name] / blocks / len(sites)
        print(
            f"  {words:24} {_low(costs[name]) * 1e3:6.2f} ms, {many:4.2f} polls"
            f"   bare, same requests {_low(bare[name]) * 1e3:6.2f} ms   x {ratios[name]:.2f}"
        )
    more = ratios["store"] / ratios["group"]
    print(f"  with a store, against without, at equal requests: x {more:.2f}")


def _low(values: list[float]) -> float:
    """Return the 20th percentile: what is disturbed is slower."""
    return statistics.quantiles(values, n=5)[0] if len(values) > 1 else values[0]


def main() -> None:
    """Start a sandbox process for each number of scans, and measure against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--blocks", type=int, default=7)
    arguments = parser.parse_args()
    for scans in arguments.scans:
        with SandboxProcess(speed=SPEED, sites=scans) as sandbox:
            asyncio.run(_measure(sandbox, arguments.blocks))


if __name__ == "__main__":
    main()
