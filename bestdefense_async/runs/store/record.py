"""What is read of one run in a store, and what a person decides about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import evolve

from bestdefense_async.errors import JournalError, clean_text
from bestdefense_async.runs.store import reads
from bestdefense_async.runs.store.protocol import LAST
from bestdefense_async.runs.store.statements import check_fence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.connection import Shard, StoreConnection, StoreReader
    from bestdefense_async.runs.store.database import Database
    from bestdefense_async.runs.store.protocol import RunInfo, UnknownScan

T = TypeVar("T")

_NAMED: Final = 5
"""Names that an error lists; the others are only counted."""


class StoreRecord:
    """A `Record`; what it decides needs the run to be held."""

    def __init__(self, database: Database, name: str, shard: Shard | None) -> None:
        self.name = name
        self._database = database
        self._shard = shard

    async def _read(self, read: Callable[[StoreReader, int], T]) -> T:
        def work(connection: StoreReader) -> T:
            return read(connection, run_of(connection, self.name))

        if self._shard is not None:  # what was written before is there
            await (await self._database.writer()).do(lambda _: None)
        found = await self._database.read(lambda connection: (work(connection),), None)
        if found is None:
            raise JournalError(f"There is no run {self.name} any more.")
        return found[0]

    async def info(self) -> RunInfo:
        """Return what is known of the run."""
        return await self._read(self._info)

    def _info(self, connection: StoreReader, run: int) -> RunInfo:
        return infos(connection, self._database, run)[0]

    async def remaining(self) -> Sequence[IndexedInput]:
        """Return what to feed to a group: scans to follow first, then what was never started."""
        shard = None if self._shard is None else self._shard[1]
        return await self._read(
            lambda connection, run: reads.remaining(
                connection, run, shard=shard, offset=self._database.offset
            )
        )

    async def unknowns(self) -> Sequence[UnknownScan]:
        """Return the creations whose answers are lost, by index."""
        return await self._read(reads.unknowns)

    async def known_reports(self) -> set[str]:
        """Return the ids of all scans the run has."""
        return await self._read(lambda connection, run: column_of(connection, run, "report_id"))

    async def known_targets(self) -> set[str]:
        """Return the targets the run has, as they were written."""
        return await self._read(lambda connection, run: column_of(connection, run, "target"))

    async def outcome(self, index: int) -> Outcome | None:
        """Return the outcome of one input as it stands; None without such an input."""

        def read(connection: StoreReader, run: int) -> Outcome | None:
            is_held = bool(self._database.held(connection, run))
            return reads.outcome(connection, run, index, is_held=is_held)

        return await self._read(read)

    async def result(self) -> RunResult:
        """Return the run with all its outcomes.

        All of it is read: a tenth of a second for each thousand scans with ten findings.
        """
        return await self._read(lambda connection, run: result_of(connection, self._database, run))

    async def found(self, index: int, *, report_id: str) -> None:
        """Record the scan that was found for an unknown creation: now it can be followed.

        Raises:
            JournalError: The creation is not unknown, the scan belongs to another input, or the run
                is not held.
        """

        def write(connection: StoreConnection, run: int) -> None:
            owner = connection.execute(
                "SELECT input_index FROM scan WHERE run = ? AND report_id = ?", (run, report_id)
            ).fetchone()
            if owner is not None and owner[0] != index:
                raise JournalError(f"Report {report_id} is the scan of input {owner[0]} already.")
            _settle(
                connection,
                "state = 'created', report_id = ?, was_left = 1, error = NULL, finished_at = NULL",
                (report_id, run, index),
            )

        await self._decide(write)

    async def forget(self, index: int) -> None:
        """Make an unknown creation new, so that it is sent again: by a person's order only.

        Raises:
            JournalError: The creation is not unknown, or the run is not held.
        """

        def write(connection: StoreConnection, run: int) -> None:
            # The attempt stays: should its answer come after all, nothing is created twice.
            _settle(
                connection,
                "state = 'new', claimed_at = NULL, error = NULL, finished_at = NULL",
                (run, index),
            )

        await self._decide(write)

    async def _decide(self, write: Callable[[StoreConnection, int], None]) -> None:
        shard = self._shard
        if shard is None:
            raise JournalError(f"Run {self.name} is only read here: take it to change it.")

        def work(connection: StoreConnection) -> None:
            check_fence(connection, shard)
            write(connection, shard[0])

        await (await self._database.writer()).do(work)


def _settle(connection: StoreConnection, change: str, values: tuple[Any, ...]) -> None:
    row = connection.execute(
        f"UPDATE scan SET {change} WHERE run = ? AND input_index = ? AND state = 'unknown'",  # noqa: S608 - ours
        values,
    )
    if row.rowcount == 0:
        raise JournalError(f"Input {values[-1]} is not unknown: nothing was written.")


def names_of(connection: StoreReader) -> list[str]:
    """Return the names of all runs, the newest first."""
    return [name for (name,) in connection.execute("SELECT name FROM run ORDER BY id DESC")]


def find_name(names: list[str], name: str, store: str) -> str:
    """Return which of the names is meant.

    Raises:
        JournalError: None is, or several begin so. The message names some.
    """
    if name in names:
        return name
    if name == LAST and names:
        return names[0]
    fitting = [each for each in names if each.startswith(name)] if name else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise JournalError(f"{name} fits {len(fitting)} runs: {_some(fitting)}.")
    shown = clean_text(repr(name), longest=80)
    if names:
        raise JournalError(f"There is no run {shown}; runs are {_some(names)}.")
    raise JournalError(f"There is no run {shown}, and none at all in {store}.")


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return shown if rest <= 0 else f"{shown} and {rest} more"


def infos(
    connection: StoreReader,
    database: Database,
    run: int | None = None,
    *,
    only_unended: bool = False,
    with_counts: bool = True,
) -> list[RunInfo]:
    """Return what is told of one run, or of all of them, the newest first."""
    only, values = ("", ()) if run is None else (" AND run = ?", (run,))
    shards = connection.execute(
        f"SELECT DISTINCT run FROM shard WHERE state <> 'ended'{only}",  # noqa: S608 - ours
        values,
    )
    unended = {each for (each,) in shards}
    held = database.held(connection, run)
    found = connection.execute(
        f"SELECT {reads.RUN_COLUMNS} FROM run"  # noqa: S608 - ours
        f"{'' if run is None else ' WHERE id = ?'} ORDER BY id DESC",
        values,
    ).fetchall()
    told: list[RunInfo] = []
    for row in found:
        if only_unended and row[0] not in unended:
            continue
        info = evolve(reads.run_info(row), is_held=row[0] in held, has_ended=row[0] not in unended)
        told.append(reads.with_counts(connection, row[0], info) if with_counts else info)
    return told


def result_of(connection: StoreReader, database: Database, run: int) -> RunResult:
    """Return a run with all its outcomes."""
    (info,) = infos(connection, database, run, with_counts=False)
    return reads.run_result(connection, run, info)


def column_of(connection: StoreReader, run: int, column: str) -> set[str]:
    """Return all values of a column of a run's scans."""
    found = connection.execute(
        f"SELECT {column} FROM scan WHERE run = ? AND {column} IS NOT NULL",  # noqa: S608 - ours
        (run,),
    )
    return {value for (value,) in found}


def run_of(connection: StoreReader, name: str) -> int:
    """Return the number of a run.

    Raises:
        JournalError: It is not there any more.
    """
    row = connection.execute("SELECT id FROM run WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise JournalError(f"There is no run {name} any more.")
    return int(row[0])
