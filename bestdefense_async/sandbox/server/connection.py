"""The server's connections: a deadline for slow senders, answers that quote nothing, capped bodies.

aiohttp sets no limit to the time a request head may take, and describes a malformed request by
quoting it, which could quote a token. Neither happens here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from http import HTTPStatus
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from bestdefense_async.sandbox.replies import Reply, failure

_SILENT = logging.getLogger("bestdefense_async.sandbox.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.disabled = True

_BACKLOG = 4096
_IDLE = 300.0
"""Longest time between two requests of a connection, seconds."""

MAX_HEAD_LINE = 8190
"""Longest request line or header line, bytes."""


class _HeadDeadline:
    """Closes connections whose request head stays incomplete for too long.

    It has a timer only while there is such a connection: a loop with virtual time, or an idle
    process, is not woken for nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop = loop
        self._deadline = deadline
        self._since: dict[web.RequestHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, connection: web.RequestHandler) -> None:
        """Count the time of a connection from now on, unless it is counted already."""
        self._since.setdefault(connection, self._loop.time())
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline, self._close_overdue)

    def stop(self, connection: web.RequestHandler) -> None:
        """Count the time of a connection no more."""
        self._since.pop(connection, None)

    def end(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _close_overdue(self) -> None:
        self._timer = None
        due = self._loop.time() - self._deadline
        for connection in [each for each, since in self._since.items() if since <= due]:
            self.stop(connection)
            connection.force_close()
        if self._since:
            # In the order they came, so the first is the next to be overdue.
            earliest = next(iter(self._since.values()))
            self._timer = self._loop.call_at(earliest + self._deadline, self._close_overdue)


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("busy", "content", "gone", "head_deadline")

    def __init__(self, listener: Listener, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            listener,
            loop=loop,
            keepalive_timeout=_IDLE,
            access_log=None,  # type: ignore[arg-type] # as aiohttp does
            logger=_SILENT,
            lingering_time=1.0,
            auto_decompress=False,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
        )
        self.busy: bool = False
        self.content: StreamReader | None = None
        self.head_deadline: _HeadDeadline = listener.head_deadline
        self.gone: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Record since when a request head has been incomplete."""
        if not self.busy:
            self.head_deadline.start(self)
        super().data_received(data)
        if self._messages:
            # A head is complete; on a busy loop its handler may begin a good while later.
            self.head_deadline.stop(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wake a handler that waits for this moment."""
        self.head_deadline.stop(self)
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)
        super().connection_lost(exc)
        if self.content is not None:
            # aiohttp may be waiting for the rest of a body that we have refused.
            self.content.feed_eof()

    def begin(self, request: web.BaseRequest) -> None:
        """A request head is complete and its handler runs."""
        self.busy = True
        self.content = request.content
        self.head_deadline.stop(self)

    def end(self) -> None:
        """The handler is done; what comes now is another request."""
        self.busy = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 -- it may quote the request
        message: str | None = None,  # noqa: ARG002 -- it may quote the request
    ) -> web.StreamResponse:
        """Answer a request that could not be read or handled, without quoting it."""
        if request.writer.output_size > 0:
            raise ConnectionResetError
        text = (
            "The request is malformed."
            if status == HTTPStatus.BAD_REQUEST
            else "The sandbox failed."
        )
        reply = failure(status, text)
        response = web.Response(status=status, body=reply.body, headers=reply.headers)
        response.force_close()
        return response


class Listener(web.Server):
    """aiohttp's low-level server on a port, with our connections."""

    def __init__(self, handler: Any, *, read_deadline: float) -> None:  # noqa: ANN401 -- aiohttp keeps the type to itself
        super().__init__(handler)
        self._running = asyncio.get_running_loop()
        self.head_deadline: _HeadDeadline = _HeadDeadline(self._running, read_deadline)
        self._server: asyncio.Server | None = None

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._running)

    async def listen(self, host: str, port: int) -> int:
        """Listen on the address and return the port, which 0 leaves to the system.

        Raises:
            OSError: The address cannot be bound.
        """
        try:
            self._server = await self._running.create_server(self, host, port, backlog=_BACKLOG)
        except OSError as error:
            message = f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, message) from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self, *, grace: float) -> None:
        """Stop listening and close every connection, within twice `grace` seconds."""
        if self._server is None:
            return
        self.head_deadline.end()
        # A connection that asyncio is about to accept when its server closes is lost with a noise:
        # stop accepting first, and let those under way arrive.
        for listening in self._server.sockets:
            with contextlib.suppress(NotImplementedError):
                self._running.remove_reader(listening.fileno())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._server.close()
        self.pre_shutdown()
        await self.shutdown(grace)
        # The transports close on the loop's next turn; nobody should find them open.
        await asyncio.sleep(0)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Reset the connection: the peer sees ECONNRESET, not an orderly end."""
    if not isinstance(transport, asyncio.WriteTransport):
        return
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


MAX_BODY = 1 << 20
"""Largest request body, bytes."""


class Unreadable(Exception):
    """A body that is not read to its end; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _refusal(status: int, message: str) -> Unreadable:
    # What is left of the body would be read as the next request: the connection must end.
    return Unreadable(failure(status, message, close=True))


async def read_body(request: web.BaseRequest, *, deadline: float) -> bytes:
    """Return the body, at most `MAX_BODY` bytes, within `deadline` seconds of the loop.

    A compressed body is refused instead of being unpacked: the API documents none, and a small one
    can unpack to anything.

    Raises:
        Unreadable: Too large, compressed, of another type, too slow, broken, or never finished.
    """
    headers = request.headers
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _refusal(415, "Compressed request bodies are not accepted.")
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise _refusal(413, f"The request body is larger than {MAX_BODY} bytes.")
    if headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    kept = bytearray()
    try:
        async with asyncio.timeout(deadline):
            while chunk := await request.content.readany():
                kept += chunk
                if len(kept) > MAX_BODY:
                    raise _refusal(413, f"The request body is larger than {MAX_BODY} bytes.")
    except TimeoutError:
        raise _refusal(408, "The request body did not arrive in time.") from None
    except (ConnectionError, ClientPayloadError, HttpProcessingError, web.PayloadAccessError):
        raise _refusal(400, "The request body is broken.") from None
    if kept and request.content_type != "application/json":
        message = "The Content-Type of the request body must be application/json."
        raise Unreadable(failure(400, message))
    return bytes(kept)
