"""`bestdefense network`: scan networks, directly or through a jump box."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.one_call import call, emit_findings, wait_for
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.options.ranges import NetworkRange
    from bestdefense_async.models import NetworkScan, Progress

_MOST_UNASKED: Final = 256
"""Addresses that are scanned without a question: a network like 10.0.0.0/24."""
_SHOWN: Final = 3


@click.group("network", cls=Group)
def command() -> None:
    """Scan a network, follow the scan, and list what it found."""


@command.command("start", cls=ApiCommand)
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--jump-box", metavar="HOST", help="Go through this machine inside the network.")
@params.INTENSITY
@click.option("--dry-run", is_flag=True, help="Say what would be scanned, and start nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, however large or public it is.")
@connected
@FORMAT
def start(
    targets: tuple[str, ...],
    jump_box: str | None,
    intensity: str | None,
    format_: str,
    connection: Connection,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Start one scan of all TARGETs: host names, addresses, or networks like 10.0.0.0/24.

    More than 256 addresses, and public ones, are asked about first.
    """
    from bestdefense_async.cli.options.ranges import read_range

    streams.require_stdout()
    ranges = list(dict.fromkeys(map(read_range, targets)))
    if dry_run:
        emit("targets", [each._asdict() for each in ranges], format_)
        streams.note(f"dry run: {_sized(ranges)}; nothing was sent")
        return Exit.OK
    connection.check()
    _confirm(ranges, is_agreed=yes)

    def write(scan: NetworkScan) -> None:
        record = {"scan_id": scan.id, "targets": list(scan.targets), "jump_box": scan.jump_box}
        emit("network", [record], format_)

    wanted = [each.text for each in ranges]
    return call(
        connection,
        lambda bd: bd.network.start(wanted, jump_box=jump_box, intensity=intensity),
        write,
    )


def _sized(ranges: Sequence[NetworkRange]) -> str:
    """Return how much a scan would be, in one clause."""
    from bestdefense_async.report.text import counted

    addresses = sum(each.addresses for each in ranges)
    public = [each.text for each in ranges if each.is_public]
    beyond = f", {', '.join(public[:_SHOWN])}{' and more' if len(public) > _SHOWN else ''} public"
    return counted(addresses, "address", "addresses") + (beyond if public else "")


def _confirm(ranges: Sequence[NetworkRange], *, is_agreed: bool) -> None:
    """Ask before a scan that is large, or that may be somebody else's network.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    is_large = sum(each.addresses for each in ranges) > _MOST_UNASKED
    if is_agreed or not (is_large or any(each.is_public for each in ranges)):
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"{_sized(ranges)} would be scanned. Add -y to agree.")
    click.confirm(f"{_sized(ranges)}. Scan them?", abort=True, err=True)


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
