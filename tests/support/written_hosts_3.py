"""Two more of `written_hosts`, by which the rule was checked once it stood: Spring and Go."""

from __future__ import annotations

from typing import Any

from tests.support.written_hosts import FILE, ID, REGISTRATION, TIME, Host, Op, words


def _spring_says(operation_id: str, controller: str) -> dict[str, Any]:
    return {"operationId": operation_id, "tags": [f"{controller}-controller"]}


def _spring_page(*rows: Any) -> dict[str, Any]:
    """Return a `Page` as Spring Data writes it."""
    return {
        "content": [*rows],
        "pageable": {"pageNumber": 0, "pageSize": 20, "offset": 0, "paged": True},
        "totalElements": len(rows),
        "totalPages": 1,
        "size": 20,
        "number": 0,
        "first": True,
        "last": True,
        "empty": False,
    }


_S_PAGEABLE = {"page": 0, "size": 20, "sort": "createdAt,desc"}
_S_LEVEL = words("QUICK", "STANDARD", "THOROUGH")
_S_COUNTS = {"critical": 0, "high": 1, "medium": 0, "low": 0, "info": 0}
_S_SCAN = {
    "id": ID + "1",
    "targetId": ID + "2",
    "hostName": "shop.example.com",
    "scanTypes": [words("SECURITY", "SEO", "DNS", "WHOIS")],
    "scanIntensity": _S_LEVEL,
    "completed": True,
    "createdDate": TIME,
    "createdBy": "jane",
}
_S_PLAN = {
    "id": ID + "3",
    "targetId": ID + "2",
    "scanTypes": [words("SECURITY", "SEO", "DNS", "WHOIS")],
    "scanIntensity": _S_LEVEL,
    "frequency": words("DAILY", "WEEKLY", "MONTHLY"),
    "testUserIds": ["jane"],
    "createdDate": TIME,
    "nextExecutionTime": TIME,
}
_S_FIX = {
    "id": ID + "4",
    "scanId": ID + "1",
    "findingId": "a-1",
    "weaknessType": "XSS",
    "status": words("IN_REVIEW", "APPROVED", "BLOCKED", "REJECTED"),
    "createdDate": TIME,
    "pullRequestUrl": "https://example.com/1",
}
_S_FINDINGS = {
    "riskSummary": _S_COUNTS,
    "findings": [
        {
            "id": "a-1",
            "name": "Reflected XSS",
            "severity": words("HIGH", "CRITICAL", "MEDIUM", "LOW", "INFO"),
            "affectedUrl": "/search",
            "evidence": "<script>",
            "mitigation": "Escape.",
            "cweId": 79,
        }
    ],
}

