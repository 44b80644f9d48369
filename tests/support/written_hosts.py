"""Specifications in the styles of six frameworks, each written before the code that reads them.

An operation is a line with an example of what it takes and answers. The schemas are derived from
the examples, and `behaving_host` answers with them, so a host does what its specification says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

ID = "0b7e5c1a-0000-4000-8000-00000000000"
TIME = "2026-03-01T08:00:00+00:00"
FILE = "file"


@frozen
class Words:
    """A text of which the specification lists the values; the first is the example."""

    first: str
    others: tuple[str, ...]


def words(*values: str) -> Words:
    """Return a text with its listed values."""
    return Words(values[0], values[1:])


@frozen(kw_only=True)
class Op:
    """One operation of a host."""

    answer: Any = None
    body: Any = None
    query: Mapping[str, Any] = field(factory=dict)
    needed: tuple[str, ...] = ()
    """Members of the query that must be there."""
    says: Mapping[str, Any] = field(factory=dict)
    """operationId, summary, tags."""


@frozen(kw_only=True)
class Host:
    """A specification, and where each of our operations stands in it."""

    name: str
    operations: Mapping[str, Op]
    places: Mapping[str, str | None]
    """None: the host does not have it."""
    envelope: str = ""
    """"full" for success, message, data, error; else answers are bare."""
    version: str = "3.0.3"
    media: str = "application/json"

    def document(self) -> dict[str, Any]:
        """Return the specification."""
        paths: dict[str, Any] = {}
        for key, op in self.operations.items():
            method, path = key.split()
            paths.setdefault(path, {})[method.lower()] = self._entry(path, op)
        named = {"info": {"title": self.name, "version": "1"}, "paths": paths}
        if self.version != "2.0":
            return {"openapi": self.version, **named}
        for item in paths.values():
            item.update({method: _as_swagger(entry) for method, entry in item.items()})
        return {"swagger": "2.0", **named}

    def _entry(self, path: str, op: Op) -> dict[str, Any]:
        parts = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        parameters = [
            {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
            for part in parts
        ] + [
            {
                "name": name,
                "in": "query",
                "required": name in op.needed,
                "schema": schema_of(value) | ({"default": value} if type(value) is int else {}),
            }
            for name, value in op.query.items()
        ]
        good: dict[str, Any] = {"description": "OK"}
        if op.answer == FILE:
            kind = {"schema": {"type": "string", "format": "binary"}}
            good["content"] = {"application/octet-stream": kind}
        elif op.answer is not None:
            good["content"] = {self.media: {"schema": schema_of(self.wrapped(op.answer))}}
        entry: dict[str, Any] = {**op.says, "parameters": parameters, "responses": {"200": good}}
        if op.body is not None:
            entry["requestBody"] = {"content": {"application/json": {"schema": schema_of(op.body)}}}
        return entry

    def wrapped(self, answer: Any) -> Any:
        """Return an answer as it stands on the wire."""
        if self.envelope != "full" or (isinstance(answer, dict) and "success" in answer):
            return answer
        return {"success": True, "message": "", "data": answer, "error": None}


def _as_swagger(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an operation as Swagger 2.0 writes it."""
    parameters = [{**each, **each["schema"]} for each in entry["parameters"]]
    body = entry.pop("requestBody", {"content": {}})["content"].get("application/json")
    if body is not None:
        parameters.append({"name": "body", "in": "body", "schema": body["schema"]})
    good = {**entry["responses"]["200"]}
    for media in good.pop("content", {}).values():
        is_file = media["schema"].get("format") == "binary"
        good["schema"] = {"type": "file"} if is_file else media["schema"]
    return {**entry, "parameters": parameters, "responses": {"200": good}}


def schema_of(value: Any) -> dict[str, Any]:
    """Return a schema that an example fits."""
    if isinstance(value, Words):
        return {"type": "string", "enum": [value.first, *value.others]}
    if isinstance(value, dict):
        members = {name: schema_of(member) for name, member in value.items()}
        return {"type": "object", "properties": members}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    if value == TIME:
        return {"type": "string", "format": "date-time"}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(value)]} if type(value) in kinds else {}


def example_of(value: Any) -> Any:
    """Return an example as JSON."""
    if isinstance(value, Words):
        return value.first
    if isinstance(value, dict):
        return {name: example_of(member) for name, member in value.items()}
    return [example_of(member) for member in value] if isinstance(value, list) else value


COUNTS = {"critical": 0, "high": 1, "medium": 0, "low": 0, "informational": 0}
OPTIONS = {
    "options": {
        "security": {
            "enabled": True,
            "options": {"vortexType": "analog", "testingType": "web", "scanIntensity": "quick"},
        },
        "seo": {"enabled": True},
        "dns": {"enabled": True},
        "whois": {"enabled": True},
    }
}
REGISTRATION = {
    "installationId": "1",
    "reportId": ID + "1",
    "repositoryFullName": "acme/shop",
    "pullRequestNumber": 7,
    "commitSha": "a" * 40,
    "checkRunId": 5,
    "targetUrl": "https://shop.example.com",
    "scanTypes": ["security"],
    "failCheckOn": "high",
    "callbackSecret": "0" * 64,
}


