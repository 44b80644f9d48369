"""`bestdefense auth`: about the token, without showing it."""

from __future__ import annotations

import click

from bestdefense_async.cli.options.connection import ApiCommand, connected, connection
from bestdefense_async.cli.terminal import streams


@click.group("auth")
def command() -> None:
    """Look at the token that would be used."""


@command.command("status", cls=ApiCommand)
@connected
def status() -> None:
    """Say where the token comes from and which host it would go to; sends nothing.

    The token itself is never shown.
    """
    asked = connection()
    found = asked.token()
    kind = "sandbox token" if found.secret.is_sandbox else "token"
    streams.put(f"{kind} from {found.origin}\nhost {asked.host}\n")
