"""Specifications in the styles of other hosts, and where each of our operations stands in them.

They were written to measure the proposals by, after the tables of words; nothing was tuned to them.
"""

from typing import Any

from attrs import frozen

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
FLAG = {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}


def many(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a list of the schema."""
    return {"type": "array", "items": schema}


def thing(**properties: Any) -> dict[str, Any]:
    """Return an object."""
    return {"type": "object", "properties": properties}


@frozen(kw_only=True)
class Style:
    """One host."""

    name: str
    document: dict[str, Any]
    paths: dict[str, str | None]
    undecided: frozenset[str] = frozenset()
    """What the specification says too little about."""


def _entry(path: str, answer: Any = None, body: Any = None, **more: Any) -> dict[str, Any]:
    parts = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": part, "in": "path", "required": True, "schema": TEXT} for part in parts]
    good: dict[str, Any] = {"description": "OK"}
    if answer == "file":
        good["content"] = {"application/octet-stream": {"schema": {"format": "binary"}}}
    elif answer is not None:
        envelope = thing(success=FLAG, message=TEXT, data=answer, error={})
        good["content"] = {"application/json": {"schema": envelope}}
    entry = {"parameters": parameters, "responses": {"200": good}, **more}
    if body is not None:
        entry["requestBody"] = {"content": {"application/json": {"schema": thing(**body)}}}
    return entry


def _document(*rows: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method, path, words in rows:
        paths.setdefault(path, {})[method] = _entry(path, **words)
    return {"openapi": "3.0.0", "info": {"title": "Styled", "version": "1"}, "paths": paths}


REPORT = thing(
    id=TEXT,
    target=thing(id=TEXT, hostname=TEXT),
    reportTypes=many(TEXT),
    scanIntensity=TEXT,
    isCompleted=FLAG,
    createdAt=TIME,
)
SCHEDULE = thing(
    id=TEXT,
    targetId=TEXT,
    targetName=TEXT,
    reportTypes=many(TEXT),
    intensity=TEXT,
    interval={"type": "string", "enum": ["daily", "weekly", "monthly"]},
    testUserIds=many(TEXT),
    createdAt=TIME,
    nextRun=TIME,
)
CARD = thing(
    id=TEXT,
    reportId=TEXT,
    alertId=TEXT,
    weaknessType=TEXT,
    stage={"type": "string", "enum": ["Review", "Approved", "Blocked", "Rejected"]},
    createdAt=TIME,
    prUrl=TEXT,
)
COUNTS = thing(critical=WHOLE, high=WHOLE, medium=WHOLE, low=WHOLE, info=WHOLE)
ALERTS = thing(
    riskSummary=COUNTS,
    alerts=many(
        thing(
            id=TEXT,
            title=TEXT,
            severity=TEXT,
            url=TEXT,
            evidence=TEXT,
            recommendation=TEXT,
            cweId=TEXT,
            weaknessName=TEXT,
        )
    ),
)

VENDOR = Style(
    name="paths like the documented ones",
    document=_document(
        (
            "post",
            "/api/report/schedule/for-target/{targetId}",
            {
                "body": {
                    "reportTypes": many(TEXT),
                    "intensity": TEXT,
                    "interval": TEXT,
                    "testUserIds": many(TEXT),
                },
                "answer": SCHEDULE,
            },
        ),
        ("get", "/api/scheduled-reports", {"answer": thing(scheduledReports=many(SCHEDULE))}),
        ("delete", "/api/scheduled-report/{id}", {"answer": thing()}),
        ("get", "/api/report/list", {"answer": thing(reports=many(REPORT))}),
        ("get", "/api/report/{id}", {"answer": REPORT}),
        ("delete", "/api/report/{id}", {"answer": thing()}),
        (
            "post",
            "/api/remediation/start",
            {
                "body": {"reportId": TEXT, "alertId": TEXT, "weaknessType": TEXT},
                "answer": thing(card=CARD, creditsLeft=WHOLE),
            },
        ),
        ("get", "/api/remediation/cards", {"answer": thing(cards=many(CARD), creditsLeft=WHOLE)}),
        ("get", "/api/remediation/card/{cardId}", {"answer": CARD}),
        ("post", "/api/remediation/card/{cardId}/approve", {"answer": CARD}),
        (
            "post",
            "/api/network-scan/create",
            {
                "body": {"hosts": many(TEXT), "jumpHost": TEXT, "intensity": TEXT},
                "answer": thing(id=TEXT, hosts=many(TEXT), jumpHost=TEXT),
            },
        ),
        (
            "get",
            "/api/network-scan/{id}/progress",
            {"answer": thing(isCompleted=FLAG, percentage=WHOLE)},
        ),
        ("get", "/api/network-scan/{id}/alerts", {"answer": ALERTS}),
        ("get", "/api/report/vortex/{id}/alerts", {"answer": ALERTS}),
        (
            "get",
            "/api/agent/manifest",
            {
                "answer": thing(
                    version=TEXT,
                    files=many(thing(filename=TEXT, platform=TEXT, size=WHOLE, sha256=TEXT)),
                )
            },
        ),
        ("get", "/api/agent/download/{filename}", {"answer": "file"}),
        ("get", "/api/sites", {"answer": thing(sites=many(thing(id=TEXT, hostname=TEXT)))}),
        ("get", "/api/site/{id}", {"answer": thing(id=TEXT, hostname=TEXT)}),
        ("delete", "/api/site/{id}", {"answer": thing()}),
        ("get", "/api/organization/users", {"answer": thing(users=many(thing(id=TEXT)))}),
        ("post", "/api/token", {"body": {"name": TEXT}, "answer": thing(token=TEXT)}),
        ("delete", "/api/token/{id}", {"answer": thing()}),
    ),
    paths={
        "reports.list": "GET /api/report/list",
        "reports.get": "GET /api/report/{id}",
        "schedules.list": "GET /api/scheduled-reports",
        "schedules.create": "POST /api/report/schedule/for-target/{targetId}",
        "schedules.delete": "DELETE /api/scheduled-report/{id}",
        "remediation.trigger": "POST /api/remediation/start",
        "remediation.list": "GET /api/remediation/cards",
        "remediation.get": "GET /api/remediation/card/{cardId}",
        "network.start": "POST /api/network-scan/create",
        "network.progress": "GET /api/network-scan/{id}/progress",
        "network.findings": "GET /api/network-scan/{id}/alerts",
        "agents.manifest": "GET /api/agent/manifest",
        "agents.download": "GET /api/agent/download/{filename}",
    },
)

PLATFORM = Style(
    name="resources with snake case and bare lists",
    document=_document(
        (
            "get",
            "/api/scheduled_scans",
            {
                "answer": many(SCHEDULE),
                "tags": ["ScheduledScan"],
                "operationId": "api_scheduled_scans_get_collection",
            },
        ),
        (
            "post",
            "/api/scheduled_scans",
            {
                "body": {
                    "website": TEXT,
                    "scanTypes": many(TEXT),
                    "depth": TEXT,
                    "frequency": TEXT,
                },
                "answer": SCHEDULE,
            },
        ),
        ("get", "/api/scheduled_scans/{id}", {"answer": SCHEDULE}),
        ("put", "/api/scheduled_scans/{id}", {"answer": SCHEDULE}),
        ("delete", "/api/scheduled_scans/{id}", {}),
        ("get", "/api/scans", {"answer": many(REPORT)}),
        ("post", "/api/scans", {"body": {"site": TEXT}, "answer": REPORT}),
        ("get", "/api/scans/{id}", {"answer": REPORT}),
        (
            "post",
            "/api/findings/{findingId}/remediate",
            {"body": {"scan_id": TEXT}, "answer": thing(remediation=CARD)},
        ),
        ("get", "/api/remediations", {"answer": many(CARD)}),
        ("get", "/api/remediations/{id}", {"answer": CARD}),
        (
            "post",
            "/api/network_scans",
            {
                "body": {"scope": many(TEXT), "jump_box_id": TEXT},
                "answer": thing(uuid=TEXT, scope=many(TEXT)),
            },
        ),
        ("get", "/api/network_scans", {"answer": many(thing(uuid=TEXT))}),
        (
            "get",
            "/api/network_scans/{uuid}",
            {"answer": thing(uuid=TEXT, done=FLAG, progress=WHOLE)},
        ),
        (
            "get",
            "/api/network_scans/{uuid}/results",
            {
                "answer": thing(
                    counts=COUNTS,
                    items=many(
                        thing(uuid=TEXT, name=TEXT, risk=TEXT, location=TEXT, solution=TEXT)
                    ),
                )
            },
        ),
        (
            "get",
            "/api/agent_releases",
            {"answer": many(thing(file_name=TEXT, os=TEXT, version=TEXT, bytes=WHOLE, hash=TEXT))},
        ),
        ("get", "/api/agent_releases/{file_name}/download", {"answer": "file"}),
    ),
    paths={
        "reports.list": "GET /api/scans",
        "reports.get": "GET /api/scans/{id}",
        "schedules.list": "GET /api/scheduled_scans",
        "schedules.create": "POST /api/scheduled_scans",
        "schedules.delete": "DELETE /api/scheduled_scans/{id}",
        "remediation.trigger": "POST /api/findings/{findingId}/remediate",
        "remediation.list": "GET /api/remediations",
        "remediation.get": "GET /api/remediations/{id}",
        "network.start": "POST /api/network_scans",
        "network.progress": "GET /api/network_scans/{uuid}",
        "network.findings": "GET /api/network_scans/{uuid}/results",
        "agents.manifest": "GET /api/agent_releases",
        "agents.download": "GET /api/agent_releases/{file_name}/download",
    },
    undecided=frozenset({"network.progress"}),
)

BARE = Style(
    name="nothing but paths",
    document=_document(
        *(
            (method, f"/api/v1{path}", {})
            for method, path in (
                ("get", "/reports"),
                ("get", "/reports/{id}"),
                ("post", "/reports"),
                ("get", "/schedules"),
                ("post", "/schedules"),
                ("delete", "/schedules/{id}"),
                ("patch", "/schedules/{id}"),
                ("get", "/remediations"),
                ("post", "/remediations"),
                ("get", "/remediations/{id}"),
                ("post", "/network/scans"),
                ("get", "/network/scans/{id}/progress"),
                ("get", "/network/scans/{id}/findings"),
                ("get", "/agents/manifest"),
                ("get", "/agents/files/{name}"),
                ("get", "/sites"),
            )
        )
    ),
    paths={
        "reports.list": "GET /api/v1/reports",
        "reports.get": "GET /api/v1/reports/{id}",
        "schedules.list": "GET /api/v1/schedules",
        "schedules.create": "POST /api/v1/schedules",
        "schedules.delete": "DELETE /api/v1/schedules/{id}",
        "remediation.trigger": "POST /api/v1/remediations",
        "remediation.list": "GET /api/v1/remediations",
        "remediation.get": "GET /api/v1/remediations/{id}",
        "network.start": "POST /api/v1/network/scans",
        "network.progress": "GET /api/v1/network/scans/{id}/progress",
        "network.findings": "GET /api/v1/network/scans/{id}/findings",
        "agents.manifest": "GET /api/v1/agents/manifest",
        "agents.download": "GET /api/v1/agents/files/{name}",
    },
    undecided=frozenset(
        {"reports.list", "reports.get", "schedules.list", "schedules.create"}
        | {"remediation.trigger", "remediation.list", "remediation.get", "network.start"}
        | {"network.progress", "network.findings", "agents.manifest", "agents.download"}
    ),
)
