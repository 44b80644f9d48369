"""What stands behind a store: its writer thread, its owner, and how it is read.

`Database` is what both kinds have in common. A file or a server says the rest.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from bestdefense_async.errors import BestDefenseError, JournalError
from bestdefense_async.runs.store.writer import WriterThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bestdefense_async.runs.store.connection import StoreConnection, StoreReader

T = TypeVar("T")


class Database(ABC):
    """The database of a store, touched when it is first needed. Belongs to one event loop."""

    shown: str
    """What it is called in messages."""
    offset: float = 0.0
    """Seconds by which the clock of the store is ahead of this machine's."""

    def __init__(self) -> None:
        self._writer: WriterThread | None = None
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
                writer = WriterThread(self._connect, close=self._close, to_error=self.to_error)
                await writer.start()
                self._writer = writer
        return self._writer

    async def read(self, read: Callable[[StoreReader], T], default: T) -> T:
        """Return what `read` returns of the store as it is now, `default` where there is none.

        Raises:
            JournalError: It cannot be read.
        """
        return await asyncio.to_thread(self.read_now, read, default)

    def read_now(self, read: Callable[[StoreReader], T], default: T) -> T:
        """Return what `read` returns, where no loop can be waited for.

        Raises:
            JournalError: It cannot be read.
        """
        with self.reading() as connection:
            if connection is None:
                return default
            try:
                return read(connection)
            except Exception as error:  # noqa: BLE001 - what is none of the database is raised on
                raise self.to_error(error) from None

    @abstractmethod
    def _connect(self) -> Any:  # noqa: ANN401 - a connection of its kind
        """Return the connection to write with."""

    @abstractmethod
    def _close(self, connection: Any) -> None:  # noqa: ANN401 - what `_connect` has returned
        """Close it."""

    @abstractmethod
    def to_error(self, error: Exception) -> BestDefenseError:
        """Return a fault of the database as an error of ours, in one sentence.

        Raises:
            Exception: It is a fault of the program.
        """

    @abstractmethod
    def reading(self) -> AbstractContextManager[StoreReader | None]:
        """Give a connection that sees the store as it is now; None where there is none yet.

        Raises:
            JournalError: It cannot be read.
        """

    @abstractmethod
    def held(self, connection: StoreReader, run: int | None = None) -> set[int]:
        """Return which runs somebody writes: of all, or of the one that is asked about."""

    @abstractmethod
    def hold(self, connection: StoreConnection, run: int, name: str) -> int:
        """Make a run ours, in the open transaction, and return its new fencing number.

        Raises:
            JournalBusy: Another owner holds it.
        """

    async def check(self) -> None:  # noqa: B027 - a server looks after itself
        """Make sure that it is not damaged.

        Raises:
            JournalError: It is.
        """

    async def compact(self) -> None:  # noqa: B027 - a server looks after itself
        """Give free what deleted runs have left."""
