"""`bestdefense sites`: what there is to scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.jobs.one_call import call, site_named
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.models import Site


@click.group("sites", cls=Group)
def command() -> None:
    """List the sites of the organization, or show one."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_sites(format_: str, connection: Connection) -> int:
    """List all sites: id and host name."""
    streams.require_stdout()

    def write(sites: Sequence[Site]) -> None:
        emit("sites", [_record(site) for site in sites], format_)
        if not sites:
            streams.note("There are no sites: add one in the app and verify that it is yours.")

    return call(connection, lambda bd: bd.sites.list(), write)


@command.command("show", cls=ApiCommand)
@click.argument("site")
@connected
@FORMAT
def show_site(site: str, format_: str, connection: Connection) -> int:
    """Show one site, given its host name or id."""
    streams.require_stdout()
    return call(
        connection,
        lambda bd: site_named(bd, site),
        lambda found: emit("sites", [_record(found)], format_),
    )


def _record(site: Site) -> dict[str, str]:
    return {"id": site.id, "hostname": site.hostname}
