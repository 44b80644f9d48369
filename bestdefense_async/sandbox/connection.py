"""The server's connections: our own deadline for slow senders, our own words for broken ones.

aiohttp waits an hour for the rest of a request head and describes a malformed request by quoting
it, which could quote a token. Both end here.
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

from aiohttp import web

from bestdefense_async.sandbox.replies import failure

_SILENT = logging.getLogger("bestdefense_async.sandbox.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.disabled = True

_BACKLOG = 4096

MAX_HEAD_LINE = 8190
"""Longest request line or header line, bytes."""


class Connection(web.RequestHandler):
    """One connection."""

    __slots__ = ("busy", "gone", "received_more", "waiting_since")

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=900.0,
            access_log=None,  # type: ignore[arg-type] # as aiohttp does
            logger=_SILENT,
            lingering_time=1.0,
            auto_decompress=False,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
        )
        self.busy = False
        self.received_more = False
        self.waiting_since: float | None = None
        self.gone: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Note since when a request head has been incomplete."""
        if self.busy:
            self.received_more = True
        elif self.waiting_since is None:
            self.waiting_since = self._loop.time()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wake a handler that waits for this moment."""
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)
        super().connection_lost(exc)

    def begin(self) -> None:
        """A request head is complete and its handler runs."""
        self.busy = True
        self.received_more = False
        self.waiting_since = None

    def end(self) -> None:
        """The handler is done; what came meanwhile may be half a request."""
        self.busy = False
        if self.received_more:
            self.waiting_since = self._loop.time()

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
    """aiohttp's low-level server on a port, with our connections and a sweep for slow senders."""

    def __init__(self, handler: Any, *, read_deadline: float) -> None:  # noqa: ANN401 -- aiohttp keeps the type to itself
        super().__init__(handler)
        self._running = asyncio.get_running_loop()
        self._read_deadline = read_deadline
        self._sweeper: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._running)

    async def listen(self, host: str, port: int) -> int:
        """Listen on the address and return the port, which 0 leaves to the system.

        Raises:
            OSError: the address cannot be bound.
        """
        try:
            self._server = await self._running.create_server(self, host, port, backlog=_BACKLOG)
        except OSError as error:
            message = f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"
            raise OSError(error.errno, message) from None
        self._sweep()
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self, *, grace: float) -> None:
        """Stop listening and close every connection, within twice `grace` seconds."""
        if self._server is None:
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
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

    def _sweep(self) -> None:
        """Close every connection whose request head is overdue, now and from now on."""
        now = self._running.time()
        for connection in self.connections:
            since = connection.waiting_since if isinstance(connection, Connection) else None
            if since is not None and now - since >= self._read_deadline:
                connection.force_close()
        self._sweeper = self._running.call_later(self._read_deadline / 4, self._sweep)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Reset the connection: the peer sees ECONNRESET, not an orderly end."""
    if not isinstance(transport, asyncio.WriteTransport):
        return
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
