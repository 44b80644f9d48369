"""One HTTP exchange: under our deadline and caps, sent once, and ending in a reply or our error.

There are two ways to the server, and everything beside the sending is the same for both: `lean`,
and aiohttp's session for what the lean way does not send (through a proxy, large bodies, files,
an aiohttp of another shape).
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from yarl import URL

from bestdefense_async.core.host import LONGEST_HOST
from bestdefense_async.core.request import Reply, lower_headers
from bestdefense_async.core.slices import LARGE
from bestdefense_async.errors import (
    AnswerError,
    AttemptTimeout,
    BestDefenseError,
    ClientClosed,
    ConfigError,
    ProtocolError,
    ProxyError,
    RedirectRefused,
    Sent,
    clean_text,
)
from bestdefense_async.transport.http.body import read_at_once, read_body, read_excerpt
from bestdefense_async.transport.http.cancel_scope import Cut, Home
from bestdefense_async.transport.http.connection import Exchange, SendOnce
from bestdefense_async.transport.http.faults import explain
from bestdefense_async.transport.http.lean import LARGEST_BODY, LeanWay, is_usable
from bestdefense_async.transport.http.session import MIB, WireSettings, open_session, parse_proxy

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Mapping
    from types import TracebackType

    import aiohttp

    from bestdefense_async.transport.http.lean import HttpAnswer

T = TypeVar("T")

_LARGE: Final = MIB
"""Bytes of a request body from which on aiohttp wants a file instead."""
_LONGEST_PLACE: Final = LONGEST_HOST + len(":65535")
_SUCCESSES: Final = range(200, 300)
_TURN: Final = 0.004
"""Seconds that reading one large answer may keep the loop to itself."""
_HAS_LEAN_WAY: Final = is_usable()


class Wire:
    """The connections to one server. It is opened by its first use, on the loop of that use.

    Args:
        session: An aiohttp session whose connections to use. It is never closed or changed, and
            its connections must be fit for our settings: its connector's TLS and resolver count,
            ours do not.
        home: The process and loop that it belongs to; None for one of its own.
        is_lean: Whether to go the lean way where that is possible.

    Raises:
        ConfigError: The proxy cannot be used.
    """

    def __init__(
        self,
        settings: WireSettings,
        *,
        session: aiohttp.ClientSession | None = None,
        home: Home | None = None,
        is_lean: bool = _HAS_LEAN_WAY,
    ) -> None:
        self._settings = settings
        self._proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._borrowed = session
        self._session: aiohttp.ClientSession | None = None
        self._may_be_lean = is_lean and self._proxy is None
        self._lean: LeanWay | None = None
        self._home = Home() if home is None else home
        self._is_closed = False
        self._most_at_once = min(settings.max_wire_bytes, settings.max_body_bytes)
        self._era = 0
        parts = urlsplit(settings.base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    @property
    def connecting(self) -> int:
        """How many exchanges wait for a new connection."""
        return 0 if self._lean is None else self._lean.connecting

    def exchange(self, exchange: Exchange, timeout: float) -> Coroutine[Any, Any, Any]:
        """Return what to await for what `exchange.read` makes of the answer.

        Exactly one request reaches the wire, or none. When the answer does not fit, its connection
        and all idle ones are closed: they may be one answer behind.

        Args:
            exchange: A scope that has been entered.
            timeout: Seconds from now until the body is complete.

        Raises:
            TransportError: No usable answer came; `sent` on it says how far the request came.
            ClientClosed: The wire is closed, or was closed meanwhile.
            WrongLoop: It belongs to another loop or process.
        """
        return self.within(exchange, timeout, self._answered(exchange))

    async def within(self, exchange: Exchange, timeout: float, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work` on an exchange, or raise our error for what went wrong.

        Raises:
            AttemptTimeout: It took longer than `timeout` seconds.
            BestDefenseError: As for `exchange`.
        """
        wheel = self._home.wheel
        wheel.arm(exchange, timeout)
        error: BaseException
        try:
            result = await work
        except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001  # aiohttp lets out anything
            error = caught
        else:
            exchange.take_back(None, Cut.DEADLINE)
            return result
        finally:
            wheel.disarm(exchange)
        # Outside of the block, so that ours has no context: aiohttp's frames hold the headers.
        ours = error if error is exchange.fault else self._judge(error, exchange, timeout)
        del error
        raise ours

    async def open_answer(
        self, exchange: Exchange, *, url: str | None = None, buffer: int | None = None
    ) -> aiohttp.ClientResponse:
        """Send the request through the session; return the answer when its headers are there.

        Args:
            exchange: A scope that has been entered, and is bounded by `within`.
            url: Another place than the API's, such as a redirect's target; without credentials.
            buffer: Bytes of the body that may wait to be read, None for aiohttp's 64 KiB.

        Raises:
            ConfigError: The token would travel to another place, or the path is none.
        """
        session = self._open()
        request = exchange.request
        if url is not None and exchange.secret is not None:
            raise ConfigError("The token goes to the API only.")
        if url is None:
            _check_path(request.path)
        exchange.era = self._era
        body = request.body
        response = await session.request(
            request.route.method,
            URL(self._settings.base_url + request.path if url is None else url, encoded=True),
            data=body if body is None or len(body) < _LARGE else io.BytesIO(body),
            headers=self._headers(exchange),
            allow_redirects=False,
            middlewares=(SendOnce(exchange),),
            proxy=None if self._proxy is None else self._proxy.url,
            proxy_headers=None if self._proxy is None else self._proxy.headers,
            read_bufsize=buffer,
        )
        exchange.sent = Sent.YES
        return response

    def finish(self, exchange: Exchange) -> None:
        """Record that an answer is complete: what comes on its connection is unsolicited."""
        exchange.finish(self._home.check().time(), self._era)

    async def aclose(self) -> None:
        """Close the wire. May be called again.

        Raises:
            WrongLoop: The wire belongs to another loop or process.
        """
        self._home.check()
        self._is_closed = True
        if self._lean is not None:
            self._lean.close()
        if self._session is not None:
            await self._session.close()

    async def _answered(self, exchange: Exchange) -> Any:  # noqa: ANN401  # what `read` returns
        """Send one request, and read its answer while its connection is still ours."""
        session = self._session
        if session is None or self._is_closed:
            session = self._open()
        lean, body = self._lean, exchange.request.body
        answer: HttpAnswer
        if lean is not None and (body is None or len(body) <= LARGEST_BODY):
            _check_path(exchange.request.path)
            exchange.era = self._era
            answer = await lean.send(exchange)
            exchange.sent = Sent.YES
        else:
            answer = await self.open_answer(exchange)
        try:
            status, headers = answer.status, lower_headers(answer.headers)
            exchange.headers_seen(status, headers)
            body = read_at_once(answer, self._most_at_once) if status in _SUCCESSES else None
            if body is None:
                reply = await self._reply(answer, exchange, headers)
            else:
                reply = Reply(status, headers, body)
            with _FaultOf(exchange):
                if len(reply.body) <= LARGE:
                    result = exchange.read(reply)
                else:
                    result = await _in_turns(exchange.read_in_steps(reply))
            if not reply.is_cut:
                self.finish(exchange)
        except AnswerError:
            self._distrust(exchange)
            raise
        finally:
            answer.close()
        return result

    async def _reply(
        self, answer: HttpAnswer, exchange: Exchange, headers: Mapping[str, str]
    ) -> Reply:
        """Return the answer with its body, whatever its status says, except a redirect."""
        settings, status = self._settings, answer.status
        if status in _SUCCESSES:
            body = await read_body(
                answer, exchange, wire=settings.max_wire_bytes, decoded=settings.max_body_bytes
            )
            return Reply(status, headers, body)
        if status == 407 and self._proxy is not None:  # noqa: PLR2004  # proxy authentication
            raise ProxyError(f"The proxy {self._proxy.url} wants a user name and password.")
        if not 400 <= status < 600:  # noqa: PLR2004  # HTTP's refusals
            raise refusal_to_follow(status, headers)
        body, is_cut = await read_excerpt(answer, settings.max_error_bytes)
        return Reply(status, headers, body, is_cut)

    def _distrust(self, exchange: Exchange) -> None:
        """Use no connection any more that is idle now, nor this exchange's."""
        exchange.distrust()
        self._era += 1
        if self._lean is not None:
            self._lean.close()

    def _judge(self, error: BaseException, exchange: Exchange, timeout: float) -> BaseException:
        """Return the error to raise in place of `error`, bare of its history."""
        is_late = exchange.take_back(error, Cut.DEADLINE)
        if isinstance(error, BestDefenseError):
            return error.with_traceback(None)
        if isinstance(error, asyncio.CancelledError) and not is_late:
            task = asyncio.current_task()
            if exchange.cut_by is not None or task is None or task.cancelling():
                return error.with_traceback(None)
        if self._is_closed or (self._borrowed is not None and self._borrowed.closed):
            return ClientClosed("The client was closed during this call.", sent=exchange.sent)
        if is_late:
            return AttemptTimeout(
                f"{self._origin} did not answer within {timeout:.3g} s.", sent=exchange.sent
            )
        return explain(
            error,
            sent=exchange.sent,
            origin=self._origin,
            connect_timeout=self._settings.connect_timeout,
            proxy=None if self._proxy is None else str(self._proxy.url),
        )

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        headers = dict(exchange.headers)
        if exchange.secret is not None:
            headers["Authorization"] = f"Bearer {exchange.secret.reveal()}"
        if exchange.request.body is not None:
            headers["Content-Type"] = "application/json"
        if self._proxy is not None and self._origin.startswith("http:"):
            headers.update(self._proxy.headers)  # there is no CONNECT that could carry them
        return headers

    def _open(self) -> aiohttp.ClientSession:
        loop = self._home.check()
        if self._is_closed:
            raise ClientClosed("The client is closed.")
        if self._session is None:
            self._session = open_session(self._settings, self._borrowed, loop)
            connector = self._session.connector
            if self._may_be_lean and connector is not None:
                self._lean = LeanWay(self._settings, connector, loop)
        return self._session