def _says(operation_id: str, *tags: str, summary: str = "") -> dict[str, Any]:
    said: dict[str, Any] = {"operationId": operation_id, "tags": [*tags]}
    return {**said, "summary": summary} if summary else said


_N_REPORT = {
    "uuid": ID + "1",
    "site": {"id": ID + "2", "hostname": "shop.example.com"},
    "types": ["security"],
    "scanIntensity": words("quick", "standard", "thorough"),
    "completed": True,
    "createdAt": TIME,
}
_N_PLAN = {
    "id": ID + "3",
    "siteId": ID + "2",
    "hostname": "shop.example.com",
    "reportTypes": ["security"],
    "intensity": "quick",
    "frequency": words("DAILY", "WEEKLY", "MONTHLY"),
    "testUsers": ["jane"],
    "createdAt": TIME,
    "nextRunAt": TIME,
}
_N_FIX = {
    "id": ID + "4",
    "reportId": ID + "1",
    "alertId": "a-1",
    "weaknessType": "XSS",
    "stage": words("REVIEW", "APPROVED", "BLOCKED", "REJECTED"),
    "createdAt": TIME,
    "pullRequestUrl": "https://example.com/1",
}
_N_ALERTS = {
    "riskSummary": COUNTS,
    "alerts": [
        {
            "id": "a-1",
            "name": "Reflected XSS",
            "severity": words("critical", "high"),
            "location": "/search",
            "proof": "<script>",
            "solution": "Escape.",
            "cweId": 79,
            "weaknessType": "XSS",
        }
    ],
}

