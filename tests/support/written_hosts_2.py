"""More of `written_hosts`: Laravel, one by hand, FastAPI and Nest."""

from __future__ import annotations

from typing import Any

from tests.support.written_hosts import (
    COUNTS,
    FILE,
    ID,
    OPTIONS,
    REGISTRATION,
    TIME,
    Host,
    Op,
    words,
)

_ORG = "/api/v2/organizations/{organization}"


def _page(*members: Any) -> dict[str, Any]:
    return {
        "data": [*members],
        "links": {"first": "/x?page=1", "next": ""},
        "meta": {"current_page": 1, "per_page": 15, "total": len(members)},
    }


_L_REPORT = {
    "id": ID + "1",
    "site_id": ID + "2",
    "hostname": "shop.example.com",
    "types": ["security"],
    "intensity": "quick",
    "is_completed": True,
    "created_at": TIME,
}
_L_PLAN = {
    "id": ID + "3",
    "site_id": ID + "2",
    "types": ["security"],
    "intensity": "quick",
    "cron": "0 3 * * *",
    "test_users": ["jane"],
    "created_at": TIME,
    "next_run_at": TIME,
}
_L_FIX = {
    "id": 41,
    "report_id": ID + "1",
    "finding_id": "a-1",
    "weakness": "XSS",
    "stage": "review",
    "created_at": TIME,
    "pull_request_url": "https://example.com/1",
}
_L_FINDINGS = {
    "risk_summary": COUNTS,
    "findings": [
        {
            "id": "a-1",
            "title": "XSS",
            "severity": "high",
            "url": "/s",
            "evidence": "<b>",
            "remediation_guidance": "Escape.",
            "cwe": "CWE-79",
        }
    ],
}

LARAVEL = Host(
    name="Laravel",
    operations={
        f"GET {_ORG}/sites": Op(
            answer=_page({"id": ID + "2", "hostname": "shop.example.com"}), query={"page": 1}
        ),
        f"DELETE {_ORG}/sites/{{site}}": Op(),
        f"POST {_ORG}/sites/{{site}}/reports": Op(body=OPTIONS, answer={"data": _L_REPORT}),
        f"GET {_ORG}/reports": Op(answer=_page(_L_REPORT), query={"page": 1, "per_page": 15}),
        f"GET {_ORG}/reports/{{report}}": Op(answer={"data": _L_REPORT}),
        f"DELETE {_ORG}/reports/{{report}}": Op(),
        f"GET {_ORG}/reports/{{report}}/progress": Op(
            answer={"data": {"is_completed": True, "percentage": 100}}
        ),
        f"GET {_ORG}/reports/{{report}}/overview": Op(answer={"data": {"security": {"id": 9}}}),
        f"GET {_ORG}/vortex/{{vortex}}/findings": Op(answer={"data": _L_FINDINGS}),
        f"GET {_ORG}/schedules": Op(answer=_page(_L_PLAN), query={"page": 1}),
        f"POST {_ORG}/sites/{{site}}/schedules": Op(
            body={key: _L_PLAN[key] for key in ("types", "intensity", "cron", "test_users")},
            answer={"data": _L_PLAN},
        ),
        f"PUT {_ORG}/schedules/{{schedule}}": Op(body={"cron": "x"}, answer={"data": _L_PLAN}),
        f"DELETE {_ORG}/schedules/{{schedule}}": Op(),
        f"POST {_ORG}/findings/{{finding}}/remediations": Op(answer={"data": _L_FIX}),
        f"GET {_ORG}/remediations": Op(answer=_page(_L_FIX), query={"page": 1}),
        f"GET {_ORG}/remediations/{{remediation}}": Op(answer={"data": _L_FIX}),
        f"POST {_ORG}/jump-boxes/{{jumpBox}}/network-scans": Op(
            body={"targets": ["10.0.0.0/24"], "intensity": "quick"},
            answer={"data": {"id": 51, "targets": ["10.0.0.0/24"]}},
        ),
        f"GET {_ORG}/jump-boxes": Op(answer=_page({"id": 3})),
        f"DELETE {_ORG}/jump-boxes/{{jumpBox}}": Op(),
        f"GET {_ORG}/network-scans/{{scan}}/progress": Op(
            answer={"data": {"is_completed": True, "percentage": 100}}
        ),
        f"GET {_ORG}/network-scans/{{scan}}/findings": Op(answer={"data": _L_FINDINGS}),
        "GET /api/v2/agents/manifest": Op(
            answer={
                "data": [
                    {
                        "filename": "agent-linux-amd64",
                        "os": "linux",
                        "arch": "amd64",
                        "version": "1.2",
                        "size": 4,
                        "sha256": "0" * 64,
                    }
                ]
            }
        ),
        "GET /api/v2/agents/{version}/{os}/{arch}": Op(answer=FILE),
        f"GET {_ORG}/members": Op(answer=_page({"id": 1})),
        f"POST {_ORG}/webhooks": Op(body={"url": "https://x"}, answer={"data": {"id": 1}}),
    },
    places={
        "sites.list": f"GET {_ORG}/sites",
        "reports.create": f"POST {_ORG}/sites/{{site}}/reports",
        "reports.progress": f"GET {_ORG}/reports/{{report}}/progress",
        "reports.overview": f"GET {_ORG}/reports/{{report}}/overview",
        "vortex.alerts": f"GET {_ORG}/vortex/{{vortex}}/findings",
        "registrations.create": None,
        "reports.list": f"GET {_ORG}/reports",
        "reports.get": f"GET {_ORG}/reports/{{report}}",
        "schedules.list": f"GET {_ORG}/schedules",
        "schedules.create": f"POST {_ORG}/sites/{{site}}/schedules",
        "schedules.delete": f"DELETE {_ORG}/schedules/{{schedule}}",
        "remediation.trigger": f"POST {_ORG}/findings/{{finding}}/remediations",
        "remediation.list": f"GET {_ORG}/remediations",
        "remediation.get": f"GET {_ORG}/remediations/{{remediation}}",
        "network.start": f"POST {_ORG}/jump-boxes/{{jumpBox}}/network-scans",
        "network.progress": f"GET {_ORG}/network-scans/{{scan}}/progress",
        "network.findings": f"GET {_ORG}/network-scans/{{scan}}/findings",
        "agents.manifest": "GET /api/v2/agents/manifest",
        "agents.download": "GET /api/v2/agents/{version}/{os}/{arch}",
    },
)

