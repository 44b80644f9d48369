"""The one table of operations: what is sent where, and how well that is known.

Documentation, client, specification check and error messages read this table. Source of the
rows: api-facts, "Operations" and "Permissions". Where a host has an operation elsewhere, a
`Binding` says so; the rows stay as they are.
"""

from __future__ import annotations

import enum
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async import vendor
from bestdefense_async.core.limiting.limit import Limit

if TYPE_CHECKING:
    from collections.abc import Mapping


_PART: Final = re.compile(r"{(\w+)}")


class Grade(enum.StrEnum):
    """How well a route is known."""

    DOCUMENTED = "documented"
    """Path and members stand in the vendor's documentation or client code."""
    DESCRIBED = "described"
    """The vendor says in prose that the API does this; the path is our guess."""
    BOUND = "bound"
    """A binding says where it stands: the host's own specification, or the caller."""
    CALLER = "caller"
    """Not in the table: the caller of `request()` answers for the path."""


class Body(enum.StrEnum):
    """The form of a success."""

    ENVELOPE = "envelope"
    """`{success, message, data, error}`; the payload is `data`."""
    TOP_LEVEL = "top level"
    """`success` beside the payload's own members, no `data`."""
    BARE = "bare"
    """The payload itself, a list or an object; only a binding says so."""
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
    doing: str = field()
    """What a person would call it, as a sentence begins: `Listing the sites`."""
    body: Body = Body.ENVELOPE
    may_repeat: bool = True
    """Whether the request may safely arrive twice."""
    permission: str | None = None
    """The permission the organization needs, in the vendor's words."""
    limits: tuple[Limit, ...] = field(default=())
    """The documented limits per token."""
    request_fields: tuple[str, ...] = field(default=())
    """What is sent: paths in the JSON body, or names in the query of a GET.

    Dots go down, `[]` stands for each member of a list: `options.security.enabled`.
    """
    arguments: tuple[str, ...] = field(default=())
    """What a call knows besides and does not send: a binding may put it into the path, or send it
    under a name of its own."""
    answer_fields: tuple[str, ...] = field(default=())
    """What is read: paths below `data`, below the whole answer where there is no envelope."""
    parts: tuple[str, ...] = field(init=False, eq=False, repr=False)
    """Names of the path's variable parts, in order."""
    literals: tuple[str, ...] = field(init=False, eq=False, repr=False)
    """What stands in the path around them: one more than there are parts."""

    @doing.default
    def _named(self) -> str:
        return self.name

    @parts.default
    def _parts(self) -> tuple[str, ...]:
        return tuple(_PART.findall(self.template))

    @literals.default
    def _literals(self) -> tuple[str, ...]:
        return tuple(_PART.split(self.template)[::2])


def _described(name: str, method: str, template: str, **rest: object) -> Route:
    return Route(name=name, method=method, template=template, grade=Grade.DESCRIBED, **rest)  # type: ignore[arg-type]


