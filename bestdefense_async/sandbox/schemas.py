"""The shapes of everything the API sends and takes, as JSON Schema 2020-12.

Objects are open: the API may always add a field. What is required is what the sandbox always sends
and a client may rely on, by the grade of its operation.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
TEXT: Schema = {"type": "string"}
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
_SECRET: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
_CADENCE: Schema = {"type": "string", "enum": ["daily", "weekly", "monthly"]}
_WEEKDAY: Schema = {
    "type": "string",
    "enum": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
}
_MONTHDAY: Schema = {"type": "integer", "minimum": 1, "maximum": 31}
_CLOCK: Schema = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
_TYPES: Schema = {**listed(TEXT), "minItems": 1}

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
        types=_TYPES,
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
        types=_TYPES,
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
    "NetworkScan": shape(id=ID, targets=_TYPES, jumpBox=nullable(TEXT)),
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
        installationId=TEXT,
        reportId=TEXT,
        repositoryFullName={"type": "string", "pattern": "^[^/]+/[^/]+$"},
        pullRequestNumber=COUNT,
        commitSha=TEXT,
        checkRunId=nullable({"type": "integer"}),
        targetUrl=TEXT,
        scanTypes=_TYPES,
        failCheckOn=TEXT,
        callbackSecret=_SECRET,
    ),
    "schedules.create": shape(
        (
            *("vortexType", "testingType", "scanIntensity"),
            *("dayOfWeek", "dayOfMonth", "time", "timezone", "testUsers"),
        ),
        siteId=ID,
        types=_TYPES,
        vortexType=TEXT,
        testingType=TEXT,
        scanIntensity=_INTENSITY,
        cadence=_CADENCE,
        dayOfWeek=_WEEKDAY,
        dayOfMonth=_MONTHDAY,
        time=_CLOCK,
        timezone=TEXT,
        testUsers=listed(TEXT),
    ),
    "remediation.trigger": {
        **shape(("findingId", "weakness"), reportId=ID, findingId=TEXT, weakness=TEXT),
        "oneOf": [{"required": ["findingId"]}, {"required": ["weakness"]}],
    },
    "network.start": shape(
        ("jumpBox", "scanIntensity"),
        targets=_TYPES,
        jumpBox=nullable(TEXT),
        scanIntensity=_INTENSITY,
    ),
}
"""Bodies of requests, by operation."""
