"""The one thread that writes a store, and commits together what arrives together.

A commit waits for the disk, and each hand-over between two threads costs more than a row does. So
what comes within a hundredth of a second is gathered in the loop, handed over at once, done in one
transaction, and answered in one turn of the loop after the commit. A claim holds a permit
meanwhile: it is handed over as soon as the thread is idle, and takes along what was gathered.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from attrs import define

from bestdefense_async.errors import JournalError
from bestdefense_async.runs.store.connection import StoreConnection
from bestdefense_async.runs.store.statements import Write, perform

if TYPE_CHECKING:
    from bestdefense_async.errors import BestDefenseError

T = TypeVar("T")

GATHER: Final = 0.01
"""Seconds for which writes are gathered that hold nothing up."""
_LARGEST: Final = 1000
"""Pieces of work in one transaction: more would only make the first of them wait longer."""


_Errors: TypeAlias = "list[tuple[asyncio.Future[Any], BaseException]]"
_Results: TypeAlias = "list[tuple[asyncio.Future[Any], Any]]"


@define(eq=False, weakref_slot=False)
class Work:
    """Anything else that is done in a transaction, such as making a run."""

    alone: Callable[[StoreConnection], Any]
    future: asyncio.Future[Any]


class WriterThread:
    """Does work on the connection that `connect` opens, in the order of its arrival.

    Args:
        connect: Called in the thread. What it raises is what `start` raises.
        close: Called in the thread, at the end, with that connection.
        to_error: Makes an error of ours from whatever a piece of work raises, or raises it.
    """

    def __init__(
        self,
        connect: Callable[[], StoreConnection],
        *,
        close: Callable[[StoreConnection], None],
        to_error: Callable[[Exception], BestDefenseError],
    ) -> None:
        self.commits: int = 0
        """Transactions committed so far."""
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        """The loop that all of this belongs to."""
        self._connect = connect
        self._close = close
        self._to_error = to_error
        self._gathered: list[Write | Work] = []
        self._timer: asyncio.Handle | None = None
        self._is_urgent = False
        self._is_busy = False
        self._jobs: queue.SimpleQueue[Sequence[Write | Work] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._started: asyncio.Future[None] = self.loop.create_future()
        self._ended: asyncio.Future[None] = self.loop.create_future()

    async def start(self) -> None:
        """Open the connection. Raises what that raises, and leaves no thread then."""
        self._thread = threading.Thread(target=self._run, name="bestdefense-store", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(self._started)
        except BaseException:
            await self.close()
            raise

    async def do(self, work: Callable[[StoreConnection], T]) -> T:
        """Do `work` after all that was handed in before, and return what it returns.

        Cancelled, it is done all the same.

        Raises:
            JournalError: It could not be done, and nothing of it was; or the store is closed.
        """
        future: asyncio.Future[T] = self.loop.create_future()
        self.hand_in(Work(work, future), is_urgent=True)
        return await asyncio.shield(future)

    def hand_in(self, job: Write | Work, *, is_urgent: bool) -> None:
        """Hand a job in, to be done with others soon, after all that was handed in before it.

        Raises:
            JournalError: The store is closed.
        """
        if self._thread is None or self._is_closing or self._ended.done():
            raise JournalError("The store of this run is closed.")
        self._gathered.append(job)
        if is_urgent and not self._is_urgent:
            self._is_urgent = True
            if not self._is_busy:
                self._cancel_timer()
                self._timer = self.loop.call_soon(self._hand_over)
        elif self._timer is None:
            self._timer = self.loop.call_later(GATHER, self._hand_over)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hand_over(self) -> None:
        """Give the thread what was gathered, unless it works: then when it is done."""
        self._cancel_timer()
        if self._gathered and not self._is_busy:
            jobs, self._gathered = self._gathered, []
            self._is_urgent = False
            self._is_busy = True
            self._jobs.put(jobs)

    async def close(self) -> None:
        """Do what was handed in, close the connection and end the thread. Again is harmless."""
        if self._thread is None:
            return
        if not self._is_closing:
            self._is_closing = True
            self._cancel_timer()
            self._jobs.put(self._gathered)
            self._gathered = []
            self._jobs.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()  # its last act was to set `_ended`

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - raised by `start`
            self._call(_settle, [(self._started, self._told(error))], [])
        else:
            self._call(_settle, [], [(self._started, None)])
            try:
                while (jobs := self._jobs.get()) is not None:
                    for first in range(0, len(jobs), _LARGEST):
                        part = jobs[first : first + _LARGEST]
                        settled = self._transact(connection, part)
                        is_last = first + len(part) == len(jobs)
                        self._call(self._written if is_last else _settle, *settled)
            finally:
                self._close(connection)
        finally:
            self._call(_settle, [], [(self._ended, None)])

    def _written(self, errors: _Errors, results: _Results) -> None:
        """Answer the last ones of a batch, in the turn of the loop that hands over the next."""
        _settle(errors, results)
        self._is_busy = False
        if self._is_urgent:
            self._hand_over()
        elif self._gathered and self._timer is None:
            self._timer = self.loop.call_later(GATHER, self._hand_over)

    def _transact(
        self, connection: StoreConnection, jobs: Sequence[Write | Work]
    ) -> tuple[_Errors, _Results]:
        since = time.monotonic()
        while True:
            results: _Results = []
            errors: _Errors = []
            try:
                self._attempt(connection, jobs, results, errors)
            except Exception as error:  # noqa: BLE001 - everybody in this transaction is told
                _undo(connection)
                if connection.is_passing(error, since=since):
                    continue
                reason = self._told(error)
                errors, results = [(job.future, reason) for job in jobs], []
            else:
                self.commits += 1
            return errors, results

    def _attempt(
        self,
        connection: StoreConnection,
        jobs: Sequence[Write | Work],
        results: _Results,
        errors: _Errors,
    ) -> None:
        connection.begin()
        try:
            self._together(connection, jobs, results, errors)
            connection.execute("COMMIT")
        except Exception:  # noqa: BLE001 - whose fault it is shows the second try
            results.clear()
            errors.clear()
            _undo(connection)
            connection.begin()
            for job in jobs:
                self._apart(connection, job, results, errors)
            connection.execute("COMMIT")

    def _together(
        self,
        connection: StoreConnection,
        jobs: Sequence[Write | Work],
        results: _Results,
        errors: _Errors,
    ) -> None:
        """Do all jobs in the open transaction, writes that follow each other at once."""
        writes: list[Write] = []
        for job in jobs:
            if isinstance(job, Write):
                writes.append(job)
                results.append((job.future, job.kind.answer))
                continue
            if writes:
                perform(connection, writes)
                writes = []
            self._apart(connection, job, results, errors)
        if writes:
            perform(connection, writes)

    def _apart(
        self,
        connection: StoreConnection,
        job: Write | Work,
        results: _Results,
        errors: _Errors,
    ) -> None:
        """Do one job so that nothing but itself is undone should it fail."""
        connection.execute("SAVEPOINT job")
        try:
            results.append((job.future, job.alone(connection)))
        except Exception as error:
            if not connection.in_transaction:  # the database has undone everything
                raise
            connection.execute("ROLLBACK TO job")
            errors.append((job.future, self._told(error)))
        connection.execute("RELEASE job")

    def _told(self, error: Exception) -> BaseException:
        try:
            return self._to_error(error)
        except Exception as fault:  # noqa: BLE001 - a fault of the program, for whoever asked for it
            return fault

    def _call(self, function: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing waits any more
            self.loop.call_soon_threadsafe(function, *values)


def _undo(connection: StoreConnection) -> None:
    if connection.in_transaction:
        with contextlib.suppress(Exception):  # the connection may be gone
            connection.execute("ROLLBACK")


def _settle(errors: _Errors, results: _Results) -> None:
    # Errors first: later work must know of earlier failures.
    for future, error in errors:
        if not future.done():
            future.set_exception(error)
            future.exception()  # asyncio would complain when nobody waits for it any more
    for future, result in results:
        if not future.done():
            future.set_result(result)
