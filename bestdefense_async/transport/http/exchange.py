"""One HTTP exchange: under our deadline and caps, sent once, and ending in a reply or our error."""

from __future__ import annotations

import asyncio
import io
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from yarl import URL

from bestdefense_async.core.request import Reply, Request, lower_headers
from bestdefense_async.errors import (
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
from bestdefense_async.transport.http.body import read_body, read_excerpt
from bestdefense_async.transport.http.cancel_scope import CancelScope, Lifetime
from bestdefense_async.transport.http.connection import Attempt
from bestdefense_async.transport.http.faults import explain
from bestdefense_async.transport.http.session import MIB, WireSettings, open_session, parse_proxy
from bestdefense_async.transport.http.stream import CHUNK, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    import aiohttp

T = TypeVar("T")

_PATH: Final = re.compile(r"/[!-~]*")
_LARGE: Final = MIB
"""Bytes of a request body from which on aiohttp wants a file instead."""


class Wire:
    """The connections to one server. It is opened by its first use, on the loop of that use.

    Args:
        session: An aiohttp session whose connections to use. It is never closed or changed, and
            its connections must be fit for our settings: its connector's TLS and resolver count,
            ours do not.
        lifetime: Shared with others that end together with the wire; None for one of its own.

    Raises:
        ConfigError: The proxy cannot be used.
    """

    def __init__(
        self,
        settings: WireSettings,
        *,
        session: aiohttp.ClientSession | None = None,
        lifetime: Lifetime | None = None,
    ) -> None:
        self._settings = settings
        self._proxy = None if settings.proxy is None else parse_proxy(settings.proxy)
        self._borrowed = session
        self._session: aiohttp.ClientSession | None = None
        self._lifetime = Lifetime() if lifetime is None else lifetime
        parts = urlsplit(settings.base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    async def exchange(
        self,
        request: Request,
        *,
        token: str,
        timeout: float,
        on_headers: Callable[[int, Mapping[str, str]], None],
        extra_headers: Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send one request and return the answer, whatever its status says, except a redirect.

        Exactly one request reaches the wire, or none.

        Args:
            timeout: Seconds from now until the body is complete.
            on_headers: Called once with status and headers, when they are there.

        Raises:
            TransportError: No usable answer came; `sent` on it says how far the request came.
            ClientClosed: The wire is closed, or was closed meanwhile.
            WrongLoop: It belongs to another loop or process.
        """
        attempt = self._attempt(request, token, extra_headers)
        del token
        outcome = await self.run(self._answer(request, attempt, on_headers), attempt, timeout)
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    @asynccontextmanager
    async def stream(
        self,
        request: Request,
        *,
        token: str | None,
        timeout: float,
        deadline: float | None = None,
        url: str | None = None,
        extra_headers: Iterable[tuple[str, str]] = (),
    ) -> AsyncIterator[Stream]:
        """Send one request and hand out the answer as it comes, undecoded, redirects too.

        Args:
            token: None sends no credentials.
            timeout: Seconds until the headers are there, and then for each chunk.
            deadline: Loop time at which the body must be complete, None for no bound.
            url: Another place than the API's, such as a redirect's target.
            extra_headers: For example `Range`.

        Raises:
            ConfigError: The token would travel to another place.
            TransportError, ClientClosed, WrongLoop: As for `exchange`.
        """
        if url is not None and token is not None:
            raise ConfigError("The token goes to the API only.")
        headers = [("Accept-Encoding", "identity"), ("Accept", "*/*"), *extra_headers]
        attempt = self._attempt(request, token, headers)
        del token
        sending = self._request(request, attempt, url, buffer=CHUNK)
        outcome = await self.run(sending, attempt, timeout)
        if isinstance(outcome, BaseException):
            raise outcome
        try:
            yield Stream(outcome, attempt, self.run, timeout=timeout, deadline=deadline)
        finally:
            outcome.close()

    async def aclose(self) -> None:
        """Close the wire: what is under way ends with `ClientClosed`. May be called again.

        Raises:
            WrongLoop: The wire belongs to another loop or process.
        """
        await self._lifetime.end()
        if self._session is not None:
            await self._session.close()

    async def run(self, work: Awaitable[T], attempt: Attempt, timeout: float) -> T | BaseException:
        """Return the result of `work`, or the error to raise: ours, or a genuine cancellation.

        It is returned, not raised, so that neither its traceback nor its context shows frames
        that hold the token.
        """
        scope = CancelScope(timeout)
        self._lifetime.enter(scope)
        try:
            with scope:
                return await work
        except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001  # aiohttp lets out anything
            error: BaseException = caught
        finally:
            self._lifetime.leave(scope)
        return self._judge(error, attempt, timeout, is_late=scope.is_cut)

    def _judge(
        self, error: BaseException, attempt: Attempt, timeout: float, *, is_late: bool
    ) -> BaseException:
        """Return the error to raise in place of `error`, bare of its history."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is None or task.cancelling():
                return error.with_traceback(None)
        if isinstance(error, BestDefenseError):
            return error.with_traceback(None)
        if self._lifetime.is_over or (self._borrowed is not None and self._borrowed.closed):
            return ClientClosed("The client was closed during this call.", sent=attempt.sent)
        if is_late and isinstance(error, TimeoutError):
            return AttemptTimeout(
                f"{self._origin} did not answer within {timeout:.3g} s.", sent=attempt.sent
            )
        return explain(
            error,
            sent=attempt.sent,
            origin=self._origin,
            connect_timeout=self._settings.connect_timeout,
            is_proxied=self._proxy is not None,
        )

    def _attempt(
        self, request: Request, token: str | None, extra_headers: Iterable[tuple[str, str]]
    ) -> Attempt:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        headers.update(extra_headers)
        if self._proxy is not None and self._origin.startswith("http:"):
            headers.update(self._proxy.headers)  # there is no CONNECT that could carry them
        return Attempt(headers, may_repeat=request.route.may_repeat)

    async def _answer(
        self,
        request: Request,
        attempt: Attempt,
        on_headers: Callable[[int, Mapping[str, str]], None],
    ) -> Reply:
        settings = self._settings
        response = await self._request(request, attempt, None)
        try:
            status = response.status
            headers = lower_headers(response.headers)
            on_headers(status, headers)
            if status == 407 and self._proxy is not None:  # noqa: PLR2004  # proxy authentication
                raise ProxyError("The proxy wants a user name and password.")
            if not 200 <= status < 600 or 300 <= status < 400:  # noqa: PLR2004  # HTTP's classes
                raise refusal_to_follow(status, headers)
            if status >= 400:  # noqa: PLR2004  # HTTP's errors
                body, is_cut = await read_excerpt(response, settings.max_error_bytes)
            else:
                is_cut = False
                body = await read_body(
                    response,
                    attempt,
                    wire=settings.max_wire_bytes,
                    decoded=settings.max_body_bytes,
                )
            if not is_cut:
                attempt.finish()
            return Reply(status=status, headers=headers, body=body, is_cut=is_cut)
        finally:
            response.close()

    async def _request(
        self, request: Request, attempt: Attempt, url: str | None, *, buffer: int | None = None
    ) -> aiohttp.ClientResponse:
        """Send the request and return the answer when its headers are there.

        `buffer` is how many bytes of the body may wait to be read, None for aiohttp's 64 KiB.
        """
        session = self._open()
        if url is None and not _PATH.fullmatch(request.path):
            raise ConfigError("A path begins with a slash and holds no space or control character.")
        body = request.body
        response = await session.request(
            request.method,
            URL(self._settings.base_url + request.path if url is None else url, encoded=True),
            data=body if body is None or len(body) < _LARGE else io.BytesIO(body),
            headers=attempt.headers,
            allow_redirects=False,
            middlewares=(attempt,),
            proxy=None if self._proxy is None else self._proxy.url,
            proxy_headers=None if self._proxy is None else self._proxy.headers,
            read_bufsize=buffer,
        )
        attempt.sent = Sent.YES
        return response

    def _open(self) -> aiohttp.ClientSession:
        loop = self._lifetime.check()
        if self._session is None:
            self._session = open_session(self._settings, self._borrowed, loop)
        return self._session


def refusal_to_follow(status: int, headers: Mapping[str, str]) -> ProtocolError:
    """Return the error for a status that is neither a success nor a refusal."""
    if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
        try:
            target = urlsplit(headers.get("location", ""))
            port = target.port
        except ValueError:
            return ProtocolError(f"The answer has status {status} and a Location that is no URL.")
        is_usable = target.scheme in {"http", "https", ""} and (target.hostname or target.path)
        if is_usable:
            place = "the same host" if target.hostname is None else target.hostname
            place += "" if port is None else f":{port}"
            return RedirectRefused(
                f"The answer (status {status}) points to {clean_text(place, longest=80)}: "
                "API calls are not redirected. Check the base URL."
            )
        return ProtocolError(f"The answer has status {status} and points nowhere usable.")
    return ProtocolError(f"The answer has status {status}, which HTTP does not have here.")
