"""A host that has the sandbox's operations elsewhere: other paths, other names, other nesting.

A proxy really answers there, and there alone, and speaks to a sandbox behind it; its specification
says so in several forms. Nothing of the client's own bindings is used: what is moved here by hand
must be found again there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from attrs import field, frozen

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.handlers.docs import document
from bestdefense_async.sandbox.schemas import DATA, REQUESTS
from bestdefense_async.sandbox.world.routes import OPERATIONS

TOKEN = "live-0123456789abcdef"
"""What this host takes; not a token of the sandbox, so the client trusts it with nothing."""

Names = Mapping[str, Any]
"""Our member to their dotted path, or to a pair of that and the names within; "" is right here."""

REPORT: Names = {
    "id": "uuid",
    "siteId": "site.id",
    "hostname": "site.hostname",
    "types": "scan_types",
    "scanIntensity": "depth",
    "isCompleted": "finished",
    "createdAt": "started_at",
}
SCHEDULE: Names = {
    "id": "uuid",
    "siteId": "target_id",
    "hostname": "target_name",
    "types": "checks",
    "scanIntensity": "intensity",
    "vortexType": "engine",
    "testingType": "test_type",
    "cadence": "plan.frequency",
    "dayOfWeek": "plan.weekday",
    "time": "plan.time_of_day",
    "timezone": "plan.tz",
    "testUsers": "plan.accounts",
    "createdAt": "created_on",
    "nextRunAt": "plan.next_execution",
}
FIX: Names = {
    "id": "fix_id",
    "reportId": "source.report.id",
    "findingId": "source.alert_id",
    "weakness": "category",
    "stage": "status",
    "createdAt": "created",
    "pullRequestUrl": "pr_link",
}
ALERTS: Names = {
    "riskSummary": ("summary", {"informational": "info"}),
    "alerts": (
        "vulnerabilities",
        {
            "title": "name",
            "url": "affected_url",
            "evidence": "proof",
            "guidance": "recommendation",
            "cwe": "cwe_id",
            "weakness": "category",
        },
    ),
}
FILE: Names = {
    "filename": "name",
    "platform": "os",
    "version": "release",
    "size": "size_bytes",
    "sha256": "checksum",
    "url": "download_url",
}


@frozen(kw_only=True)
class Move:
    """One operation of the sandbox and where this host has it."""

    method: str
    path: str
    parts: Names = field(factory=dict)
    """Our part, or our member of the body, to their part."""
    request: Names = field(factory=dict)
    answer: Names = field(factory=dict)
    tag: str = "Api"
    summary: str = ""


MOVES: dict[str, Move] = {
    "reports.list": Move(
        method="GET",
        path="/api/v2/scans",
        request={"limit": "page_size", "after": "cursor"},
        answer={"reports": ("items", REPORT)},
        tag="Scans",
        summary="All scans of the organization",
    ),
    "reports.get": Move(
        method="GET",
        path="/api/v2/scans/{scanId}",
        parts={"report_id": "scanId"},
        answer={"report": ("", REPORT)},
        tag="Scans",
        summary="One scan in detail",
    ),
    "schedules.list": Move(
        method="GET",
        path="/api/v2/recurring-scans",
        answer={"schedules": ("items", SCHEDULE)},
        tag="Recurring scans",
    ),
    "schedules.create": Move(
        method="POST",
        path="/api/v2/sites/{siteUuid}/recurring-scans",
        parts={"siteId": "siteUuid"},
        request={
            "types": "checks",
            "scanIntensity": "intensity",
            "vortexType": "engine",
            "testingType": "test_type",
            "cadence": "plan.frequency",
            "dayOfWeek": "plan.weekday",
            "time": "plan.time_of_day",
            "timezone": "plan.tz",
            "testUsers": "plan.accounts",
        },
        answer={"schedule": ("recurring_scan", SCHEDULE)},
        tag="Recurring scans",
        summary="Plan a scan that is repeated",
    ),
    "schedules.delete": Move(
        method="POST",
        path="/api/v2/recurring-scans/{id}/cancel",
        parts={"schedule_id": "id"},
        tag="Recurring scans",
    ),
    "remediation.trigger": Move(
        method="POST",
        path="/api/v2/fixes",
        request={
            "reportId": "source.report_id",
            "findingId": "source.alert_id",
            "weakness": "category",
        },
        answer={"remediation": ("fix", FIX), "creditsRemaining": "credits.left"},
        tag="AI fixes",
        summary="Let the AI fix a finding",
    ),
    "remediation.list": Move(
        method="GET",
        path="/api/v2/fixes",
        answer={"remediations": ("fixes", FIX), "creditsRemaining": "credits_left"},
        tag="AI fixes",
    ),
    "remediation.get": Move(
        method="GET",
        path="/api/v2/fixes/{fix}",
        parts={"remediation_id": "fix"},
        answer={"remediation": ("fix", FIX)},
        tag="AI fixes",
    ),
    "network.start": Move(
        method="POST",
        path="/api/v2/network/scans/start",
        request={"targets": "hosts", "jumpBox": "bastion", "scanIntensity": "level"},
        answer={"scan": ("job", {"id": "uuid", "targets": "hosts", "jumpBox": "bastion"})},
        tag="Network",
    ),
    "network.progress": Move(
        method="GET",
        path="/api/v2/network/scans/{job}/status",
        parts={"scan_id": "job"},
        answer={"isCompleted": "state.done", "percentage": "state.percent"},
        tag="Network",
    ),
    "network.findings": Move(
        method="GET",
        path="/api/v2/network/scans/{job}/vulnerabilities",
        parts={"scan_id": "job"},
        answer=ALERTS,
        tag="Network",
    ),
    "agents.manifest": Move(
        method="GET",
        path="/api/v2/device-monitor/releases",
        answer={"files": ("artifacts", FILE)},
        tag="Device monitor",
    ),
    "agents.download": Move(
        method="GET",
        path="/api/v2/device-monitor/releases/{name}/binary",
        parts={"filename": "name"},
        tag="Device monitor",
    ),
}

DECOYS = (
    ("get", "/api/v2/users", "Users"),
    ("get", "/api/v2/users/{id}", "Users"),
    ("post", "/api/v2/tokens", "Tokens"),
    ("get", "/api/v2/sites/{id}", "Sites"),
    ("delete", "/api/v2/sites/{id}", "Sites"),
    ("put", "/api/v2/recurring-scans/{id}", "Recurring scans"),
    ("post", "/api/v2/fixes/{fix}/approve", "AI fixes"),
    ("post", "/api/v2/fixes/{fix}/reject", "AI fixes"),
    ("get", "/api/v2/network/jump-boxes", "Network"),
    ("delete", "/api/v2/network/jump-boxes/{id}", "Network"),
    ("get", "/api/v2/device-monitor/devices", "Device monitor"),
)
"""Operations of the host that are none of ours."""


def moved(value: Any, names: Names) -> Any:
    """Return a JSON value in their words."""
    if isinstance(value, list):
        return [moved(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    there: dict[str, Any] = {}
    for key, member in value.items():
        path, inner = _rule(names, key)
        _put(there, path, moved(member, inner))
    return there


def returned(body: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Return a body of theirs in our words."""
    ours: dict[str, Any] = {}
    for name, path in names.items():
        value: Any = body
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            ours[name] = value
    return ours


