"""What a scan costs in CPU, against a bare aiohttp loop that sends the same requests.

    python benchmarks/scans.py [--scans 1000] [--blocks 7]

Both run against one sandbox in another process, in alternating blocks. The bare loop creates the
scans, asks for each as often as the group does on average, reads overview and alerts, and decodes
only what it needs for the next request. Goals of a ScanGroup: at most 1.25 x its CPU per scan; of
one with a store: 1.25 x one without.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from bestdefense_async import BestDefense, ScanGroup, ScanOptions, SqliteStore
from bestdefense_async.core.polling import PollPolicy

IN_FLIGHT = 100
SPEED = 600.0


async def _bare(url: str, token: str, sites: list[str], polls: int) -> None:
    """Send what a group sends, with nothing around it."""
    left = list(sites)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    headers = {"Authorization": f"Bearer {token}"}

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def get(path: str) -> bytes:
            async with session.get(url + path) as response:
                return await response.read()

        async def worker() -> None:
            while left:
                site = left.pop()
                create = f"{url}/api/report/create/for-target/{site}"
                body = {"options": {"security": {"enabled": True}}}
                async with session.post(create, json=body) as response:
                    report = json.loads(await response.read())["id"]
                for _ in range(polls):
                    await get(f"/api/report/{report}/progress")
                security = json.loads(await get(f"/api/report/{report}/overview"))
                number = (security["data"]["security"] or {"id": 1})["id"]
                await get(f"/api/report/vortex/{number}/alerts")

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def _group(
    url: str, token: str, sites: list[str], *, path: Path | None, counts: list[int]
) -> None:
    """Scan the sites with a group, with a store or without; note how often it polls."""
    options = ScanOptions()
    polls = 0

    def note(event: object) -> None:
        nonlocal polls
        if getattr(event, "kind", "") == "attempt" and (
            getattr(event, "operation", "") == "reports.progress"
        ):
            polls += 1

    store = None if path is None else SqliteStore(path)
    held = None
    if store is not None:
        held = await store.create(base_url=url, token_key="0" * 16, options=options)
    async with (
        BestDefense(token, url, max_in_flight=IN_FLIGHT, hooks=(note,) if not counts else ()) as bd,
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
    if not counts:
        counts.append(round(polls / len(sites)))


async def _cost(work: Callable[[], Awaitable[None]], scans: int) -> float:
    started = time.process_time()
    await work()
    return (time.process_time() - started) / scans


async def _measure(url: str, token: str, blocks: int) -> None:
    async with BestDefense(token, url) as bd:
        sites = [site.id for site in await bd.sites.list()]
    counts: list[int] = []
    await _group(url, token, sites, path=None, counts=counts)
    (polls,) = counts
    costs: dict[str, list[float]] = {"bare": [], "group": [], "store": []}
    with tempfile.TemporaryDirectory() as folder:
        for block in range(blocks):
            path = Path(folder) / f"{block}.db"
            for name, work in (
                ("bare", lambda: _bare(url, token, sites, polls)),
                ("group", lambda: _group(url, token, sites, path=None, counts=counts)),
                ("store", lambda path=path: _group(url, token, sites, path=path, counts=counts)),
            ):
                costs[name].append(await _cost(work, len(sites)))
    low = {name: statistics.quantiles(values, n=5)[0] for name, values in costs.items()}
    print(f"CPU per scan, {blocks} blocks of {len(sites)} scans, {polls} polls each")
    print(f"  bare aiohttp, same requests      {low['bare'] * 1e3:6.2f} ms")
    for name, words in (("group", "ScanGroup"), ("store", "ScanGroup with a store")):
        ratio = low[name] / low["bare"]
        print(f"  {words:32} {low[name] * 1e3:6.2f} ms   x {ratio:.2f}")


def main() -> None:
    """Start a sandbox process and measure against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=7)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "bestdefense_async.sandbox", "--speed", str(SPEED)]
    command += ["--sites", str(arguments.scans)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sandbox:
        try:
            assert sandbox.stdout is not None  # noqa: S101 - it was asked for
            where = json.loads(sandbox.stdout.readline())
            asyncio.run(_measure(where["url"], where["token"], arguments.blocks))
        finally:
            sandbox.terminate()


if __name__ == "__main__":
    main()
