"""Two more of `written_hosts`, written before the shorter rule: huma on chi, and ASP.NET."""

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


def _huma_says(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "tags": [operation_id.rpartition("-")[2]],
    }


def _huma(**members: Any) -> dict[str, Any]:
    """Return a body as huma writes it, with the address of its schema."""
    return {"$schema": "https://example.com/schemas/Body.json", **members}


_H_CURSOR = {"limit": 50, "cursor": ""}
_H_SCAN = {
    "id": ID + "1",
    "siteId": ID + "2",
    "hostname": "shop.example.com",
    "types": ["security"],
    "intensity": words("quick", "standard", "thorough"),
    "isCompleted": True,
    "createdAt": TIME,
}
_H_PLAN = {
    "id": ID + "3",
    "siteId": ID + "2",
    "types": ["security"],
    "intensity": words("quick", "standard", "thorough"),
    "cadence": words("daily", "weekly", "monthly"),
    "testUsers": ["jane"],
    "createdAt": TIME,
    "nextRunAt": TIME,
}
_H_FIX = {
    "id": ID + "4",
    "scanId": ID + "1",
    "alertId": "a-1",
    "weakness": "XSS",
    "stage": words("review", "approved", "blocked", "rejected"),
    "createdAt": TIME,
    "pullRequestUrl": "https://example.com/1",
}

