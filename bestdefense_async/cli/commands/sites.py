"""`bestdefense sites`: what there is to scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.options.runs import SITE
from bestdefense_async.cli.options.targets import site_named
from bestdefense_async.cli.terminal.tables import FORMAT, emit

if TYPE_CHECKING:
    from bestdefense_async.models import Site

_NOTHING = "There are no sites: add one in the app and verify that it is yours."


@click.group("sites", cls=Group)
def command() -> None:
    """List the sites of the organization, or show one."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_sites(format_: str, connection: Connection) -> int:
    """List all sites: id and host name."""
    return connection.call(
        lambda bd: bd.sites.list(),
        lambda sites: emit("sites", map(_record, sites), format_, nothing=_NOTHING),
    )


@command.command("show", cls=ApiCommand)
@click.argument("site", type=SITE)
@connected
@FORMAT
def show_site(site: str, format_: str, connection: Connection) -> int:
    """Show one site, given its host name, a URL or its id."""
    return connection.call(
        lambda bd: site_named(bd, site),
        lambda found: emit("sites", [_record(found)], format_),
    )


def _record(site: Site) -> dict[str, str]:
    return {"id": site.id, "hostname": site.hostname}
