"""A durable record of a run in one SQLite file: what a run that was killed is resumed from.

An input is known by the group's index, and a site is claimed once per run. Every claim has an
attempt id of its own. Who opens the file raises its fencing number. From then on an earlier owner
can change nothing, with one exception: the answer to a creation that it did send is knowledge, and
is welcome late.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Self

from attrs import asdict

from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import JournalError
from bestdefense_async.runs.store import file, reads, writes
from bestdefense_async.runs.store.codec import check_owner, key_of
from bestdefense_async.runs.store.owner import JournalOwner

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path
    from types import TracebackType

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import Outcome, ScanOptions
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.codec import RunRecord
    from bestdefense_async.runs.store.reads import UnknownScan
    from bestdefense_async.runs.store.writes import PlannedItem


class SqliteJournal:
    """A `Journal` in a file. Made by `create` or `open`; use it as `async with`, or close it.

    One process holds a journal at a time, by a lock that ends with the process. Others may read
    it meanwhile with `read_journal`.
    """

    def __init__(self, path: Path) -> None:
        self._owner = JournalOwner(path)
        self._next_index = 0
        self._targets: dict[int, str] = {}
        """Of the inputs that were accepted and not yet claimed."""
        self._attempts: dict[int, str] = {}
        """Of the claimed ones that were not answered yet."""
        self._unreported: BaseException | None = None
        """Why an input that was rejected could not be written, until that is raised."""

    @classmethod
    async def create(
        cls,
        path: Path,
        *,
        base_url: str,
        token: str,
        options: ScanOptions,
        targets: Iterable[PlannedItem] = (),
    ) -> Self:
        """Make the journal of a new run, readable for its owner only.

        Args:
            path: Where nothing may stand yet.
            base_url: The server of the run.
            token: Only its hash is stored.
            options: What is scanned; the callback secret is not stored.
            targets: The plan, when it is known, with the errors of a list that was read leniently:
                it has the indexes from 0, and `remaining` gives it to be fed.

        Raises:
            JournalError: The file exists, or cannot be written.
            JournalBusy: Another process holds it.
        """
        file.check_absent(path)
        plan = list(targets)
        known = json.dumps({**asdict(options), "callback_secret": None})
        row = (uuid.uuid4().hex, time.time(), base_url, Secret(token).token_key, known)

        def begin(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, 1)", row)
            writes.plan(connection, plan)

        journal = cls(path)
        await journal._start(partial(file.make, path), begin, is_new=True)
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
        token_key = Secret(token).token_key
        ours = None if site_ids is None else {key_of(each) for each in site_ids}

        def check() -> None:
            with file.reading(path) as reader:
                file.check_integrity(reader, path)
                check_owner(reader, base_url=base_url, token_key=token_key, site_keys=ours)
            file.check_writable(path)

        def take_over(connection: sqlite3.Connection) -> None:
            writes.take_over(connection, token_key=token_key, at=time.time())

        await asyncio.to_thread(check)  # nothing is touched that is not ours
        journal = cls(path)
        await journal._start(partial(file.connect, path), take_over, is_new=False)
        return journal

    async def _start(
        self,
        connect: Callable[[], sqlite3.Connection],
        first: Callable[[sqlite3.Connection], None],
        *,
        is_new: bool,
    ) -> None:
        await self._owner.start(connect, first, is_new=is_new)
        self._next_index = self._owner.inputs

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except JournalError:
            if kind is None:
                raise

    async def aclose(self) -> None:
        """Write what is still to be written, and give the file free. Again is harmless.

        Raises:
            JournalError: An input that was rejected could not be written.
        """
        await self._owner.close()
        self._raise_unreported()

    @property
    def path(self) -> Path:
        """The file."""
        return self._owner.path

    @property
    def run(self) -> RunRecord:
        """The run this journal is of."""
        return self._owner.run

    @property
    def next_index(self) -> int:
        """The first index that no input of the run has: a group counts on from here."""
        return self._next_index

    @property
    def commits(self) -> int:
        """Transactions committed since it was opened."""
        return self._owner.thread.commits

    async def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Record an input, without waiting for the disk: its claim is written after it."""
        self._raise_unreported()
        self._take(index)
        self._targets[index] = target
        written = self._owner.submit(writes.take_in, index, target=target, site_id=site_id)
        written.add_done_callback(_settled)  # should it fail, the claim writes it, or fails too

    async def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Record an input that is not scanned, without waiting for the disk.

        Raises:
            JournalError: An earlier one could not be written.
        """
        self._raise_unreported()
        self._take(index)
        written = self._owner.submit(
            writes.reject,
            index,
            target=target,
            error=error,
            is_duplicate=is_duplicate,
            at=time.time(),
        )
        written.add_done_callback(self._on_written)

    async def claimed(self, index: int, *, site_id: str, at: float) -> bool:
        """Claim a scan; False when it was claimed before. Committed when this returns.

        Raises:
            JournalError: It cannot be written, or the run was taken over.
        """
        self._take(index)
        target = self._targets.pop(index, site_id)
        attempt = uuid.uuid4().hex

        def claim(connection: sqlite3.Connection) -> bool:
            writes.take_in(connection, index, target=target, site_id=site_id)
            return writes.claim(connection, index, site_id=site_id, attempt=attempt, at=at)

        is_ours = await self._owner.submit(claim)
        if is_ours:
            self._attempts[index] = attempt
        return is_ours

    async def created(self, index: int, *, report_id: str) -> None:
        """Record the scan's id. Welcome from an earlier owner too, while nothing else is known."""
        attempt = self._attempt(index)
        write = partial(writes.create, index=index, report_id=report_id, attempt=attempt)
        await self._owner.thread.submit(write)
        del self._attempts[index]

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Make the scan new again, and count the refusal."""
        attempt = self._attempt(index)
        await self._owner.submit(writes.refuse, index, attempt=attempt, error=error, at=time.time())
        del self._attempts[index]

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Record that a scan may exist. It stays unknown until it is settled."""
        attempt = self._attempt(index)
        await self._owner.submit(writes.lose, index, attempt=attempt, error=error, at=time.time())

    async def finished(self, outcome: Outcome) -> None:
        """Record outcome and findings together. Called again, it changes nothing."""
        self._take(outcome.index)
        await self._owner.submit(writes.finish, outcome)

    async def remaining(self) -> list[IndexedInput]:
        """Return what to feed to a group: scans to follow first, then what was never started.

        What was rejected is there again: a site that was unknown may be known by now.
        """
        return await self._owner.thread.submit(reads.remaining)

    async def unknowns(self) -> list[UnknownScan]:
        """Return the creations whose answers are lost, to search for their scans at the server."""
        return await self._owner.thread.submit(reads.unknowns)

    async def known_reports(self) -> set[str]:
        """Return the ids of all scans the journal knows."""
        return await self._owner.thread.submit(reads.known_reports)

    async def found(self, index: int, *, report_id: str) -> None:
        """Record the scan that was found for an unknown creation: from now on it can be followed.

        Raises:
            JournalError: The creation is not unknown, or the scan belongs to another input.
        """
        await self._owner.submit(writes.find, index, report_id=report_id)

    async def forget(self, index: int) -> None:
        """Make an unknown creation new, so that it is sent again: by a person's order only.

        Raises:
            JournalError: The creation is not unknown.
        """
        await self._owner.submit(writes.forget, index)

    def _take(self, index: int) -> None:
        self._next_index = max(self._next_index, index + 1)

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


def _settled(written: asyncio.Future[None]) -> None:
    """Take notice of an error, which asyncio would complain about otherwise."""
    if not written.cancelled():
        written.exception()
