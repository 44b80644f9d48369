"""What an organization costs a client that serves many: CPU per call, and memory.

    python benchmarks/tenants.py [--counts 1 20 100 500] [--blocks 15] [--calls 2000]

Each number of tenants has a client of its own, which sends the same number of calls, each tenant's
in turn, in blocks that take turns. A small server in another process takes every token. Memory is
what one tenant adds: its view, its credentials, limits and budget, after a call.

Goals: CPU per call flat, at most 1.1 of what it is with one tenant; at most 42 kB per tenant.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator

from bestdefense_async import BestDefense
from bestdefense_async.client import View

IN_FLIGHT = 32
REPORT = "d4f7f3a4-5b1e-4b62-9c2f-7b1d8c1f2a3b"
BODY = b'{"success": true, "data": {"isCompleted": false, "percentage": 40}, "error": null}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


class Server(asyncio.Protocol):
    """Answers every request with the same progress."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer; requests are small and come whole."""
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _views(bd: BestDefense, count: int) -> list[View]:
    return [bd.with_token(f"the-token-of-organization-{number:05}") for number in range(count)]


async def _block(views: list[View], calls: int) -> float:
    """Return CPU seconds per call."""
    turns = itertools.islice(itertools.cycle(views), calls)

    async def worker() -> None:
        for view in turns:
            await view.reports.progress(REPORT)

    started = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - started) / calls


async def _cpu(url: str, counts: list[int], blocks: int, calls: int) -> dict[int, float]:
    costs: dict[int, list[float]] = {count: [] for count in counts}
    async with contextlib.AsyncExitStack() as clients:
        views = {}
        for count in counts:
            bd = await clients.enter_async_context(BestDefense(None, url, max_in_flight=IN_FLIGHT))
            views[count] = _views(bd, count)
            await _block(views[count], 2 * count)
        for _ in range(blocks):
            for count, measured in costs.items():
                await _block(views[count], 2 * IN_FLIGHT)
                measured.append(await _block(views[count], calls))
    return {count: statistics.quantiles(measured, n=5)[0] for count, measured in costs.items()}


async def _bytes(url: str, count: int) -> float:
    """Return what each of so many tenants holds."""
    async with BestDefense(None, url, max_in_flight=IN_FLIGHT) as bd:
        one = bd.with_token("the-token-that-opens-connections")
        await _block([one], 2 * IN_FLIGHT)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        views = _views(bd, count)
        await _block(views, count)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    return held / count


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Give the address of a small server in another process."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def main() -> None:
    """Start the server and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 20, 100, 500])
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(_serve())
        return
    with server() as url:
        costs = asyncio.run(_cpu(url, arguments.counts, arguments.blocks, arguments.calls))
        first = costs[arguments.counts[0]]
        print(f"{'tenants':>8}{'CPU us a call':>15}{'x':>7}")
        for count, cost in costs.items():
            print(f"{count:8}{cost * 1e6:15.1f}{cost / first:7.2f}")
        most = max(arguments.counts)
        print(f"each of {most} holds {asyncio.run(_bytes(url, most)) / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
