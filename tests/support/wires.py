"""Sending over a wire in one line."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from bestdefense_async.core.request import Reply, Request
from bestdefense_async.core.route import Grade, Route
from bestdefense_async.errors import BestDefenseError
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings

TOKEN = "bd_sandbox_c2VjcmV0-of-the-test"


@contextlib.asynccontextmanager
async def wire_to(
    url: str, *, session: aiohttp.ClientSession | None = None, **settings: Any
) -> AsyncIterator[Wire]:
    """Open a wire to `url`, and close it."""
    settings.setdefault("connect_timeout", 5.0)
    wire = Wire(WireSettings(base_url=url, **settings), session=session)
    try:
        yield wire
    finally:
        await wire.aclose()


def plain(method: str = "GET", path: str = "/api/sites", body: bytes | None = None) -> Request:
    """Return a request for any path, however odd; a POST is one that may not be repeated."""
    route = Route(
        name="other", method=method, template="", grade=Grade.CALLER, may_repeat=method != "POST"
    )
    return Request(route, path, body)


async def send(
    wire: Wire,
    method: str = "GET",
    path: str = "/api/sites",
    *,
    body: bytes | None = None,
    timeout: float = 2.0,
    seen: list[tuple[int, Mapping[str, str]]] | None = None,
    **extra: Any,
) -> Reply:
    """Send one request; a POST is one that may not be repeated."""
    heard = [] if seen is None else seen
    return await wire.exchange(
        plain(method, path, body),
        token=TOKEN,
        timeout=timeout,
        on_headers=lambda status, headers: heard.append((status, headers)),
        **extra,
    )


async def refusal(wire: Wire, *args: Any, **kwargs: Any) -> BestDefenseError:
    """Return the error that sending ends with."""
    try:
        reply = await send(wire, *args, **kwargs)
    except BestDefenseError as error:
        return error
    raise AssertionError(f"it was answered: {reply}")