HUMA = Host(
    name="Go, by huma on chi",
    version="3.1.0",
    operations={
        "GET /v3/sites": Op(
            answer=_huma(
                sites=[{"id": ID + "2", "hostname": "shop.example.com", "verifiedAt": TIME}],
                nextCursor="",
            ),
            query=_H_CURSOR,
            says=_huma_says("list-sites", "List sites"),
        ),
        "GET /v3/sites/{id}": Op(
            answer=_huma(id=ID + "2", hostname="shop.example.com"),
            says=_huma_says("get-site", "Get site"),
        ),
        "DELETE /v3/sites/{id}": Op(says=_huma_says("delete-site", "Archive site")),
        "POST /v3/sites/{id}/scans": Op(
            body=OPTIONS,
            answer=_huma(id=ID + "1", status="queued"),
            says=_huma_says("create-scan", "Start a scan"),
        ),
        "GET /v3/scans": Op(
            answer=_huma(scans=[_H_SCAN], nextCursor=""),
            query=_H_CURSOR,
            says=_huma_says("list-scans", "List scans"),
        ),
        "GET /v3/scans/{id}": Op(answer=_huma(**_H_SCAN), says=_huma_says("get-scan", "Get scan")),
        "DELETE /v3/scans/{id}": Op(says=_huma_says("delete-scan", "Delete scan")),
        "GET /v3/scans/{id}/progress": Op(
            answer=_huma(isCompleted=True, percent=100),
            says=_huma_says("get-scan-progress", "Get scan progress"),
        ),
        "GET /v3/scans/{id}/overview": Op(
            answer=_huma(security={"id": 9}, dns={"id": 10}),
            says=_huma_says("get-scan-overview", "Get scan overview"),
        ),
        "GET /v3/vortex/{id}/alerts": Op(
            answer=_huma(
                riskSummary=COUNTS,
                alerts=[
                    {
                        "id": "a-1",
                        "name": "Reflected XSS",
                        "severity": words("high", "critical", "medium", "low", "info"),
                        "location": "/search",
                        "proof": "<script>",
                        "guidance": "Escape.",
                        "cwe": "CWE-79",
                    }
                ],
            ),
            says=_huma_says("list-vortex-alerts", "List alerts of a security report"),
        ),
        "GET /v3/report-templates": Op(
            answer=_huma(templates=[{"id": ID, "name": "Monthly"}], nextCursor=""),
            query=_H_CURSOR,
        ),
        "GET /v3/report-templates/{id}": Op(answer=_huma(id=ID, name="Monthly", createdAt=TIME)),
        "DELETE /v3/report-templates/{id}": Op(),
        "GET /v3/scan-policies": Op(answer=_huma(policies=[{"id": ID, "name": "PCI"}])),
        "GET /v3/exports/{id}/progress": Op(answer=_huma(isCompleted=True, percent=100)),
        "GET /v3/schedules": Op(
            answer=_huma(schedules=[_H_PLAN], nextCursor=""),
            query=_H_CURSOR,
            says=_huma_says("list-schedules", "List schedules"),
        ),
        "POST /v3/schedules": Op(
            body={key: _H_PLAN[key] for key in ("siteId", "types", "intensity", "cadence")}
            | {"testUsers": ["jane"]},
            answer=_huma(**_H_PLAN),
            says=_huma_says("create-schedule", "Create schedule"),
        ),
        "DELETE /v3/schedules/{id}/test-users/{user}": Op(
            says=_huma_says("delete-schedule-test-user", "Remove a test user")
        ),
        "DELETE /v3/on-call-schedules/{id}": Op(
            says=_huma_says("delete-on-call-schedule", "Delete on-call schedule")
        ),
        "POST /v3/remediations": Op(
            body={"scanId": ID + "1", "alertId": "a-1", "weakness": "XSS"},
            answer=_huma(**_H_FIX),
            says=_huma_says("create-remediation", "Let a finding be fixed"),
        ),
        "GET /v3/remediations": Op(
            answer=_huma(remediations=[_H_FIX], nextCursor="", creditsRemaining=4),
            query=_H_CURSOR,
            says=_huma_says("list-remediations", "List remediations"),
        ),
        "GET /v3/remediations/{id}": Op(
            answer=_huma(**_H_FIX), says=_huma_says("get-remediation", "Get remediation")
        ),
        "DELETE /v3/remediations/{id}": Op(
            says=_huma_says("delete-remediation", "Drop a remediation")
        ),
        "GET /v3/remediation-rules": Op(
            answer=_huma(rules=[{"id": ID, "weakness": "XSS", "createdAt": TIME}])
        ),
        "POST /v3/remediation-rules": Op(
            body={"weakness": "XSS"}, answer=_huma(id=ID, weakness="XSS")
        ),
        "GET /v3/network-interfaces": Op(answer=_huma(interfaces=[{"id": ID, "mac": "x"}])),
        "POST /v3/network-interfaces": Op(body={"targets": ["10.0.0.1"]}, answer=_huma(id=ID)),
        "GET /v3/network-policies/{id}/progress": Op(answer=_huma(isCompleted=True)),
        "GET /v3/agents": Op(
            answer=_huma(agents=[{"id": ID, "hostname": "db1", "version": "1.2"}], nextCursor=""),
            query=_H_CURSOR,
            says=_huma_says("list-agents", "List installed agents"),
        ),
        "DELETE /v3/agents/{id}": Op(says=_huma_says("delete-agent", "Delete agent")),
        "POST /v3/agents/register": Op(body={"hostname": "db1"}, answer=_huma(id=ID)),
        "GET /v3/agents/manifest": Op(
            answer=_huma(
                files=[
                    {
                        "filename": "agent-linux-amd64",
                        "platform": "linux-amd64",
                        "version": "1.2",
                        "size": 4,
                        "sha256": "0" * 64,
                    }
                ]
            ),
            says=_huma_says("get-agents-manifest", "Get manifest"),
        ),
        "GET /v3/agents/{version}/{os}/{arch}": Op(
            answer=FILE, says=_huma_says("download-agent", "Download an agent")
        ),
        "POST /v3/webhooks/register": Op(body={"url": "x"}, answer=_huma(id=ID)),
        "DELETE /v3/webhooks/{id}": Op(),
        "GET /health": Op(answer=_huma(status="ok")),
    },
    places={
        "sites.list": "GET /v3/sites",
        "reports.create": "POST /v3/sites/{id}/scans",
        "reports.progress": "GET /v3/scans/{id}/progress",
        "reports.overview": "GET /v3/scans/{id}/overview",
        "vortex.alerts": "GET /v3/vortex/{id}/alerts",
        "registrations.create": None,
        "reports.list": "GET /v3/scans",
        "reports.get": "GET /v3/scans/{id}",
        "schedules.list": "GET /v3/schedules",
        "schedules.create": "POST /v3/schedules",
        "schedules.delete": None,
        "remediation.trigger": "POST /v3/remediations",
        "remediation.list": "GET /v3/remediations",
        "remediation.get": "GET /v3/remediations/{id}",
        "network.start": None,
        "network.progress": None,
        "network.findings": None,
        "agents.manifest": "GET /v3/agents/manifest",
        "agents.download": "GET /v3/agents/{version}/{os}/{arch}",
    },
)


def _net_page(*rows: Any) -> dict[str, Any]:
    return {"items": [*rows], "page": 1, "pageSize": 20, "totalCount": len(rows)}


