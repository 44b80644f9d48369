"""`bestdefense sites`: what there is to scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli import streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async

if TYPE_CHECKING:
    from bestdefense_async.models import Site


@click.group("sites")
def command() -> None:
    """List the sites of the organization, or show one."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_sites(form: str) -> int:
    """List all sites: id and host name."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            sites = await bd.sites.list()
        emit("sites", [_record(site) for site in sites], form)
        if not sites:
            streams.say("There are no sites: add one in the app and verify that it is yours.")
        return 0

    return run_async(work)


@command.command("show", cls=ApiCommand)
@click.argument("site")
@connected
@FORMAT
def show_site(site: str, form: str) -> int:
    """Show one site, given its host name or id."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            by_id = [one for one in await bd.sites.list() if one.id == site]
            found = by_id[0] if by_id else await bd.sites.find(site)
        emit("sites", [_record(found)], form)
        return 0

    return run_async(work)


def _record(site: Site) -> dict[str, str]:
    return {"id": site.id, "hostname": site.hostname}
