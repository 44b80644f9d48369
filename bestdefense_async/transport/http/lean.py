"""The lean way: one exchange over aiohttp's pool and parser, without what its session does.

`ClientSession.request` builds a request object, merges headers, looks for cookies, proxies,
redirects and tracers, and serialises the headers: more than half of what a small GET costs. For a
server that is spoken to with one base URL and one set of headers all of it is done once, and a
request is one write. What stays aiohttp's: its connector with DNS, happy eyeballs, TLS and pool,
`ResponseHandler` with the parser, `StreamReader` with its flow control.

Used here and documented nowhere: `BaseConnector.connect`, `Connection.protocol`, `release` and
`close`, `ResponseHandler.set_response_params` and `read`. `is_usable` looks at their signatures;
where they differ the session sends, as it does through a proxy and for large bodies.
"""

from __future__ import annotations

import contextvars
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import BaseConnector
from aiohttp.helpers import TimerNoop
from yarl import URL

from bestdefense_async.transport.http.connection import CarefulProtocol
from bestdefense_async.transport.http.session import (
    LONGEST_HEADER,
    MOST_HEADERS,
    WireSettings,
    default_headers,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection

    from bestdefense_async.core.request import Request
    from bestdefense_async.transport.http.connection import Exchange

LARGEST_BODY: Final = 1 << 16
"""Bytes of a request body that go out in one write with the headers."""
_SWITCHING: Final = 101
_FINAL: Final = 200
"""Where HTTP's final answers begin."""
_PARAMS: Final[dict[str, Any]] = {
    "timer": TimerNoop(),
    "read_until_eof": True,
    "auto_decompress": False,
    "read_bufsize": 1 << 16,
    "max_line_size": LONGEST_HEADER,
    "max_field_size": LONGEST_HEADER,
    "max_headers": MOST_HEADERS,
}


class HttpAnswer(Protocol):
    """An answer whose headers are there; close it in any case. aiohttp's own is one, too."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, found by names in any case."""
        ...

    @property
    def content(self) -> aiohttp.StreamReader:
        """The body as it travels."""
        ...

    def close(self) -> object:
        """Give the connection back when the answer was read to its end, else end it."""
        ...


class LeanAnswer:
    """An answer of the lean way."""

    __slots__ = ("_connection", "_pool", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        connection: Connection,
        pool: IdlePool | None,
    ) -> None:
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self.content: aiohttp.StreamReader = content
        self._connection: Connection | None = connection
        self._pool = pool

    def close(self) -> None:
        """Give the connection back when the answer was read to its end, else end it."""
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        if not self.content.is_eof():
            connection.close()
        elif self._pool is None:
            connection.release()
        else:
            self._pool.give(connection)


class IdlePool:
    """Connections that were used here and are idle, the last used on top.

    They stay taken from aiohttp's pool, which counts them and closes them at its end: giving one
    back and taking it again costs more than all that is done here for a request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, longest: float) -> None:
        self._loop = loop
        self._longest = longest
        self._idle: deque[tuple[Connection, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """Return the connection that was used last, or None."""
        return self._idle.pop()[0] if self._idle else None

    def give(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end, if it can be used again."""
        protocol = connection.protocol
        if protocol is None or protocol.transport is None or protocol.should_close:
            connection.close()
            return
        now = self._loop.time()
        self._idle.append((connection, now))
        if self._timer is None:
            self._sweep_at(now + self._longest)

    def close(self) -> None:
        """Close them all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._idle:
            self._idle.pop()[0].close()

    def _sweep_at(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._sweep, context=contextvars.Context())

    def _sweep(self) -> None:
        """Close what has been idle for too long."""
        self._timer = None
        limit = self._loop.time() - self._longest
        while self._idle and self._idle[0][1] <= limit:
            self._idle.popleft()[0].close()
        if self._idle:
            self._sweep_at(self._idle[0][1] + self._longest)


class LeanWay:
    """Sends requests to one server; the token's header line comes with each."""

    def __init__(
        self, settings: WireSettings, connector: BaseConnector, loop: asyncio.AbstractEventLoop
    ) -> None:
        url = URL(settings.base_url, encoded=True)
        self._loop = loop
        self._connector = connector
        self._pool = IdlePool(loop, settings.idle)
        self._template = _Template("GET", url, loop=loop)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout)
        self._prefix = url.raw_path.rstrip("/")
        self._starts: dict[str, bytes] = {}
        common = {"Host": url.host_port_subcomponent or "", **default_headers(settings)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in common.items())
        self._common = f" HTTP/1.1\r\n{lines}".encode("ascii")
        self.connecting: int = 0
        """Exchanges that wait for a new connection."""

    def close(self) -> None:
        """Close the connections that are idle."""
        self._pool.close()

    async def send(self, exchange: Exchange) -> LeanAnswer:
        """Send a request, once, and return its answer when the headers are there."""
        pool: IdlePool | None = self._pool
        while True:
            connection = self._pool.take() or await self._connect()
            if exchange.takes(connection.protocol, self._loop.time()):
                break
            connection.close()
        try:
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError  # noqa: TRY301  # closed like any failure
            if not isinstance(protocol, CarefulProtocol):
                pool = None
                protocol.set_response_params(**_PARAMS)
            elif not protocol.has_parser:
                # One parser for all answers of a connection: it goes on where one has ended.
                protocol.has_parser = True
                protocol.set_response_params(**_PARAMS)
            transport.write(self._text(exchange))
            while True:
                message, content = await protocol.read()
                if message.code >= _FINAL or message.code == _SWITCHING:
                    break
        except BaseException:
            connection.close()
            raise
        return LeanAnswer(message.code, message.headers, content, connection, pool)

    async def _connect(self) -> Connection:
        self.connecting += 1
        try:
            return await self._connector.connect(self._template, [], self._timeout)
        finally:
            self.connecting -= 1

    def _text(self, exchange: Exchange) -> bytes:
        """Return the whole request. The token's line stands in no variable of ours."""
        request = exchange.request
        secret = exchange.secret
        return b"".join(
            (
                self._starts.get(request.route.method) or self._start(request.route.method),
                request.path.encode("ascii"),
                self._common,
                b"" if secret is None else secret.header_line(),
                _lines(exchange.headers) if exchange.headers else b"",
                _body(request),
            )
        )

    def _start(self, method: str) -> bytes:
        start = self._starts[method] = f"{method} {self._prefix}".encode("ascii")
        return start


class _Template(ClientRequest):
    """What the connector wants to know of a request; the same for all."""

    _key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        """What connections are told apart by, worked out once."""
        if self._key is None:
            self._key = super().connection_key
        return self._key


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def _body(request: Request[object]) -> bytes:
    if request.body is None:
        return b"\r\n" if request.route.method == "GET" else b"Content-Length: 0\r\n\r\n"
    return b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(request.body),
        request.body,
    )


def is_usable() -> bool:
    """Return whether this aiohttp has what is used here."""
    try:
        connect = list(inspect.signature(BaseConnector.connect).parameters)
        params = inspect.signature(ResponseHandler.set_response_params).parameters
    except (AttributeError, TypeError, ValueError):
        return False
    return connect == ["self", "req", "traces", "timeout"] and params.keys() >= _PARAMS.keys()
