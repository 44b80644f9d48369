"""The runs of a user in one SQLite file: one writer thread, however many runs a process has.

What is written goes to that thread; what is read is read beside it, on a thread that ends with the
reading. The database is touched when it is first needed.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from bestdefense_async.errors import (
    ConfigError,
    JournalBusy,
    JournalError,
    JournalMismatch,
    TargetError,
)
from bestdefense_async.models import Site, error_as_dict
from bestdefense_async.runs.store import files, reads
from bestdefense_async.runs.store.database import Database
from bestdefense_async.runs.store.schema import LAST_INDEX, OF_A_RUN
from bestdefense_async.runs.store.sqlite_journal import SqliteJournal, key_of, storable
from bestdefense_async.runs.store.sqlite_record import (
    SqliteRecord,
    column_of,
    find_name,
    info_of,
    names_of,
    run_of,
)
from bestdefense_async.runs.store.statements import to_text

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence
    from types import TracebackType

    from bestdefense_async.models import ScanOptions
    from bestdefense_async.runs.store.protocol import PlannedItem, RunInfo
    from bestdefense_async.runs.store.statements import Shard
    from bestdefense_async.runs.store.writer import WriterThread


@frozen
class SqliteRun:
    """A run that is ours until its journal is closed."""

    name: str
    journal: SqliteJournal
    record: SqliteRecord


class SqliteStore:
    """A `Store` in a file. Use it as `async with`, or close it; it belongs to one event loop."""

    def __init__(self, path: Path | str) -> None:
        self.path: Path = Path(path)
        self._database = Database(self.path)

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
        """Write what was handed in and close it. Again is harmless."""
        await self._database.aclose()

    @property
    def commits(self) -> int:
        """Transactions committed since it was opened."""
        return self._database.commits

    async def create(
        self,
        *,
        base_url: str,
        token_key: str,
        options: ScanOptions,
        plan: Iterable[PlannedItem] = (),
        name: str | None = None,
    ) -> SqliteRun:
        """Begin a run. It is there with its whole plan, or not at all.

        Raises:
            JournalError: It cannot be written.
        """
        planned = [_planned(index, item) for index, item in enumerate(plan)]
        values = (base_url, token_key, reads.options_text(options))

        def make(connection: sqlite3.Connection) -> tuple[int, str]:
            called, now = name or _new_name(connection), time.time()
            previous = connection.execute("SELECT name FROM run ORDER BY id DESC LIMIT 1")
            run = connection.execute(
                "INSERT INTO run (name, created_at, base_url, token_key, options, previous)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (called, now, *values, (previous.fetchone() or (None,))[0]),
            ).fetchone()[0]
            connection.execute(
                "INSERT INTO shard VALUES (?, 0, 0, ?, 1, 'held', ?)",
                (run, LAST_INDEX, self._database.owner),
            )
            connection.executemany(
                "INSERT INTO scan (run, input_index, shard, target, line, site_id, site_key, error)"
                " VALUES (?, ?, 0, ?, ?, ?, ?, ?)",
                [(run, *row) for row in planned],
            )
            return run, called

        writer = await self._database.writer()
        run, called = await writer.do(make)
        return self._held(writer, called, (run, 0, 1), next_index=len(planned))

    async def take(
        self,
        name: str,
        *,
        base_url: str,
        token_key: str,
        site_ids: Collection[str] | None = None,
    ) -> SqliteRun:
        """Take a run over, to go on with it. What was claimed becomes unknown.

        Raises:
            JournalBusy: Another owner holds it.
            JournalMismatch: It is of another server or organization.
            JournalError: There is none of that name, or it cannot be written.
        """
        name = await self.find(name)
        ours = None if site_ids is None else {key_of(each) for each in site_ids}

        def take_over(connection: sqlite3.Connection) -> tuple[int, int, int]:
            run = run_of(connection, name)
            _check_owner(connection, run, base_url, token_key, ours)
            state, owner, fence = connection.execute(
                "SELECT state, owner, fence FROM shard WHERE run = ? AND shard = 0", (run,)
            ).fetchone()
            if state == "held" and (
                owner == self._database.owner or files.is_alive(self.path, owner)
            ):
                raise JournalBusy(f"Another process holds run {name}: wait for it, or stop it.")
            connection.execute(
                "UPDATE shard SET fence = fence + 1, state = 'held', owner = ?"
                " WHERE run = ? AND shard = 0",
                (self._database.owner, run),
            )
            connection.execute("UPDATE run SET token_key = ? WHERE id = ?", (token_key, run))
            connection.execute(
                "UPDATE scan SET state = 'unknown', finished_at = ?"
                " WHERE run = ? AND state = 'claimed'",
                (time.time(), run),
            )
            connection.execute(
                "UPDATE scan SET was_left = 1 WHERE run = ? AND state = 'created'", (run,)
            )
            (last,) = connection.execute(
                "SELECT max(input_index) FROM scan WHERE run = ?", (run,)
            ).fetchone()
            return run, fence + 1, 0 if last is None else last + 1

        # A store that is not ours, or that is damaged, is not touched.
        await self._database.read(lambda connection: _check_whole(connection, self.path), None)
        writer = await self._database.writer()
        run, fence, next_index = await writer.do(take_over)
        return self._held(writer, name, (run, 0, fence), next_index=next_index)

    def _held(self, writer: WriterThread, name: str, shard: Shard, *, next_index: int) -> SqliteRun:
        journal = SqliteJournal(writer, shard, next_index=next_index)
        return SqliteRun(name, journal, SqliteRecord(self._database, name, shard))

    async def find(self, name: str) -> str:
        """Return the name of the run that is meant: its name, the beginning of it, or `last`.

        Raises:
            JournalError: None is called that, or several begin so. The message names some.
        """
        names: list[str] = await self._database.read(names_of, [])
        return find_name(names, name, self.path)

    async def record(self, name: str) -> SqliteRecord:
        """Return a run to be read; found as by `find`."""
        return SqliteRecord(self._database, await self.find(name), None)

    async def list(self) -> Sequence[RunInfo]:
        """Return all runs, the newest first, those that cannot be read with their problem."""

        def read(connection: sqlite3.Connection) -> tuple[RunInfo, ...]:
            found = connection.execute(
                f"SELECT {reads.RUN_COLUMNS} FROM run ORDER BY id DESC"  # noqa: S608 - ours
            ).fetchall()
            return tuple(info_of(connection, self.path, row) for row in found)

        return await self._database.read(read, ())

    async def prune(
        self,
        *,
        keep: int | None = None,
        older_than: float | None = None,
        include_incomplete: bool = False,
        now: float | None = None,
    ) -> Sequence[RunInfo]:
        """Delete old runs and return them. One that is held or cannot be read is never deleted.

        Raises:
            ConfigError: Neither `keep` nor `older_than` is given, or one is below 0.
            JournalError: It cannot be written.
        """
        if keep is None and older_than is None:
            raise ConfigError("Say which runs stay: the newest so many, or those of some age.")
        if (keep or 0) < 0 or (older_than or 0.0) < 0:
            raise ConfigError("What is kept is a number of 0 or more.")
        now = time.time() if now is None else now
        old = [
            info
            for info in (await self.list())[keep or 0 :]
            if info.created_at is not None
            and (older_than is None or now - info.created_at >= older_than)
            and (info.is_complete or include_incomplete)
        ]
        if not old:
            return ()
        writer = await self._database.writer()

        def delete(connection: sqlite3.Connection) -> tuple[RunInfo, ...]:
            return tuple(info for info in old if self._delete(connection, info.name))

        deleted = await writer.do(delete)
        with contextlib.suppress(JournalError):  # then the file stays as large as it is
            await writer.do(lambda connection: connection.execute("PRAGMA incremental_vacuum"))
        return deleted

    def _delete(self, connection: sqlite3.Connection, name: str) -> bool:
        row = connection.execute(
            "SELECT id, owner FROM run JOIN shard ON shard.run = run.id WHERE name = ?", (name,)
        ).fetchone()
        if row is None or files.is_alive(self.path, row[1]):
            return False
        for table in OF_A_RUN:
            connection.execute(f"DELETE FROM {table} WHERE run = ?", row[:1])  # noqa: S608 - ours
        connection.execute("DELETE FROM run WHERE id = ?", row[:1])
        return True

    async def samples(self, kind: str, *, base_url: str) -> Sequence[tuple[float, bool]]:
        """Return how long scans of a kind took at a host: seconds, and whether they were finished.

        From the newest runs, and from so many of them as costs a moment.
        """
        return await self._database.read(
            lambda connection: reads.samples(connection, kind, base_url=base_url), []
        )


def _new_name(connection: sqlite3.Connection) -> str:
    """Return the time in UTC, to the millisecond: a name to tell runs apart, not their order."""
    at = datetime.now(UTC)
    while True:
        name = f"{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03}{secrets.token_hex(1)}"
        if connection.execute("SELECT 1 FROM run WHERE name = ?", (name,)).fetchone() is None:
            return name


def _check_owner(
    connection: sqlite3.Connection,
    run: int,
    base_url: str,
    token_key: str,
    site_keys: set[str] | None,
) -> None:
    """Make sure that the run is of this server and organization.

    Raises:
        JournalMismatch: It is of another one, or that cannot be decided.
    """
    known_url, known_key = connection.execute(
        "SELECT base_url, token_key FROM run WHERE id = ?", (run,)
    ).fetchone()
    if known_url != base_url:
        raise JournalMismatch(f"The run is one at {known_url}, not at {base_url}.")
    if known_key == token_key:
        return
    if site_keys is None:
        raise JournalMismatch("The run is of another token, perhaps of another organization.")
    known = column_of(connection, run, "site_key")
    if known and known.isdisjoint(site_keys):
        raise JournalMismatch("The run is of another organization: none of its sites is here.")


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a store is not damaged. Reads all of it.

    Raises:
        JournalError: It is damaged.
    """
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalError(f"{path} is damaged: {verdict}.")


def _planned(index: int, item: PlannedItem | str) -> tuple[Any, ...]:
    """Return the row of an input: index, target, line, site id, site key, error."""
    if isinstance(item, Site):
        return index, storable(item.hostname), None, item.id, key_of(item.id), None
    if isinstance(item, TargetError):
        return index, storable(item.target), item.line, None, None, to_text(error_as_dict(item))
    if isinstance(item, str):
        return index, storable(item), None, None, None, None
    return index, storable(item.text), item.line, None, None, None
