"""The shapes of everything the API sends and takes, as JSON Schema 2020-12.

Objects are open: the API may always add a field. What is required is what the sandbox always sends
and a client may rely on, by the grade of its operation. What arrives is held against the same
shapes: a `description` is what the refusal says it must be.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from bestdefense_async.sandbox.replies import refuse

Schema = dict[str, Any]

UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
TEXT: Schema = {"type": "string"}
_SENT: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 1024,
    "description": "a text of 1 to 1024 characters",
}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
FLAG: Schema = {"type": "boolean"}
PERCENTAGE: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
ID: Schema = {"type": "string", "pattern": UUID}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(schema: Schema) -> Schema:
    """Return the schema, or null."""
    return {"oneOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    """Return a list of the schema."""
    return {"type": "array", "items": schema}


def shape(optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """Return an open object whose properties are required unless named as optional."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _enabled(**further: Schema) -> Schema:
    return shape(tuple(further), enabled=FLAG, **further)


_INTENSITY: Schema = {"type": "string", "enum": ["quick", "standard", "thorough"]}
_SEVERITY: Schema = {
    "type": "string",
    "enum": ["critical", "high", "medium", "low", "informational"],
}
_SECRET: Schema = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{64}$",
    "description": "64 hexadecimal characters",
}
_CADENCE: Schema = {"type": "string", "enum": ["daily", "weekly", "monthly"]}
_WEEKDAY: Schema = {
    "type": "string",
    "enum": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
}
_MONTHDAY: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": 31,
    "description": "a number from 1 to 31",
}
_CLOCK: Schema = {
    "type": "string",
    "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
    "description": "a time from 00:00 to 23:59",
}
_TEXTS: Schema = {
    **listed({"type": "string", "minLength": 1}),
    "minItems": 1,
    "maxItems": 1000,
    "description": "a list of 1 to 1000 texts",
}
_TARGETS: Schema = {
    **_TEXTS,
    "items": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9._:/\[\]-]{1,255}$",
        "description": "a host name, an address or a network",
    },
}
_REPOSITORY: Schema = {"type": "string", "pattern": "^[^/]+/[^/]+$", "description": "owner/name"}

COMPONENTS: dict[str, Schema] = {
    "Site": shape(id=ID, hostname=TEXT),
    "Failure": shape(
        success={"const": False},
        message=TEXT,
        data={"type": "null"},
        error={"type": ["string", "object"]},
    ),
    "ScanOptions": shape(
        ("security", "seo", "dns", "whois", "callback"),
        security=_enabled(
            options=shape(
                ("vortexType", "testingType", "scanIntensity"),
                vortexType=TEXT,
                testingType=TEXT,
                scanIntensity=_INTENSITY,
            )
        ),
        seo=_enabled(),
        dns=_enabled(),
        whois=_enabled(),
        callback=shape(secret=_SECRET),
    ),
    "RiskSummary": shape(critical=COUNT, high=COUNT, medium=COUNT, low=COUNT, informational=COUNT),
    "Finding": shape(
        id=TEXT,
        title=TEXT,
        severity=_SEVERITY,
        url=TEXT,
        evidence=TEXT,
        guidance=TEXT,
        cwe={"type": "string", "pattern": "^CWE-[0-9]+$"},
        weakness=TEXT,
    ),
    "Findings": shape(riskSummary=ref("RiskSummary"), alerts=listed(ref("Finding"))),
    "Report": shape(
        ("options",),
        id=ID,
        siteId=ID,
        hostname=TEXT,
        types=_TEXTS,
        scanIntensity=TEXT,
        isCompleted=FLAG,
        createdAt=TIME,
        options=ref("ScanOptions"),
    ),
    "Schedule": shape(
        ("vortexType", "testingType"),
        id=ID,
        siteId=ID,
        hostname=TEXT,
        types=_TEXTS,
        vortexType=TEXT,
        testingType=TEXT,
        scanIntensity=TEXT,
        cadence=_CADENCE,
        dayOfWeek=nullable(_WEEKDAY),
        dayOfMonth=nullable(_MONTHDAY),
        time=_CLOCK,
        timezone=TEXT,
        testUsers=listed(TEXT),
        createdAt=TIME,
        nextRunAt=TIME,
    ),
    "Remediation": shape(
        id=ID,
        reportId=ID,
        findingId=nullable(TEXT),
        weakness=TEXT,
        stage={"type": "string", "enum": ["Review", "Approved", "Blocked", "Rejected"]},
        createdAt=TIME,
        pullRequestUrl=nullable(TEXT),
    ),
    "NetworkScan": shape(id=ID, targets=_TEXTS, jumpBox=nullable(TEXT)),
    "AgentFile": shape(
        filename=TEXT,
        platform=nullable(TEXT),
        version=TEXT,
        size=COUNT,
        sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
        url=TEXT,
    ),
}

