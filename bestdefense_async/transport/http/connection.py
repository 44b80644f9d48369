"""One request is sent once, on a connection that is fit for it.

aiohttp sends GET, PUT and DELETE a second time, unseen, when a connection breaks before the
answer begins. It takes a pooled connection without looking whether the server has closed it, and
hands bytes that came while it was idle to the next request, after which every answer belongs to
the question before. Three small pieces put that right:

`Attempt` is a client middleware, around one request. It hides from aiohttp the errors that make it
send again, and takes the next connection when one proves unfit before a byte was sent.
`CarefulRequest` is the moment between getting a connection and writing to it.
`CarefulProtocol` is a connection that knows whether it is in use, since when not, and how often
the server has said "wait" (status 1xx).
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.http_exceptions import HttpProcessingError

from bestdefense_async.errors import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_reqrep import ClientResponse
    from aiohttp.connector import Connection

IDLE_BEFORE_CREATION: Final = 2.0
"""Seconds a connection may have been idle before a request that must not be repeated.

Servers close idle connections after 5 s and more. One that closes while the request is on its way
leaves its fate unknown, so such a request goes over a connection that was just used, or a new one.
"""
MOST_INFORMATIONAL: Final = 1000
"""Answers of status 1xx before the real one; HTTP sets no bound."""
_MOST_UNFIT: Final = 1000
"""Connections given up for one request. A pool we own is bounded; a borrowed one we cannot tell."""


class UnfitConnection(Exception):
    """A pooled connection must not be used; nothing was sent on it."""


class LostConnection(Exception):
    """Stands for an error after which aiohttp would send the request again."""

    def __init__(self, original: Exception) -> None:
        super().__init__()
        self.original = original


class CarefulProtocol(ResponseHandler):
    """A connection that drops itself when it hears something while it is idle."""

    owner: object | None = None
    """The attempt that used it last; None before its first use."""
    rested_at: float | None = None
    """Loop time since when it is idle; None while in use."""
    _informational = 0

    def begin(self, owner: object) -> None:
        """Take it into use."""
        self.owner = owner
        self.rested_at = None
        self._informational = 0

    def rest(self, owner: object, now: float) -> None:
        """Record that `owner` is done. By then it may already work for somebody else."""
        if self.owner is owner:
            self.rested_at = now

    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to an answer; anything else ends the connection."""
        if self.rested_at is not None and data:
            if self.transport is not None:
                self.transport.abort()
            return
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401  # aiohttp's own pair
        """Queue one answer, unless it is one "wait" too many."""
        if data[0].code < 200:  # noqa: PLR2004  # where HTTP's final answers begin
            self._informational += 1
            if self._informational > MOST_INFORMATIONAL:
                self.set_exception(HttpProcessingError())
                if self.transport is not None:
                    self.transport.abort()
                return
        super().feed_data(data, size)


class CarefulRequest(ClientRequest):
    """A request that tells its attempt before it is written."""

    attempt: Attempt | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        """Write the request to a connection that is fit for it.

        Raises:
            UnfitConnection: It is not; nothing was written.
        """
        if self.attempt is not None:
            self.attempt.before_sending(conn)
        return await super().send(conn)


class Attempt:
    """What happens to one request, and how far it came. Its repr shows no headers."""

    __slots__ = ("_loop", "_unfit", "headers", "may_repeat", "protocol", "sent")

    def __init__(self, headers: Mapping[str, str], *, may_repeat: bool) -> None:
        self.headers: Mapping[str, str] = headers
        self.may_repeat: bool = may_repeat
        self.sent: Sent = Sent.NO
        """NO until a connection is about to be written to, YES from the first answer on."""
        self.protocol: ResponseHandler | None = None
        self._loop = asyncio.get_running_loop()
        self._unfit = 0

    async def __call__(
        self, request: ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> ClientResponse:
        """Send `request` at most once: this is the middleware that aiohttp calls."""
        if isinstance(request, CarefulRequest):
            request.attempt = self
        original: Exception | None = None
        while original is None:
            try:
                return await handler(request)
            except UnfitConnection:
                continue
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                original = error
        raise LostConnection(original)

    def before_sending(self, connection: Connection) -> None:
        """Look at the connection that aiohttp chose, and take it into use.

        Raises:
            UnfitConnection: It was pooled, and is closed, spoken on, or idle for too long.
        """
        protocol = connection.protocol
        if protocol is not None and self._is_unfit(protocol):
            self._unfit += 1
            raise UnfitConnection
        if isinstance(protocol, CarefulProtocol):
            protocol.begin(self)
        self.protocol = protocol
        self.sent = Sent.MAYBE

    def finish(self) -> None:
        """Record that the answer is complete: what comes from now on is unsolicited."""
        if isinstance(self.protocol, CarefulProtocol):
            self.protocol.rest(self, self._loop.time())

    def _is_unfit(self, protocol: ResponseHandler) -> bool:
        if isinstance(protocol, CarefulProtocol):
            if protocol.owner is None:
                return False
            since = protocol.rested_at
            if since is not None and not self.may_repeat:
                idle = self._loop.time() - since
                if idle > IDLE_BEFORE_CREATION:
                    return True
        elif self._unfit >= _MOST_UNFIT:
            return False
        return not protocol.is_connected() or protocol.should_close or _has_news(protocol)


def _has_news(protocol: ResponseHandler) -> bool:
    """Whether the socket has bytes, an end or an error that the loop has not looked at yet."""
    transport = protocol.transport
    descriptor = -1
    if transport is not None:
        sock = transport.get_extra_info("socket")
        descriptor = -1 if sock is None else sock.fileno()
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