_H_SCAN = {
    "scanId": ID + "1",
    "target": "shop.example.com",
    "profile": words("QUICK", "STANDARD", "THOROUGH"),
    "done": True,
    "started": TIME,
}
_H_FINDINGS = {
    "totals": COUNTS,
    "vulnerabilities": [
        {
            "id": "a-1",
            "name": "XSS",
            "risk": words("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"),
            "path": "/s",
            "remediation": "Escape.",
            "cweId": 79,
        }
    ],
}

BY_HAND = Host(
    name="by hand",
    operations={
        "GET /targets": Op(answer=[{"id": ID + "2", "host": "shop.example.com"}]),
        "POST /targets/{targetId}/scan": Op(
            body={"profile": words("QUICK", "STANDARD", "THOROUGH")},
            answer={"scanId": ID + "1"},
            says={"summary": "Start a scan of a target"},
        ),
        "DELETE /targets/{targetId}": Op(),
        "GET /scans": Op(answer=[_H_SCAN], query={"cursor": "x", "max": 20}),
        "GET /scans/{scanId}": Op(answer=_H_SCAN, says={"summary": "One scan"}),
        "DELETE /scans/{scanId}": Op(says={"summary": "Remove a scan and its results"}),
        "GET /scans/{scanId}/status": Op(answer={"done": True, "percent": 100}),
        "GET /scans/{scanId}/summary": Op(answer={"security": {"id": 9}}),
        "GET /security-reports/{reportNumber}/vulnerabilities": Op(answer=_H_FINDINGS),
        "GET /recurring-scans": Op(
            answer=[{"id": "7", "target": ID + "2", "every": words("DAY", "WEEK", "MONTH")}]
        ),
        "DELETE /recurring-exports/{id}": Op(says={"summary": "Stop a recurring export"}),
        "GET /fixes": Op(answer=[{"id": "f", "scanId": ID + "1", "state": "REVIEW"}]),
        "GET /fixes/{fixId}": Op(answer={"id": "f", "scanId": ID + "1", "state": "REVIEW"}),
        "POST /fixes": Op(
            body={"scanId": ID, "findingId": "a"},
            answer={"id": "f", "scanId": ID + "1", "state": "REVIEW"},
            says={"summary": "Let the AI fix a finding"},
        ),
        "POST /fixes/{fixId}/merge": Op(answer={"id": "f"}),
        "POST /network/scans": Op(
            body={"hosts": ["10.0.0.0/24"], "jumpHost": "jb"},
            answer={"id": "n", "hosts": ["10.0.0.0/24"]},
        ),
        "GET /network/scans/{id}": Op(answer={"id": "n", "done": True, "percent": 100}),
        "GET /network/scans/{id}/vulnerabilities": Op(answer=_H_FINDINGS),
        "GET /downloads/agent": Op(
            answer=[{"file": "agent-linux-amd64", "platform": "linux-amd64", "sha256": "0" * 64}]
        ),
        "GET /downloads/agent/{file}": Op(answer=FILE),
        "POST /shutdown": Op(says={"summary": "Stop the service"}),
    },
    places={
        "sites.list": "GET /targets",
        "reports.create": "POST /targets/{targetId}/scan",
        "reports.progress": "GET /scans/{scanId}/status",
        "reports.overview": "GET /scans/{scanId}/summary",
        "vortex.alerts": "GET /security-reports/{reportNumber}/vulnerabilities",
        "registrations.create": None,
        "reports.list": "GET /scans",
        "reports.get": "GET /scans/{scanId}",
        "schedules.list": "GET /recurring-scans",
        "schedules.create": None,
        "schedules.delete": None,
        "remediation.trigger": "POST /fixes",
        "remediation.list": "GET /fixes",
        "remediation.get": "GET /fixes/{fixId}",
        "network.start": "POST /network/scans",
        "network.progress": "GET /network/scans/{id}",
        "network.findings": "GET /network/scans/{id}/vulnerabilities",
        "agents.manifest": "GET /downloads/agent",
        "agents.download": "GET /downloads/agent/{file}",
    },
)

