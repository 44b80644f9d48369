"""A durable record of a run in one SQLite file: what a run that was killed is resumed from.

A scan is known by its site, once per run, and every claim has an attempt id of its own. Who opens
the file raises its fencing number. From then on an earlier owner can change nothing, with one
exception: the answer to a creation that it did send is knowledge, and is welcome late.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import asdict

from bestdefense_async.errors import JournalBusy, JournalError
from bestdefense_async.orchestration import journal_schema
from bestdefense_async.orchestration.journal_rows import (
    COLUMNS,
    read_outcome,
    write_error,
    write_result,
)
from bestdefense_async.orchestration.journal_run import (
    RunRecord,
    bind,
    check_changed,
    check_fence,
    check_owner,
    item_of,
    key_of,
    read_run,
    token_key,
)
from bestdefense_async.orchestration.journal_thread import JournalThread
from bestdefense_async.orchestration.outcome import Done

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable
    from pathlib import Path
    from types import TracebackType

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import ScanOptions, Site
    from bestdefense_async.orchestration.outcome import Failed, Unknown
    from bestdefense_async.orchestration.scan import Created
    from bestdefense_async.orchestration.targets import Target

_PAGE: Final = 500
"""Outcomes read at once."""


class SqliteJournal:
    """A `Journal` in a file. Made by `create` or `open`; use it as `async with`, or close it.

    One process holds a journal at a time, by a lock that ends with the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None
        self._thread: JournalThread | None = None
        self._run: RunRecord | None = None
        self._targets: dict[int, str] = {}
        """Of the group's inputs that were accepted and not yet claimed."""
        self._attempts: dict[int, tuple[str, str]] = {}
        """Of the claimed ones that were not answered yet: site key and attempt id."""

    @classmethod
    async def create(
        cls,
        path: Path,
        *,
        base_url: str,
        token: str,
        options: ScanOptions,
        targets: Iterable[Target] = (),
    ) -> Self:
        """Make the journal of a new run, readable for its owner only.

        Args:
            path: Where nothing may stand yet.
            base_url: The server of the run.
            token: Only its hash is stored.
            options: What is scanned; the callback secret is not stored.
            targets: The plan, when it is known: resuming then needs no list.

        Raises:
            JournalError: The file exists, or cannot be written.
            JournalBusy: Another process holds it.
        """
        plan = [(each.text, each.line) for each in targets]
        known = json.dumps({**asdict(options), "callback_secret": None})
        row = (uuid.uuid4().hex, time.time(), base_url, token_key(token), known)

        def begin(connection: sqlite3.Connection) -> None:
            journal_schema.migrate(connection)
            connection.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, 1)", row)
            connection.executemany("INSERT INTO scan (target, line) VALUES (?, ?)", plan)

        journal = cls(path)
        await journal._start(begin, is_new=True)
        return journal

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        base_url: str,
        token: str,
        site_ids: Collection[str] | None = None,
    ) -> Self:
        """Take over the journal of a run, to resume it. What was claimed becomes unknown.

        A token that was renewed is accepted when `site_ids`, the sites of its organization,
        contains a site of the run, since no two organizations share one.

        Raises:
            JournalMismatch: It is no journal, or one of a newer version or another organization.
            JournalBusy: Another process holds it.
            JournalError: It is not there, damaged, or cannot be written.
        """
        key = token_key(token)
        ours = None if site_ids is None else {key_of(each) for each in site_ids}

        def take_over(connection: sqlite3.Connection) -> None:
            check_owner(connection, base_url=base_url, key=key, site_keys=ours)
            journal_schema.migrate(connection)
            connection.execute("UPDATE run SET fence = fence + 1, token_key = ?", (key,))
            connection.execute(
                "UPDATE scan SET state = 'unknown', finished_at = ? WHERE state = 'claimed'",
                (time.time(),),
            )

        journal = cls(path)
        await journal._start(take_over, is_new=False)
        return journal

    async def _start(self, first: Callable[[sqlite3.Connection], None], *, is_new: bool) -> None:
        def connect() -> sqlite3.Connection:
            return self._connect(is_new=is_new)

        thread = JournalThread(connect, on_end=self._unlock)
        await thread.start()
        self._thread = thread
        try:
            await thread.do(first)
            self._run = await thread.do(read_run)
        except BaseException:
            await self.aclose()
            raise

    def _connect(self, *, is_new: bool) -> sqlite3.Connection:
        if not is_new and not self.path.is_file():
            raise JournalError(f"There is no journal at {self.path}.")
        self._take_lock()
        if is_new:
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            except FileExistsError:
                raise JournalError(f"{self.path} exists: resume it, or name another.") from None
            except OSError as error:
                raise JournalError(f"{self.path} cannot be written: {error.strerror}.") from None
        connection = journal_schema.connect(self.path)
        try:
            if not is_new:
                journal_schema.check(connection, self.path)
            journal_schema.make_durable(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_lock(self) -> None:
        # A file of its own, since the journal itself must stay readable. SQLite's lock is the
        # system's: it is refused at once, and it ends with the process however that ends.
        lock = sqlite3.connect(
            self.path.with_name(self.path.name + ".lock"),
            isolation_level=None,
            timeout=0.0,
            check_same_thread=False,
        )
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if "locked" in str(error):
                raise JournalBusy(f"Another process holds {self.path}.") from None
            raise
        self._lock = lock

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write what is still to be written, and give the file free. Again is harmless."""
        if self._thread is not None:
            await self._thread.close()

    @property
    def run(self) -> RunRecord:
        """The run this journal is of."""
        if self._run is None:
            raise JournalError("The journal is not open.")
        return self._run

    @property
    def commits(self) -> int:
        """Transactions committed since it was opened."""
        return 0 if self._thread is None else self._thread.commits

    async def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Note an input, without waiting for the disk: its claim is written after it."""
        self._targets[index] = target
        self._writer.do_soon(lambda connection: bind(connection, target, site_id))

    async def claimed(self, index: int, *, site_id: str, at: float) -> bool:
        """Claim a scan; False when it was claimed before. Committed when this returns.

        Raises:
            JournalError: It cannot be written, or the run was taken over.
        """
        target = self._targets.pop(index, site_id)
        attempt = uuid.uuid4().hex
        fence = self.run.fence

        def claim(connection: sqlite3.Connection) -> bool:
            bind(connection, target, site_id)
            row = connection.execute(
                "UPDATE scan SET state = 'claimed', attempt = ?, claimed_at = ?, error = NULL"
                " WHERE site_key = ? AND state = 'new' AND (SELECT fence FROM run) = ?",
                (attempt, at, key_of(site_id), fence),
            )
            if row.rowcount == 0:
                check_fence(connection, fence)
            return row.rowcount == 1

        is_ours = await self._writer.do(claim)
        if is_ours:
            self._attempts[index] = (key_of(site_id), attempt)
        return is_ours

    async def created(self, index: int, *, report_id: str) -> None:
        """Note the scan's id. Welcome from an earlier owner too, while nothing else is known."""
        key, attempt = self._attempt(index)

        def create(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "UPDATE scan SET state = 'created', report_id = ?, error = NULL, finished_at = NULL"
                " WHERE site_key = ? AND attempt = ? AND (state IN ('claimed', 'unknown')"
                " OR (state IN ('created', 'finished') AND report_id = ?))",
                (report_id, key, attempt, report_id),
            )
            check_changed(row)

        await self._writer.do(create)
        del self._attempts[index]

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Make the scan new again, and count the refusal."""
        sql = "state = 'new', attempt = NULL, claimed_at = NULL, refusals = refusals + 1, error = ?"
        await self._settle(index, sql, (write_error(error),))

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Note that a scan may exist. It stays unknown until somebody knows better."""
        sql = "state = 'unknown', error = ?, finished_at = ?"
        await self._settle(index, sql, (write_error(error), time.time()))

    async def _settle(self, index: int, assignments: str, values: tuple[Any, ...]) -> None:
        """Leave the state `claimed`, as its owner."""
        key, attempt = self._attempt(index)
        fence = self.run.fence

        def settle(connection: sqlite3.Connection) -> None:
            check_fence(connection, fence)
            row = connection.execute(
                f"UPDATE scan SET {assignments}"  # noqa: S608 - our own words
                " WHERE site_key = ? AND attempt = ? AND state = 'claimed'",
                (*values, key, attempt),
            )
            check_changed(row)

        await self._writer.do(settle)

    async def finished(self, outcome: Done | Failed) -> None:
        """Note outcome and findings together. Called again, it changes nothing."""
        fence = self.run.fence
        error = None if isinstance(outcome, Done) else write_error(outcome.error)
        result = write_result(outcome) if isinstance(outcome, Done) else None
        where = (key_of(outcome.site_id or ""), outcome.report_id)

        def finish(connection: sqlite3.Connection) -> None:
            check_fence(connection, fence)
            connection.execute(
                "UPDATE scan SET state = 'finished', finished_at = ?, error = ?, result = ?"
                " WHERE site_key = ? AND report_id = ? AND state = 'created'",
                (outcome.finished_at, error, result, *where),
            )

        await self._writer.do(finish)

    async def remaining(self) -> list[Target | Site | Created]:
        """Return what to feed to a group: scans to follow first, then what was never started."""

        def read(connection: sqlite3.Connection) -> list[Target | Site | Created]:
            rows = connection.execute(
                "SELECT target, line, site_id, report_id, claimed_at FROM scan"
                " WHERE state IN ('created', 'new') ORDER BY state, place"
            )
            return [item_of(*row) for row in rows]

        return await self._writer.do(read)

    async def outcomes(self) -> AsyncIterator[Done | Failed | Unknown]:
        """Yield what is finished or unknown, findings included, in the order of the journal.

        The index is the place in the journal, from 1, and stays the same whenever it is resumed.
        """
        place = 0
        while True:

            def read(connection: sqlite3.Connection, after: int = place) -> list[Any]:
                return connection.execute(
                    f"SELECT {COLUMNS} FROM scan WHERE place > ?"  # noqa: S608 - our own words
                    " AND state IN ('finished', 'unknown') ORDER BY place LIMIT ?",
                    (after, _PAGE),
                ).fetchall()

            rows = await self._writer.do(read)
            for row in rows:
                yield read_outcome(row)
            if len(rows) < _PAGE:
                return
            place = rows[-1][0]

    @property
    def _writer(self) -> JournalThread:
        if self._thread is None:
            raise JournalError("The journal is not open.")
        return self._thread

    def _attempt(self, index: int) -> tuple[str, str]:
        try:
            return self._attempts[index]
        except KeyError:
            raise JournalError(f"Input {index} was not claimed in this journal.") from None