_OLD = {"deprecated": True}
_D_QUERY = {"page": 1, "pageSize": 20}
_D_LEVEL = words("Quick", "Standard", "Thorough")
_D_SCAN = {
    "id": ID + "1",
    "siteId": ID + "2",
    "hostName": "shop.example.com",
    "scanTypes": [words("Security", "Seo", "Dns", "Whois")],
    "scanIntensity": _D_LEVEL,
    "isCompleted": True,
    "createdOn": TIME,
    "ownerId": 3,
}
_D_PLAN = {
    "id": ID + "3",
    "siteId": ID + "2",
    "scanTypes": [words("Security", "Seo", "Dns", "Whois")],
    "scanIntensity": _D_LEVEL,
    "recurrence": words("Daily", "Weekly", "Monthly"),
    "testUserIds": ["jane"],
    "createdOn": TIME,
    "nextRunOn": TIME,
}
_D_FIX = {
    "id": ID + "4",
    "scanId": ID + "1",
    "findingId": "a-1",
    "weakness": "XSS",
    "stage": words("Review", "Approved", "Blocked", "Rejected"),
    "createdOn": TIME,
    "pullRequestUrl": "https://example.com/1",
}
_D_ALERTS = {
    "riskSummary": {"critical": 0, "high": 1, "medium": 0, "low": 0, "informational": 0},
    "alerts": [
        {
            "id": "a-1",
            "title": "Reflected XSS",
            "severity": words("High", "Critical", "Medium", "Low", "Informational"),
            "affectedUrl": "/search",
            "evidence": "<script>",
            "recommendation": "Escape.",
            "cweId": 79,
        }
    ],
}

