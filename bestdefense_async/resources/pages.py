"""Lists page by page, where the host has pages.

No paging is documented. So a list is asked for once, and goes on only where the answer says how: a
binding says it (`Binding.pages`), or the answer has an address at `next`, of which the query is
taken and nothing else. A host that says there are more than it has shown is told of in the log,
and what was collected knows how many are missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from bestdefense_async.core.request import build_request
from bestdefense_async.errors import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bestdefense_async.core.route import Route
    from bestdefense_async.resources.protocol import Transport

T = TypeVar("T")

_log = logging.getLogger("bestdefense_async")
_MOST_PAGES: Final = 10_000


class Listed(tuple[T, ...]):  # noqa: SLOT001  # a tuple has no place for a member of its own
    """A list in the API's order, over all pages that the host has shown."""

    missing: int = 0
    """How many more there are, by what the host itself says."""


def cut_of(listed: object) -> str:
    """Return what to add to "it is not among them" when a list is cut; empty when it is whole."""
    if not isinstance(listed, Listed) or not listed.missing:
        return ""
    return f" The host shows only {len(listed)} of the {len(listed) + listed.missing} it has."


@frozen(kw_only=True)
class _Page:
    members: tuple[Any, ...]
    next: Mapping[str, str | int] | None
    """The query of the next page, None at the end."""
    total: int | None
    """How many there are in all; None where the answer does not say."""


async def iterate(
    transport: Transport,
    route: Route,
    read: Callable[[object], tuple[T, ...]],
    *,
    items: Mapping[str, type] | None = None,
    query: Mapping[str, str | int] | None = None,
    timeout: float | None = None,
) -> AsyncGenerator[T, None]:
    """Yield the members of a list in the API's order, a request for each page.

    Args:
        transport: Sends them.
        route: The list.
        read: What the payload of one page becomes.
        items: The model of the members, where they become models while the answer is read.
        query: What the first page is asked with; it holds for the others, too.
        timeout: Seconds that all requests together may take.

    Raises:
        EnvelopeError: The host shows the same page again instead of the next one.
        BestDefenseError: What `transport.send` raises.
    """
    pages = _pages(transport, route, read, items=items, query=query, timeout=timeout)
    async with aclosing(pages):
        async for page, _ in pages:
            for member in page.members:
                yield member


async def list_all(
    transport: Transport,
    route: Route,
    read: Callable[[object], tuple[T, ...]],
    *,
    items: Mapping[str, type] | None = None,
    timeout: float | None = None,
) -> Listed[T]:
    """Return all members that `iterate` yields, and how many the host keeps back."""
    members: list[T] = []
    missing = 0
    async for page, cut in _pages(transport, route, read, items=items, timeout=timeout):
        members += page.members
        missing = cut
    listed = Listed(members)
    listed.missing = missing
    return listed


async def _pages(
    transport: Transport,
    route: Route,
    read: Callable[[object], tuple[T, ...]],
    *,
    items: Mapping[str, type] | None,
    query: Mapping[str, str | int] | None = None,
    timeout: float | None,
) -> AsyncGenerator[tuple[_Page, int], None]:
    """Yield the pages, each with how many members are missing after it when it is the last."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    first: Mapping[str, Any] = query or {}
    asked: Mapping[str, str | int] = first
    shown, before = 0, None
    for _ in range(_MOST_PAGES):
        left = timeout and max(timeout - (loop.time() - started), 1e-3)
        request = build_request(
            route, query=asked, items=items, read=lambda payload: _page(payload, read)
        )
        page = await transport.send(request, timeout=left)
        if page.members and page.members == before:
            break
        shown, before = shown + len(page.members), page.members
        # Who asked for a part of the list has not asked for all there are.
        is_whole = page.next is None and "after" not in first and shown < first.get("limit", inf)
        missing = max((page.total or 0) - shown, 0) if is_whole else 0
        if missing:
            _log.warning(
                "%s shows %d of the %d that the host says there are", route.name, shown, page.total
            )
        yield page, missing
        if page.next is None:
            return
        asked = {**asked, **page.next}
    raise EnvelopeError(f"The host shows the same page of {route.name} again and again.")


def _page(payload: object, read: Callable[[object], tuple[Any, ...]]) -> _Page:
    members = read(payload)
    extra = payload if isinstance(payload, dict) else {}
    total = extra.get("total")
    return _Page(
        members=members,
        next=_query_of(extra.get("next")),
        total=total if type(total) is int else None,
    )


def _query_of(value: object) -> Mapping[str, str | int] | None:
    """Return how to ask for the next page: as a binding says it, or by the address of it."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return None
    try:
        return dict(parse_qsl(urlsplit(value).query)) or None
    except ValueError:
        return None
