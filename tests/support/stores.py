"""Stores of runs, and what a group would write into them: for every backend the same."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from bestdefense_async.models import (
    Finding,
    Outcome,
    OutcomeStatus,
    RiskSummary,
    ScanOptions,
    Severity,
)
from bestdefense_async.runs.inputs import ExistingScan
from bestdefense_async.runs.store.doors import open_store
from bestdefense_async.runs.store.sqlite import FileDatabase, SqliteStore
from bestdefense_async.runs.store.statements import Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.protocol import (
        ClaimAnswer,
        HeldRun,
        Journal,
        PlannedItem,
        Store,
    )
    from bestdefense_async.runs.store.store import DatabaseStore
    from bestdefense_async.runs.store.writer import Work

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:1"
KEY = "0123456789abcdef"


class Backend(Protocol):
    """A kind of store: what the tests of all of them need beside `Store`."""

    def open(self) -> Store:
        """Open the same store once more, as another process would."""

    def give_up(self, store: Any) -> None:
        """Let others believe that the owner of a store is gone, while it goes on."""

    def repeat(self, store: Any) -> None:
        """Let every write from here on arrive twice, as after a commit whose answer was lost."""

    def away(self) -> AbstractContextManager[None]:
        """Let the store be away for a while: cut off, or gone."""


class Sqlite:
    """A store in a file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "state" / "runs.db"

    def open(self) -> SqliteStore:
        """Open the same store once more, as another process would."""
        return SqliteStore(self._path)

    def give_up(self, store: SqliteStore) -> None:
        """Let others believe that the owner of a store is gone, while it goes on."""
        database = store._database  # noqa: SLF001 - what a hung process looks like from outside
        assert isinstance(database, FileDatabase)
        assert database._lock is not None  # noqa: SLF001
        database._lock.release()  # noqa: SLF001

    def repeat(self, store: SqliteStore) -> None:
        """Let every write from here on arrive twice."""
        _twice(store)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let somebody move the file away, and put it back."""
        elsewhere = self._path.rename(self._path.with_name("elsewhere"))
        try:
            yield
        finally:
            elsewhere.rename(self._path)


class Postgres:
    """A store in a database."""

    def __init__(self, database: str) -> None:
        self._database = database

    def open(self) -> DatabaseStore:
        """Open the same store once more, as another process would."""
        return open_store(self._database)

    def give_up(self, store: Any) -> None:
        """Let others believe that the owner of a store is gone, while it goes on."""
        import psycopg

        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(
                "UPDATE bestdefense.shard SET owner = 'gone', lease_until = now() - interval '1 s'"
                " WHERE owner = ANY(%s)",
                (store.database.presence.names,),
            )

    def repeat(self, store: Any) -> None:
        """Let every write from here on arrive twice."""
        _twice(store)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Cut every connection, and allow no other for a while that is longer than patience."""
        import psycopg

        from bestdefense_async.distributed import postgres

        server, _, name = self._database.rpartition("/")
        patience = postgres.PATIENCE
        setattr(postgres, "PATIENCE", 0.1)  # noqa: B010 - it is Final
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
                setattr(postgres, "PATIENCE", patience)  # noqa: B010


def _twice(store: DatabaseStore) -> None:
    writer = store._database._writer  # noqa: SLF001 - there is no seam for a lost answer
    assert writer is not None
    hand_in = writer.hand_in

    def twice(job: Write | Work, *, is_urgent: bool) -> None:
        hand_in(job, is_urgent=is_urgent)
        if isinstance(job, Write):
            again = evolve(job, future=writer.loop.create_future())
            again.future.add_done_callback(lambda done: done.exception())
            hand_in(again, is_urgent=is_urgent)

    writer.hand_in = twice  # type: ignore[method-assign]


BACKENDS = ("sqlite", "postgres")


def backend_of(name: str, request: pytest.FixtureRequest) -> Backend:
    """Return what opens stores of one kind, for a test that asks for them."""
    if name == "sqlite":
        return Sqlite(request.getfixturevalue("tmp_path"))
    return Postgres(request.getfixturevalue("database"))


async def create(
    store: Store, *, plan: Iterable[PlannedItem] = (), name: str | None = None
) -> HeldRun:
    """Begin a run."""
    return await store.create(
        base_url=URL, token_key=KEY, options=ScanOptions(), plan=plan, name=name
    )


async def take(store: Store, name: str = "last") -> HeldRun:
    """Go on with a run."""
    return await store.take(name, base_url=URL, token_key=KEY)


async def claim(journal: Journal, index: int, site: str | None = None) -> ClaimAnswer:
    """Claim the site `s<index>`, or another one."""
    return await journal.claim(
        index, target=f"h{index}.example", site_id=site or f"s{index}", at=100.0 + index
    )


async def begin(journal: Journal, index: int) -> None:
    """Let a scan be created."""
    assert (await claim(journal, index)).is_ours
    await journal.created(index, report_id=f"r{index}")


def done(index: int) -> Outcome:
    """Return an outcome with a finding."""
    finding = Finding(severity=Severity("high"), title="T", extra={"a": [1]})
    return Outcome(
        index=index,
        target=f"h{index}.example",
        status=OutcomeStatus.DONE,
        site_id=f"s{index}",
        report_id=f"r{index}",
        started_at=100.0 + index,
        finished_at=200.0,
        risk=RiskSummary(high=1, other={"severe": 2}),
        findings=(finding,),
    )


def ended(index: int, error: BestDefenseError, status: OutcomeStatus) -> Outcome:
    """Return how a scan that exists ended without a result."""
    return Outcome(
        index=index,
        target=f"h{index}.example",
        status=status,
        site_id=f"s{index}",
        report_id=f"r{index}",
        error=error,
        started_at=100.0 + index,
        finished_at=200.0,
    )


def indexes(inputs: Sequence[IndexedInput]) -> list[int]:
    """Return the indexes of inputs, in their order."""
    return [each.index for each in inputs]


def followed(inputs: Sequence[IndexedInput]) -> list[int]:
    """Return the indexes of those that are to be followed."""
    return [each.index for each in inputs if isinstance(each.item, ExistingScan)]


async def statuses(store: Store, name: str = "last") -> dict[int, str]:
    """Return the status of every input of a run."""
    result = await (await store.record(name)).result()
    return {outcome.index: str(outcome.status) for outcome in result.outcomes}


def child(job: str, path: Path) -> subprocess.Popen[str]:
    """Start a process that works with a store: `tests.support.store_runs`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.store_runs", job, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
