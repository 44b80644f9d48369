"""Which runs are meant: those of this machine, or of a database that several machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bestdefense_async.cli.options.settings import runs_path
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.store.protocol import Store
    from bestdefense_async.runs.store.store import DatabaseStore

    _ParamType = click.ParamType[Any, Any]
else:
    # It takes type arguments only in newer versions of click.
    _ParamType = click.ParamType

T = TypeVar("T")

_VARIABLE: Final = "BD_DATABASE"
_KEY: Final = "bestdefense_async.database"
_MOST: Final = 500
"""Names that a shell offers; somebody with more types some letters first."""
_LOOKED_AT: Final = 5
"""Newest runs whose sites are offered."""


class _Offered(_ParamType):
    """Text for which a shell offers what the record of this user's runs knows; nothing is sent."""

    def __init__(self, name: str, read: Callable[[Store], Awaitable[list[str]]]) -> None:
        self.name = name
        self._read = read

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what begins like the text, in any letter case."""
        from click.shell_completion import CompletionItem

        begun = incomplete.lower()
        fitting = [name for name in _known(self._read) if name.lower().startswith(begun)]
        return [CompletionItem(name) for name in fitting[:_MOST]]


class _RunOrFile(_Offered):
    """The same, and files where nothing else begins so."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return runs, the newest first, else let the shell offer files."""
        from click.shell_completion import CompletionItem

        found = super().shell_complete(ctx, param, incomplete)
        if "last".startswith(incomplete):
            found.insert(0, CompletionItem("last"))
        return found or [CompletionItem(incomplete, type="file")]


async def _run_names(store: Store) -> list[str]:
    return [info.name for info in await store.list(with_counts=False)]


async def _targets(store: Store) -> list[str]:
    runs = await store.list(with_counts=False)
    records = [await store.record(info.name) for info in runs[:_LOOKED_AT]]
    return sorted({target for each in records for target in await each.known_targets()})


def _known(read: Callable[[Store], Awaitable[list[str]]]) -> list[str]:
    """Return what the record of this user's runs knows; nothing where it cannot be read."""
    import asyncio

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.runs.store.sqlite import SqliteStore

    path = runs_path()

    async def known() -> list[str]:
        async with SqliteStore(path) as store:
            return await read(store)

    try:
        return asyncio.run(known()) if path.exists() else []
    except (BestDefenseError, OSError):
        return []


RUN: Final = _RunOrFile("RUN", _run_names)
"""The name of a recorded run, the beginning of it, `last`, or a file."""
SITE: Final = _Offered("SITE", _targets)
"""A host name, a URL or the id of a site."""


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        from bestdefense_async.runs.store.doors import is_address

        if not is_address(value):  # an empty variable must not mean the runs of this machine
            raise ConfigError("A database is named like postgresql://user@host/name.")
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
    envvar=_VARIABLE,
    required=True,
    help=f"The database: postgresql://user@host/name, else {_VARIABLE}. A password is better in "
    "PGPASSWORD or ~/.pgpass.",
)
"""The option of a command that needs a database."""


def database_name() -> str | None:
    """Return the database that the option names; None without it."""
    found: str | None = click.get_current_context().meta.get(_KEY)
    return found


def named_again(name: str) -> str:
    """Return a run as another command is told it; what stands in `ps` is left to the reader."""
    return name if database_name() is None else f"{name} --database URL"


def waive_options(name: str | None, *, is_shared: bool = False) -> str | None:
    """Return the options by which `waive` finds a run; None where it cannot.

    Args:
        name: What names the run: its name, `last`, or a file; None for reports that are no run.
        is_shared: It is in a database that `--database` has not named.
    """
    import shlex

    from bestdefense_async.files import STDIN
    from bestdefense_async.runs.store.protocol import LAST

    if name is None or name == STDIN:
        return None
    words = [] if name == LAST else ["--run", name]
    if is_shared or database_name() is not None:
        words += ["--database", "URL"]
    return shlex.join(words)


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


def from_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` reads or changes in the store of the runs that are meant.

    Raises:
        JournalError: The store cannot be read, or what is asked for is not in it.
    """
    import asyncio

    async def main() -> T:
        async with runs_store() as store:
            return await work(store)

    return asyncio.run(main())


def recorded_policy(name: str) -> Mapping[str, Any] | None:
    """Return the rules that a run began with, of the runs that are meant; None for none.

    Raises:
        JournalError: There is no such run, or it cannot be read.
    """

    async def read(store: Store) -> Mapping[str, Any] | None:
        return (await (await store.record(name)).info()).policy

    return from_store(read)


def load_run(name: str) -> RunResult:
    """Return a run: of a file (`.json`, `.jsonl`, a store) or stdin, else of the runs by its name.

    Args:
        name: A path, `-` for stdin, the name of a run or the beginning of it, or `last`.

    Raises:
        ConfigError: A file cannot be read.
        JournalError: There is none, or it cannot be read.
    """
    from bestdefense_async.runs.store.doors import load

    return load(name, store=runs_store())
