"""Sending over a wire in one line, the lean way and through aiohttp's session alike."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from bestdefense_async import BestDefense
from bestdefense_async.core.request import Reply, Request
from bestdefense_async.core.route import Grade, Route
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import BestDefenseError
from bestdefense_async.transport.http.cancel_scope import Home, Lifetime
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.http.stream import Stream, open_stream

TOKEN = "bd_sandbox_c2VjcmV0-of-the-test"


class OpenWire:
    """A wire, and the life of what goes over it."""

    is_lean = True
    """The way that wires of the present test go."""

    def __init__(
        self, settings: WireSettings, *, session: aiohttp.ClientSession | None = None
    ) -> None:
        home = Home()
        self.lifetime = Lifetime(home)
        self.wire = Wire(settings, session=session, home=home, is_lean=self.is_lean)

    async def aclose(self) -> None:
        """End what is under way, then the wire, as a client does."""
        await self.lifetime.end()
        await self.wire.aclose()


class Heard(Exchange):
    """An exchange that keeps what it was told."""

    seen: list[tuple[int, Mapping[str, str]]]

    def headers_seen(self, status: int, headers: Mapping[str, str]) -> None:
        """Keep status and headers."""
        self.seen.append((status, headers))


@contextlib.asynccontextmanager
async def wire_to(
    url: str, *, session: aiohttp.ClientSession | None = None, **settings: Any
) -> AsyncIterator[OpenWire]:
    """Open a wire to `url`, and close it."""
    settings.setdefault("connect_timeout", 5.0)
    wire = OpenWire(WireSettings(base_url=url, **settings), session=session)
    try:
        yield wire
    finally:
        await wire.aclose()


@contextlib.asynccontextmanager
async def client_to(url: str, **arguments: Any) -> AsyncIterator[BestDefense]:
    """Open a client that goes the way of the present test, and close it."""
    async with BestDefense(TOKEN, url, **arguments) as bd:
        wire = bd._shared.host.wire  # noqa: SLF001  # no argument chooses the way
        wire._may_be_lean = OpenWire.is_lean  # noqa: SLF001
        yield bd


def plain(
    method: str = "GET", path: str = "/api/sites", body: bytes | None = None
) -> Request[Reply]:
    """Return a request for any path, however odd; a POST is one that may not be repeated."""
    route = Route(
        name="other", method=method, template="", grade=Grade.CALLER, may_repeat=method != "POST"
    )
    return Request(route, path, body)


async def send(
    wire: OpenWire,
    method: str = "GET",
    path: str = "/api/sites",
    *,
    body: bytes | None = None,
    timeout: float = 2.0,
    seen: list[tuple[int, Mapping[str, str]]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request; a POST is one that may not be repeated."""
    exchange = Heard(plain(method, path, body), Secret(TOKEN), wire.lifetime)
    exchange.seen = [] if seen is None else seen
    exchange.headers = headers or {}
    with exchange:
        reply: Reply = await wire.wire.exchange(exchange, timeout)
    return reply


@contextlib.asynccontextmanager
async def stream(
    wire: OpenWire,
    *,
    token: str | None = TOKEN,
    timeout: float = 2.0,
    url: str | None = None,
    headers: dict[str, str] | None = None,
    deadline: float | None = None,
) -> AsyncIterator[Stream]:
    """Ask for a file and hand out the answer as it comes."""
    secret = None if token is None else Secret(token)
    with Exchange(plain("GET", "/api/file"), secret, wire.lifetime) as exchange:
        async with open_stream(
            wire.wire, exchange, timeout=timeout, url=url, headers=headers, deadline=deadline
        ) as opened:
            yield opened


async def refusal(wire: OpenWire, *args: Any, **kwargs: Any) -> BestDefenseError:
    """Return the error that sending ends with."""
    try:
        reply = await send(wire, *args, **kwargs)
    except BestDefenseError as error:
        return error
    raise AssertionError(f"it was answered: {reply}")
