"""`bestdefense network`: scan networks, directly or through a jump box."""

from __future__ import annotations

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.findings import MIN_SEVERITY, emit_findings
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async


@click.group("network")
def command() -> None:
    """Scan a network, follow the scan, and list what it found."""


@command.command("start", cls=ApiCommand)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--jump-box", metavar="HOST", help="Go through this machine inside the network.")
@click.option(
    "--intensity",
    type=click.Choice(params.INTENSITY_WORDS),
    help="How hard to scan; quick is on every plan.",
)
@connected
@FORMAT
def start(targets: tuple[str, ...], jump_box: str | None, intensity: str | None, form: str) -> int:
    """Start one scan of all TARGETs: host names, addresses, or networks like 10.0.0.0/24."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            scan = await bd.network.start(targets, jump_box=jump_box, intensity=intensity)
        record = {"scan_id": scan.id, "targets": list(scan.targets), "jump_box": scan.jump_box}
        emit("network", [record], form)
        return 0

    return run_async(work)


@command.command("show", cls=ApiCommand)
@click.argument("scan_id")
@connected
@FORMAT
def show(scan_id: str, form: str) -> int:
    """Say how far a network scan is."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            progress = await bd.network.progress(scan_id)
        record = {
            "scan_id": scan_id,
            "is_completed": progress.is_completed,
            "percentage": progress.percentage,
        }
        emit("network", [record], form)
        return 0

    return run_async(work)


@command.command("wait", cls=ApiCommand)
@click.argument("scan_id")
@click.option("--timeout", type=params.SECONDS, help="Longest time to wait, like 15m or 2h.")
@connected
@FORMAT
def wait(scan_id: str, timeout: float | None, form: str) -> int:
    """Wait until a network scan is complete; exit 3 when it is not in time."""
    streams.require_stdout()
    asked = connection()

    async def work(_: Interruption) -> int:
        from bestdefense_async.cli.waiting import poll_policy

        async with asked.client() as bd:
            streams.say(f"waiting for scan {scan_id}, Ctrl-C stops waiting, not the scan")
            progress = await bd.network.wait(scan_id, timeout=timeout, policy=poll_policy(asked))
        emit("network", [{"scan_id": scan_id, "is_completed": progress.is_completed}], form)
        return 0

    return run_async(work)


@command.command("findings", cls=ApiCommand)
@click.argument("scan_id")
@MIN_SEVERITY
@connected
@FORMAT
def findings(scan_id: str, min_severity: str, form: str) -> int:
    """List what a network scan has found so far, the worst first; the counts go to stderr."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            found = await bd.network.findings(scan_id)
        emit_findings(f"scan {scan_id}", found, min_severity, form)
        return 0

    return run_async(work)
