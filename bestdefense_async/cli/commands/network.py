"""`bestdefense network`: scan networks, directly or through a jump box."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from bestdefense_async.cli.commands.reports import emit_findings, wait_for
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group, ask
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit
from bestdefense_async.errors import TargetError, clean_text

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Sequence

    from bestdefense_async.models import NetworkScan, Progress

_MOST_UNASKED: Final = 256
"""Addresses that are scanned without a question: a network like 10.0.0.0/24."""
_SHOWN: Final = 3
_LIKE_ADDRESS: Final = re.compile(r"[0-9.]+(?:/.*)?|.*:.*|.*/.*")


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
    return connection.call(
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
    if not is_agreed and (is_large or any(each.is_public for each in ranges)):
        ask(f"{_sized(ranges)}. Scan them?", f"{_sized(ranges)} would be scanned.")


class NetworkRange(NamedTuple):
    """One target of a network scan."""

    text: str
    """As it is sent."""
    addresses: int
    """How many addresses it is; 1 for a name."""
    is_public: bool
    """Whether any of them can be reached from everywhere; of a name nobody knows."""


def read_range(text: str) -> NetworkRange:
    """Return what a target of a network scan is.

    Raises:
        TargetError: It is no host name, address or network.
    """
    import ipaddress

    from bestdefense_async.core.host import normalise_host

    shown = clean_text(text, longest=80)
    if not _LIKE_ADDRESS.fullmatch(text):
        try:
            return NetworkRange(normalise_host(text), 1, is_public=False)
        except ValueError:
            pass
        raise TargetError(f"{shown!r} is no host name, address or network.", target=text)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None:
        raise TargetError(_meant(text, shown), target=text)
    plain = str(network.network_address) if network.num_addresses == 1 else str(network)
    return NetworkRange(plain, network.num_addresses, is_public=_is_public(network))


def _is_public(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Return whether a network reaches beyond what is private, also when it is wider."""
    return network.is_global or not (network.is_private or network.is_link_local)


def _meant(text: str, shown: str) -> str:
    import ipaddress

    try:
        return f"{shown!r} is no network: did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return f"{shown!r} is no address or network."


@command.command("show", cls=ApiCommand)
@click.argument("scan_id", type=params.SCAN_ID)
@connected
@FORMAT
def show(scan_id: str, format_: str, connection: Connection) -> int:
    """Say how far a network scan is."""

    def write(progress: Progress) -> None:
        record = {
            "scan_id": scan_id,
            "is_completed": progress.is_completed,
            "percentage": progress.percentage,
        }
        emit("network", [record], format_)

    return connection.call(lambda bd: bd.network.progress(scan_id), write)


@command.command("wait", cls=ApiCommand)
@click.argument("scan_id", type=params.SCAN_ID)
@params.TIMEOUT
@connected
@FORMAT
def wait(scan_id: str, timeout: float | None, format_: str, connection: Connection) -> int:
    """Wait until a network scan is complete; exit 3 when it is not in time."""
    return connection.call(
        lambda bd: wait_for(bd.network, "scan", scan_id, connection, timeout=timeout),
        lambda progress: emit(
            "network", [{"scan_id": scan_id, "is_completed": progress.is_completed}], format_
        ),
    )


@command.command("findings", cls=ApiCommand)
@click.argument("scan_id", type=params.SCAN_ID)
@params.MIN_SEVERITY
@connected
@FORMAT
def findings(scan_id: str, min_severity: str, format_: str, connection: Connection) -> int:
    """List what a network scan has found so far, the worst first; the counts go to stderr."""
    return connection.call(
        lambda bd: bd.network.findings(scan_id),
        lambda found: emit_findings(f"scan {scan_id}", found, min_severity, format_),
    )
