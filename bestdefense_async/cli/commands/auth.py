"""`bestdefense auth`: which token would be used, without showing it."""

from __future__ import annotations

import click

from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams


@click.group("auth", cls=Group)
def command() -> None:
    """Say which token would be used."""


@command.command("status", cls=ApiCommand)
@connected
def status(connection: Connection) -> None:
    """Say where the token comes from and which host it would go to; sends nothing.

    The token itself is never shown.
    """
    secret, origin = connection.token
    kind = "sandbox token" if secret.is_sandbox else "token"
    streams.put(f"{kind} from {origin}\nhost {connection.host}\n")
