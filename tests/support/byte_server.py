"""A loopback server that speaks bytes, for what no HTTP library would ever send.

A script is a list of answers, one per request in order of arrival; the last one serves all that
come after. Or it is a function from the request to its answer. An answer is a list of steps: bytes
to send, or one of the words below. Nothing is parsed or completed on the way out, so a test says
exactly what the client gets to see.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from attrs import Factory, define, frozen


@frozen
class Pause:
    """Wait before the next step."""

    seconds: float


@frozen
class Drip:
    """Send `data` byte by byte; None repeats the first byte for ever."""

    data: bytes
    every: float
    is_endless: bool = False


@frozen
class Flood:
    """Send `data` over and over until the client goes away."""

    data: bytes


class Word:
    """A step that is not bytes."""


FIN = Word()
"""Close the connection properly."""
RST = Word()
"""Reset the connection."""
STALL = Word()
"""Do nothing more, and keep the connection open until the server stops."""

Step = bytes | Pause | Drip | Flood | Word


@frozen
class Received:
    """One request as it arrived."""

    connection: int
    """Number of the connection it came on, from 0."""
    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    raw_head: bytes


def reply(
    body: bytes = b"{}",
    *,
    status: int | str = 200,
    headers: Sequence[str] = (),
    length: int | None = None,
) -> bytes:
    """Return an answer in bytes, with a Content-Length that may lie."""
    lines = [
        f"HTTP/1.1 {status} Words",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return head(*lines, *headers) + body


def head(*lines: str) -> bytes:
    """Return a header block of these lines."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(*parts: bytes) -> bytes:
    """Return these parts as chunks, without the last, empty one."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


@define
class ByteServer:
    """The server; use it with `async with`.

    Args:
        script: One answer per request, or a function that returns it.
        greeting: Steps for each new connection, before it is read.
        reads: False never reads, so that requests pile up.
    """

    script: Sequence[Sequence[Step]] | Callable[[Received], Sequence[Step]] = ((reply(),),)
    greeting: Sequence[Step] = ()
    reads: bool = True
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Received] = Factory(list)
    connections: int = 0
    port: int = 0
    _writers: set[asyncio.StreamWriter] = Factory(set)
    _tasks: set[asyncio.Task[None]] = Factory(set)
    _server: asyncio.Server | None = None
    _news: asyncio.Event = Factory(asyncio.Event)

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}"

    async def heard(self, count: int) -> None:
        """Wait until `count` requests have arrived."""
        while len(self.requests) < count:
            self._news.clear()
            await self._news.wait()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.tls, limit=1 << 26, backlog=1000
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        number = self.connections
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._talk(reader, writer, number)
        except asyncio.CancelledError:
            pass  # the server stops; a cancelled handler would be reported as an error
        except RuntimeError:
            if not writer.is_closing():  # how uvloop says that the client has gone away
                raise
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        if self.greeting and not await self._act(self.greeting, writer):
            return
        if not self.reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()
        while True:
            self.requests.append(await self._read(reader, number))
            self._news.set()
            if not await self._act(self._answer(), writer):
                return

    def _answer(self) -> Sequence[Step]:
        """Return the answer to the latest request."""
        if callable(self.script):
            return self.script(self.requests[-1])
        return self.script[min(len(self.requests), len(self.script)) - 1]

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Received:
        raw = await reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = first.split(" ")
        return Received(number, method, target, headers, body, raw)

    async def _act(self, steps: Sequence[Step], writer: asyncio.StreamWriter) -> bool:
        """Do the steps; return whether the connection goes on."""
        for step in steps:
            if step is FIN:
                writer.close()
                await writer.wait_closed()
                return False
            if step is RST:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            if step is STALL:
                await asyncio.Event().wait()
            await self._send(step, writer)
        return True

    async def _send(self, step: Step, writer: asyncio.StreamWriter) -> None:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Flood):
            while True:
                writer.write(step.data)
                await writer.drain()
                await asyncio.sleep(0)
        elif isinstance(step, Drip):
            async for byte in _drops(step):
                writer.write(byte)
                await writer.drain()


async def _drops(drip: Drip) -> AsyncIterator[bytes]:
    while True:
        for byte in drip.data:
            yield bytes([byte])
            await asyncio.sleep(drip.every)
        if not drip.is_endless:
            return
