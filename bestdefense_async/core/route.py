"""The one table of operations: what is sent where, and how well that is known.

Documentation, client, specification check and error messages read this table. Source of the
rows: api-facts, "Operations" and "Permissions".
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.core.limits import Limit

if TYPE_CHECKING:
    from collections.abc import Mapping


class Grade(enum.StrEnum):
    """How well a route is known."""

    DOCUMENTED = "documented"
    """Path and members stand in the vendor's documentation or client code."""
    DESCRIBED = "described"
    """The vendor says in prose that the API does this; the path is our guess."""
    CALLER = "caller"
    """Not in the table: the caller of `request()` answers for the path."""


class Body(enum.StrEnum):
    """What a success looks like."""

    ENVELOPE = "envelope"
    """`{success, message, data, error}`; the payload is `data`."""
    TOP_LEVEL = "top level"
    """`success` beside the payload's own members, no `data`."""
    BINARY = "binary"
    """A file."""


@frozen(kw_only=True)
class Route:
    """One operation of the API."""

    name: str
    """Like `reports.create`; also the name of its limit class."""
    method: str
    template: str
    """Path with `{parts}`, from the root of the host."""
    grade: Grade = Grade.DOCUMENTED
    body: Body = Body.ENVELOPE
    may_repeat: bool = True
    """Whether the request may safely arrive twice."""
    permission: str | None = None
    """The permission the organization needs, in the vendor's words."""
    limits: tuple[Limit, ...] = field(default=())
    """The documented limits per token."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the path's variable parts, in order."""
        return tuple(re.findall(r"{(\w+)}", self.template))


def _described(name: str, method: str, template: str, **rest: object) -> Route:
    return Route(name=name, method=method, template=template, grade=Grade.DESCRIBED, **rest)  # type: ignore[arg-type]


_ROWS: Final = (
    Route(name="sites.list", method="GET", template="/api/sites"),
    Route(
        name="reports.create",
        method="POST",
        template="/api/report/create/for-target/{site_id}",
        body=Body.TOP_LEVEL,
        may_repeat=False,
        permission="create reports",
    ),
    Route(name="reports.progress", method="GET", template="/api/report/{report_id}/progress"),
    Route(name="reports.overview", method="GET", template="/api/report/{report_id}/overview"),
    Route(name="vortex.alerts", method="GET", template="/api/report/vortex/{security_id}/alerts"),
    _described("agents.manifest", "GET", "/api/agents/manifest", limits=(Limit(60, per=60.0),)),
    _described(
        "agents.download",
        "GET",
        "/api/agents/download/{filename}",
        body=Body.BINARY,
        limits=(Limit(20, per=3600.0),),
    ),
)

ROUTES: Final[Mapping[str, Route]] = {row.name: row for row in _ROWS}
"""All operations by name."""

_PATTERNS: Final = tuple(
    (row, re.compile(re.sub(r"{\w+}", "[^/]+", row.template))) for row in _ROWS
)


def find_route(method: str, path: str) -> Route | None:
    """Return the table's row for a concrete `path` without query, or None."""
    for row, pattern in _PATTERNS:
        if row.method == method and pattern.fullmatch(path):
            return row
    return None
