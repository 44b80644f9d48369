"""What is wanted, as a value, and the two values that cross the seam to the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from attrs import field, frozen

from bestdefense_async.core.route import ROUTES, Body, Grade, Route, find_route
from bestdefense_async.errors import ConfigError, clean_text


@frozen(kw_only=True)
class Outgoing:
    """One HTTP request, ready to be sent."""

    method: str
    path: str
    """Encoded, from the root of the API, perhaps with a query."""
    body: bytes | None = None
    """JSON, or None for no body."""
    may_repeat: bool = True
    """Whether it may safely arrive twice."""


@frozen(kw_only=True)
class Reply:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several values the first."""
    body: bytes
    """Decoded."""
    is_cut: bool = False
    """Whether the body goes on beyond the cap: only with a status of 400 or more."""


_PART: Final = re.compile(r"[A-Za-z0-9_~.-]{1,128}")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~.-]+)+/?(?:\?[A-Za-z0-9_~.=&%+-]*)?")
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@frozen(kw_only=True)
class Request:
    """One call of an operation."""

    route: Route
    path: str
    """Path and query as they stand on the wire."""
    parts: Mapping[str, str] = field(factory=dict)
    """The path's variable parts."""
    query: Mapping[str, str | int] = field(factory=dict)
    """The query's members, unquoted."""
    json: Any = None
    """The body as JSON values; None sends no body."""
    subject: str = field(default="")
    """What the call is about (a site's id, a report's id): for error messages."""


def build_request(
    route: Route,
    parts: Mapping[str, str] | None = None,
    json: Any = None,  # noqa: ANN401  # any JSON value
    *,
    query: Mapping[str, str | int] | None = None,
    subject: str | None = None,
) -> Request:
    """Return the request of `route` with its path filled in.

    Args:
        route: The operation.
        parts: What stands in its path.
        json: The body; None for none.
        query: What stands behind the path.
        subject: What the call is about, for error messages; None is the first part.

    Raises:
        ConfigError: A part is empty, `.`, `..`, or has a character outside the allow-list
            `A-Z a-z 0-9 _ ~ . -`: quoting would not keep it from reaching another resource.
    """
    checked = {name: check_part(name, value) for name, value in (parts or {}).items()}
    path = route.template.format_map(checked)
    return Request(
        route=route,
        path=f"{path}?{urlencode(query, quote_via=quote)}" if query else path,
        parts=checked,
        query=query or {},
        json=json,
        subject=next(iter(checked.values()), "") if subject is None else subject,
    )


def check_part(name: str, value: str) -> str:
    """Return `value` when it may stand as one part of a path.

    Raises:
        ConfigError: It may not.
    """
    if not _PART.fullmatch(value) or value in {".", ".."}:
        shown = clean_text(value, longest=80)
        raise ConfigError(f"{name} {shown!r} cannot be part of a path.")
    return value


def raw_request(
    method: str,
    path: str,
    json: Any = None,  # noqa: ANN401  # any JSON value
    *,
    routes: Mapping[str, Route] = ROUTES,
) -> Request:
    """Return a request for any path: by the row of `routes` that fits, else by caution.

    Outside the table only GET may be repeated, and the answer is taken for an envelope.

    Raises:
        ConfigError: The method is unknown, or the path is not a plain absolute path.
    """
    verb = method.upper()
    if verb not in METHODS:
        raise ConfigError(f"{clean_text(method, longest=40)!r} is not a method the API has.")
    bare = path.partition("?")[0]
    if not _PATH.fullmatch(path) or any(part in {".", ".."} for part in bare.split("/")):
        shown = clean_text(path, longest=120)
        raise ConfigError(f"{shown!r} is not a path of this API, such as /api/sites.")
    route = find_route(verb, bare, routes) or Route(
        name="other",
        method=verb,
        template=bare,
        grade=Grade.CALLER,
        body=Body.ENVELOPE,
        may_repeat=verb == "GET",
    )
    return Request(route=route, path=path, json=json, subject=bare)
