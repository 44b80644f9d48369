"""One handler per operation: from world and call to the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bestdefense_async.sandbox.handlers import agents, described, docs, reports
from bestdefense_async.sandbox.replies import Reply, Stream
from bestdefense_async.sandbox.world.world import Call, World

Handler = Callable[[World, Call], Reply | Stream | Awaitable[Reply | Stream]]

HANDLERS: Mapping[str, Handler] = {
    "sites.list": reports.list_sites,
    "reports.create": reports.create_report,
    "reports.progress": reports.report_progress,
    "reports.overview": reports.report_overview,
    "vortex.alerts": reports.vortex_alerts,
    "registrations.create": reports.register_scan,
    "reports.page": reports.report_page,
    "reports.list": reports.list_reports,
    "reports.get": reports.get_report,
    "schedules.create": described.create_schedule,
    "schedules.list": described.list_schedules,
    "schedules.delete": described.delete_schedule,
    "remediation.trigger": described.trigger_remediation,
    "remediation.list": described.list_remediations,
    "remediation.get": described.get_remediation,
    "network.start": described.start_network_scan,
    "network.progress": described.network_progress,
    "network.findings": described.network_findings,
    "agents.manifest": agents.manifest,
    "agents.download": agents.download,
    "docs.document": docs.get_document,
    "docs.page": docs.get_page,
    "control.call": docs.control,
}
