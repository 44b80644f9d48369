"""The ownership of a journal: the lock on its file, the fencing number, and the only writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from bestdefense_async.errors import JournalError
from bestdefense_async.orchestration import journal_file
from bestdefense_async.orchestration.journal_run import check_fence, read_run
from bestdefense_async.orchestration.journal_thread import JournalThread

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.orchestration.journal_run import RunRecord

T = TypeVar("T")


class JournalOwner:
    """Holds a journal from `start` to `close`. Nobody else can start while it does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None
        self._thread: JournalThread | None = None
        self._run: RunRecord | None = None
        self._inputs = 0

    async def start(
        self,
        connect: Callable[[], sqlite3.Connection],
        first: Callable[[sqlite3.Connection], None],
        *,
        is_new: bool,
    ) -> None:
        """Take the journal, and do the first work in one transaction, or leave it as it was.

        Args:
            connect: Opens the file, or makes it, once the journal is held.
            first: What is written first.
            is_new: Whether the file is ours to delete when this fails.
        """

        def begin() -> sqlite3.Connection:
            self._lock = journal_file.hold(self.path)
            try:
                connection = connect()
                try:
                    self._begin(connection, first)
                except BaseException:
                    journal_file.close(connection)
                    if is_new:
                        journal_file.remove(self.path)
                    raise
            except BaseException:
                self._unlock()
                raise
            return connection

        thread = JournalThread(begin, close=self._close, told=self.told)
        await thread.start()
        self._thread = thread

    def _begin(
        self, connection: sqlite3.Connection, first: Callable[[sqlite3.Connection], None]
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        first(connection)
        self._run = read_run(connection)
        (last,) = connection.execute("SELECT max(place) FROM scan").fetchone()
        self._inputs = 0 if last is None else last + 1
        connection.execute("COMMIT")

    def _close(self, connection: sqlite3.Connection) -> None:
        journal_file.close(connection)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def told(self, error: Exception) -> BestDefenseError:
        """Return any fault as an error of ours."""
        return journal_file.told(error, self.path)

    async def close(self) -> None:
        """Write what was handed in, and give the journal free. Again is harmless."""
        if self._thread is not None:
            await self._thread.close()

    @property
    def run(self) -> RunRecord:
        """The run, as it was when it was taken."""
        if self._run is None:
            raise JournalError("The journal is not open.")
        return self._run

    @property
    def inputs(self) -> int:
        """The first index that no input had when it was taken."""
        return self._inputs

    @property
    def thread(self) -> JournalThread:
        """Where work is done that anybody may do."""
        if self._thread is None:
            raise JournalError("The journal is not open.")
        return self._thread

    def submit(self, write: Callable[..., T], *values: Any, **words: Any) -> asyncio.Future[T]:  # noqa: ANN401 - what `write` takes
        """Hand in a write that only the owner of the run may do.

        The future raises JournalError when the run has been taken over.
        """
        fence = self.run.fence

        def work(connection: sqlite3.Connection) -> T:
            check_fence(connection, fence)
            return write(connection, *values, **words)

        return self.thread.submit(work)
