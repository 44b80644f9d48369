"""The tables of a store, and the way of a scan through its states.

    new --claim--> claimed --answered--> created --> finished
     ^               |-- given back, or refused for certain --> new, counted
     |               '-- anything else, its owner's death too --> unknown
     '-- by a person's order only ---------------------------------'  '--found, or late--> created

`claimed` and `unknown` are never sent again. A scan that is `created` with an error can be followed
on; one that is `finished` has its result, or an error that says why there will be none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x42445254
"""Marks an SQLite file as a store of runs: the letters BDRT."""

VERSION: Final = 1
"""The version this program writes and reads, kept in the file's `user_version`."""

LAST_INDEX: Final = 2**31 - 1
"""The end of the one shard that an embedded run has."""

_TABLES: Final = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    base_url TEXT NOT NULL,
    token_key TEXT NOT NULL,
    options TEXT NOT NULL,
    previous TEXT
) STRICT;

CREATE TABLE span (
    run INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('throttled', 'outage')),
    begun REAL NOT NULL,
    ended REAL,
    error TEXT,
    PRIMARY KEY (run, kind, begun)
) STRICT, WITHOUT ROWID;

CREATE TABLE shard (
    run INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'held', 'ended')),
    owner TEXT,
    PRIMARY KEY (run, shard),
    CHECK ((state = 'held') = (owner IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE scan (
    run INTEGER NOT NULL,
    input_index INTEGER NOT NULL,
    shard INTEGER NOT NULL,
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
    security_id INTEGER,
    finished_at REAL,
    error TEXT,
    PRIMARY KEY (run, input_index),
    CHECK (state = 'new' OR site_key IS NOT NULL),
    CHECK (state <> 'claimed' OR attempt IS NOT NULL),
    CHECK ((state IN ('created', 'finished')) = (report_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX by_site ON scan (run, site_key)
    WHERE site_key IS NOT NULL AND is_duplicate = 0;
CREATE UNIQUE INDEX by_report ON scan (run, report_id) WHERE report_id IS NOT NULL;
CREATE UNIQUE INDEX by_security ON scan (run, security_id) WHERE security_id IS NOT NULL;

CREATE TABLE result (
    run INTEGER NOT NULL,
    input_index INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (run, input_index)
) STRICT, WITHOUT ROWID;
"""

POLICY: Final = -1
"""No input has this index: under it `result` holds the rules that the run is to be judged by."""

OF_A_RUN: Final = ("result", "scan", "shard", "span")
"""The tables whose rows belong to a run and go with it."""


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new store, in the transaction that is open."""
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