def _rule(names: Names, key: str) -> tuple[str, Names]:
    rule = names.get(key, key)
    return (rule, {}) if isinstance(rule, str) else rule


def _put(there: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for key in above:
        there = there.setdefault(key, {})
    if last:
        there[last] = value
    else:
        there.update(value)


def moved_schema(schema: Any, names: Names, components: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of ours in their words; references are left where nothing below is moved."""
    if not names:
        return dict(schema)
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "array":
        return {"type": "array", "items": moved_schema(schema["items"], names, components)}
    there: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for key, member in schema["properties"].items():
        path, inner = _rule(names, key)
        _put_schema(
            there,
            path,
            moved_schema(member, inner, components),
            is_required=key in schema.get("required", ()),
        )
    return there


def _put_schema(
    there: dict[str, Any], path: str, schema: dict[str, Any], *, is_required: bool
) -> None:
    *above, last = path.split(".")
    for key in above:
        if is_required and key not in there["required"]:
            there["required"].append(key)
        empty = {"type": "object", "properties": {}, "required": []}
        there = there["properties"].setdefault(key, empty)
    if last:
        there["properties"][last] = schema
        if is_required:
            there["required"].append(last)
    else:
        there["properties"] |= schema["properties"]
        there["required"] += schema["required"]


def openapi() -> dict[str, Any]:
    """Return this host's specification as OpenAPI 3.1: the sandbox's own, with what is moved."""
    spec = copy.deepcopy(document())
    components = spec["components"]["schemas"]
    ours = spec.pop("paths")
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        entry = ours[operation.template][operation.method.lower()]
        for word in ("x-grade", "operationId", "tags", "summary", "description"):
            entry.pop(word, None)
        move = MOVES.get(operation.name)
        if move is None:
            paths.setdefault(operation.template, {})[operation.method.lower()] = entry
        else:
            paths.setdefault(move.path, {})[move.method.lower()] = _moved_entry(
                operation.name, move, entry, components
            )
    for method, path, tag in DECOYS:
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _parts(path)
        ]
        paths.setdefault(path, {})[method] = {
            "tags": [tag],
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        }
    spec["paths"] = paths
    spec["info"] = {"title": "Acme", "version": "2.4"}
    return spec


def _parts(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _moved_entry(
    name: str, move: Move, entry: dict[str, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    entry = {**entry, "tags": [move.tag]}
    if move.summary:
        entry["summary"] = move.summary
    entry["operationId"] = f"{move.method.lower()}_{move.path}".replace("/", "_")
    entry["parameters"] = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in _parts(move.path)
    ]
    if name == "reports.list":
        entry["parameters"] += [
            {"name": move.request["limit"], "in": "query", "schema": {"type": "integer"}},
            {"name": move.request["after"], "in": "query", "schema": {"type": "string"}},
        ]
    if name in REQUESTS:
        schema = copy.deepcopy(REQUESTS[name])
        for part in set(move.parts) & set(schema["properties"]):
            del schema["properties"][part]
            schema["required"].remove(part)
        there = moved_schema(schema, move.request, components)
        entry["requestBody"] = {"content": {"application/json": {"schema": there}}}
    if name in DATA and entry["responses"]["200"].get("content"):
        media = entry["responses"]["200"]["content"]["application/json"]
        media["schema"]["properties"]["data"] = moved_schema(DATA[name], move.answer, components)
    return entry


def swagger() -> dict[str, Any]:
    """Return the same as Swagger 2.0, as tools that know nothing newer write it."""
    spec = openapi()
    paths: dict[str, Any] = {}
    for path, item in spec["paths"].items():
        for method, entry in item.items():
            there = paths.setdefault(path, {})
            there[method] = _swagger_entry(entry)
    old = {
        "swagger": "2.0",
        "info": spec["info"],
        "host": "acme.example",
        "basePath": "/",
        "paths": paths,
        "definitions": spec["components"]["schemas"],
    }
    text = json.dumps(old).replace("#/components/schemas/", "#/definitions/")
    plain: dict[str, Any] = _without_null(json.loads(text))
    return plain


def _swagger_entry(entry: dict[str, Any]) -> dict[str, Any]:
    old: dict[str, Any] = {
        key: entry[key] for key in ("tags", "summary", "operationId") if key in entry
    }
    old["parameters"] = [
        {**{key: each[key] for key in ("name", "in")}, **each["schema"], "required": True}
        if each["in"] == "path"
        else {**{key: each[key] for key in ("name", "in")}, **each["schema"]}
        for each in entry.get("parameters", ())
    ]
    if "requestBody" in entry:
        schema = entry["requestBody"]["content"]["application/json"]["schema"]
        old["parameters"].append({"name": "body", "in": "body", "schema": schema})
    old["responses"] = {}
    for status, response in entry["responses"].items():
        there = old["responses"][status] = {"description": response["description"]}
        content = response.get("content", {})
        if "application/json" in content:
            there["schema"] = content["application/json"]["schema"]
        elif content:
            there["schema"] = {"type": "file"}
    return old


def _without_null(value: Any) -> Any:
    """Swagger 2.0 knows no null and no list of types."""
    if isinstance(value, list):
        return [_without_null(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "oneOf" in value and any(each == {"type": "null"} for each in value["oneOf"]):
        return _without_null(next(each for each in value["oneOf"] if each != {"type": "null"}))
    kept = {
        key: _without_null(each) for key, each in value.items() if key not in {"const", "oneOf"}
    }
    if isinstance(kept.get("type"), list) or kept.get("type") == "null":
        del kept["type"]
    return kept


@frozen(kw_only=True)
class MovedHost:
    """The running proxy."""

    url: str
    sandbox: Sandbox
    arrived: list[str]
    """Method and path of each request that was answered, in order."""

    @property
    def env(self) -> dict[str, str]:
        """What points a command to it."""
        return {"BD_API_TOKEN": TOKEN, "BD_BASE_URL": self.url}


@asynccontextmanager
async def moved_host(
    sandbox: Sandbox, docs: Mapping[str, tuple[str, bytes]]
) -> AsyncIterator[MovedHost]:
    """Serve the sandbox at other places.

    Args:
        docs: By path, the content type and the body of what is shown to anybody.
    """
    arrived: list[str] = []
    app = web.Application()
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def forward(request: web.Request, name: str) -> web.Response:
            arrived.append(f"{request.method} {request.path}")
            return await _forwarded(session, sandbox, request, name)

        def handler(name: str) -> Any:
            async def handle(request: web.Request) -> web.Response:
                return await forward(request, name)

            return handle

        for operation in OPERATIONS:
            move = MOVES.get(operation.name)
            method = operation.method if move is None else move.method
            path = operation.template if move is None else move.path
            app.router.add_route(method, path, handler(operation.name))
        for path, (kind, body) in docs.items():
            app.router.add_get(path, _shower(kind, body))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield MovedHost(url=f"http://127.0.0.1:{port}", sandbox=sandbox, arrived=arrived)
        finally:
            await runner.cleanup()


def _shower(kind: str, body: bytes) -> Any:
    async def show(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": kind})

    return show


async def _forwarded(
    session: aiohttp.ClientSession, sandbox: Sandbox, request: web.Request, name: str
) -> web.Response:
    """Ask the sandbox in its own words, and answer in the host's."""
    operation = next(each for each in OPERATIONS if each.name == name)
    move = MOVES.get(name) or Move(method=operation.method, path=operation.template)
    body = await request.json() if request.can_read_body else None
    theirs = dict(request.match_info)
    ours = {ours: theirs[part] for ours, part in move.parts.items()} if move.parts else theirs
    path = operation.template.format_map(ours)
    params = dict(request.query)
    if name in MOVES:
        params = returned(params, move.request) if not body else {}
        if body is not None:
            body = returned(body, move.request)
            body |= {key: value for key, value in ours.items() if f"{{{key}}}" not in path}
            body = {key: value for key, value in body.items() if key not in operation.template}
    token = request.headers.get("Authorization", "").replace(TOKEN, sandbox.token)
    async with session.request(
        operation.method,
        sandbox.url + path,
        params=params,
        json=body if operation.method == "POST" else None,
        headers={"Authorization": token},
    ) as response:
        content = await response.read()
        kind = response.headers["Content-Type"]
        if name in MOVES and response.status == 200 and "json" in kind:
            answer = json.loads(content)
            answer["data"] = moved(answer["data"], move.answer)
            content = json.dumps(answer).encode()
        return web.Response(status=response.status, body=content, headers={"Content-Type": kind})
