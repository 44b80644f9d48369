"""The ownership of a journal: the lock on its file, the fencing number, and the only writer.

The writer is a thread that owns the database connection and commits together what arrives
together. A commit waits for the disk, which is nearly all that a write costs. So the thread takes
all that arrived during the last commit, does it in one transaction, and sets all results after
the commit. Each piece of work stands in a savepoint: when one fails, the others stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from bestdefense_async.errors import JournalError
from bestdefense_async.runs.store import file
from bestdefense_async.runs.store.codec import check_fence, read_run_record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.runs.store.codec import RunRecord


T = TypeVar("T")


class JournalOwner:
    """Holds a journal from `start` to `close`. No other owner can start while it does."""

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
            self._lock = file.hold(self.path)
            try:
                connection = connect()
                try:
                    self._begin(connection, first)
                except BaseException:
                    file.close(connection)
                    if is_new:
                        file.remove(self.path)
                    raise
            except BaseException:
                self._unlock()
                raise
            return connection

        thread = JournalThread(begin, close=self._close, to_error=self.to_error)
        await thread.start()
        self._thread = thread

    def _begin(
        self, connection: sqlite3.Connection, first: Callable[[sqlite3.Connection], None]
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        first(connection)
        self._run = read_run_record(connection)
        (last,) = connection.execute("SELECT max(input_index) FROM scan").fetchone()
        self._inputs = 0 if last is None else last + 1
        connection.execute("COMMIT")

    def _close(self, connection: sqlite3.Connection) -> None:
        file.close(connection)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def to_error(self, error: Exception) -> BestDefenseError:
        """Return any fault as an error of ours."""
        return file.journal_error(error, self.path)

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
        """Where work is done that needs no ownership."""
        if self._thread is None:
            raise JournalError("The journal is not open.")
        return self._thread

    def submit(self, write: Callable[..., T], *values: Any, **options: Any) -> asyncio.Future[T]:  # noqa: ANN401 - what `write` takes
        """Hand in a write that only the owner of the run may do.

        The future raises JournalError when the run has been taken over.
        """
        fence = self.run.fence

        def work(connection: sqlite3.Connection) -> T:
            check_fence(connection, fence)
            return write(connection, *values, **options)

        return self.thread.submit(work)


Work: TypeAlias = "Callable[[sqlite3.Connection], Any]"
_Job: TypeAlias = "tuple[Work, asyncio.Future[Any]]"

_LARGEST: Final = 1000
"""Pieces of work in one transaction: more would only make the first of them wait longer."""


class JournalThread:
    """Does pieces of work on the connection that `connect` opens, in the order of their arrival.

    Args:
        connect: Called in the thread. What it raises is what `start` raises.
        close: Called in the thread, at the end, with that connection.
        to_error: Makes an error of ours from whatever a piece of work raises.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        close: Callable[[sqlite3.Connection], None],
        to_error: Callable[[Exception], BestDefenseError],
    ) -> None:
        self.commits: int = 0
        """Transactions committed so far."""
        self._connect = connect
        self._close = close
        self._to_error = to_error
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Open the connection. Raises what that raises, and leaves no thread then."""
        self._thread = threading.Thread(target=self._run, name="bestdefense-journal", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(self._started)
        except BaseException:
            await self.close()
            raise

    def submit(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Hand `work` in, to be done before any later work, even when its result is not awaited.

        Returns:
            A future: what `work` returned, once that is committed, or why nothing of it was done.

        Raises:
            JournalError: The journal is closed.
        """
        if self._thread is None or self._is_closing or self._ended.done():
            raise JournalError("The journal is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, future))
        return future

    async def close(self) -> None:
        """Do what was handed in, close the connection and end the thread. Again is harmless."""
        if self._thread is None:
            return
        self._is_closing = True
        self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()  # its last act was to set `_ended`

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - raised by `start`
            self._answer(_fail, [(self._started, self._to_error(error))])
        else:
            self._answer(_settle, [(self._started, None)])
            try:
                while (jobs := self._next()) is not None:
                    self._transact(connection, jobs)
            finally:
                self._close(connection)
        finally:
            self._answer(_settle, [(self._ended, None)])

    def _next(self) -> list[_Job] | None:
        """Wait for work and return all there is; None at the end."""
        job = self._jobs.get()
        jobs: list[_Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) >= _LARGEST or self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)  # the end comes after these
            return jobs
        return None

    def _transact(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        results: list[tuple[asyncio.Future[Any], Any]] = []
        errors: list[tuple[asyncio.Future[Any], BestDefenseError]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work, future in jobs:
                try:
                    result = _in_savepoint(connection, work)
                except Exception as error:
                    if not connection.in_transaction:  # the database has undone everything
                        raise
                    errors.append((future, self._to_error(error)))
                else:
                    results.append((future, result))
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - raised by every future of this transaction
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            reason = self._to_error(error)
            errors = [(future, reason) for _, future in jobs]
            results = []
        else:
            self.commits += 1
        self._answer(_fail, errors)  # first: later work must know of earlier failures
        self._answer(_settle, results)

    def _answer(self, how: Callable[[list[Any]], None], answers: list[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits any more
            self._loop.call_soon_threadsafe(how, answers)


def _in_savepoint(connection: sqlite3.Connection, work: Work) -> Any:  # noqa: ANN401 - what the work returns
    """Do a piece of work so that its failure undoes only itself."""
    connection.execute("SAVEPOINT work")
    try:
        result = work(connection)
    except Exception:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
        raise
    connection.execute("RELEASE work")
    return result


def _settle(results: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        if not future.done():
            future.set_result(result)


def _fail(errors: list[tuple[asyncio.Future[Any], BestDefenseError]]) -> None:
    for future, error in errors:
        if not future.done():
            future.set_exception(error)
