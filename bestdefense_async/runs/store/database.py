"""One SQLite file: its writer thread, its owner's lock, and how it is read."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, TypeVar

from bestdefense_async.errors import BestDefenseError, JournalError
from bestdefense_async.runs.store import files
from bestdefense_async.runs.store.writer import WriterThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class Database:
    """The file of a store, touched when it is first needed. Belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: WriterThread | None = None
        self._lock: files.OwnerLock | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def aclose(self) -> None:
        """Write what was handed in and close it. Again is harmless."""
        self._is_closed = True
        async with self._opening:
            if self._writer is not None:
                await self._writer.close()

    @property
    def commits(self) -> int:
        """Transactions committed since it was opened."""
        return 0 if self._writer is None else self._writer.commits

    async def writer(self) -> WriterThread:
        """Return the thread that writes, started when it is first needed.

        Raises:
            JournalError: It is closed, or cannot be written.
        """
        if self._writer is not None and not self._is_closed:
            return self._writer
        async with self._opening:
            if self._is_closed:
                raise JournalError("The store of this run is closed.")
            if self._writer is None:
                writer = WriterThread(self._connect, close=self._close, to_error=self._to_error)
                await writer.start()
                self._writer = writer
        return self._writer

    def _connect(self) -> sqlite3.Connection:
        connection = files.open_to_write(self.path)
        try:
            self._lock = files.OwnerLock(self.path)
        except BaseException:
            files.close(connection)
            raise
        return connection

    def _close(self, connection: sqlite3.Connection) -> None:
        files.close(connection)
        if self._lock is not None:
            self._lock.release()

    def _to_error(self, error: Exception) -> BestDefenseError:
        return files.to_error(error, self.path)

    @property
    def owner(self) -> str:
        """What a run is marked with that is held here."""
        if self._lock is None:
            raise JournalError("The store of this run is closed.")
        return self._lock.name

    async def read(self, read: Callable[[sqlite3.Connection], T], default: T) -> T:
        """Return what `read` returns of the store as it is now, `default` where there is none.

        Raises:
            JournalError: It cannot be read.
        """

        def work() -> T:
            with files.reading(self.path) as connection:
                if connection is None:
                    return default
                try:
                    return read(connection)
                except sqlite3.Error as error:
                    raise files.to_error(error, self.path) from None

        return await asyncio.to_thread(work)