def _below(parent: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{parent}.{name}" for name in names)


_FINDINGS: Final = (
    *_below("riskSummary", *vendor.SEVERITIES),
    *_below("alerts[]", "id", "title", "severity", "url", "evidence", "guidance", "cwe"),
    "alerts[].weakness",
)
_PAGES: Final = ("limit", "after")
_NEXT: Final = ("next", "total")
ELSEWHERE: Final = (*_PAGES, *_NEXT, "cron")
"""Last names of what only some hosts have. Pages: none are documented anywhere; `next` is what
`after` must be for the next page, `total` how many there are. And a cadence as cron writes it."""
_REPORT: Final = (
    *("id", "siteId", "hostname", "types", "scanIntensity", "isCompleted", "createdAt"),
)
_PLAN: Final = (
    *("types", "vortexType", "testingType", "scanIntensity"),
    *("cadence", "dayOfWeek", "dayOfMonth", "time", "timezone", "testUsers"),
)
"""What is said of a schedule. That it has these is described; their names are inferred."""
_SCHEDULE: Final = ("id", "siteId", "hostname", *_PLAN, "cron", "createdAt", "nextRunAt")
_REMEDIATION: Final = (
    *("id", "reportId", "findingId", "weakness", "stage", "createdAt", "pullRequestUrl"),
)

_ROWS: Final = (
    Route(
        name="sites.list",
        doing="Listing the sites",
        method="GET",
        template="/api/sites",
        request_fields=_PAGES,
        answer_fields=(*_below("sites[]", "id", "hostname"), *_NEXT),
    ),
    Route(
        name="reports.create",
        doing="Starting the scan",
        method="POST",
        template="/api/report/create/for-target/{site_id}",
        body=Body.TOP_LEVEL,
        may_repeat=False,
        permission="create reports",
        request_fields=(
            *_below("options", "security.enabled", "seo.enabled", "dns.enabled", "whois.enabled"),
            *_below("options.security.options", "vortexType", "testingType", "scanIntensity"),
            "options.callback.secret",
        ),
        answer_fields=("id", "message", "status"),
    ),
    Route(
        name="reports.progress",
        doing="Asking how far the scan is",
        method="GET",
        template="/api/report/{report_id}/progress",
        answer_fields=("isCompleted", "percentage"),
    ),
    Route(
        name="reports.overview",
        doing="Reading the report",
        method="GET",
        template="/api/report/{report_id}/overview",
        answer_fields=("security.id",),
    ),
    Route(
        name="vortex.alerts",
        doing="Reading the findings",
        method="GET",
        template="/api/report/vortex/{security_id}/alerts",
        answer_fields=_FINDINGS,
    ),
    Route(
        name="registrations.create",
        doing="Registering the scan",
        method="POST",
        template="/vortex-action/scans/register",
        body=Body.TOP_LEVEL,
        may_repeat=False,
        request_fields=(
            *("installationId", "reportId", "repositoryFullName", "pullRequestNumber"),
            *("commitSha", "checkRunId", "targetUrl", "scanTypes", "failCheckOn"),
            "callbackSecret",
        ),
        answer_fields=("message",),
    ),
    _described(
        "reports.list",
        "GET",
        "/api/reports",
        doing="Listing the reports",
        request_fields=_PAGES,
        answer_fields=(*_below("reports[]", *_REPORT), *_NEXT),
    ),
    _described(
        "reports.get",
        "GET",
        "/api/report/{report_id}",
        doing="Reading the report",
        answer_fields=_below("report", *_REPORT),
    ),
    _described(
        "schedules.list",
        "GET",
        "/api/schedules",
        doing="Listing the schedules",
        permission="manage scheduled reports",
        request_fields=_PAGES,
        answer_fields=(*_below("schedules[]", *_SCHEDULE), *_NEXT),
    ),
    _described(
        "schedules.create",
        "POST",
        "/api/schedules",
        doing="Creating the schedule",
        may_repeat=False,
        permission="manage scheduled reports",
        request_fields=("siteId", *_PLAN),
        arguments=("cron",),
        answer_fields=_below("schedule", *_SCHEDULE),
    ),
    _described(
        "schedules.delete",
        "DELETE",
        "/api/schedules/{schedule_id}",
        doing="Deleting the schedule",
        permission="manage scheduled reports",
    ),
    _described(
        "remediation.trigger",
        "POST",
        "/api/remediations",
        doing="Triggering the remediation",
        may_repeat=False,
        permission="AI remediation",
        request_fields=("reportId", "findingId", "weakness"),
        answer_fields=(*_below("remediation", *_REMEDIATION), "creditsRemaining"),
    ),
    _described(
        "remediation.list",
        "GET",
        "/api/remediations",
        doing="Listing the remediations",
        request_fields=_PAGES,
        answer_fields=(*_below("remediations[]", *_REMEDIATION), "creditsRemaining", *_NEXT),
    ),
    _described(
        "remediation.get",
        "GET",
        "/api/remediations/{remediation_id}",
        doing="Reading the remediation",
        answer_fields=_below("remediation", *_REMEDIATION),
    ),
    _described(
        "network.start",
        "POST",
        "/api/network-scans",
        doing="Starting the network scan",
        may_repeat=False,
        permission="run network scans",
        request_fields=("targets", "jumpBox", "scanIntensity"),
        answer_fields=_below("scan", "id", "targets", "jumpBox"),
    ),
    _described(
        "network.progress",
        "GET",
        "/api/network-scans/{scan_id}/progress",
        doing="Asking how far the network scan is",
        arguments=("jumpBox",),
        answer_fields=("isCompleted", "percentage"),
    ),
    _described(
        "network.findings",
        "GET",
        "/api/network-scans/{scan_id}/findings",
        doing="Reading the findings",
        arguments=("jumpBox",),
        answer_fields=_FINDINGS,
    ),
    _described(
        "agents.manifest",
        "GET",
        "/api/agents/manifest",
        doing="Listing the agent's files",
        limits=(Limit(60, per=60.0),),
        answer_fields=_below("files[]", "filename", "platform", "version", "size", "sha256", "url"),
    ),
    _described(
        "agents.download",
        "GET",
        "/api/agents/download/{filename}",
        doing="Downloading the file",
        body=Body.BINARY,
        arguments=("version", "platform", "os", "arch"),
        limits=(Limit(20, per=3600.0),),
    ),
)

ROUTES: Final[Mapping[str, Route]] = {row.name: row for row in _ROWS}
"""All operations by name."""


def find_route(method: str, path: str, routes: Mapping[str, Route] = ROUTES) -> Route | None:
    """Return the row of a table for a concrete `path` without query, or None."""
    for row in routes.values():
        if row.method == method and _pattern(row.literals).fullmatch(path):
            return row
    return None


@cache
def _pattern(literals: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(text) for text in literals))
