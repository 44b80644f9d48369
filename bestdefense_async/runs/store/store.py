"""The runs in a database, whichever it is: begun, taken over, found and pruned.

What is written goes to the database's one thread; what is read is read beside it.
"""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from bestdefense_async.errors import ConfigError, JournalError, JournalMismatch, TargetError
from bestdefense_async.models import Site, error_as_dict
from bestdefense_async.runs.store import reads
from bestdefense_async.runs.store.journal import StoreJournal
from bestdefense_async.runs.store.protocol import LAST
from bestdefense_async.runs.store.record import (
    StoreRecord,
    column_of,
    find_name,
    infos,
    names_of,
    result_of,
    run_of,
)
from bestdefense_async.runs.store.schema import LAST_INDEX, OF_A_RUN, POLICY
from bestdefense_async.runs.store.statements import key_of, storable, to_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from bestdefense_async.models import ScanOptions
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.store.connection import Shard, StoreConnection, StoreReader
    from bestdefense_async.runs.store.database import Database
    from bestdefense_async.runs.store.protocol import PlannedItem, RunInfo
    from bestdefense_async.runs.store.writer import WriterThread


@frozen
class StoredRun:
    """A run that is ours until its journal is closed."""

    name: str
    journal: StoreJournal
    record: StoreRecord


class DatabaseStore:
    """A `Store` in a database. Use it as `async with`, or close it."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        policy: Mapping[str, Any] | None = None,
    ) -> StoredRun:
        """Begin a run. It is there with its whole plan, or not at all.

        Raises:
            JournalError: It cannot be written.
        """
        planned = planned_rows(plan)
        values = (base_url, token_key, reads.options_text(options))
        names: list[str] = []

        def make(connection: StoreConnection) -> tuple[int, str, int]:
            for known in names:  # the answer to an earlier commit was lost
                row = connection.execute("SELECT id FROM run WHERE name = ?", (known,)).fetchone()
                if row is not None:
                    return row[0], known, 1
            called = name or new_name(connection)
            run = insert_run(connection, called, values)
            names.append(called)
            connection.execute(
                "INSERT INTO shard (run, shard, first, last, fence, state)"
                " VALUES (?, 0, 0, ?, 0, 'ready')",
                (run, LAST_INDEX),
            )
            fence = self._database.hold(connection, run, called)
            insert_plan(connection, run, [(0, *row) for row in planned])
            insert_policy(connection, run, policy)
            return run, called, fence

        writer = await self._database.writer()
        run, called, fence = await writer.do(make)
        return self._held(writer, called, (run, 0, fence), next_index=len(planned))

    async def take(
        self,
        name: str,
        *,
        base_url: str,
        token_key: str,
        site_ids: Collection[str] | None = None,
    ) -> StoredRun:
        """Take a run over, to go on with it. What was claimed becomes unknown.

        Raises:
            JournalBusy: Another owner holds it.
            JournalMismatch: It is of another server or organization.
            JournalError: There is none of that name, or it cannot be written.
        """
        name = await self.find(name)
        ours = None if site_ids is None else {key_of(each) for each in site_ids}

        earlier: list[tuple[int, int]] = []

        def take_over(connection: StoreConnection) -> tuple[int, int, int]:
            run = run_of(connection, name)
            check_owner(connection, run, base_url, token_key, ours)
            if not (earlier and connection.count_held([(run, 0, earlier[-1][1])])):
                earlier.append((run, self._database.hold(connection, run, name)))
                connection.execute("UPDATE run SET token_key = ? WHERE id = ?", (token_key, run))
                doubt(connection, run, None)
            (last,) = connection.execute(
                "SELECT max(input_index) FROM scan WHERE run = ?", (run,)
            ).fetchone()
            return run, earlier[-1][1], 0 if last is None else last + 1

        # A store that is not ours, or that is damaged, is not touched.
        await self._database.check()
        writer = await self._database.writer()
        run, fence, next_index = await writer.do(take_over)
        return self._held(writer, name, (run, 0, fence), next_index=next_index)

    def _held(self, writer: WriterThread, name: str, shard: Shard, *, next_index: int) -> StoredRun:
        journal = StoreJournal(self._database, writer, shard, next_index=next_index)
        return StoredRun(name, journal, StoreRecord(self._database, name, shard))

    async def find(self, name: str) -> str:
        """Return the name of the run that is meant: its name, the beginning of it, or `last`.

        Raises:
            JournalError: None is called that, or several begin so. The message names some.
        """
        names: list[str] = await self._database.read(names_of, [])
        return find_name(names, name, self._database.shown)

    async def record(self, name: str) -> StoreRecord:
        """Return a run to be read; found as by `find`."""
        return StoreRecord(self._database, await self.find(name), None)

    async def list(
        self, *, only_unended: bool = False, with_counts: bool = True
    ) -> Sequence[RunInfo]:
        """Return all runs, the newest first, those that cannot be read with their problem."""
        return await self._database.read(
            lambda connection: infos(
                connection, self._database, only_unended=only_unended, with_counts=with_counts
            ),
            (),
        )

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
            and (info.is_settled or include_incomplete)
        ]
        if not old:
            return ()
        writer = await self._database.writer()

        def delete(connection: StoreConnection) -> tuple[RunInfo, ...]:
            held = self._database.held(connection)
            return tuple(info for info in old if _delete(connection, info.name, held))

        deleted = await writer.do(delete)
        await self._database.compact()
        return deleted

    async def samples(self, kind: str, *, base_url: str) -> Sequence[tuple[float, bool]]:
        """Return how long scans of a kind took at a host: seconds, and whether they were finished.

        From the newest runs, and from so many of them as costs a moment.
        """
        return await self._database.read(
            lambda connection: reads.samples(connection, kind, base_url=base_url), []
        )

    def load(self, name: str, *, beside: str | None = None) -> RunResult:
        """Return a run with all its outcomes, found as by `find`. Blocks, and needs no event loop.

        Beside a run of this store, `last` is the one that was the newest when that began.

        Raises:
            JournalError: There is none, or it cannot be read.
        """
        database = self._database

        def read(connection: StoreReader) -> RunResult:
            names = names_of(connection)
            is_before = name == LAST and beside in names
            found = _before(connection, beside or "") if is_before else name
            run = run_of(connection, find_name(names, found, database.shown))
            return result_of(connection, database, run)

        result = database.read_now(read, None)
        if result is None:
            find_name([], name, database.shown)  # says that there is none
            raise AssertionError
        return result


def _delete(connection: StoreConnection, name: str, held: set[int]) -> bool:
    row = connection.execute("SELECT id FROM run WHERE name = ?", (name,)).fetchone()
    if row is None or row[0] in held:
        return False
    for table in OF_A_RUN:
        connection.execute(f"DELETE FROM {table} WHERE run = ?", row)  # noqa: S608 - ours
    connection.execute("DELETE FROM run WHERE id = ?", row)
    return True


def _before(connection: StoreReader, name: str) -> str:
    """Return the run that was the newest when another one began: that stands in its record."""
    (previous,) = connection.execute("SELECT previous FROM run WHERE name = ?", (name,)).fetchone()
    if previous is None:
        raise JournalError(f"There is no run before {name}.")
    return str(previous)


def insert_run(connection: StoreConnection, name: str, values: tuple[str, ...]) -> int:
    """Write the row of a new run and return its number; the values are URL, key and options."""
    previous = connection.execute("SELECT name FROM run ORDER BY id DESC LIMIT 1").fetchone()
    (run,) = connection.execute(
        "INSERT INTO run (name, created_at, base_url, token_key, options, previous)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (name, connection.now(), *values, (previous or (None,))[0]),
    ).fetchone()
    return int(run)


def insert_policy(connection: StoreConnection, run: int, policy: Mapping[str, Any] | None) -> None:
    """Write the rules that a new run is to be judged by, if there are some."""
    if policy is not None:
        connection.execute(
            "INSERT INTO result (run, input_index, result) VALUES (?, ?, ?)",
            (run, POLICY, json.dumps(policy)),
        )


def insert_plan(connection: StoreConnection, run: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write the inputs of a new run: shard, index, target, line, site id, site key, error."""
    if rows:
        connection.write_rows(
            "INSERT INTO scan (run, shard, input_index, target, line, site_id, site_key, error)"
            " VALUES ",
            ("bigint", "integer", "integer", "text", "integer", "text", "text", "text"),
            " ON CONFLICT (run, input_index) DO NOTHING",
            [(run, *row) for row in rows],
        )