SPRING = Host(
    name="Spring, by springdoc",
    version="3.1.0",
    media="*/*",
    operations={
        "GET /api/v1/targets": Op(
            answer=_spring_page({"id": ID + "2", "hostName": "shop.example.com", "verified": True}),
            query=_S_PAGEABLE,
            says=_spring_says("getAllTargets", "target"),
        ),
        "GET /api/v1/targets/{targetId}": Op(
            answer={"id": ID + "2", "hostName": "shop.example.com"},
            says=_spring_says("getTarget", "target"),
        ),
        "DELETE /api/v1/targets/{targetId}": Op(says=_spring_says("deleteTarget", "target")),
        "POST /api/v1/targets/{targetId}/scans": Op(
            body={
                "options": {
                    "security": {
                        "enabled": True,
                        "options": {
                            "vortexType": words("ANALOG", "AI"),
                            "testingType": words("WEB", "API"),
                            "scanIntensity": _S_LEVEL,
                        },
                    },
                    "seo": {"enabled": True},
                    "dns": {"enabled": True},
                    "whois": {"enabled": True},
                    "callback": {"secret": "0" * 64},
                }
            },
            answer=_S_SCAN,
            says=_spring_says("startScan", "scan"),
        ),
        "GET /api/v1/scans": Op(
            answer=_spring_page(_S_SCAN),
            query=_S_PAGEABLE,
            says=_spring_says("getAllScans", "scan"),
        ),
        "GET /api/v1/scans/{scanId}": Op(answer=_S_SCAN, says=_spring_says("getScan", "scan")),
        "DELETE /api/v1/scans/{scanId}": Op(says=_spring_says("deleteScan", "scan")),
        "GET /api/v1/scans/{scanId}/status": Op(
            answer={"status": words("COMPLETED", "RUNNING", "FAILED"), "percentComplete": 100},
            says=_spring_says("getScanStatus", "scan"),
        ),
        "GET /api/v1/scans/{scanId}/summary": Op(
            answer={"security": {"id": 9}, "dns": {"id": 10}},
            says=_spring_says("getScanSummary", "scan"),
        ),
        "GET /api/v1/security-reports/{reportId}/findings": Op(
            answer=_S_FINDINGS, says=_spring_says("getFindings", "security-report")
        ),
        "GET /api/v1/scan-schedules": Op(
            answer=_spring_page(_S_PLAN),
            query=_S_PAGEABLE,
            says=_spring_says("getAllSchedules", "scan-schedule"),
        ),
        "POST /api/v1/scan-schedules": Op(
            body={
                key: _S_PLAN[key]
                for key in ("targetId", "scanTypes", "scanIntensity", "frequency", "testUserIds")
            },
            answer=_S_PLAN,
            says=_spring_says("createSchedule", "scan-schedule"),
        ),
        "PATCH /api/v1/scan-schedules/{scheduleId}": Op(body=_S_PLAN, answer=_S_PLAN),
        "DELETE /api/v1/scan-schedules/{scheduleId}": Op(
            says=_spring_says("deleteSchedule", "scan-schedule")
        ),
        "DELETE /api/v1/backup-schedules/{scheduleId}": Op(
            says=_spring_says("deleteSchedule_1", "backup-schedule")
        ),
        "POST /api/v1/findings/{findingId}/remediations": Op(
            answer=_S_FIX, says=_spring_says("remediateFinding", "remediation")
        ),
        "GET /api/v1/remediations": Op(
            answer=_spring_page(_S_FIX),
            query=_S_PAGEABLE,
            says=_spring_says("getAllRemediations", "remediation"),
        ),
        "GET /api/v1/remediations/{remediationId}": Op(
            answer=_S_FIX, says=_spring_says("getRemediation", "remediation")
        ),
        "POST /api/v1/remediations/{remediationId}/approve": Op(answer=_S_FIX),
        "POST /api/v1/network-scans": Op(
            body={
                "targets": ["10.0.0.0/24"],
                "jumpBoxId": "jb",
                "scanIntensity": _S_LEVEL,
            },
            answer={"id": ID + "5", "targets": ["10.0.0.0/24"], "jumpBoxId": "jb"},
            says=_spring_says("startNetworkScan", "network-scan"),
        ),
        "GET /api/v1/network-scans/{networkScanId}/status": Op(
            answer={"status": words("COMPLETED", "RUNNING", "FAILED"), "percentComplete": 100},
            says=_spring_says("getNetworkScanStatus", "network-scan"),
        ),
        "GET /api/v1/network-scans/{networkScanId}/findings": Op(
            answer=_S_FINDINGS, says=_spring_says("getNetworkScanFindings", "network-scan")
        ),
        "DELETE /api/v1/network-scans/{networkScanId}": Op(),
        "GET /api/v1/agents/releases": Op(
            answer=[
                {
                    "fileName": "agent-linux-amd64",
                    "platform": "linux-amd64",
                    "version": "1.2",
                    "fileSize": 4,
                    "sha256": "0" * 64,
                }
            ],
            says=_spring_says("getReleases", "agent"),
        ),
        "GET /api/v1/agents/releases/{version}/{platform}/download": Op(
            answer=FILE, says=_spring_says("downloadRelease", "agent")
        ),
        "POST /api/v1/auth/login": Op(body={"username": "x"}, answer={"token": "x"}),
        "DELETE /api/v1/users/{userId}": Op(says=_spring_says("deleteUser", "user")),
        "GET /api/v1/audit/reports": Op(
            answer=_spring_page({"id": 1, "createdDate": TIME}), query=_S_PAGEABLE
        ),
        "GET /actuator/health": Op(answer={"status": "UP"}),
    },
    places={
        "sites.list": "GET /api/v1/targets",
        "reports.create": "POST /api/v1/targets/{targetId}/scans",
        "reports.progress": "GET /api/v1/scans/{scanId}/status",
        "reports.overview": "GET /api/v1/scans/{scanId}/summary",
        "vortex.alerts": "GET /api/v1/security-reports/{reportId}/findings",
        "registrations.create": None,
        "reports.list": "GET /api/v1/scans",
        "reports.get": "GET /api/v1/scans/{scanId}",
        "schedules.list": "GET /api/v1/scan-schedules",
        "schedules.create": "POST /api/v1/scan-schedules",
        "schedules.delete": "DELETE /api/v1/scan-schedules/{scheduleId}",
        "remediation.trigger": "POST /api/v1/findings/{findingId}/remediations",
        "remediation.list": "GET /api/v1/remediations",
        "remediation.get": "GET /api/v1/remediations/{remediationId}",
        "network.start": "POST /api/v1/network-scans",
        "network.progress": "GET /api/v1/network-scans/{networkScanId}/status",
        "network.findings": "GET /api/v1/network-scans/{networkScanId}/findings",
        "agents.manifest": "GET /api/v1/agents/releases",
        "agents.download": "GET /api/v1/agents/releases/{version}/{platform}/download",
    },
)


