"""`bestdefense reports`: look at scans that were started, here or elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.findings import MIN_SEVERITY, emit_findings
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async
from bestdefense_async.errors import ProvisionalRoute

if TYPE_CHECKING:
    from bestdefense_async.models import ReportSummary

_COLUMNS = ("report_id", "hostname", "types", "intensity", "is_completed", "created_at")
_SHOWN = ("report_id", "hostname", "is_completed", "percentage", "security_id", "page")


@click.group("reports")
def command() -> None:
    """List reports, show one, wait for it, or list what it found."""


@command.command("list", cls=ApiCommand)
@click.option("--limit", type=params.count(1, 999_999), help="Most reports to list.")
@click.option("--after", metavar="REPORT_ID", help="Only reports older than this one.")
@connected
@FORMAT
def list_reports(limit: int | None, after: str | None, form: str) -> int:
    """List the reports of the organization, the latest first."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            reports = await bd.reports.list(limit=limit, after=after)
        emit("reports", [_record(report) for report in reports], form, columns=_COLUMNS)
        if not reports:
            streams.say("There are no reports.")
        return 0

    return run_async(work)


@command.command("show", cls=ApiCommand)
@click.argument("report_id")
@connected
@FORMAT
def show(report_id: str, form: str) -> int:
    """Say how far a report is, and where to read it."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        from bestdefense_async.models import ReportSummary

        async with client() as bd:
            progress = await bd.reports.progress(report_id)
            overview = await bd.reports.overview(report_id)
            # The two above are documented; this one only where its path is confirmed.
            about = ReportSummary(id=report_id)
            with contextlib.suppress(ProvisionalRoute):
                about = await bd.reports.show(report_id)
            record = _record(about) | {
                "is_completed": progress.is_completed,
                "percentage": progress.percentage,
                "security_id": overview.security_id,
                "page": f"{bd.base_url}/report/{report_id}",
            }
        emit("reports", [record], form, columns=_SHOWN)
        return 0

    return run_async(work)


@command.command("wait", cls=ApiCommand)
@click.argument("report_id")
@click.option("--timeout", type=params.SECONDS, help="Longest time to wait, like 15m or 2h.")
@connected
@FORMAT
def wait(report_id: str, timeout: float | None, form: str) -> int:
    """Wait until a report is complete; exit 3 when it is not in time."""
    streams.require_stdout()
    asked = connection()

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.waiting import poll_policy

        async with asked.client() as bd:
            streams.say(f"waiting for report {report_id}, Ctrl-C stops waiting, not the scan")
            progress = await bd.reports.wait(report_id, timeout=timeout, policy=poll_policy(asked))
        emit("reports", [{"report_id": report_id, "is_completed": progress.is_completed}], form)
        return 0

    return run_async(work)


@command.command("alerts", cls=ApiCommand)
@click.argument("report_id")
@MIN_SEVERITY
@connected
@FORMAT
def alerts(report_id: str, min_severity: str, form: str) -> int:
    """List what a report found, the worst first; the counts go to stderr."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            found = await bd.reports.findings(report_id)
        emit_findings(f"report {report_id}", found, min_severity, form)
        return 0

    return run_async(work)


def _record(report: ReportSummary) -> dict[str, Any]:
    created_at = report.created_at
    return {
        "report_id": report.id,
        "site_id": report.site_id,
        "hostname": report.hostname,
        "types": list(report.types),
        "intensity": report.intensity,
        "is_completed": report.is_completed,
        "created_at": None if created_at is None else created_at.isoformat(),
    }