def doubt(connection: StoreConnection, run: int, shard: int | None) -> None:
    """Make unknown what was claimed of a run, or of a shard of it, that changes hands."""
    part = (run, *(2 * (-1 if shard is None else shard,)))
    connection.execute(
        "UPDATE scan SET state = 'unknown', finished_at = ?"
        " WHERE run = ? AND (? < 0 OR shard = ?) AND state = 'claimed'",
        (connection.now(), *part),
    )
    connection.execute(
        "UPDATE scan SET was_left = 1"
        " WHERE run = ? AND (? < 0 OR shard = ?) AND state = 'created' AND was_left = 0",
        part,
    )


def new_name(connection: StoreReader) -> str:
    """Return the time in UTC, to the millisecond: a name to tell runs apart, not their order."""
    at = datetime.now(UTC)
    while True:
        name = f"{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03}{secrets.token_hex(1)}"
        if connection.execute("SELECT 1 FROM run WHERE name = ?", (name,)).fetchone() is None:
            return name


def check_owner(
    connection: StoreReader,
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


def planned_rows(plan: Iterable[PlannedItem | str]) -> list[tuple[Any, ...]]:
    """Return the rows of inputs: index, target, line, site id, site key, error.

    The key of a site stands in the first of its rows only. The others are refused when it is
    their turn, as those are of which only then is known which site they name.
    """
    rows: list[tuple[Any, ...]] = []
    seen: set[str | None] = {None}
    for index, item in enumerate(plan):
        *values, key, error = planned_row(index, item)
        rows.append((*values, None if key in seen else key, error))
        seen.add(key)
    return rows


def planned_row(index: int, item: PlannedItem | str, site_id: str | None = None) -> tuple[Any, ...]:
    """Return the row of an input, with its site where that is known already."""
    line = error = None
    if isinstance(item, Site):
        text, site_id = item.hostname, item.id
    elif isinstance(item, TargetError):
        text, line, error = item.target, item.line, to_text(error_as_dict(item))
    elif isinstance(item, str):
        text = item
    else:
        text, line = item.text, item.line
    return index, storable(text), line, site_id, None if site_id is None else key_of(site_id), error