NELMIO = Host(
    name="Symfony, by NelmioApiDoc",
    envelope="full",
    operations={
        "GET /api/v1/site/list": Op(
            answer={"sites": [{"uuid": ID + "2", "hostname": "shop.example.com"}], "total": 1},
            query={"page": 1, "limit": 50},
            says=_says("get_app_api_site_list", "Site"),
        ),
        "GET /api/v1/site/{id}": Op(answer={"uuid": ID + "2", "hostname": "shop.example.com"}),
        "DELETE /api/v1/site/{id}": Op(says=_says("delete_app_api_site_remove", "Site")),
        "POST /api/v1/report/create/for-site/{site}": Op(
            body=OPTIONS,
            answer={"success": True, "message": "Created", "status": 200, "id": ID + "1"},
            says=_says("post_app_api_report_create", "Report"),
        ),
        "GET /api/v1/report/list": Op(
            answer={"reports": [_N_REPORT], "total": 1},
            query={"page": 1, "limit": 50},
            says=_says("get_app_api_report_list", "Report"),
        ),
        "GET /api/v1/report/{report}": Op(
            answer={"report": _N_REPORT}, says=_says("get_app_api_report_show", "Report")
        ),
        "DELETE /api/v1/report/{report}": Op(says=_says("delete_app_api_report_delete", "Report")),
        "GET /api/v1/report/{report}/progress": Op(
            answer={"isCompleted": True, "percentage": 100},
            says=_says("get_app_api_report_progress", "Report"),
        ),
        "GET /api/v1/report/{report}/overview": Op(
            answer={"security": {"id": 9}, "seo": {"id": 3}},
            says=_says("get_app_api_report_overview", "Report"),
        ),
        "GET /api/v1/report/vortex/{vortex}/alerts": Op(
            answer=_N_ALERTS, says=_says("get_app_api_vortex_alerts", "Vortex")
        ),
        "GET /api/v1/scheduled-report/list": Op(
            answer={"scheduledReports": [_N_PLAN]},
            says=_says("get_app_api_scheduled_report_list", "Scheduled report"),
        ),
        "POST /api/v1/scheduled-report/create": Op(
            body={key: _N_PLAN[key] for key in ("siteId", "reportTypes", "intensity", "frequency")}
            | {"testUsers": ["jane"]},
            answer={"scheduledReport": _N_PLAN},
            says=_says("post_app_api_scheduled_report_create", "Scheduled report"),
        ),
        "DELETE /api/v1/maintenance-schedules/{id}": Op(
            answer={}, says=_says("delete_app_api_maintenance_schedule_delete", "Maintenance")
        ),
        "GET /api/v1/maintenance-schedules": Op(answer={"schedules": [{"id": ID, "from": TIME}]}),
        "POST /api/v1/finding/{finding}/remediate": Op(
            answer={"remediation": _N_FIX, "creditsRemaining": 4},
            says=_says("post_app_api_finding_remediate", "Remediation"),
        ),
        "GET /api/v1/remediation/list": Op(
            answer={"remediations": [_N_FIX], "creditsRemaining": 4},
            says=_says("get_app_api_remediation_list", "Remediation"),
        ),
        "GET /api/v1/remediation/{remediation}": Op(
            answer={"remediation": _N_FIX}, says=_says("get_app_api_remediation_show")
        ),
        "POST /api/v1/remediation/{remediation}/approve": Op(answer={"remediation": _N_FIX}),
        "POST /api/v1/network-scan/start": Op(
            body={"targets": ["10.0.0.0/24"], "jumpBox": "jb", "intensity": words("QUICK", "FULL")},
            answer={"networkScan": {"id": ID + "5", "targets": ["10.0.0.0/24"], "jumpBox": "jb"}},
            says=_says("post_app_api_network_scan_start", "Network scan"),
        ),
        "GET /api/v1/network-scan/{scan}/progress": Op(
            answer={"isCompleted": True, "percentage": 100}
        ),
        "GET /api/v1/network-scan/{scan}/alerts": Op(answer=_N_ALERTS),
        "GET /api/v1/agent/manifest": Op(
            answer={
                "files": [
                    {
                        "name": "agent-linux-amd64",
                        "platform": "linux-amd64",
                        "version": "1.2",
                        "size": 4,
                        "sha256": "0" * 64,
                    }
                ]
            }
        ),
        "GET /api/v1/agent/download/{file}": Op(answer=FILE),
        "GET /api/v1/user/list": Op(answer={"users": [{"id": ID}]}),
        "DELETE /api/v1/token/{id}": Op(answer={}),
        "POST /api/v1/invoice/{id}/pay": Op(answer={"id": ID}),
    },
    places={
        "sites.list": "GET /api/v1/site/list",
        "reports.create": "POST /api/v1/report/create/for-site/{site}",
        "reports.progress": "GET /api/v1/report/{report}/progress",
        "reports.overview": "GET /api/v1/report/{report}/overview",
        "vortex.alerts": "GET /api/v1/report/vortex/{vortex}/alerts",
        "registrations.create": None,
        "reports.list": "GET /api/v1/report/list",
        "reports.get": "GET /api/v1/report/{report}",
        "schedules.list": "GET /api/v1/scheduled-report/list",
        "schedules.create": "POST /api/v1/scheduled-report/create",
        "schedules.delete": None,
        "remediation.trigger": "POST /api/v1/finding/{finding}/remediate",
        "remediation.list": "GET /api/v1/remediation/list",
        "remediation.get": "GET /api/v1/remediation/{remediation}",
        "network.start": "POST /api/v1/network-scan/start",
        "network.progress": "GET /api/v1/network-scan/{scan}/progress",
        "network.findings": "GET /api/v1/network-scan/{scan}/alerts",
        "agents.manifest": "GET /api/v1/agent/manifest",
        "agents.download": "GET /api/v1/agent/download/{file}",
    },
)


def _hydra(*members: Any) -> dict[str, Any]:
    return {
        "@context": "/api/contexts/x",
        "@id": "/api/x",
        "@type": "hydra:Collection",
        "hydra:member": [*members],
        "hydra:totalItems": len(members),
        "hydra:view": {"hydra:next": ""},
    }


_P_REPORT = {
    "@id": f"/api/reports/{ID}1",
    "@type": "Report",
    "id": ID + "1",
    "siteId": ID + "2",
    "hostname": "shop.example.com",
    "reportTypes": ["security"],
    "scanIntensity": "quick",
    "isCompleted": True,
    "createdAt": TIME,
}
_P_PLAN = {
    "@id": f"/api/scheduled_reports/{ID}3",
    "@type": "ScheduledReport",
    "id": ID + "3",
    "siteId": ID + "2",
    "reportTypes": ["security"],
    "scanIntensity": "quick",
    "cadence": words("DAILY", "WEEKLY", "MONTHLY"),
    "testUsers": ["jane"],
    "createdAt": TIME,
}
_P_FIX = {
    "@id": f"/api/remediations/{ID}4",
    "@type": "Remediation",
    "id": ID + "4",
    "reportId": ID + "1",
    "findingId": "a-1",
    "weakness": "XSS",
    "stage": "Review",
    "createdAt": TIME,
}
_P_ALERTS = {
    "@id": "/api/alerts",
    "riskSummary": COUNTS,
    "alerts": [
        {"@id": "/api/alerts/1", "id": "a-1", "title": "XSS", "severity": "high", "url": "/s"}
    ],
}
_P_SCAN = {"@id": f"/api/network_scans/{ID}5", "id": ID + "5", "targets": ["10.0.0.0/24"]}


