"""`bestdefense auth`: which token is used, and where it is kept; it is never shown."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.exits import Exit, told_as
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.options.settings import end_path, token_path
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.words import today
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from bestdefense_async.core.secret import Secret

_LONGEST_LIFE: Final = 90
"""Days a token lives at most. (documented)"""


@click.group("auth", cls=Group)
def command() -> None:
    """Say which token would be used, keep one, or forget it."""


@command.command("status", cls=ApiCommand)
@click.option("--check", is_flag=True, help="Ask the host whether it accepts the token.")
@connected
def status(connection: Connection, *, check: bool) -> int:
    """Say where the token comes from and which host it would go to.

    The token itself is never shown, and nothing is sent without --check, which lists the sites.
    """
    from bestdefense_async.report.text import counted

    secret, origin = connection.token
    end = connection.end_of_token()
    kind = "sandbox token" if secret.is_sandbox else "token"
    streams.put(f"{kind} from {origin}\nhost {connection.host}\n")
    if end is not None:
        streams.put(f"ends {end.isoformat()}\n")
    if not check:
        return Exit.OK
    return connection.call(
        lambda bd: bd.sites.list(),
        lambda sites: streams.put(f"accepted: {counted(len(sites), 'site')}\n"),
    )


@command.command("set", cls=ApiCommand)
@click.option(
    "--expires",
    type=params.DAY,
    help="The last day of the token, like 2027-01-31 or 30d: a week before it you are warned.",
)
def set_token(expires: date | None) -> int:
    """Keep a token in a file that only you can read; it is asked for, or read from stdin.

    \b
      bestdefense auth set --expires 30d
      pass show bestdefense | bestdefense auth set
    """  # noqa: D301  # \b is click's mark for text it must not fill
    if expires is not None and expires > today() + timedelta(_LONGEST_LIFE):
        raise ConfigError(f"A token lives {_LONGEST_LIFE} days at most: --expires is later.")
    secret = _read_token()
    secret.check_length()
    file = token_path()
    _store(file, secret.reveal().encode() + b"\n")
    if expires is None:
        end_path().unlink(missing_ok=True)
    else:
        _store(end_path(), f"{expires.isoformat()}\n".encode())
    until = "" if expires is None else f", until {expires.isoformat()}"
    streams.note(f"The token is kept in {file}{until}.")
    _say_what_goes_first("It is not used while")
    return Exit.OK


@command.command("forget", cls=ApiCommand)
def forget() -> int:
    """Delete the token that `auth set` has kept; at the host it stays valid until it is revoked."""
    file = token_path()
    is_kept = file.exists()
    file.unlink(missing_ok=True)
    end_path().unlink(missing_ok=True)
    streams.note(f"The token in {file} is deleted." if is_kept else f"There is none in {file}.")
    _say_what_goes_first("A token is still used as long as")
    return Exit.OK


def _read_token() -> Secret:
    """Return the token that is typed unseen, or stands on stdin.

    Raises:
        ConfigError: It cannot be a token, or there is none.
    """
    from bestdefense_async.config import read_token_file
    from bestdefense_async.core.secret import Secret

    if sys.stdin is None or not sys.stdin.isatty():
        return read_token_file("-")
    return Secret(click.prompt("Token", hide_input=True, err=True, default="", show_default=False))


def _store(file: Path, content: bytes) -> None:
    from bestdefense_async.files import replace_file

    with told_as(f"{file} cannot be written"):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, content, is_private=True)


def _say_what_goes_first(beginning: str) -> None:
    """Say which variable holds a token, too: it goes before the file."""
    import os

    from bestdefense_async.config import TOKEN_VARIABLES

    for name in TOKEN_VARIABLES:
        if os.environ.get(name):
            streams.say(f"{beginning} {name} is set.")
