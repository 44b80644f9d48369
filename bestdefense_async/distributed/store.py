"""The store in PostgreSQL: everything a store does, shared by any number of processes."""

from __future__ import annotations

from bestdefense_async.distributed.address import Address
from bestdefense_async.distributed.postgres import PostgresDatabase
from bestdefense_async.runs.store.store import DatabaseStore


class PostgresStore(DatabaseStore):
    """A `Store` in a database. Use it as `async with`, or close it; it belongs to one event loop.

    Args:
        address: A URL like `postgresql://user@host/name`.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, address: str) -> None:
        self.database: PostgresDatabase = PostgresDatabase(Address.of(address))
        super().__init__(self.database)

    def __repr__(self) -> str:
        return f"<PostgresStore {self.database.shown}>"
