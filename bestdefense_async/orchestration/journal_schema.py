"""The tables of a journal file, and whether a file is one.

A scan goes through these states, and no other way (`claimed` and `unknown` are never sent again):

    new --> claimed --> created --> finished
     ^         |-- refused for certain --> new, counted
     |         '-- anything else --------> unknown --a late answer--> created
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import JournalError, JournalMismatch

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x42444A4C
"""Marks an SQLite file as a journal: the letters BDJL."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE run (
            id TEXT NOT NULL,
            created_at REAL NOT NULL,
            base_url TEXT NOT NULL,
            token_key TEXT NOT NULL,
            options TEXT NOT NULL,
            fence INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE scan (
            place INTEGER PRIMARY KEY,
            target TEXT NOT NULL,
            line INTEGER,
            site_id TEXT,
            site_key TEXT UNIQUE,
            state TEXT NOT NULL DEFAULT 'new'
                CHECK (state IN ('new', 'claimed', 'created', 'finished', 'unknown')),
            attempt TEXT,
            claimed_at REAL,
            refusals INTEGER NOT NULL DEFAULT 0,
            report_id TEXT,
            finished_at REAL,
            error TEXT,
            result TEXT,
            CHECK (state = 'new' OR (site_id IS NOT NULL AND attempt IS NOT NULL)),
            CHECK (state NOT IN ('created', 'finished') OR report_id IS NOT NULL)
        ) STRICT
        """,
        "CREATE INDEX unbound ON scan (target) WHERE site_key IS NULL",
        "CREATE INDEX by_state ON scan (state, place)",
    ),
)
"""What leads from each schema version to the next; the first makes the tables."""

VERSION: Final = len(MIGRATIONS)
"""The version this program writes, kept in the file's `user_version`."""


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing file, without changing it.

    Raises:
        sqlite3.Error: It cannot be opened, or is no SQLite file.
    """
    # SQLite waits a little for a reader that copies the file; another writer is kept out by lock.
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=5.0
    )


def make_durable(connection: sqlite3.Connection) -> None:
    """Let a commit be on the disk when it returns. Changes the file: only after `check`."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version, in the transaction that is open."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file is a whole journal this program understands. Reads all of it.

    Raises:
        JournalMismatch: It is of another kind, or of a newer version.
        JournalError: It is damaged.
    """
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    if kind != APPLICATION_ID:
        raise JournalMismatch(f"{path} is not a journal of this program.")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise JournalMismatch(
            f"{path} was written by a newer version of this program (journal version {version}, "
            f"this one knows {VERSION}): use that version to resume it."
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalError(f"{path} is damaged: {verdict}.")
