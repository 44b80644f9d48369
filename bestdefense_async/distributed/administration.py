"""What a person does to a database: makes the tables, brings them up to date, looks at them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen

from bestdefense_async.distributed.address import Address
from bestdefense_async.distributed.postgres import PostgresDatabase
from bestdefense_async.distributed.schema import SCHEMA, VERSION, check_version, installed, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen(kw_only=True)
class DatabaseStatus:
    """What is in a database."""

    database: str
    """Its address, without a password."""
    version: int
    """The version of the tables; 0 when there are none."""
    needed: int
    """The version that this program needs."""
    runs: int
    size_bytes: int
    workers: int
    """Workers that were heard of within a minute."""
    shards_waiting: int
    shards_held: int
    shards_blocked: int


@contextlib.contextmanager
def _connected(text: str) -> Iterator[tuple[psycopg.Connection, Address]]:
    """Give a connection to a database, whatever is in it.

    Raises:
        ConfigError: The address is none.
        JournalError: It cannot be reached, or refuses what is asked of it.
    """
    address = Address.of(text)
    try:
        with psycopg.connect(address.conninfo, autocommit=True) as connection:
            yield connection, address
    except psycopg.Error as error:
        raise PostgresDatabase(address).to_error(error) from None


def initialize(text: str) -> bool:
    """Make the tables; return False when they were there already.

    Raises:
        JournalMismatch: They are there, of another version.
        JournalError: The database cannot be reached or written.
    """
    with _connected(text) as (connection, address):
        before = migrate(connection, from_nothing=installed(connection) == 0)
        check_version(connection, address)
    return before == 0


def upgrade(text: str) -> tuple[int, int]:
    """Bring the tables to the version of this program; return the versions before and after.

    Workers of the older version stop at their next connection: stop them before.

    Raises:
        JournalMismatch: There are no tables, or they are of a newer version.
        JournalError: The database cannot be reached or written.
    """
    with _connected(text) as (connection, address):
        before = migrate(connection, from_nothing=False)
        check_version(connection, address)
    return before, VERSION


def status(text: str) -> DatabaseStatus:
    """Return what is in a database.

    Raises:
        JournalError: It cannot be reached or read.
    """
    with _connected(text) as (connection, address):
        version = installed(connection)
        counts = (0, 0, 0, 0, 0, 0)
        if version:
            connection.execute(f"SET search_path = {SCHEMA}")
            row = connection.execute(
                "SELECT (SELECT count(*) FROM run),"
                " (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
                "  WHERE relkind = 'r' AND relnamespace = to_regnamespace(current_schema())),"
                " (SELECT count(*) FROM procrastinate_workers"
                "  WHERE last_heartbeat > now() - interval '1 minute'),"
                " count(*) FILTER (WHERE state = 'ready'"
                "  OR (state = 'held' AND lease_until < now())),"
                " count(*) FILTER (WHERE state = 'held' AND lease_until >= now()),"
                " count(*) FILTER (WHERE state = 'blocked') FROM shard"
            ).fetchone()
            counts = counts if row is None else row
    runs, size, workers, waiting, held, blocked = counts
    return DatabaseStatus(
        database=address.shown,
        version=version,
        needed=VERSION,
        runs=runs,
        size_bytes=size,
        workers=workers,
        shards_waiting=waiting,
        shards_held=held,
        shards_blocked=blocked,
    )
