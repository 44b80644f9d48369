"""Runs in the former format, each in a file of its own: read once, and taken over into a store.

They lie in the directory `runs` beside the store. A file that was taken over is called `.taken`
from then on, and one that cannot be read `.unreadable`: each is told of once.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.errors import JournalError, JournalMismatch
from bestdefense_async.runs.store.schema import LAST_INDEX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log: logging.Logger = logging.getLogger("bestdefense_async.runs")

APPLICATION_ID: Final = 0x42444A4C
"""Marks an SQLite file as a run of the former format: the letters BDJL."""
_VERSION: Final = 1
_ENDING: Final = ".journal"


def former_runs(store: Path) -> list[Path]:
    """Return the runs of the former format that lie beside a store, the newest first."""
    directory = store.parent / "runs"
    if not directory.is_dir():
        return []
    return sorted(directory.glob(f"*{_ENDING}"), reverse=True)


def take_over_former(store: sqlite3.Connection, paths: Sequence[Path]) -> None:
    """Copy runs into a store, before all that it has; `paths` are the newest first.

    A run that a process still writes is left for the next time.
    """
    names = [*map(_name, paths[1:]), None]
    for path, older in zip(paths, names, strict=False):
        if not path.exists() or _is_held(path):
            continue
        ending = ".taken"
        try:
            # Written, so that what a process that died has left beside it is brought in.
            with contextlib.closing(sqlite3.connect(_uri(path, "rw"), uri=True)) as connection:
                copy_former(store, connection, path, previous=older)
        except (sqlite3.DatabaseError, JournalError) as error:
            ending = ".unreadable"
            log.warning("The run in %s was not taken over: %s", path, error)
        with contextlib.suppress(OSError):  # it is known by its name the next time
            path.rename(path.with_name(path.name + ending))


def copy_former(
    store: sqlite3.Connection,
    connection: sqlite3.Connection,
    path: Path,
    *,
    previous: str | None = None,
) -> None:
    """Copy one run into a store, whole or not at all; one of that name is left as it is.

    Raises:
        JournalMismatch: It is no such file, or of a newer version.
        sqlite3.DatabaseError: It is damaged.
    """
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if kind != APPLICATION_ID or version > _VERSION:
        raise JournalMismatch("it is no run of the former format.")
    *about, fence = connection.execute(
        "SELECT created_at, base_url, token_key, options, fence FROM run"
    ).fetchone()
    scans = connection.execute(
        "SELECT input_index, target, line, site_id, is_duplicate, attempt, claimed_at, was_left,"
        " refusals, state, report_id, finished_at, error, result FROM scan ORDER BY input_index"
    ).fetchall()
    store.execute("BEGIN IMMEDIATE")
    try:
        name = _name(path)
        if store.execute("SELECT 1 FROM run WHERE name = ?", (name,)).fetchone() is None:
            _insert(store, (name, *about, previous), fence, scans)
    except BaseException:
        store.execute("ROLLBACK")
        raise
    store.execute("COMMIT")


def _insert(
    store: sqlite3.Connection, about: tuple[Any, ...], fence: int, scans: Sequence[tuple[Any, ...]]
) -> None:
    # Runs are in the order of their numbers, and this one is older than all that are there.
    (run,) = store.execute(
        "INSERT INTO run (id, name, created_at, base_url, token_key, options, previous)"
        " SELECT coalesce(min(id), 1) - 1, ?, ?, ?, ?, ?, ? FROM run RETURNING id",
        about,
    ).fetchone()
    store.execute(
        "INSERT INTO shard VALUES (?, 0, 0, ?, ?, 'ready', NULL)", (run, LAST_INDEX, fence)
    )
    reports: set[str] = set()
    for *scan, state, report_id, finished_at, error, result in scans:
        known = (state, report_id) if state in {"created", "finished"} else (state, None)
        if report_id in reports:  # one answer for two creations: nobody knows whose it is
            known = ("unknown", None)
        elif known[1] is not None:
            reports.add(report_id)
        index, site_id = scan[0], scan[3]
        key = None if site_id is None else site_id.lower()
        store.execute(
            "INSERT INTO scan (run, shard, input_index, target, line, site_id, is_duplicate,"
            " attempt, claimed_at, was_left, refusals, site_key, state, report_id, finished_at,"
            " error) VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (run, *scan, key, *known, finished_at, error),
        )
        if known[0] == "finished":
            store.execute("INSERT INTO result VALUES (?, ?, ?)", (run, index, result))


def _name(path: Path) -> str:
    return path.name.removesuffix(_ENDING)


def _is_held(path: Path) -> bool:
    """Return whether a process of the former version writes this run now."""
    lock = path.with_name(path.name + ".lock")
    try:
        with contextlib.closing(
            sqlite3.connect(_uri(lock, "ro"), uri=True, timeout=0.0)
        ) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        return getattr(error, "sqlite_errorcode", -1) & 0xFF == sqlite3.SQLITE_BUSY
    return False


def _uri(path: Path, mode: str) -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"
