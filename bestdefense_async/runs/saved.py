"""Saved runs, whatever they were saved as: in a store, as a document, as an event log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bestdefense_async.files import STDIN
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs.store.files import is_database
from bestdefense_async.runs.store.protocol import LAST
from bestdefense_async.runs.store.sqlite import SqliteStore
from bestdefense_async.runs.store.store import DatabaseStore

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.store.protocol import Store


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
    if path == STDIN:
        return read_run(STDIN)
    if isinstance(store, DatabaseStore) and not Path(path).is_file():
        return store.read_result(os.fspath(path))
    if is_database(Path(path)):
        return SqliteStore(Path(path)).read_result(LAST)
    return read_run(Path(path))
