"""Which record of runs is meant: this machine's, or a database that several share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.options.settings import runs_path
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bestdefense_async.runs.store.store import DatabaseStore

VARIABLE: Final = "BD_DATABASE"

_KEY: Final = "bestdefense_async.database"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_KEY] = value


SHARED_RUNS = click.option(
    "--database",
    metavar="URL",
    expose_value=False,
    callback=_remember,
    help="The runs in this database, not those of this machine: postgresql://user@host/name.",
)
"""The option of a command that may look at shared runs; what it says is known to `runs_name`."""

DATABASE = click.option(
    "--database",
    metavar="URL",
    envvar=VARIABLE,
    required=True,
    help=f"The database: postgresql://user@host/name, else {VARIABLE}. A password is better in "
    "PGPASSWORD or ~/.pgpass.",
)
"""The option of a command that needs a database."""


def database_name() -> str | None:
    """Return the database that the option names; None without it."""
    context = click.get_current_context(silent=True)
    found: str | None = None if context is None else context.meta.get(_KEY)
    return found


def runs_name() -> Path | str:
    """Return what names the store of the runs that are meant."""
    return database_name() or runs_path()


def runs_store() -> DatabaseStore:
    """Return the store of the runs that are meant; nothing was opened yet.

    Raises:
        ConfigError: The database cannot be one, or needs the extra.
    """
    from bestdefense_async.runs.store.doors import open_store

    return open_store(runs_name())


@contextlib.contextmanager
def the_extra() -> Iterator[None]:
    """Say what is missing when the parts that work with databases cannot be imported.

    Raises:
        ConfigError: They cannot.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            "This needs more: pip install 'bestdefense-async[cli,distributed]' "
            f"({error.name} is missing)."
        ) from None