_ORG = "/v2/orgs/{org}"
_CURSOR = {"limit": 50, "cursor": ""}


def _go_list(*rows: Any) -> dict[str, Any]:
    return {"items": [*rows], "next_cursor": "", "total": len(rows)}


_G_REPORT = {
    "id": ID + "1",
    "site_id": ID + "2",
    "site_hostname": "shop.example.com",
    "report_types": ["security"],
    "scan_intensity": "quick",
    "is_completed": True,
    "created_at": TIME,
}
_G_PLAN = {
    "id": ID + "3",
    "site_id": ID + "2",
    "report_types": ["security"],
    "scan_intensity": "quick",
    "interval": words("daily", "weekly", "monthly"),
    "test_user_ids": ["jane"],
    "created_at": TIME,
    "next_run_at": TIME,
}
_G_FIX = {
    "id": ID + "4",
    "report_id": ID + "1",
    "alert_id": "a-1",
    "weakness": "XSS",
    "stage": words("review", "approved", "blocked", "rejected"),
    "created_at": TIME,
    "pull_request_url": "https://example.com/1",
}
_G_ALERTS = {
    "risk_summary": {"critical": 0, "high": 1, "medium": 0, "low": 0, "informational": 0},
    "alerts": [
        {
            "id": "a-1",
            "alert_name": "Reflected XSS",
            "severity": "high",
            "location": "/search",
            "proof": "<script>",
            "recommendation": "Escape.",
            "cwe_id": 79,
        }
    ],
}
_G_SNAKES = {
    "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): value
    for name, value in REGISTRATION.items()
}

