"""Saved runs, whatever they were saved as: in a store, as a document, as an event log."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bestdefense_async.files import STDIN
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs.store.file import is_database
from bestdefense_async.runs.store.reads import read_journal
from bestdefense_async.runs.store.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bestdefense_async.runs.store.interface import Store

T = TypeVar("T")


def load(path: os.PathLike[str] | str, *, store: Store | None = None) -> RunResult:
    """Return the run saved at `path`, else the one of that name in the store.

    A file is a document in `.json`, or else an event log; `-` is stdin, which may be either. What
    has no outcome yet has one that says so, and no verdict. Nothing is sent or changed.

    Raises:
        JournalMismatch: The file is not such a run, of another version, or damaged.
        JournalError: The store cannot be read, or holds no such run.
        ConfigError: The file cannot be read.
    """
    if path == STDIN:
        return read_run(STDIN)
    if isinstance(store, SqliteStore) and not Path(path).is_file():
        return _waited_for(_read(store.path, os.fspath(path)))
    if is_database(Path(path)):
        return _from_journal(Path(path))
    return read_run(Path(path))


async def _read(path: Path, name: str) -> RunResult:
    async with SqliteStore(path) as store:
        return await (await store.record(name)).result()


def _waited_for(work: Coroutine[None, None, T]) -> T:
    """Return what a coroutine returns, also while a loop runs in this thread: it has its own."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, name="bestdefense-read")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _from_journal(path: Path) -> RunResult:
    snapshot = read_journal(path)
    return RunResult(
        name=path.stem,
        outcomes=snapshot.outcomes,
        started_at=snapshot.run.created_at,
        finished_at=snapshot.ended_at,
        base_url=snapshot.run.base_url,
        options=snapshot.run.options,
    )