def _platform(noun: str, verb: str) -> dict[str, Any]:
    return _says(f"api_{noun}_{verb}", "".join(part.title() for part in noun.split("_")))


API_PLATFORM = Host(
    name="API Platform",
    version="3.1.0",
    media="application/ld+json",
    operations={
        "GET /api/sites": Op(
            answer=_hydra({"@id": "/api/sites/2", "id": ID + "2", "hostname": "shop.example.com"}),
            query={"page": 1},
            says=_platform("sites", "get_collection"),
        ),
        "POST /api/sites": Op(body={"hostname": "x"}, answer={"id": ID}),
        "GET /api/sites/{id}": Op(answer={"id": ID + "2", "hostname": "shop.example.com"}),
        "DELETE /api/sites/{id}": Op(says=_platform("sites", "delete")),
        "GET /api/reports": Op(
            answer=_hydra(_P_REPORT),
            query={"page": 1, "itemsPerPage": 30},
            says=_platform("reports", "get_collection"),
        ),
        "POST /api/sites/{siteId}/reports": Op(
            body=OPTIONS, answer=_P_REPORT, says=_platform("reports", "post")
        ),
        "GET /api/reports/{id}": Op(answer=_P_REPORT, says=_platform("reports", "get")),
        "DELETE /api/reports/{id}": Op(says=_platform("reports", "delete")),
        "GET /api/reports/{id}/progress": Op(
            answer={"@id": "/x", "isCompleted": True, "percentage": 100},
            says=_platform("reports", "progress"),
        ),
        "GET /api/reports/{id}/overview": Op(answer={"@id": "/x", "security": {"id": 9}}),
        "GET /api/vortex_reports/{id}/alerts": Op(answer=_P_ALERTS),
        "GET /api/scheduled_reports": Op(
            answer=_hydra(_P_PLAN),
            query={"page": 1},
            says=_platform("scheduled_reports", "get_collection"),
        ),
        "POST /api/scheduled_reports": Op(
            body={
                key: _P_PLAN[key]
                for key in ("siteId", "reportTypes", "scanIntensity", "cadence", "testUsers")
            },
            answer=_P_PLAN,
            says=_platform("scheduled_reports", "post"),
        ),
        "GET /api/scheduled_reports/{id}": Op(answer=_P_PLAN),
        "PUT /api/scheduled_reports/{id}": Op(body=_P_PLAN, answer=_P_PLAN),
        "DELETE /api/scheduled_reports/{id}": Op(says=_platform("scheduled_reports", "delete")),
        "GET /api/remediations": Op(
            answer=_hydra(_P_FIX), says=_platform("remediations", "get_collection")
        ),
        "POST /api/remediations": Op(
            body={"reportId": ID, "findingId": "a", "weakness": "XSS"},
            answer=_P_FIX,
            says=_platform("remediations", "post"),
        ),
        "GET /api/remediations/{id}": Op(answer=_P_FIX, says=_platform("remediations", "get")),
        "DELETE /api/remediations/{id}": Op(says=_platform("remediations", "delete")),
        "GET /api/network_scans": Op(answer=_hydra(_P_SCAN)),
        "POST /api/network_scans": Op(
            body={"targets": ["10.0.0.0/24"], "jumpBox": "jb", "scanIntensity": "quick"},
            answer=_P_SCAN,
            says=_platform("network_scans", "post"),
        ),
        "GET /api/network_scans/{id}/progress": Op(answer={"isCompleted": True, "percentage": 99}),
        "GET /api/network_scans/{id}/findings": Op(answer=_P_ALERTS),
        "DELETE /api/network_scans/{id}": Op(says=_platform("network_scans", "delete")),
        "GET /api/users": Op(answer=_hydra({"id": ID})),
        "DELETE /api/backup_schedules/{id}": Op(),
    },
    places={
        "sites.list": "GET /api/sites",
        "reports.create": "POST /api/sites/{siteId}/reports",
        "reports.progress": "GET /api/reports/{id}/progress",
        "reports.overview": "GET /api/reports/{id}/overview",
        "vortex.alerts": "GET /api/vortex_reports/{id}/alerts",
        "registrations.create": None,
        "reports.list": "GET /api/reports",
        "reports.get": "GET /api/reports/{id}",
        "schedules.list": "GET /api/scheduled_reports",
        "schedules.create": "POST /api/scheduled_reports",
        "schedules.delete": "DELETE /api/scheduled_reports/{id}",
        "remediation.trigger": "POST /api/remediations",
        "remediation.list": "GET /api/remediations",
        "remediation.get": "GET /api/remediations/{id}",
        "network.start": "POST /api/network_scans",
        "network.progress": "GET /api/network_scans/{id}/progress",
        "network.findings": "GET /api/network_scans/{id}/findings",
        "agents.manifest": None,
        "agents.download": None,
    },
)