GO = Host(
    name="Go, by swag, in kebab case",
    version="2.0",
    operations={
        f"GET {_ORG}/sites": Op(
            answer=_go_list({"id": ID + "2", "hostname": "shop.example.com"}), query=_CURSOR
        ),
        f"POST {_ORG}/sites": Op(body={"hostname": "x"}, answer={"id": ID}),
        f"DELETE {_ORG}/sites/{{site-id}}": Op(says={"summary": "Archive a site"}),
        f"POST {_ORG}/sites/{{site-id}}/verify": Op(answer={"verified": True}),
        f"POST {_ORG}/sites/{{site-id}}/reports": Op(
            body={
                "options": {
                    "security": {
                        "enabled": True,
                        "options": {
                            "vortex_type": "analog",
                            "testing_type": "web",
                            "scan_intensity": "quick",
                        },
                    },
                    "seo": {"enabled": True},
                    "dns": {"enabled": True},
                    "whois": {"enabled": True},
                }
            },
            answer={"id": ID + "1", "status": "queued"},
            says={"summary": "Start a report"},
        ),
        f"GET {_ORG}/reports": Op(answer=_go_list(_G_REPORT), query=_CURSOR),
        f"GET {_ORG}/reports/{{report-id}}": Op(answer=_G_REPORT),
        f"DELETE {_ORG}/reports/{{report-id}}": Op(),
        f"GET {_ORG}/reports/{{report-id}}/progress": Op(
            answer={"is_completed": True, "percent": 100}
        ),
        f"GET {_ORG}/reports/{{report-id}}/overview": Op(
            answer={"security": {"id": 9}, "seo": {"id": 4}}
        ),
        f"GET {_ORG}/vortex-reports/{{vortex-id}}/alerts": Op(answer=_G_ALERTS),
        "POST /v2/vortex-action/register-scan": Op(body=_G_SNAKES, answer={"message": "ok"}),
        f"GET {_ORG}/scheduled-reports": Op(answer=_go_list(_G_PLAN), query=_CURSOR),
        f"POST {_ORG}/scheduled-reports": Op(
            body={
                key: _G_PLAN[key]
                for key in ("site_id", "report_types", "scan_intensity", "interval")
            }
            | {"test_user_ids": ["jane"]},
            answer=_G_PLAN,
        ),
        f"DELETE {_ORG}/change-freeze-schedules/{{schedule-id}}": Op(
            says={"summary": "End a change freeze"}
        ),
        f"POST {_ORG}/ai-remediations": Op(
            body={"report_id": ID, "alert_id": "a-1", "weakness": "XSS"},
            answer={"remediation": _G_FIX, "credits_left": 4},
        ),
        f"GET {_ORG}/ai-remediations": Op(answer=_go_list(_G_FIX), query=_CURSOR),
        f"GET {_ORG}/ai-remediations/{{remediation-id}}": Op(answer=_G_FIX),
        f"POST {_ORG}/ai-remediations/{{remediation-id}}/approve": Op(answer=_G_FIX),
        f"POST {_ORG}/network-scans": Op(
            body={"cidrs": ["10.0.0.0/24"], "jump_box": "jb", "scan_intensity": "quick"},
            answer={"id": ID + "5", "cidrs": ["10.0.0.0/24"], "jump_box": "jb"},
        ),
        f"GET {_ORG}/network-scans/{{scan-id}}/progress": Op(
            answer={"is_completed": True, "percent": 100}
        ),
        f"GET {_ORG}/network-scans/{{scan-id}}/alerts": Op(answer=_G_ALERTS),
        "GET /v2/agent-manifest": Op(
            answer={
                "version": "1.2",
                "files": [
                    {
                        "file_name": "agent-linux-amd64",
                        "platform": "linux-amd64",
                        "size_bytes": 4,
                        "sha256": "0" * 64,
                    }
                ],
            }
        ),
        "GET /v2/agent-downloads/{file-name}": Op(answer=FILE),
        f"GET {_ORG}/billing/reports": Op(answer=_go_list({"id": 1, "amount": 3}), query=_CURSOR),
        f"GET {_ORG}/api-tokens": Op(answer=_go_list({"id": 1})),
        f"DELETE {_ORG}/api-tokens/{{token-id}}": Op(),
    },
    places={
        "sites.list": f"GET {_ORG}/sites",
        "reports.create": f"POST {_ORG}/sites/{{site-id}}/reports",
        "reports.progress": f"GET {_ORG}/reports/{{report-id}}/progress",
        "reports.overview": f"GET {_ORG}/reports/{{report-id}}/overview",
        "vortex.alerts": f"GET {_ORG}/vortex-reports/{{vortex-id}}/alerts",
        "registrations.create": "POST /v2/vortex-action/register-scan",
        "reports.list": f"GET {_ORG}/reports",
        "reports.get": f"GET {_ORG}/reports/{{report-id}}",
        "schedules.list": f"GET {_ORG}/scheduled-reports",
        "schedules.create": f"POST {_ORG}/scheduled-reports",
        "schedules.delete": None,
        "remediation.trigger": f"POST {_ORG}/ai-remediations",
        "remediation.list": f"GET {_ORG}/ai-remediations",
        "remediation.get": f"GET {_ORG}/ai-remediations/{{remediation-id}}",
        "network.start": f"POST {_ORG}/network-scans",
        "network.progress": f"GET {_ORG}/network-scans/{{scan-id}}/progress",
        "network.findings": f"GET {_ORG}/network-scans/{{scan-id}}/alerts",
        "agents.manifest": "GET /v2/agent-manifest",
        "agents.download": "GET /v2/agent-downloads/{file-name}",
    },
)
