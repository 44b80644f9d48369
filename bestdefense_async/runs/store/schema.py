"""The tables of a journal file, and how those of earlier versions become them.

A scan goes through these states, and no other way (`claimed` and `unknown` are never sent again):

    new --> claimed --> created --> finished
     ^         |-- refused for certain --> new, counted
     |         '-- anything else --------> unknown --a late answer, or found--> created
     '-- by a person's word only ------------'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

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
    # A row is known by the index of its input, from 0. A scan that failed can be followed on.
    (
        """
        CREATE TABLE scan_2 (
            place INTEGER PRIMARY KEY,
            target TEXT NOT NULL,
            line INTEGER,
            site_id TEXT,
            site_key TEXT,
            is_duplicate INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL DEFAULT 'new'
                CHECK (state IN ('new', 'claimed', 'created', 'finished', 'unknown')),
            attempt TEXT,
            claimed_at REAL,
            was_left INTEGER NOT NULL DEFAULT 0,
            refusals INTEGER NOT NULL DEFAULT 0,
            report_id TEXT,
            finished_at REAL,
            error TEXT,
            result TEXT,
            CHECK (state = 'new' OR site_id IS NOT NULL),
            CHECK (state <> 'claimed' OR attempt IS NOT NULL),
            CHECK (state NOT IN ('created', 'finished') OR report_id IS NOT NULL),
            CHECK (state <> 'finished' OR result IS NOT NULL)
        ) STRICT
        """,
        """
        INSERT INTO scan_2 (place, target, line, site_id, site_key, state, attempt, claimed_at,
            was_left, refusals, report_id, finished_at, error, result)
        SELECT place - 1, target, line, site_id, site_key,
            iif(state = 'finished' AND result IS NULL, 'created', state), attempt, claimed_at,
            (SELECT fence > 1 FROM run), refusals, report_id, finished_at, error, result
        FROM scan
        """,
        "DROP TABLE scan",
        "ALTER TABLE scan_2 RENAME TO scan",
        "CREATE UNIQUE INDEX by_site ON scan (site_key) WHERE is_duplicate = 0",
        "CREATE INDEX by_state ON scan (is_duplicate, state, place)",
    ),
)
"""What leads from each schema version to the next; the first makes the tables."""

VERSION: Final = len(MIGRATIONS)
"""The version this program writes, kept in the file's `user_version`."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version, in the transaction that is open."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
