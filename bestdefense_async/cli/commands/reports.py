"""`bestdefense reports`: look at scans that were started, here or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async

if TYPE_CHECKING:
    from bestdefense_async.models import Alerts


@click.group("reports")
def command() -> None:
    """Show a report, wait for it, or list what it found."""


@command.command("show", cls=ApiCommand)
@click.argument("report_id")
@connected
@FORMAT
def show(report_id: str, form: str) -> int:
    """Say how far a report is, and where to read it."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            progress = await bd.reports.progress(report_id)
            overview = await bd.reports.overview(report_id)
            record = {
                "report_id": report_id,
                "is_completed": progress.is_completed,
                "percentage": progress.percentage,
                "security_id": overview.security_id,
                "page": f"{bd.base_url}/report/{report_id}",
            }
        emit("reports", [record], form)
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
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            streams.say(f"waiting for report {report_id}, Ctrl-C stops waiting, not the scan")
            progress = await bd.reports.wait(report_id, timeout=timeout)
        emit("reports", [{"report_id": report_id, "is_completed": progress.is_completed}], form)
        return 0

    return run_async(work)


@command.command("alerts", cls=ApiCommand)
@click.argument("report_id")
@click.option(
    "--min-severity",
    type=click.Choice(params.SEVERITY_WORDS),
    default="informational",
    show_default=True,
    help="Least severity to list; unknown ones are always listed.",
)
@connected
@FORMAT
def alerts(report_id: str, min_severity: str, form: str) -> int:
    """List what a report found, the worst first; the counts go to stderr."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            found = await bd.reports.findings(report_id)
        emit("alerts", _records(found, min_severity), form)
        counts = {word: count for word, count in found.risk.as_dict().items() if count}
        said = ", ".join(f"{count} {word}" for word, count in counts.items()) or "nothing found"
        streams.say(f"report {report_id}: {said}")
        return 0

    return run_async(work)


def _records(found: Alerts, min_severity: str) -> list[dict[str, Any]]:
    from bestdefense_async.models import Severity

    least = Severity(min_severity).rank
    shown = [finding for finding in found.findings if finding.severity.rank >= least]
    shown.sort(key=lambda finding: -finding.severity.rank)
    return [
        {
            "severity": str(finding.severity),
            "title": finding.title,
            "url": finding.url,
            "cwe": finding.cwe,
            "id": finding.id,
        }
        for finding in shown
    ]
