"""`bestdefense network`: scan networks, directly or through a jump box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.jobs.one_call import call, emit_findings, wait_for
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from bestdefense_async.models import NetworkScan, Progress


@click.group("network", cls=Group)
def command() -> None:
    """Scan a network, follow the scan, and list what it found."""


@command.command("start", cls=ApiCommand)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--jump-box", metavar="HOST", help="Go through this machine inside the network.")
@params.INTENSITY
@connected
@FORMAT
def start(
    targets: tuple[str, ...],
    jump_box: str | None,
    intensity: str | None,
    format_: str,
    connection: Connection,
) -> int:
    """Start one scan of all TARGETs: host names, addresses, or networks like 10.0.0.0/24."""
    streams.require_stdout()

    def write(scan: NetworkScan) -> None:
        record = {"scan_id": scan.id, "targets": list(scan.targets), "jump_box": scan.jump_box}
        emit("network", [record], format_)

    return call(
        connection,
        lambda bd: bd.network.start(targets, jump_box=jump_box, intensity=intensity),
        write,
    )


@command.command("show", cls=ApiCommand)
@click.argument("scan_id")
@connected
@FORMAT
def show(scan_id: str, format_: str, connection: Connection) -> int:
    """Say how far a network scan is."""
    streams.require_stdout()

    def write(progress: Progress) -> None:
        record = {
            "scan_id": scan_id,
            "is_completed": progress.is_completed,
            "percentage": progress.percentage,
        }
        emit("network", [record], format_)

    return call(connection, lambda bd: bd.network.progress(scan_id), write)


@command.command("wait", cls=ApiCommand)
@click.argument("scan_id")
@click.option("--timeout", type=params.SECONDS, help="Longest time to wait, like 15m or 2h.")
@connected
@FORMAT
def wait(scan_id: str, timeout: float | None, format_: str, connection: Connection) -> int:
    """Wait until a network scan is complete; exit 3 when it is not in time."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: wait_for(connection, bd.network, f"scan {scan_id}", scan_id, timeout=timeout),
        lambda progress: emit(
            "network", [{"scan_id": scan_id, "is_completed": progress.is_completed}], format_
        ),
    )


@command.command("findings", cls=ApiCommand)
@click.argument("scan_id")
@params.MIN_SEVERITY
@connected
@FORMAT
def findings(scan_id: str, min_severity: str, format_: str, connection: Connection) -> int:
    """List what a network scan has found so far, the worst first; the counts go to stderr."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: bd.network.findings(scan_id),
        lambda found: emit_findings(f"scan {scan_id}", found, min_severity, format_),
    )