_F_REPORT = {
    "report_id": ID + "1",
    "site_id": ID + "2",
    "report_types": ["security"],
    "scan_intensity": "quick",
    "is_completed": True,
    "created_at": TIME,
}
_F_PLAN = {
    "schedule_id": ID + "3",
    "site_id": ID + "2",
    "report_types": ["security"],
    "scan_intensity": "quick",
    "frequency": words("daily", "weekly", "monthly"),
    "test_users": ["jane"],
}


def _fast(name: str, path: str, method: str, tag: str) -> dict[str, Any]:
    slug = path.strip("/").replace("/", "_").replace("{", "_").replace("}", "_")
    title = name.replace("_", " ").title()
    return {"operationId": f"{name}_{slug}_{method}", "tags": [tag], "summary": title}


FASTAPI = Host(
    name="FastAPI",
    version="3.1.0",
    operations={
        "GET /api/v2/sites/": Op(
            answer={"items": [{"id": ID + "2", "hostname": "shop.example.com"}], "total": 1},
            query={"limit": 50, "offset": 0},
            says=_fast("list_sites", "/api/v2/sites/", "get", "sites"),
        ),
        "POST /api/v2/sites/{site_id}/reports": Op(
            body=OPTIONS,
            answer={"id": ID + "1", "status": 201, "message": "started"},
            says=_fast("create_report", "/api/v2/sites/{site_id}/reports", "post", "reports"),
        ),
        "GET /api/v2/reports/": Op(
            answer={"items": [_F_REPORT], "total": 1},
            query={"limit": 50, "offset": 0},
            says=_fast("list_reports", "/api/v2/reports/", "get", "reports"),
        ),
        "GET /api/v2/reports/{report_id}": Op(
            answer=_F_REPORT,
            says=_fast("read_report", "/api/v2/reports/{report_id}", "get", "reports"),
        ),
        "GET /api/v2/reports/{report_id}/progress": Op(
            answer={"is_completed": True, "percentage": 100.0}
        ),
        "GET /api/v2/reports/{report_id}/overview": Op(answer={"security": {"id": 9}}),
        "GET /api/v2/reports/vortex/{security_id}/alerts": Op(
            answer={"risk_summary": COUNTS, "alerts": [{"title": "XSS", "severity": "high"}]}
        ),
        "POST /api/v2/vortex-action/scans/register": Op(
            body=REGISTRATION, answer={"success": True, "message": "ok"}
        ),
        "GET /api/v2/schedules/": Op(answer={"items": [_F_PLAN], "total": 1}, query={"limit": 5}),
        "POST /api/v2/schedules/": Op(
            body={key: value for key, value in _F_PLAN.items() if key != "schedule_id"},
            answer=_F_PLAN,
        ),
        "DELETE /api/v2/schedules/{schedule_id}": Op(
            says=_fast("delete_schedule", "/api/v2/schedules/{schedule_id}", "delete", "schedules")
        ),
        "DELETE /api/v2/sites/{site_id}/schedules": Op(
            says=_fast("clear", "/api/v2/sites/{site_id}/schedules", "delete", "sites")
        ),
        "POST /api/v2/network-scans/": Op(
            body={"targets": ["10.0.0.0/24"], "jump_box": "jb", "scan_intensity": "quick"},
            answer={"scan_id": ID + "5", "targets": ["10.0.0.0/24"], "jump_box": "jb"},
        ),
        "GET /api/v2/network-scans/{scan_id}/progress": Op(
            answer={"is_completed": True, "percentage": 100.0}
        ),
        "GET /api/v2/network-scans/{scan_id}/findings": Op(
            answer={"risk_summary": COUNTS, "findings": [{"title": "XSS", "severity": "high"}]}
        ),
        "GET /api/v2/health": Op(answer={"status": "ok"}),
        "GET /api/v2/users/me": Op(answer={"id": ID}),
    },
    places={
        "sites.list": "GET /api/v2/sites/",
        "reports.create": "POST /api/v2/sites/{site_id}/reports",
        "reports.progress": "GET /api/v2/reports/{report_id}/progress",
        "reports.overview": "GET /api/v2/reports/{report_id}/overview",
        "vortex.alerts": "GET /api/v2/reports/vortex/{security_id}/alerts",
        "registrations.create": "POST /api/v2/vortex-action/scans/register",
        "reports.list": "GET /api/v2/reports/",
        "reports.get": "GET /api/v2/reports/{report_id}",
        "schedules.list": "GET /api/v2/schedules/",
        "schedules.create": "POST /api/v2/schedules/",
        "schedules.delete": "DELETE /api/v2/schedules/{schedule_id}",
        "remediation.trigger": None,
        "remediation.list": None,
        "remediation.get": None,
        "network.start": "POST /api/v2/network-scans/",
        "network.progress": "GET /api/v2/network-scans/{scan_id}/progress",
        "network.findings": "GET /api/v2/network-scans/{scan_id}/findings",
        "agents.manifest": None,
        "agents.download": None,
    },
)


