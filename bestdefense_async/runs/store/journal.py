"""The journal of a run that is held: each call becomes one row of a kind, handed to the writer."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from bestdefense_async.errors import JournalError, JournalLost, TargetError
from bestdefense_async.models import OutcomeStatus, error_as_dict
from bestdefense_async.runs.store import reads, statements
from bestdefense_async.runs.store.protocol import ClaimAnswer
from bestdefense_async.runs.store.statements import Write, key_of, storable, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.connection import Shard, StoreConnection
    from bestdefense_async.runs.store.database import Database
    from bestdefense_async.runs.store.protocol import Family, StoredInput
    from bestdefense_async.runs.store.statements import Kind
    from bestdefense_async.runs.store.writer import WriterThread


class StoreJournal:
    """A `Journal` of one shard; made by a store."""

    def __init__(
        self, database: Database, writer: WriterThread, shard: Shard, *, next_index: int
    ) -> None:
        self._database = database
        self._writer = writer
        self._shard = shard
        self._next_index = next_index
        self._attempts: dict[int, str] = {}
        """Of the claimed ones that were not answered yet."""
        self._owed: dict[int, tuple[Kind, tuple[Any, ...]]] = {}
        """How attempts have ended, where the store could not take that in; attempts come first."""
        self._count = 0
        self._unreported: BaseException | None = None
        """Why something could not be written that nobody waited for, until that is raised."""
        self._is_closed = False
        self._has_ended = False

    @property
    def next_index(self) -> int:
        """The first index that no input of the run has: a group counts on from here."""
        return self._next_index

    @property
    def has_ended(self) -> bool:
        """Whether `end` has ended what it writes."""
        return self._has_ended

    def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Record an input that names a site and is to be scanned."""
        self._raise_unreported()
        # Should it fail, the claim writes it, or fails too.
        self._write(statements.ACCEPTED, index, self._site(target, site_id), is_urgent=False)

    async def accept(
        self, index: int, *, target: str, site_id: str, unless: Family
    ) -> StoredInput | None:
        """Record an input, durably, unless its site is under way in another run of a family."""
        self._raise_unreported()
        self._write_owed()
        self._next_index = max(self._next_index, index + 1)
        run = self._shard[0]
        row = (run, index, *self._site(target, site_id))

        def work(connection: StoreConnection) -> StoredInput | None:
            # What another process has accepted is seen, for its transaction is over then.
            connection.take_turn()
            found = reads.under_way(connection, run, key_of(site_id), unless)
            if found is None:
                statements.check_fence(connection, self._shard)
                statements.take_in(connection, row)
            return found

        return await self._writer.do(work)

    def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Record an input that cannot be scanned, or that names a site a second time."""
        self._raise_unreported()
        line = error.line if isinstance(error, TargetError) else None
        row = (
            self._shard[1],
            storable(target),
            line,
            int(is_duplicate),
            to_text(error_as_dict(error)),
            self._now(),
        )
        written = self._write(statements.REJECTED, index, row, is_urgent=False)
        written.add_done_callback(self._on_written)

    async def claim(self, index: int, *, target: str, site_id: str, at: float) -> ClaimAnswer:
        """Record, durably, that the creation is sent next; `at` is seconds since the epoch."""
        if index in self._attempts:
            return ClaimAnswer.TAKEN
        _, owed = self._owed.pop(index, (None, (None,)))
        self._write_owed()
        attempt = self._attempts[index] = owed[0] or self._next_attempt()
        row = (*self._site(target, site_id), attempt, self._moment(at), "claimed")
        answer: ClaimAnswer = ClaimAnswer.TAKEN
        try:
            answer = await self._write(statements.CLAIMED, index, row)
        except asyncio.CancelledError:
            answer = ClaimAnswer.OURS  # perhaps: whoever was cancelled gives it back
            raise
        except JournalError:
            # Perhaps it stands there all the same.
            self._owed[index] = statements.GIVEN_BACK, (attempt,)
            raise
        finally:
            if not answer.is_ours:
                del self._attempts[index]
        return answer

    def _next_attempt(self) -> str:
        # No two owners have the same fencing number, so no two attempts have the same id.
        self._count += 1
        return f"{self._shard[2]}.{self._count}"

    async def give_back(self, index: int) -> None:
        """Undo a claim: the creation was certainly not begun, and may be claimed again."""
        attempt = self._attempts.pop(index, None)
        if attempt is not None:
            await self._write_end(statements.GIVEN_BACK, index, (attempt,))

    async def created(self, index: int, *, report_id: str) -> None:
        """Record the scan's id. Welcome from an earlier owner too, while nothing else is known.

        Raises:
            IntegrityError: Another scan of the run has that id.
        """
        row = (self._attempt(index), report_id)
        await self._write_end(statements.CREATED, index, row)
        self._attempts.pop(index, None)

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Record that certainly no scan was started, whether it is claimed or was given back."""
        attempt = self._attempts.pop(index, None)
        row = (attempt, to_text(error_as_dict(error)), self._now())
        await self._write_end(statements.REFUSED, index, row)

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Record that a scan may have been started. It stays unknown until it is settled."""
        row = (self._attempt(index), to_text(error_as_dict(error)), self._now())
        await self._write(statements.LOST, index, row)
        self._attempts.pop(index, None)

    async def finished(self, outcome: Outcome, *, security_id: int | None = None) -> None:
        """Record how a scan that exists has ended, findings included, or why it has not yet.

        Raises:
            IntegrityError: Another scan of the run has that report id or security id.
        """
        error = None if outcome.error is None else to_text(error_as_dict(outcome.error))
        row = (
            key_of(outcome.site_id or ""),
            outcome.report_id or "",
            "created" if outcome.status is OutcomeStatus.RUNNING else "finished",
            self._moment(outcome.started_at),
            self._moment(outcome.finished_at),
            error,
            security_id,
        )
        result = None
        if outcome.status is OutcomeStatus.DONE:
            record = outcome.as_dict()
            result = to_text({"risk": record["risk"], "findings": record["findings"]})
        site = (outcome.target, outcome.site_id or "")
        await self._write(
            statements.FINISHED, outcome.index, row, is_urgent=False, result=result, site=site
        )
        self._owed.pop(outcome.index, None)

    def span(
        self, kind: str, begun: float, ended: float | None, error: BestDefenseError | None = None
    ) -> None:
        """Record a time in which nothing could start: `throttled` or `outage`."""
        self._raise_unreported()
        text = None if error is None else to_text(error_as_dict(error))
        row = (self._moment(begun), self._moment(ended), text)
        written = self._write(statements.SPAN, kind, row, is_urgent=False)
        written.add_done_callback(self._on_written)

    async def end(self) -> Sequence[IndexedInput]:
        """End the run, unless it has scans that nobody follows; return those."""
        self._write_owed()
        run, shard, _ = self._shard

        def work(connection: StoreConnection) -> Sequence[IndexedInput]:
            statements.check_fence(connection, self._shard, is_ended=True)
            offset = self._database.offset
            late = reads.remaining(connection, run, shard=shard, followed_only=True, offset=offset)
            if not late:
                connection.execute(
                    "UPDATE shard SET state = 'ended', owner = NULL WHERE run = ? AND shard = ?",
                    (run, shard),
                )
                self._is_closed = self._has_ended = True
            return late

        return await self._writer.do(work)

    async def flush(self) -> None:
        """Wait until what was recorded is durable."""
        self._write_owed()
        await self._writer.do(lambda _: None)
        self._raise_unreported()

    async def aclose(self) -> None:
        """Write what is still to be written and leave the run to others. Again is harmless.

        Raises:
            JournalError: Something could not be written that nobody waited for, or a scan exists
                that the record does not know. The message has its id.
        """

        def release(connection: StoreConnection) -> None:
            connection.execute(
                "UPDATE shard SET state = 'ready', owner = NULL"
                " WHERE run = ? AND shard = ? AND fence = ? AND state = 'held'",
                self._shard,
            )

        is_owing, is_held = bool(self._owed), not self._is_closed
        self._is_closed, reason = True, ""
        try:
            self._write_owed()
            if is_held or is_owing:
                await self._writer.do(release)
        except JournalError as error:
            if not self._untold():
                raise
            reason = f"{error} "
        if scans := self._untold():
            self._owed.clear()
            raise JournalError(
                f"{reason}Scans were started that stand in no record and must not be started "
                f"again: {scans}."
            )
        self._raise_unreported()

    def _untold(self) -> str:
        """Return the scans that the record does not know."""
        return ", ".join(
            f"report {row[1]} of target {index}"
            for index, (kind, row) in self._owed.items()
            if kind is statements.CREATED
        )

    async def _write_end(self, kind: Kind, index: int, row: tuple[Any, ...]) -> None:
        """Record how an attempt has ended; owed where that fails, or where nobody waits for it."""
        try:
            await self._write(kind, index, row, is_urgent=kind is not statements.CREATED)
        except JournalLost:
            raise
        except (JournalError, asyncio.CancelledError):
            self._owed[index] = kind, row
            raise

    def _write_owed(self) -> None:
        """Record again what the store could not take in: to record it twice does no harm."""
        for index, (kind, row) in list(self._owed.items()):
            written = self._write(kind, index, row)
            written.add_done_callback(partial(self._on_owed_written, index, (kind, row)))
            del self._owed[index]

    def _on_owed_written(
        self, index: int, owed: tuple[Kind, tuple[Any, ...]], written: asyncio.Future[None]
    ) -> None:
        error = written.exception()
        if isinstance(error, JournalError) and not isinstance(error, JournalLost):
            self._owed.setdefault(index, owed)

    def _now(self) -> float:
        return time.time() + self._database.offset

    def _moment(self, at: float | None) -> float | None:
        """Return a moment of this machine as the store has it."""
        return None if at is None else at + self._database.offset

    def _site(self, target: str, site_id: str) -> tuple[Any, ...]:
        return self._shard[1], storable(target), site_id, key_of(site_id)

    def _write(
        self,
        kind: Kind,
        place: int | str,
        row: tuple[Any, ...],
        *,
        is_urgent: bool = True,
        result: str | None = None,
        site: tuple[str, str] = ("", ""),
    ) -> asyncio.Future[Any]:
        if isinstance(place, int):
            self._next_index = max(self._next_index, place + 1)
        future: asyncio.Future[Any] = self._writer.loop.create_future()
        write = Write(kind, self._shard, (self._shard[0], place, *row), future, result, site)
        self._writer.hand_in(write, is_urgent=is_urgent)
        return future

    def _attempt(self, index: int) -> str:
        try:
            return self._attempts[index]
        except KeyError:
            raise JournalError(f"Input {index} was not claimed in this journal.") from None

    def _on_written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled() and (error := written.exception()) is not None:
            self._unreported = error

    def _raise_unreported(self) -> None:
        error, self._unreported = self._unreported, None
        if error is not None:
            raise error