class _FaultOf:
    """Around reading a reply: what is no error of ours is a fault of the program, and stays one.

    A cancellation is none, and closes the connection, too.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, BestDefenseError):
            self._exchange.distrust()  # whose answer it was has not come out
            if isinstance(error, Exception):
                self._exchange.fault = error


async def _in_turns(steps: Generator[None, None, T]) -> T:
    """Return what the steps bring, letting others have the loop every few milliseconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + _TURN
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if clock() >= until:
            await asyncio.sleep(0)
            until = clock() + _TURN


def _check_path(path: str) -> None:
    is_visible = path.isascii() and path.isprintable() and " " not in path
    if not path.startswith("/") or not is_visible or "#" in path:
        raise ConfigError(
            "A path begins with a slash and holds no space, '#' or control character."
        )


def refusal_to_follow(status: int, headers: Mapping[str, str]) -> ProtocolError:
    """Return the error for a status that is neither a success nor a refusal."""
    if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
        try:
            target = urlsplit(headers.get("location", ""))
            port = target.port
        except ValueError:
            return ProtocolError(f"The answer has status {status} and a Location that is no URL.")
        is_usable_place = target.scheme in {"http", "https", ""}
        if is_usable_place and (target.hostname or target.path):
            place = "the same host" if target.hostname is None else target.hostname
            place += "" if port is None else f":{port}"
            if len(place) > _LONGEST_PLACE:  # it may hold the token, and would be cut
                place = "another host"
            return RedirectRefused(
                f"The answer (status {status}) points to {clean_text(place)}: "
                "API calls are not redirected. Check the base URL."
            )
        return ProtocolError(f"The answer has status {status} and points nowhere usable.")
    return ProtocolError(f"The answer has status {status}, which HTTP does not have here.")
