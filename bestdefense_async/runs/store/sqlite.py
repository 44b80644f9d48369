"""The runs of a user in one SQLite file: one writer thread, however many runs a process has.

What is written goes to that thread; what is read is read beside it, on a thread that ends with the
reading. The database is touched when it is first needed.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from bestdefense_async.errors import BestDefenseError, JournalBusy, JournalError
from bestdefense_async.runs.store import files
from bestdefense_async.runs.store.database import Database
from bestdefense_async.runs.store.store import DatabaseStore

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bestdefense_async.runs.store.connection import FileConnection, StoreConnection, StoreReader


class FileDatabase(Database):
    """A file. Its runs are held as long as the process lives that holds them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.shown: str = str(path)
        self._lock: files.OwnerLock | None = None
        self._is_checked = False

    def _connect(self) -> FileConnection:
        connection = files.open_to_write(self.path)
        try:
            self._lock = files.OwnerLock(self.path)
        except BaseException:
            files.close(connection)
            raise
        return connection

    def _close(self, connection: FileConnection) -> None:
        files.close(connection)
        if self._lock is not None:
            self._lock.release()

    def to_error(self, error: Exception) -> BestDefenseError:
        """Return a fault of SQLite or the disk as an error of ours."""
        return files.to_error(error, self.path)

    def reading(self) -> AbstractContextManager[StoreReader | None]:
        """Give a connection that sees the file as it is now."""
        return files.reading(self.path)

    def held(self, connection: StoreReader, run: int | None = None) -> set[int]:
        """Return which runs a process has that lives."""
        only, values = ("", ()) if run is None else (" AND run = ?", (run,))
        rows = connection.execute(
            f"SELECT run, owner FROM shard WHERE state = 'held'{only}",  # noqa: S608 - ours
            values,
        ).fetchall()
        # Asking another process takes a while, and it may have very many runs.
        alive = {owner for owner in {owner for _, owner in rows} if self._is_alive(owner)}
        return {held for held, owner in rows if owner in alive}

    def _is_alive(self, owner: str) -> bool:
        is_ours = self._lock is not None and owner == self._lock.name
        return is_ours or files.is_alive(self.path, owner)

    def hold(self, connection: StoreConnection, run: int, name: str) -> int:
        """Make a run ours, in the open transaction, and return its new fencing number."""
        if self._lock is None:
            raise JournalError("The store of this run is closed.")
        state, owner, fence = connection.execute(
            "SELECT state, owner, fence FROM shard WHERE run = ? AND shard = 0", (run,)
        ).fetchone()
        ours = self._lock.name
        if state == "held" and self._is_alive(owner):
            who = "This" if owner == ours else "Another"
            raise JournalBusy(f"{who} process holds run {name}: wait for it, or stop it.")
        connection.execute(
            "UPDATE shard SET fence = fence + 1, state = 'held', owner = ?"
            " WHERE run = ? AND shard = 0",
            (ours, run),
        )
        return int(fence) + 1

    async def check(self) -> None:
        """Make sure that the file is not damaged. Reads all of it, once for all its runs."""
        if self._is_checked:
            return

        def look(connection: StoreReader) -> None:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise JournalError(f"{self.path} is damaged: {verdict}.")

        await self.read(look, None)
        self._is_checked = True

    async def compact(self) -> None:
        """Make the file smaller, if that is possible now."""
        with contextlib.suppress(JournalError):
            writer = await self.writer()
            await writer.do(lambda connection: connection.execute("PRAGMA incremental_vacuum"))


class SqliteStore(DatabaseStore):
    """A `Store` in a file. Use it as `async with`, or close it; it belongs to one event loop."""

    def __init__(self, path: Path | str) -> None:
        self.path: Path = Path(path)
        super().__init__(FileDatabase(self.path))