ASP = Host(
    name="ASP.NET, by Swashbuckle",
    version="3.0.1",
    media="text/json",
    operations={
        "GET /api/v1/Sites": Op(
            answer=_net_page({"id": ID + "2", "hostName": "shop.example.com", "isVerified": True}),
            query=_D_QUERY,
            says={"tags": ["Sites"]},
        ),
        "GET /api/v1/Sites/{siteId}": Op(
            answer={"id": ID + "2", "hostName": "shop.example.com"}, says={"tags": ["Sites"]}
        ),
        "DELETE /api/v1/Sites/{siteId}": Op(says={"tags": ["Sites"]}),
        "POST /api/v1/Sites/{siteId}/Scans": Op(
            body=OPTIONS, answer={"id": ID + "1", "status": "Queued"}, says={"tags": ["Sites"]}
        ),
        "GET /api/v1/Scans": Op(
            answer=_net_page(_D_SCAN), query=_D_QUERY, says={"tags": ["Scans"], **_OLD}
        ),
        "GET /api/v1/Scans/{scanId}": Op(answer=_D_SCAN, says={"tags": ["Scans"], **_OLD}),
        "GET /api/v2/Scans": Op(
            answer=_net_page(_D_SCAN), query=_D_QUERY, says={"tags": ["Scans"]}
        ),
        "GET /api/v2/Scans/{scanId}": Op(answer=_D_SCAN, says={"tags": ["Scans"]}),
        "DELETE /api/v2/Scans/{scanId}": Op(says={"tags": ["Scans"]}),
        "GET /api/v2/Scans/{scanId}/Progress": Op(
            answer={"isCompleted": True, "percentComplete": 100}, says={"tags": ["Scans"]}
        ),
        "GET /api/v2/Scans/{scanId}/Overview": Op(
            answer={"security": {"id": 9}, "seo": {"id": 10}}, says={"tags": ["Scans"]}
        ),
        "GET /api/v2/SecurityReports/{securityReportId}/Alerts": Op(
            answer=_D_ALERTS, says={"tags": ["SecurityReports"]}
        ),
        "GET /api/v1/Alerts": Op(
            answer=_net_page({"id": 1, "title": "CPU", "severity": "high", "url": "x"}),
            query=_D_QUERY,
            says={"tags": ["Monitoring"]},
        ),
        "POST /api/v1/PullRequestScans/Register": Op(
            body=REGISTRATION, answer={"message": "ok"}, says={"tags": ["PullRequestScans"]}
        ),
        "GET /api/v1/ScanSchedules": Op(
            answer=_net_page(_D_PLAN), query=_D_QUERY, says={"tags": ["ScanSchedules"]}
        ),
        "POST /api/v1/ScanSchedules": Op(
            body={
                key: _D_PLAN[key]
                for key in ("siteId", "scanTypes", "scanIntensity", "recurrence", "testUserIds")
            },
            answer=_D_PLAN,
            says={"tags": ["ScanSchedules"]},
        ),
        "DELETE /api/v1/ScanSchedules/{scheduleId}": Op(says={"tags": ["ScanSchedules"]}),
        "DELETE /api/v1/ScanSchedules/{scheduleId}/Pauses/{pauseId}": Op(
            says={"tags": ["ScanSchedules"]}
        ),
        "GET /api/v1/MaintenanceSchedules": Op(
            answer=_net_page({"id": 1, "siteId": ID, "createdOn": TIME}), query=_D_QUERY
        ),
        "DELETE /api/v1/MaintenanceSchedules/{scheduleId}": Op(),
        "POST /api/v1/Scans/{scanId}/Findings/{findingId}/Remediate": Op(
            answer=_D_FIX, says={"tags": ["Remediations"]}
        ),
        "GET /api/v1/Remediations": Op(
            answer=_net_page(_D_FIX), query=_D_QUERY, says={"tags": ["Remediations"]}
        ),
        "GET /api/v1/Remediations/{remediationId}": Op(
            answer=_D_FIX, says={"tags": ["Remediations"]}
        ),
        "DELETE /api/v1/Remediations/{remediationId}": Op(says={"tags": ["Remediations"]}),
        "GET /api/v1/NetworkScans": Op(
            answer=_net_page({"id": ID + "5", "targets": ["10.0.0.0/24"], "jumpBoxId": "jb"}),
            query=_D_QUERY,
            says={"tags": ["NetworkScans"]},
        ),
        "POST /api/v1/NetworkScans": Op(
            body={"targets": ["10.0.0.0/24"], "jumpBoxId": "jb", "scanIntensity": _D_LEVEL},
            answer={"id": ID + "5", "targets": ["10.0.0.0/24"], "jumpBoxId": "jb"},
            says={"tags": ["NetworkScans"]},
        ),
        "GET /api/v1/NetworkScans/{networkScanId}/Status": Op(
            answer={"isCompleted": True, "percentComplete": 100}, says={"tags": ["NetworkScans"]}
        ),
        "GET /api/v1/NetworkScans/{networkScanId}/Alerts": Op(
            answer=_D_ALERTS, says={"tags": ["NetworkScans"]}
        ),
        "DELETE /api/v1/NetworkScans/{networkScanId}": Op(says={"tags": ["NetworkScans"]}),
        "GET /api/v1/NetworkScanProfiles": Op(answer=_net_page({"id": 1, "name": "x"})),
        "GET /api/v1/NetworkDevices/{deviceId}/Alerts": Op(
            answer=_net_page({"id": 1, "title": "CPU", "severity": "high"})
        ),
        "GET /api/v1/Agents": Op(
            answer=_net_page({"id": ID, "hostName": "db1", "version": "1.2"}), query=_D_QUERY
        ),
        "DELETE /api/v1/Agents/{agentId}": Op(),
        "GET /api/v1/Agents/Download/{fileName}": Op(answer=FILE, says={"tags": ["Agents"]}),
        "POST /api/v1/Account/Login": Op(body={"userName": "x"}, answer={"token": "x"}),
        "DELETE /api/v1/Account/Sessions/{sessionId}": Op(),
    },
    places={
        "sites.list": "GET /api/v1/Sites",
        "reports.create": "POST /api/v1/Sites/{siteId}/Scans",
        "reports.progress": "GET /api/v2/Scans/{scanId}/Progress",
        "reports.overview": "GET /api/v2/Scans/{scanId}/Overview",
        "vortex.alerts": "GET /api/v2/SecurityReports/{securityReportId}/Alerts",
        "registrations.create": "POST /api/v1/PullRequestScans/Register",
        "reports.list": "GET /api/v2/Scans",
        "reports.get": "GET /api/v2/Scans/{scanId}",
        "schedules.list": "GET /api/v1/ScanSchedules",
        "schedules.create": "POST /api/v1/ScanSchedules",
        "schedules.delete": "DELETE /api/v1/ScanSchedules/{scheduleId}",
        "remediation.trigger": "POST /api/v1/Scans/{scanId}/Findings/{findingId}/Remediate",
        "remediation.list": "GET /api/v1/Remediations",
        "remediation.get": "GET /api/v1/Remediations/{remediationId}",
        "network.start": "POST /api/v1/NetworkScans",
        "network.progress": "GET /api/v1/NetworkScans/{networkScanId}/Status",
        "network.findings": "GET /api/v1/NetworkScans/{networkScanId}/Alerts",
        "agents.manifest": None,
        "agents.download": "GET /api/v1/Agents/Download/{fileName}",
    },
)
