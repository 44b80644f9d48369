"""The two values that cross the seam to the wire: what is wanted, and what came back.

One of each is made for every call, so they are open slotted classes: a frozen one takes twice the
time to make. Whoever makes one may fill it in; nobody else changes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

from attrs import define

from bestdefense_async.core.check import check_id, check_text
from bestdefense_async.core.json import encode_json
from bestdefense_async.core.limiting.hints import RETRY_AFTER_NAMES
from bestdefense_async.core.route import ROUTES, Body, Grade, Route, find_route
from bestdefense_async.errors import ConfigError, clean_text

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~.-]+)+/?(?:\?[A-Za-z0-9_~.=&%+-]*)?")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Claim(Protocol):
    """The right to do the work that a request starts, taken as late as possible.

    Whoever sends awaits `take()` with permit, slot and pace in hand, in the instant before the
    bytes leave, and `give_back()` when the server refused the work or nothing was sent, before any
    wait. A claim is taken again for each further attempt.
    """

    async def take(self) -> None:
        """Take the claim. What this raises ends the call as not sent."""
        ...

    async def give_back(self) -> None:
        """Undo `take`: the work was certainly not begun.

        Called too when `take` was cancelled, so that nobody knows whether it was carried out.
        """
        ...


@define(weakref_slot=False)
class Request(Generic[T_co]):
    """One call of an operation, ready to be sent; T_co is what it brings."""

    route: Route
    path: str
    """Path and query as they stand on the wire, from the root of the API."""
    body: bytes | None = None
    """JSON as it stands on the wire, None for no body."""
    parts: Mapping[str, str] = _NOTHING
    """The variable parts of the path."""
    query: Mapping[str, str | int] = _NOTHING
    """The members of the query, unquoted."""
    json: Any = None
    """The body as JSON values."""
    subject: str = ""
    """What the call is about (a site's id, a report's id): for error messages."""
    items: Mapping[str, type] = _NOTHING
    """Lists of the payload, and the model that each of their members becomes. A large answer is
    made into models while it is read; without this it stays JSON."""
    claim: Claim | None = None
    """What must be held before the request may leave; None for nothing."""
    read: Callable[[Any], T_co] | None = None
    """What the payload becomes, its identity checked; None leaves it as it is. It runs while nobody
    else uses the connection, which is closed when this raises: its answers may be another's."""
    given: Mapping[str, str] = _NOTHING
    """What the call knows besides and does not send by itself: a binding may."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.method


@define(weakref_slot=False)
class Reply:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """As `lower_headers` returns them."""
    body: bytes
    """Without its content coding."""
    is_cut: bool = False
    """Whether the body goes on beyond the cap: only with a status of 400 or more."""


def build_request(
    route: Route,
    parts: Mapping[str, str] | None = None,
    json: Any = None,  # noqa: ANN401  # any JSON value
    *,
    query: Mapping[str, str | int] | None = None,
    subject: str | None = None,
    items: Mapping[str, type] | None = None,
    claim: Claim | None = None,
    read: Callable[[Any], T] | None = None,
    given: Mapping[str, str | None] | None = None,
) -> Request[T]:
    """Return the request of `route` with its path filled in.

    Args:
        route: The operation.
        parts: What stands in its path.
        json: The body; None for none.
        query: What stands behind the path.
        subject: What the call is about, for error messages; None is the first part.
        items: Lists of the payload, and the models of their members.
        claim: What must be held before the request may leave.
        read: What the payload becomes; None leaves it as it is.
        given: What the call knows besides, for a binding; None where it does not.

    Raises:
        ConfigError: A part cannot stand in a path, or the body or the query cannot be sent.
    """
    in_path = _NOTHING if parts is None else parts
    path, *literals = route.literals
    for name, literal in zip(route.parts, literals, strict=True):
        path += check_id(name, in_path[name]) + literal
    if query:
        for name, value in query.items():
            if not isinstance(value, int):
                check_text(name, value)
        path = f"{path}?{urlencode(query, quote_via=quote)}"
    if subject is None:
        subject = in_path[route.parts[0]] if route.parts else ""
    body = None if json is None else _encoded(route.name, json)
    request: Request[T] = Request(
        route, path, body, in_path, query or _NOTHING, json, subject, items or _NOTHING, claim, read
    )
    if given:
        request.given = {name: text for name, text in given.items() if text}
    return request


def raw_request(
    method: str,
    path: str,
    json: Any = None,  # noqa: ANN401  # any JSON value
    *,
    routes: Mapping[str, Route] = ROUTES,
) -> Request[Any]:
    """Return a request for any path: by the row of `routes` that fits, else by caution.

    Outside the table only GET may be repeated, and the answer is taken for an envelope.

    Raises:
        ConfigError: The method is unknown, the path is not a plain absolute path, or the body
            cannot be sent.
    """
    verb = check_text("method", method).upper()
    if verb not in METHODS:
        raise ConfigError(f"{clean_text(method, longest=40)!r} is not a method the API has.")
    bare = check_text("path", path).partition("?")[0]
    if not _PATH.fullmatch(path) or any(part in {".", ".."} for part in bare.split("/")):
        shown = clean_text(path, longest=120)
        raise ConfigError(f"{shown!r} is not a path of this API, such as /api/sites.")
    route = find_route(verb, bare, routes) or Route(
        name="other",
        doing=f"{verb} {bare}",
        method=verb,
        template=bare,
        grade=Grade.CALLER,
        body=Body.ENVELOPE,
        may_repeat=verb == "GET",
    )
    body = None if json is None else _encoded(route.name, json)
    return Request(route, path, body, json=json, subject=bare)


def _encoded(operation: str, json: Any) -> bytes:  # noqa: ANN401  # any JSON value
    """Return a body as JSON text.

    Raises:
        ConfigError: It is not a JSON value.
    """
    problem = None
    try:
        return encode_json(json)
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    raise ConfigError(f"The body of {operation} is not a JSON value ({problem}).")


def lower_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case; of several values the first counts.

    All values of a header that asks to wait are kept, joined by commas: the largest counts.

    Args:
        headers: Perhaps a multidict, in which a name may have several values.
    """
    names, is_plain = _lowered(tuple(headers))
    if is_plain and len(names) == len(headers):
        return dict(zip(names, headers.values(), strict=True))
    lowered: dict[str, str] = {}
    for mixed, value in headers.items():
        name = mixed.lower()
        if name not in lowered:
            lowered[name] = value
        elif name in RETRY_AFTER_NAMES:
            lowered[name] += f", {value}"
    return lowered


@lru_cache(maxsize=64)
def _lowered(names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return names in lower case, and whether each is there once; a server has few such lists."""
    lowered = tuple([name.lower() for name in names])
    return lowered, len(set(lowered)) == len(lowered)
