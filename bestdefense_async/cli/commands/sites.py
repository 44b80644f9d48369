"""`bestdefense sites`: what there is to scan."""

from __future__ import annotations

import click

from bestdefense_async.cli import streams
from bestdefense_async.cli.connection import ApiCommand, Connection, connected, connection
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async


@click.group("sites")
def command() -> None:
    """List the sites of the organization, or show one."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_sites(form: str) -> int:
    """List all sites: id and host name."""
    streams.require_stdout()
    return run_async(_List(connection(), form))


@command.command("show", cls=ApiCommand)
@click.argument("site")
@connected
@FORMAT
def show_site(site: str, form: str) -> int:
    """Show one site, given its host name or id."""
    streams.require_stdout()
    return run_async(_Show(connection(), form, site))


class _List:
    """Lists the sites."""

    def __init__(self, asked: Connection, form: str) -> None:
        self._asked = asked
        self._form = form

    async def __call__(self, _: Interruption) -> int:
        async with self._asked.client() as bd:
            sites = await bd.sites.list()
        records = [{"id": site.id, "hostname": site.hostname} for site in sites]
        emit("sites", records, self._form)
        if not records:
            streams.say("There are no sites: add one in the app and verify that it is yours.")
        return 0


class _Show:
    """Shows one site."""

    def __init__(self, asked: Connection, form: str, site: str) -> None:
        self._asked = asked
        self._form = form
        self._site = site

    async def __call__(self, _: Interruption) -> int:
        async with self._asked.client() as bd:
            sites = await bd.sites.list()
            found = next((one for one in sites if one.id == self._site), None)
            if found is None:
                found = await bd.sites.find(self._site)
        emit("sites", [{"id": found.id, "hostname": found.hostname}], self._form)
        return 0
