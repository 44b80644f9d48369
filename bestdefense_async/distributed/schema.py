"""The tables in PostgreSQL, and how they come to be: by order only, never silently.

They are those of `runs.store.schema`, in a schema of their own, which the engine's tables share.
A migration is never changed once it was released; the last one leads to `VERSION`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from procrastinate.schema import SchemaManager

from bestdefense_async.errors import JournalMismatch

if TYPE_CHECKING:
    import psycopg

    from bestdefense_async.distributed.address import Address

SCHEMA: Final = "bestdefense"

_LOCK: Final = 0x42445254
"""Keeps two migrations apart."""

_OURS: Final[LiteralString] = """
CREATE TABLE run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at float8 NOT NULL,
    base_url text NOT NULL,
    token_key text NOT NULL,
    options text NOT NULL,
    previous text,
    credential text,
    cancelled_at float8
);

CREATE TABLE span (
    run bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('throttled', 'outage')),
    begun float8 NOT NULL,
    ended float8,
    error text,
    PRIMARY KEY (run, kind, begun)
);

CREATE TABLE shard (
    run bigint NOT NULL,
    shard integer NOT NULL,
    first integer NOT NULL,
    last integer NOT NULL,
    fence bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('ready', 'held', 'blocked', 'ended')),
    owner text,
    lease_until timestamptz,
    problem text,
    PRIMARY KEY (run, shard),
    CHECK ((state = 'held') = (owner IS NOT NULL))
) WITH (fillfactor = 50);
CREATE INDEX open_shards ON shard (run, shard) WHERE state <> 'ended';
CREATE INDEX shards_of_owners ON shard (owner) WHERE state = 'held';

CREATE TABLE scan (
    run bigint NOT NULL,
    input_index integer NOT NULL,
    shard integer NOT NULL,
    target text NOT NULL,
    line integer,
    site_id text,
    site_key text,
    is_duplicate integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'new'
        CHECK (state IN ('new', 'claimed', 'created', 'finished', 'unknown')),
    attempt text,
    claimed_at float8,
    was_left integer NOT NULL DEFAULT 0,
    refusals integer NOT NULL DEFAULT 0,
    report_id text,
    security_id bigint,
    finished_at float8,
    error text,
    PRIMARY KEY (run, input_index),
    CHECK (state = 'new' OR site_key IS NOT NULL),
    CHECK (state <> 'claimed' OR attempt IS NOT NULL),
    CHECK ((state IN ('created', 'finished')) = (report_id IS NOT NULL))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX by_site ON scan (run, site_key)
    WHERE site_key IS NOT NULL AND is_duplicate = 0;
CREATE UNIQUE INDEX by_report ON scan (run, report_id) WHERE report_id IS NOT NULL;
CREATE UNIQUE INDEX by_security ON scan (run, security_id) WHERE security_id IS NOT NULL;

CREATE TABLE result (
    run bigint NOT NULL,
    input_index integer NOT NULL,
    result text NOT NULL,
    PRIMARY KEY (run, input_index)
);

CREATE TABLE repetition (
    run bigint PRIMARY KEY,
    cron text NOT NULL,
    next_at timestamptz NOT NULL
);

CREATE TABLE rate (
    token_key text NOT NULL,
    limit_class text NOT NULL,
    content text NOT NULL,
    PRIMARY KEY (token_key, limit_class)
) WITH (fillfactor = 50);

CREATE FUNCTION json_valid(doc text) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN doc IS JSON;
CREATE FUNCTION json_extract(doc text, path text) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN doc::json #>> string_to_array(substr(path, 3), '.');
"""
"""The two functions are SQLite's: so what is read is asked for in one SQL."""

_ENGINE: Final = "procrastinate 3.10"
"""Whose tables belong to the version; a later engine with other tables is a migration."""


def _first(connection: psycopg.Connection) -> None:
    connection.execute(_OURS)
    connection.execute(SchemaManager.get_schema())


MIGRATIONS: Final = (_first,)
"""The way from each version to the next; the first one begins with nothing."""

VERSION: Final = len(MIGRATIONS)
"""The version that this program writes and reads."""


def installed(connection: psycopg.Connection) -> int:
    """Return the version of the tables; 0 when there are none."""
    row = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.schema_version",)
    ).fetchone()
    if row is None or not row[0]:
        return 0
    row = connection.execute("SELECT max(version) FROM bestdefense.schema_version").fetchone()
    return 0 if row is None else int(row[0] or 0)


def check_version(connection: psycopg.Connection, address: Address) -> None:
    """Make sure that the tables are those of this program.

    Raises:
        JournalMismatch: There are none, or they are of another version. It says what to do.
    """
    version = installed(connection)
    if version == VERSION:
        return
    if version == 0:
        raise JournalMismatch(
            f"{address.shown} has no tables of this program yet: run `bestdefense database init`."
        )
    what = "run `bestdefense database upgrade`" if version < VERSION else "update this program"
    raise JournalMismatch(
        f"The tables in {address.shown} are of version {version}, this program needs {VERSION}: "
        f"{what}."
    )


def migrate(connection: psycopg.Connection, *, from_nothing: bool) -> int:
    """Bring the tables to `VERSION` in one transaction; return the version they had.

    Args:
        connection: In autocommit mode.
        from_nothing: Make the tables where there are none.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        version = installed(connection)
        if version >= VERSION or (version == 0 and not from_nothing):
            return version
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.execute(f"SET LOCAL search_path = {SCHEMA}")
        if version == 0:
            connection.execute(
                "CREATE TABLE schema_version"
                " (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            )
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute("INSERT INTO schema_version (version) VALUES (%s)", (VERSION,))
    return version