def _nest(handler: str) -> dict[str, Any]:
    return {"operationId": handler, "tags": [handler.partition("Controller")[0].lower()]}


_E_SCAN = {"id": ID + "1", "siteId": ID + "2", "status": "completed", "createdAt": TIME}

NEST = Host(
    name="Nest",
    operations={
        "GET /v1/sites": Op(
            answer={"items": [{"id": ID + "2", "hostname": "shop.example.com"}], "nextCursor": ""},
            query={"cursor": "x", "limit": 20},
            says=_nest("SitesController_findAll"),
        ),
        "GET /v1/sites/{id}": Op(says=_nest("SitesController_findOne")),
        "DELETE /v1/sites/{id}": Op(says=_nest("SitesController_remove")),
        "POST /v1/scans": Op(
            body={"siteId": ID, "intensity": words("QUICK", "STANDARD", "THOROUGH")},
            answer=_E_SCAN,
            says=_nest("ScansController_create"),
        ),
        "GET /v1/scans": Op(
            answer={"items": [_E_SCAN], "nextCursor": ""},
            query={"cursor": "x", "limit": 20},
            says=_nest("ScansController_findAll"),
        ),
        "GET /v1/scans/{id}": Op(answer=_E_SCAN, says=_nest("ScansController_findOne")),
        "DELETE /v1/scans/{id}": Op(says=_nest("ScansController_remove")),
        "GET /v1/scans/{id}/progress": Op(answer={"isCompleted": True, "percentage": 100}),
        "GET /v1/schedules": Op(says=_nest("SchedulesController_findAll")),
        "POST /v1/schedules": Op(
            body={"siteId": ID, "types": ["x"], "dayOfWeek": 1, "time": "03:00"},
            answer={"id": "7", "siteId": ID + "2"},
            says=_nest("SchedulesController_create"),
        ),
        "DELETE /v1/schedules/{id}": Op(says=_nest("SchedulesController_remove")),
        "GET /v1/remediations": Op(
            answer={"items": [{"id": "r", "scanId": ID + "1", "stage": "REVIEW"}]},
            says=_nest("RemediationsController_findAll"),
        ),
        "GET /v1/remediations/{id}": Op(
            answer={"id": "r", "scanId": ID + "1", "stage": "REVIEW"},
            says=_nest("RemediationsController_findOne"),
        ),
        "POST /v1/auth/login": Op(body={"email": "a", "password": "b"}, answer={"token": "x"}),
    },
    places={
        "sites.list": "GET /v1/sites",
        "reports.create": "POST /v1/scans",
        "reports.progress": "GET /v1/scans/{id}/progress",
        "reports.overview": None,
        "vortex.alerts": None,
        "registrations.create": None,
        "reports.list": "GET /v1/scans",
        "reports.get": "GET /v1/scans/{id}",
        "schedules.list": "GET /v1/schedules",
        "schedules.create": "POST /v1/schedules",
        "schedules.delete": "DELETE /v1/schedules/{id}",
        "remediation.trigger": None,
        "remediation.list": "GET /v1/remediations",
        "remediation.get": "GET /v1/remediations/{id}",
        "network.start": None,
        "network.progress": None,
        "network.findings": None,
        "agents.manifest": None,
        "agents.download": None,
    },
)
