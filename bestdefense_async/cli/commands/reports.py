"""`bestdefense reports`: look at scans that were started, here or elsewhere."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso
from bestdefense_async.cli.terminal.words import counts_text
from bestdefense_async.errors import ProvisionalRoute

if TYPE_CHECKING:
    from bestdefense_async.client import BestDefense
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import Alerts, Progress, ReportSummary

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
    return connection.call(
        lambda bd: bd.reports.list(limit=limit, after=after),
        lambda reports: emit(
            "reports",
            map(_record, reports),
            format_,
            columns=_COLUMNS,
            nothing="There are no reports.",
        ),
    )


@command.command("show", cls=ApiCommand)
@click.argument("report_id", type=params.REPORT_ID)
@connected
@FORMAT
def show(report_id: str, format_: str, connection: Connection) -> int:
    """Say how far a report is, and where to read it."""

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

    return connection.call(ask, lambda record: emit("reports", [record], format_, columns=_SHOWN))


@command.command("wait", cls=ApiCommand)
@click.argument("report_id", type=params.REPORT_ID)
@params.TIMEOUT
@connected
@FORMAT
def wait(report_id: str, timeout: float | None, format_: str, connection: Connection) -> int:
    """Wait until a report is complete; exit 3 when it is not in time."""
    return connection.call(
        lambda bd: wait_for(bd.reports, "report", report_id, connection, timeout=timeout),
        lambda progress: emit(
            "reports", [{"report_id": report_id, "is_completed": progress.is_completed}], format_
        ),
    )


class Waitable(Protocol):
    """Waits for something of the API: the client's reports or network scans."""

    async def wait(
        self,
        key: str,
        /,
        *,
        timeout: float | None,
        policy: PollPolicy | None,
        started_ago: float | None,
    ) -> Progress:
        """Return its progress once it is complete."""


async def wait_for(
    waiter: Waitable, what: str, key: str, connection: Connection, *, timeout: float | None
) -> Progress:
    """Say what is waited for, and wait. Raises what the waiter raises."""
    streams.note(f"waiting for {what} {key}; Ctrl-C ends the wait, not the scan")
    # Who names a scan has had it before, so it may be complete: the first poll leaves at once.
    return await waiter.wait(key, timeout=timeout, policy=connection.polling(), started_ago=0.0)


@command.command("alerts", cls=ApiCommand)
@click.argument("report_id", type=params.REPORT_ID)
@params.MIN_SEVERITY
@connected
@FORMAT
def alerts(report_id: str, min_severity: str, format_: str, connection: Connection) -> int:
    """List what a report found, the worst first; the counts go to stderr."""
    return connection.call(
        lambda bd: bd.reports.findings(report_id),
        lambda found: emit_findings(f"report {report_id}", found, min_severity, format_),
    )


def emit_findings(what: str, found: Alerts, min_severity: str, format_: str) -> None:
    """Write findings to stdout, the worst first, and their counts to stderr."""
    from bestdefense_async.models import Severity

    least = Severity(min_severity).rank
    shown = [finding for finding in found.findings if finding.severity.rank >= least]
    shown.sort(key=lambda finding: -finding.severity.rank)
    records = [
        {
            "severity": str(finding.severity),
            "title": finding.title,
            "url": finding.url,
            "cwe": finding.cwe,
            "weakness": finding.weakness,
            "id": finding.id,
        }
        for finding in shown
    ]
    emit("alerts", records, format_, columns=("severity", "title", "url", "cwe", "id"))
    streams.note(f"{what}: {counts_text(found.risk.as_dict())}")


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
