"""One request is sent once, on a connection that is fit for it.

aiohttp sends GET, PUT and DELETE a second time, unseen, when a connection breaks before the
answer begins. It takes a pooled connection without looking whether the server has closed it, and
hands bytes that came while it was idle to the next request, after which every answer belongs to
the question before. What puts that right:

`Exchange` is one request on its way, and how far it came. It looks at a connection before the
request is written to it.
`CarefulProtocol` is a connection that knows whether it is in use, since when not, and how often
the server has said "wait" (status 1xx).
`CarefulRequest` and `SendOnce` belong to aiohttp's session, which is used for what the lean way
does not send: the first is the moment between getting a connection and writing to it, the second
hides from aiohttp the errors that make it send again.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.http_exceptions import HttpProcessingError

from bestdefense_async.errors import BestDefenseError, ClientClosed, Sent
from bestdefense_async.transport.http.cancel_scope import CancelScope

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from aiohttp.client_reqrep import ClientResponse
    from aiohttp.connector import Connection

    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.http.cancel_scope import Lifetime

IDLE_BEFORE_CREATION: Final = 2.0
"""Seconds a connection may have been idle before a request that must not be repeated.

Servers close idle connections after 5 s and more. One that closes while the request is on its way
leaves its fate unknown, so such a request goes over a connection that was just used, or a new one.
"""
MOST_INFORMATIONAL: Final = 1000
"""Answers of status 1xx before the real one; HTTP sets no bound."""
_MOST_UNFIT: Final = 1000
"""Connections given up for one request. A pool we own is bounded; a borrowed one we cannot tell."""
_NO_HEADERS: Final[Mapping[str, str]] = {}


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
    """The exchange that used it last; None before its first use."""
    rested_at: float | None = None
    """Loop time since when it is idle; None while in use, and when its last answer was not read to
    its end: then nobody uses it again."""
    rested_in: int = 0
    """The era in which it became idle, see `Exchange.era`."""
    has_parser: bool = False
    """Whether the parser is there that serves all answers of the lean way."""
    informational: int = 0
    """Answers of status 1xx to the present request."""
    _poller: select.poll | None = None

    def has_news(self) -> bool:
        """Return whether the socket has bytes, an end or an error that nobody has looked at."""
        if self._poller is None:
            if not hasattr(select, "poll"):  # Windows
                return _has_news(self)
            descriptor = _descriptor(self)
            if descriptor < 0:
                return True
            self._poller = select.poll()
            self._poller.register(descriptor, select.POLLIN)
        return bool(self._poller.poll(0))

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
            self.informational += 1
            if self.informational > MOST_INFORMATIONAL:
                self.set_exception(HttpProcessingError())
                if self.transport is not None:
                    self.transport.abort()
                return
        super().feed_data(data, size)


class Exchange(CancelScope):
    """One request on its way, and how far it came. Its repr shows no header.

    What is told of an exchange, and what becomes of its answer, is for subclasses to say.
    """

    # Defaults of the class: what nearly no exchange needs is not written into each.
    sent: Sent = Sent.NO
    """NO until a connection is about to be written to, YES from the first answer on."""
    protocol: ResponseHandler | None = None
    """The connection it goes over, None before one is found."""
    headers: Mapping[str, str] = _NO_HEADERS
    """What is sent beside the headers that all requests have."""
    fault: Exception | None = None
    """What `read` raised that is no error of ours: a fault of the program."""
    era: int = 0
    """A connection that became idle in an earlier era is not used. Eras are counted, not timed:
    a loop's clock may stand still for a millisecond."""
    _unfit: int = 0

    def __init__(self, request: Request[object], secret: Secret | None, lifetime: Lifetime) -> None:
        super().__init__(lifetime)
        self.request: Request[object] = request
        self.secret: Secret | None = secret
        """The token to send, or None for no credentials."""

    def start(self, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Begin anew: nothing is sent, on no connection, with these headers of its own."""
        self.sent = Sent.NO
        self.protocol = None
        self.headers = headers

    def leave(self) -> None:
        """Have no connection any more."""
        self.protocol = None

    def headers_seen(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in status and headers (names in lower case), once per answer."""

    def read(self, reply: Reply) -> Any:  # noqa: ANN401  # whatever a subclass makes of it
        """Return what the exchange brings. An error means that the answer does not fit."""
        return reply

    def read_in_steps(self, reply: Reply) -> Generator[None, None, Any]:
        """Return what `read` does; yield often, for the reply is large."""
        yield
        return self.read(reply)

    def takes(self, protocol: ResponseHandler | None, now: float) -> bool:
        """Take a connection into use, unless it was pooled and is not fit any more."""
        if isinstance(protocol, CarefulProtocol):
            if protocol.owner is not None and self._is_unfit(protocol, now):
                return False
            protocol.owner = self
            protocol.rested_at = None
            protocol.informational = 0
        elif protocol is not None and self._unfit < _MOST_UNFIT and _is_spoiled(protocol):
            self._unfit += 1
            return False
        self.protocol = protocol
        self.sent = Sent.MAYBE
        return True

    def finish(self, now: float, era: int) -> None:
        """Record that the answer is complete: what comes from now on is unsolicited."""
        protocol = self.protocol
        if isinstance(protocol, CarefulProtocol) and protocol.owner is self:
            protocol.rested_at = now
            protocol.rested_in = era

    def was_closed(self) -> BestDefenseError:
        """Return the error for an end from outside, which says how far the exchange came."""
        return ClientClosed("The client was closed during this call.", sent=self.sent)

    def distrust(self) -> None:
        """Close the connection as soon as nobody uses it: its answers may be another's."""
        if self.protocol is not None:
            self.protocol.force_close()

    def _is_unfit(self, protocol: CarefulProtocol, now: float) -> bool:
        since = protocol.rested_at
        if since is None or protocol.rested_in < self.era:
            return True  # without a finish, what came since may be half of somebody's answer
        if not self.request.route.may_repeat and now - since > IDLE_BEFORE_CREATION:
            return True
        return not protocol.is_connected() or protocol.should_close or protocol.has_news()


class CarefulRequest(ClientRequest):
    """A request of aiohttp's session that shows its connection to its exchange first."""

    exchange: Exchange | None = None

    async def send(self, conn: Connection) -> ClientResponse:
        """Write the request to a connection that is fit for it.

        Raises:
            UnfitConnection: It is not; nothing was written.
        """
        if self.exchange is not None and not self.exchange.takes(conn.protocol, self.loop.time()):
            raise UnfitConnection
        return await super().send(conn)


class SendOnce:
    """A client middleware of aiohttp, around one request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __call__(
        self, request: ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> ClientResponse:
        """Send `request` at most once; take the next connection when one proves unfit."""
        if isinstance(request, CarefulRequest):
            request.exchange = self._exchange
        original: Exception | None = None
        while original is None:
            try:
                return await handler(request)
            except UnfitConnection:
                continue
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                original = error
        raise LostConnection(original)


def _is_spoiled(protocol: ResponseHandler) -> bool:
    return not protocol.is_connected() or protocol.should_close or _has_news(protocol)


def _has_news(protocol: ResponseHandler) -> bool:
    descriptor = _descriptor(protocol)
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


def _descriptor(protocol: ResponseHandler) -> int:
    transport = protocol.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    return -1 if sock is None else sock.fileno()
