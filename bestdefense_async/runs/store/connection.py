"""What the writes and reads of a store need of a database's connection, and SQLite's.

Statements are written once, in the SQL that SQLite and PostgreSQL have in common, with a question
mark for each value. What the two do differently stands behind `StoreConnection`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

from bestdefense_async.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Shard: TypeAlias = tuple[int, int, int]
"""A run's number, the shard's, and the fencing number of who writes."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a statement: few sizes, so that each is prepared once and kept."""


class Cursor(Protocol):
    """What a statement has answered."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:  # noqa: ANN401 - a row, or None
        """Return the next row."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of rows
        """Go through the rows."""


class StoreReader(Protocol):
    """A connection to read with."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Carry out a statement."""


class StoreConnection(StoreReader, Protocol):
    """A connection to write with; a transaction is begun and ended by statements."""

    NotUnique: ClassVar[type[Exception]]
    """Raised when a row would break a unique index."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def begin(self) -> None:
        """Begin a transaction that will write."""

    def now(self) -> float:
        """Return the time of the store, in seconds since the epoch."""

    def write_rows(
        self, start: str, types: Sequence[str], end: str, rows: Sequence[tuple[Any, ...]]
    ) -> bool:
        """Carry out one statement for many rows; return whether all were as they should be.

        Args:
            start: What stands before the rows, up to `VALUES`.
            types: The types of a row's values, as PostgreSQL calls them.
            end: What stands after them; the values of a row are `column1` and so on.
            rows: One row per write, each for another input.
        """

    def count_held(self, shards: Sequence[Shard], *, is_alone: bool = False) -> int:
        """Return how many of these shards are held with these numbers.

        Nobody else can take one of them over before this transaction ends, or, with `is_alone`,
        have a late answer written to it.
        """

    def lock_input(self, run: int, index: int) -> None:
        """Keep the shard of an input from being ended before this transaction ends."""

    def take_turn(self) -> None:
        """Wait for all other transactions that have called this, and keep later ones waiting."""

    def is_passing(self, error: Exception, *, since: float) -> bool:
        """Return whether what failed may be tried again now: the connection was lost.

        Args:
            error: What the transaction has failed with.
            since: When it was tried first, on the clock of `time.monotonic`. May wait a moment.
        """


class FileConnection(sqlite3.Connection):
    """A connection to a file. A transaction that writes keeps everybody else out."""

    NotUnique: ClassVar[type[Exception]] = sqlite3.IntegrityError

    def keep(self, path: Path) -> None:
        """Write from here on only while this is the file at `path`."""
        self._path, self._file = path.absolute(), path.stat()

    def begin(self) -> None:
        """Begin a transaction that will write.

        Raises:
            JournalError: The file is not where it was: nobody would find what is written to it.
        """
        try:
            is_there = os.path.samestat(os.stat(self._path), self._file)  # noqa: PTH116 - each time
        except OSError:
            is_there = False
        if not is_there:
            raise JournalError(
                f"{self._path} was moved, deleted or replaced while it is written: put it back."
            )
        self.execute("BEGIN IMMEDIATE")

    def now(self) -> float:
        """Return the time of this machine: nobody else writes the file."""
        return time.time()

    def write_rows(
        self, start: str, types: Sequence[str], end: str, rows: Sequence[tuple[Any, ...]]
    ) -> bool:
        """Carry out one statement for many rows; return whether all were as they should be."""
        row = f"({', '.join('?' * len(types))})"
        for first in range(0, len(rows), _SIZES[-1]):
            part = rows[first : first + _SIZES[-1]]
            # The last one fills it up: written twice it changes nothing. An insertion counts it
            # twice.
            size, values = _padded(part, part[-1])
            changed = self.execute(start + ", ".join([row] * size) + end, values).rowcount
            if changed != (size if start.startswith("INSERT") else len(part)):
                return False
        return True

    def count_held(self, shards: Sequence[Shard], *, is_alone: bool = False) -> int:  # noqa: ARG002 - always
        """Return how many of these shards are held with these numbers."""
        count = 0
        for first in range(0, len(shards), _SIZES[-1]):
            size, values = _padded(shards[first : first + _SIZES[-1]], (0, 0, 0))
            (held,) = self.execute(
                f"WITH asked (run, shard, fence) AS (VALUES {', '.join(['(?, ?, ?)'] * size)})"  # noqa: S608 - ours
                " SELECT count(*) FROM asked CROSS JOIN shard"
                " ON shard.run = asked.run AND shard.shard = asked.shard"
                " AND shard.fence = asked.fence AND shard.state = 'held'",
                values,
            ).fetchone()
            count += held
        return count

    def lock_input(self, run: int, index: int) -> None:
        """Do nothing: a transaction keeps everybody else out."""

    def take_turn(self) -> None:
        """Do nothing, for the same reason."""

    def is_passing(self, error: Exception, *, since: float) -> bool:  # noqa: ARG002 - see above
        """Return False: a disk that fails goes on failing."""
        return False


def _padded(
    rows: Sequence[tuple[Any, ...]], filling: tuple[Any, ...]
) -> tuple[int, tuple[Any, ...]]:
    """Return the next larger size of a statement, and the values of so many rows."""
    size = next(each for each in _SIZES if each >= len(rows))
    return size, tuple(chain.from_iterable(chain(rows, repeat(filling, size - len(rows)))))
