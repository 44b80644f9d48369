"""The tables of a journal file.

A scan goes through these states, and no other way (`claimed` and `unknown` are never sent again):

    new --> claimed --> created --> finished
     ^         |-- refused for certain --> new, counted
     |         '-- anything else --------> unknown --a late answer, or found--> created
     '-- by a person's order only-----------'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x42444A4C
"""Marks an SQLite file as a journal: the letters BDJL."""

VERSION: Final = 1
"""The version this program writes and reads, kept in the file's `user_version`."""

_TABLES: Final = """
CREATE TABLE run (
    id TEXT NOT NULL,
    created_at REAL NOT NULL,
    base_url TEXT NOT NULL,
    token_key TEXT NOT NULL,
    options TEXT NOT NULL,
    fence INTEGER NOT NULL
) STRICT;

CREATE TABLE scan (
    input_index INTEGER PRIMARY KEY,
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
) STRICT;

CREATE UNIQUE INDEX by_site ON scan (site_key) WHERE is_duplicate = 0;

CREATE INDEX by_state ON scan (is_duplicate, state, input_index);
"""


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new journal, in the transaction that is open."""
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
