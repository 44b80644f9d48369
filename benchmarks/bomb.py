"""How much memory a gzip bomb costs: 10 MB on the wire that are 10 GiB of zeros.

    python benchmarks/bomb.py

Prints the growth of the process's peak memory and the error, for a success and for a 502 whose body
is the bomb. Goal: below 64 MB. `--naive` reads the same answer with aiohttp's own `read()`, under a
memory limit of 2 GiB, to show what is avoided.
"""

import argparse
import asyncio
import resource
import time
import zlib
from collections.abc import Awaitable, Callable

import aiohttp

from bestdefense_async import BestDefense, BestDefenseError, RetryPolicy

MIB = 2**20
GIB = 2**30


def _bomb(size: int) -> bytes:
    """Return a gzip stream of `size` zeros, built from one compressed MiB again and again."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head = squeezed.compress(bytes(MIB)) + squeezed.flush(zlib.Z_FULL_FLUSH)
    block = squeezed.compress(bytes(MIB)) + squeezed.flush(zlib.Z_FULL_FLUSH)
    return head + block * (size // MIB - 1)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _serve(status: int, body: bytes) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        try:
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def _ours(url: str) -> str:
    async with BestDefense("token", url, retry=RetryPolicy(attempts=1)) as bd:
        try:
            await bd.sites.list()
        except BestDefenseError as error:
            return error.kind
    return "no error"


async def _aiohttp(url: str) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (2 * GIB, 2 * GIB))
    try:
        async with aiohttp.ClientSession() as session, session.get(url + "/api/sites") as response:
            await response.read()
    except MemoryError:
        return "MemoryError"
    return "no error"


async def _feed(name: str, status: int, body: bytes, read: Callable[[str], Awaitable[str]]) -> None:
    server = await _serve(status, body)
    port = server.sockets[0].getsockname()[1]
    before, started = _peak(), time.perf_counter()
    kind = await read(f"http://127.0.0.1:{port}")
    grown, took = _peak() - before, time.perf_counter() - started
    print(f"  {name:24s} {grown:8.1f} MB more   {took:6.2f} s   {kind}")
    server.close()


async def _run(*, naive: bool) -> None:
    body = _bomb(10 * GIB)
    print(f"a gzip bomb of {len(body) / MIB:.1f} MiB that is 10 GiB")
    await _feed("bestdefense_async, 502", 502, body, _ours)
    await _feed("bestdefense_async, 200", 200, body, _ours)
    if naive:
        await _feed("aiohttp read()", 200, body, _aiohttp)


def main() -> None:
    """Feed the bomb to the client, and to aiohttp on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--naive", action="store_true")
    asyncio.run(_run(naive=parser.parse_args().naive))


if __name__ == "__main__":
    main()
