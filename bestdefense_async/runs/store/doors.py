"""Stores by what names them, a path or the address of a database; and saved runs by name.

Databases are behind an extra, so what serves them is imported when one is named.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from bestdefense_async.errors import ConfigError, JournalError
from bestdefense_async.files import STDIN, is_name, shown
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs.store.files import is_database
from bestdefense_async.runs.store.protocol import LAST
from bestdefense_async.runs.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from bestdefense_async.runs.store.protocol import Store
    from bestdefense_async.runs.store.store import DatabaseStore

_SAVED: Final = (".json", ".jsonl", ".db")
"""How the name of a file ends that holds a run."""
_ADDRESSES: Final = ("postgresql://", "postgres://")


def is_address(name: os.PathLike[str] | str) -> bool:
    """Return whether a store is named by the address of a database, not by the path of a file."""
    return isinstance(name, str) and name.startswith(_ADDRESSES)


def open_store(name: os.PathLike[str] | str) -> DatabaseStore:
    """Return the store of that name; nothing was opened yet.

    Raises:
        ConfigError: It is no name of a file; or it is the address of a database, and cannot be one
            or needs the extra.
    """
    if not is_address(name):
        if isinstance(name, str) and "://" in name:  # not repeated: it may hold a password
            raise ConfigError("A store is a path, or an address: postgresql://user@host/name.")
        if not is_name(name):
            raise ConfigError(f"The store cannot be {shown(name)}: no file can be called so.")
        return SqliteStore(Path(name))
    try:
        module = importlib.import_module("bestdefense_async.distributed.store")
    except ImportError as error:
        raise ConfigError(
            f"A store in a database needs more: pip install 'bestdefense-async[distributed]' "
            f"({error.name or 'a part'} is missing)."
        ) from None
    return cast("DatabaseStore", module.PostgresStore(name))


def load(path: os.PathLike[str] | str, *, store: Store | None = None) -> RunResult:
    """Return the run saved at `path`, else the one of that name in the store.

    A file is a document in `.json`, an event log, or a store, of which it is the newest run; `-` is
    stdin, which may be a document or a log. What has no outcome yet has one that says so, and no
    verdict. Nothing is sent or changed.

    Raises:
        JournalMismatch: The file is not such a run, of another version, or damaged.
        JournalError: The store cannot be read, or holds no such run.
        ConfigError: The file cannot be read.
    """
    return _load(path, store, beside=None)


def load_older(
    run: RunResult | os.PathLike[str] | str, newer: RunResult, *, store: Store | None = None
) -> RunResult:
    """Return the run that a newer one is compared with, found as by `load`.

    `last` is the one that was the newest in the store when the newer one began, for by now that may
    be the newer one itself.

    Raises:
        JournalMismatch: As `load` raises.
        JournalError: As `load` raises, or there was none before the newer one.
        ConfigError: As `load` raises.
    """
    return run if isinstance(run, RunResult) else _load(run, store, beside=newer.name)


def _load(path: os.PathLike[str] | str, store: Store | None, *, beside: str | None) -> RunResult:
    if path == STDIN:
        return read_run(STDIN)
    if store is not None and not os.path.isfile(path):  # noqa: PTH113 - also for what is no path
        try:
            return store.load(os.fspath(path), beside=beside)
        except JournalError:
            if not os.fspath(path).lower().endswith(_SAVED):
                raise
        raise ConfigError(f"There is no file {shown(Path(path))}, and no run of that name.")
    if is_database(Path(path)):
        return SqliteStore(Path(path)).load(LAST)
    return read_run(Path(path))
