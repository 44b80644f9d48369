"""What a typed call costs in CPU, against plain aiohttp that decodes nothing.

    python benchmarks/overhead.py [--blocks 15] [--calls 2000] [--in-flight 32]

Both ask the same endpoint of one sandbox in another process, in alternating blocks on one core;
the figure is the ratio of the 20th percentiles of CPU time per call. Goal: at most 1.25.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from bestdefense_async import BestDefense


async def _block(call: Callable[[], Awaitable[object]], calls: int, in_flight: int) -> float:
    """Return CPU seconds per call over one block."""
    left = calls

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return (time.process_time() - started) / calls


async def _measure(url: str, token: str, blocks: int, calls: int, in_flight: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with (
        BestDefense(token, url, max_in_flight=in_flight) as bd,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        report = await bd.reports.create((await bd.sites.list())[0])
        address = f"{url}/api/report/{report.id}/progress"

        async def plain() -> None:
            async with session.get(address, headers=headers) as response:
                await response.read()

        async def typed() -> None:
            await bd.reports.progress(report.id)

        await _block(plain, 500, in_flight)
        await _block(typed, 500, in_flight)
        costs: dict[str, list[float]] = {"plain": [], "typed": []}
        for _ in range(blocks):
            costs["plain"].append(await _block(plain, calls, in_flight))
            costs["typed"].append(await _block(typed, calls, in_flight))
    low = {name: statistics.quantiles(values, n=5)[0] for name, values in costs.items()}
    print(f"CPU per call, {blocks} blocks of {calls}, {in_flight} in flight (20th percentile)")
    print(f"  plain aiohttp get + read    {low['plain'] * 1e6:7.1f} us")
    print(f"  bd.reports.progress         {low['typed'] * 1e6:7.1f} us")
    print(f"  ratio                       {low['typed'] / low['plain']:7.3f}")


def main() -> None:
    """Start a sandbox process and measure against it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=32)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "bestdefense_async.sandbox", "--sites", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sandbox:
        try:
            assert sandbox.stdout is not None  # noqa: S101 - it was asked for
            where = json.loads(sandbox.stdout.readline())
            asyncio.run(
                _measure(
                    where["url"],
                    where["token"],
                    arguments.blocks,
                    arguments.calls,
                    arguments.in_flight,
                )
            )
        finally:
            sandbox.terminate()


if __name__ == "__main__":
    main()
