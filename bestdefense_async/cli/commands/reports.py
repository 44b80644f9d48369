"""`bestdefense reports`: look at scans that were started, here or elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli.jobs.one_call import call, emit_findings, wait_for
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso
from bestdefense_async.errors import ProvisionalRoute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import ReportSummary

_COLUMNS = ("report_id", "hostname", "types", "intensity", "is_completed", "created_at")
_SHOWN = ("report_id", "hostname", "is_completed", "percentage", "security_id", "page")


@click.group("reports", cls=Group)
def command() -> None:
    """List reports, show one, wait for it, or list what it found."""


@command.command("list", cls=ApiCommand)
@click.option("--limit", type=params.count(1, 999_999), help="Most reports to list.")
@click.option("--after", metavar="REPORT_ID", help="Only reports older than this one.")
@connected
@FORMAT
def list_reports(limit: int | None, after: str | None, format_: str, connection: Connection) -> int:
    """List the reports of the organization, the latest first."""
    streams.require_stdout()

    def write(reports: Sequence[ReportSummary]) -> None:
        emit("reports", [_record(report) for report in reports], format_, columns=_COLUMNS)
        if not reports:
            streams.note("There are no reports.")

    return call(connection, lambda bd: bd.reports.list(limit=limit, after=after), write)


@command.command("show", cls=ApiCommand)
@click.argument("report_id")
@connected
@FORMAT
def show(report_id: str, format_: str, connection: Connection) -> int:
    """Say how far a report is, and where to read it."""
    streams.require_stdout()

    async def ask(bd: BestDefense) -> dict[str, Any]:
        from bestdefense_async.models import ReportSummary

        progress = await bd.reports.progress(report_id)
        overview = await bd.reports.overview(report_id)
        # The two above are documented; this one only where its path is confirmed.
        about = ReportSummary(id=report_id)
        with contextlib.suppress(ProvisionalRoute):
            about = await bd.reports.get(report_id)
        return _record(about) | {
            "is_completed": progress.is_completed,
            "percentage": progress.percentage,
            "security_id": overview.security_id,
            "page": f"{bd.base_url}/report/{report_id}",
        }

    return call(connection, ask, lambda record: emit("reports", [record], format_, columns=_SHOWN))


@command.command("wait", cls=ApiCommand)
@click.argument("report_id")
@click.option("--timeout", type=params.SECONDS, help="Longest time to wait, like 15m or 2h.")
@connected
@FORMAT
def wait(report_id: str, timeout: float | None, format_: str, connection: Connection) -> int:
    """Wait until a report is complete; exit 3 when it is not in time."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: wait_for(
            connection, bd.reports, f"report {report_id}", report_id, timeout=timeout
        ),
        lambda progress: emit(
            "reports", [{"report_id": report_id, "is_completed": progress.is_completed}], format_
        ),
    )


@command.command("alerts", cls=ApiCommand)
@click.argument("report_id")
@params.MIN_SEVERITY
@connected
@FORMAT
def alerts(report_id: str, min_severity: str, format_: str, connection: Connection) -> int:
    """List what a report found, the worst first; the counts go to stderr."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: bd.reports.findings(report_id),
        lambda found: emit_findings(f"report {report_id}", found, min_severity, format_),
    )


def _record(report: ReportSummary) -> dict[str, Any]:
    return {
        "report_id": report.id,
        "site_id": report.site_id,
        "hostname": report.hostname,
        "types": list(report.types),
        "intensity": report.intensity,
        "is_completed": report.is_completed,
        "created_at": iso(report.created_at),
    }
