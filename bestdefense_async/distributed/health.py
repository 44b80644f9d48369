"""What an orchestrator asks a worker: is it alive, and does it take work?"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.distributed.worker import Worker

_PATIENCE: Final = 5.0
"""Seconds that a request may take to arrive."""

_LAST_PORT: Final = 65535


def read_place(place: str) -> tuple[str, int]:
    """Return host and port of a place like `127.0.0.1:8089`.

    Raises:
        ConfigError: It is none.
    """
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigError("The place of health checks is given like 127.0.0.1:8089.")
    return host.strip("[]"), int(port)


@contextlib.asynccontextmanager
async def health_checks(worker: Worker, place: tuple[str, int]) -> AsyncIterator[int]:
    """Answer health checks; gives the port.

    `/health` is 200 while the process works at all, `/ready` 503 while it takes no shards: it is
    stopping, or the database does not answer.

    Raises:
        ConfigError: Nobody can listen there.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_reply(worker, head.split(b" ", 2)[1]))
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    try:
        server = await asyncio.start_server(answer, *place, limit=8192)
    except OSError as error:
        raise ConfigError(
            f"Health checks cannot be answered at {place[0]}:{place[1]}: {error.strerror}."
        ) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


def _reply(worker: Worker, path: bytes) -> bytes:
    is_fine = {b"/health": True, b"/ready": worker.is_ready}.get(path)
    status = {True: "200 OK", False: "503 Service Unavailable", None: "404 Not Found"}[is_fine]
    body = json.dumps(
        {"status": "ok" if is_fine else "no", "shards": worker.shards, "ended": worker.ended}
    )
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