DATA: dict[str, Schema] = {
    "sites.list": shape(sites=listed(ref("Site"))),
    "reports.progress": shape(("percentage",), isCompleted=FLAG, percentage=PERCENTAGE),
    "reports.overview": shape(security=nullable(shape(id={"type": "integer"}))),
    "vortex.alerts": ref("Findings"),
    "reports.list": shape(reports=listed(ref("Report"))),
    "reports.get": shape(report=ref("Report")),
    "schedules.list": shape(schedules=listed(ref("Schedule"))),
    "schedules.create": shape(schedule=ref("Schedule")),
    "schedules.delete": shape(),
    "remediation.trigger": shape(remediation=ref("Remediation"), creditsRemaining=COUNT),
    "remediation.list": shape(remediations=listed(ref("Remediation")), creditsRemaining=COUNT),
    "remediation.get": shape(remediation=ref("Remediation")),
    "network.start": shape(scan=ref("NetworkScan")),
    "network.progress": shape(isCompleted=FLAG, percentage=PERCENTAGE),
    "network.findings": ref("Findings"),
    "agents.manifest": shape(version=TEXT, files=listed(ref("AgentFile"))),
}
"""What stands under `data`, by operation, where there is an envelope."""

BARE: dict[str, Schema] = {
    "reports.create": shape(success={"const": True}, message=TEXT, status=COUNT, id=ID),
    "registrations.create": shape(("message",), success={"const": True}, message=TEXT),
}
"""Whole answers, of the operations without an envelope."""

REQUESTS: dict[str, Schema] = {
    "reports.create": shape(options=ref("ScanOptions")),
    "registrations.create": shape(
        installationId=_SENT,
        reportId=_SENT,
        repositoryFullName=_REPOSITORY,
        pullRequestNumber=COUNT,
        commitSha=_SENT,
        checkRunId=nullable({"type": "integer"}),
        targetUrl=_SENT,
        scanTypes=_TEXTS,
        failCheckOn=_SENT,
        callbackSecret=_SECRET,
    ),
    "schedules.create": shape(
        (
            *("vortexType", "testingType", "scanIntensity"),
            *("dayOfWeek", "dayOfMonth", "time", "timezone", "testUsers"),
        ),
        siteId=_SENT,
        types=_TEXTS,
        vortexType=TEXT,
        testingType=TEXT,
        scanIntensity=_INTENSITY,
        cadence=_CADENCE,
        dayOfWeek=_WEEKDAY,
        dayOfMonth=_MONTHDAY,
        time=_CLOCK,
        timezone=_SENT,
        testUsers={**_TEXTS, "minItems": 0},
    ),
    "remediation.trigger": {
        **shape(("findingId", "weakness"), reportId=_SENT, findingId=_SENT, weakness=_SENT),
        "oneOf": [{"required": ["findingId"]}, {"required": ["weakness"]}],
    },
    "network.start": shape(
        ("jumpBox", "scanIntensity"),
        targets=_TARGETS,
        jumpBox=nullable(_SENT),
        scanIntensity=_INTENSITY,
    ),
}
"""Bodies of requests, by operation."""


_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
}


def read(operation: str, body: bytes) -> dict[str, Any]:
    """Return the body of a request, which must be what the document says.

    Raises:
        Refused: It is no JSON object in UTF-8, or something in it has another shape. The message
            says where and what is wanted, never what stands there.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        refuse(400, "The body is not valid JSON.")
    if not isinstance(value, dict):
        refuse(400, "The body must be a JSON object.")
    _check(value, REQUESTS[operation], "")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _check(value: object, schema: Schema, where: str) -> None:
    if "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
    if {"type": "null"} in schema.get("oneOf", ()):
        if value is None:
            return
        schema = schema["oneOf"][0]
    kind, called = _KINDS[schema["type"]]
    is_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not (is_kind and _is_within(value, schema)):
        known = schema.get("enum")
        wanted = f"one of {', '.join(known)}" if known else schema.get("description", called)
        refuse(400, f"{where} must be {wanted}.")
    if isinstance(value, dict):
        for name, member in schema["properties"].items():
            if name in value or name in schema["required"]:
                _check(value.get(name), member, f"{where}.{name}".removeprefix("."))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check(each, schema["items"], f"{where}[{index}]")


def _is_within(value: Any, schema: Schema) -> bool:  # noqa: ANN401 -- of the schema's type
    """Return whether a value of the right type keeps to everything else that is said of it."""
    if isinstance(value, str | list):
        unit = "Length" if isinstance(value, str) else "Items"
        least, most = schema.get(f"min{unit}", 0), schema.get(f"max{unit}", len(value))
        if not least <= len(value) <= most:
            return False
    elif isinstance(value, int) and not (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
    ):
        return False
    pattern = schema.get("pattern")
    return value in schema.get("enum", [value]) and (
        pattern is None or re.search(pattern, value) is not None
    )
