"""PostgreSQL behind the store's protocol: its connection, whose leases run on the server's clock.

A lease says who owns a shard: it is renewed for all shards of a process at once, and may be taken
over when it has run out. That needs no trust in any worker's clock: the fencing number keeps out
whoever comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg
from psycopg.pq import TransactionStatus

from bestdefense_async.distributed.presence import IS_GONE, Presence
from bestdefense_async.distributed.schema import SCHEMA, check_version
from bestdefense_async.errors import BestDefenseError, JournalBusy, JournalError, JournalMismatch
from bestdefense_async.runs.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bestdefense_async.distributed.address import Address
    from bestdefense_async.runs.store.connection import Cursor, Shard, StoreConnection, StoreReader

LEASE: Final = 45.0
"""Seconds after which a shard may be taken over whose owner has not been heard of."""
BEATS: Final = 4
"""Renewals of all leases of a process while one lasts."""
PATIENCE: Final = 30.0
"""Seconds for which a write is tried again while the database cannot be reached."""
_PAUSE: Final = 0.25
_CLOCKS_AGREE: Final = 1.0
"""Seconds: a smaller difference of two clocks may be the way to the server."""
_TURN: Final = 0x42445455
"""The lock of `take_turn`: whatever else stands in the database, nobody will have that number."""
_LARGEST: Final = 5000
"""Rows in one statement."""

_PASSING: Final = ("08", "53300", "55P03", "57P", "40001", "40P01")
"""Beginnings of the codes of faults that go away by themselves: the connection was lost or cannot
be had, the server shuts down or starts, two transactions were in each other's way."""

_FAULTS: Final = (
    ("25006", JournalError, "cannot be written: it is read-only"),
    ("42501", JournalError, "cannot be used: its user may not read or write the tables"),
    ("42P01", JournalMismatch, "has no tables of this program: run `bestdefense database init`"),
    ("3F000", JournalMismatch, "has no tables of this program: run `bestdefense database init`"),
    ("53100", JournalError, "cannot be written: its disk is full"),
    (
        "26000",
        JournalError,
        "is behind a pooler that lends sessions by the transaction: ours need its session mode",
    ),
    ("22021", JournalError, "cannot hold this text: it must be one in UTF-8"),
)
"""What the codes of the server mean for a store."""


@functools.cache
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


@functools.cache
def _for_rows(start: str, types: tuple[str, ...], end: str) -> str:
    """Return a statement that takes each column of its rows as one array."""
    arrays = ", ".join(f"%s::{each}[]" for each in types)
    names = ", ".join(f"column{number}" for number in range(1, len(types) + 1))
    rows = f"SELECT * FROM unnest({arrays}) AS given ({names})"  # noqa: S608 - ours
    return start.removesuffix("VALUES ").replace("%", "%%") + rows + end.replace("%", "%%")


def connect(address: Address) -> psycopg.Connection:
    """Return a connection to our tables, which are of the right version.

    Raises:
        JournalMismatch: They are not.
        psycopg.Error: It cannot be reached.
    """
    connection = psycopg.connect(address.conninfo, autocommit=True)
    try:
        connection.execute(f"SET search_path = {SCHEMA}")
        check_version(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


class ReadingConnection:
    """Reads with the statements that SQLite takes too."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Carry out a statement."""
        return self._connection.execute(_translated(sql).encode(), parameters)


class WritingConnection(ReadingConnection):
    """Writes, from the thread of a store; a connection that was lost is made anew."""

    NotUnique: ClassVar[type[Exception]] = psycopg.errors.UniqueViolation

    def __init__(self, address: Address) -> None:
        super().__init__(connect(address))
        self._address = address
        self.reconnects: int = 0
        """How often a connection was lost."""
        self.offset: float = self._measure()
        """Seconds by which the server's clock is ahead of this machine's; 0.0 when they agree."""

    def _measure(self) -> float:
        begun = time.time()
        offset = self.now() - (begun + time.time()) / 2
        return 0.0 if abs(offset) < _CLOCKS_AGREE else offset

    def begin(self) -> None:
        """Begin a transaction, on a connection that works."""
        if self._connection.closed:
            self._connection = connect(self._address)
            self.reconnects += 1
            self.offset = self._measure()
        self.execute("BEGIN")

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        status = self._connection.info.transaction_status
        return status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}

    def now(self) -> float:
        """Return the time of the server."""
        found = self.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        return float(found[0])

    def write_rows(
        self, start: str, types: Sequence[str], end: str, rows: Sequence[tuple[Any, ...]]
    ) -> bool:
        """Carry out one statement for many rows; return whether all were as they should be."""
        sql, count = _for_rows(start, tuple(types), end).encode(), 0
        for first in range(0, len(rows), _LARGEST):
            columns = [list(column) for column in zip(*rows[first : first + _LARGEST], strict=True)]
            count += self._connection.execute(sql, columns).rowcount
        return count == len(rows)

    def count_held(self, shards: Sequence[Shard], *, is_alone: bool = False) -> int:
        """Return how many of these shards are held with these numbers, and keep it so."""
        mode = "UPDATE" if is_alone else "SHARE"
        columns = [list(column) for column in zip(*shards, strict=True)]
        held = self._connection.execute(
            "SELECT 1 FROM shard JOIN unnest(%s::bigint[], %s::integer[], %s::bigint[])"  # noqa: S608 - ours
            " AS asked (run, shard, fence) ON shard.run = asked.run"
            " AND shard.shard = asked.shard AND shard.fence = asked.fence"
            " WHERE shard.state = 'held' ORDER BY shard.run, shard.shard"
            f" FOR {mode} OF shard".encode(),
            columns,
        )
        return len(held.fetchall())

    def lock_input(self, run: int, index: int) -> None:
        """Keep the shard of an input from being ended before this transaction ends."""
        self.execute(
            "SELECT 1 FROM shard JOIN scan ON scan.run = shard.run AND scan.shard = shard.shard"
            " WHERE scan.run = ? AND scan.input_index = ? FOR UPDATE OF shard",
            (run, index),
        ).fetchall()

    def take_turn(self) -> None:
        """Wait for all other transactions that have called this, and keep later ones waiting."""
        self.execute("SELECT pg_advisory_xact_lock(?)", (_TURN,))

    def is_passing(self, error: Exception, *, since: float) -> bool:
        """Return whether what failed may be tried again now."""
        if not isinstance(error, psycopg.Error) or time.monotonic() - since > PATIENCE:
            return False
        is_lost = self._connection.closed or isinstance(error, psycopg.InterfaceError)
        if not (is_lost or (error.sqlstate or "").startswith(_PASSING)):
            return False
        time.sleep(_PAUSE)
        return True

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class PostgresDatabase(Database):
    """A schema of a server. Who holds a run of it renews the lease."""

    def __init__(self, address: Address, *, lease: float = LEASE) -> None:
        super().__init__()
        self.address = address
        self.shown: str = address.shown
        self.lease: float = lease
        """Seconds for which a shard is ours after each renewal."""
        self.presence: Presence = Presence(address, changed=self._renew_soon)
        """Whose the shards are that are held here."""
        self.on_beat: list[Callable[[list[tuple[int, int, int, bool]]], None]] = []
        """Called after each renewal with the shards that are ours: run, shard, fence, cancelled."""
        self.renewed_at: float | None = None
        """When the leases were renewed last, on the clock of the loop."""
        self._connection: WritingConnection | None = None
        self._keeping: list[asyncio.Task[None]] = []

    def _connect(self) -> WritingConnection:
        self._connection = WritingConnection(self.address)
        return self._connection

    def _close(self, connection: WritingConnection) -> None:
        connection.close()

    @property
    def offset(self) -> float:  # type: ignore[override]  # it is measured
        """Seconds by which the server's clock is ahead of this machine's."""
        return 0.0 if self._connection is None else self._connection.offset

    @property
    def reconnects(self) -> int:
        """How often the connection that writes was lost."""
        return 0 if self._connection is None else self._connection.reconnects

    async def aclose(self) -> None:
        """Write what was handed in and close it. Again is harmless."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
            self._keeping.clear()
        await super().aclose()

    def to_error(self, error: Exception) -> BestDefenseError:
        """Return a fault of the database as an error of ours, in one sentence."""
        if isinstance(error, BestDefenseError):
            return error
        if isinstance(error, UnicodeEncodeError):
            return JournalError(f"{self.shown} cannot hold this text: it must be one in UTF-8.")
        if not isinstance(error, psycopg.Error):
            raise error
        state = error.sqlstate or ""
        for code, kind, sentence in _FAULTS:
            if state == code:
                return kind(f"{self.shown} {sentence}.")
        what = "cannot be reached" if _is_lost(error) else "cannot be used"
        reason = self.address.clean(str(error)) or type(error).__name__
        return JournalError(f"{self.shown} {what}: {reason.rstrip('.')}.")

    @contextlib.contextmanager
    def reading(self) -> Iterator[StoreReader]:
        """Give a connection that sees the store as it is now, and changes nothing."""
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(contextlib.closing(connect(self.address)))
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            except psycopg.Error as error:
                raise self.to_error(error) from None
            yield ReadingConnection(connection)

    def held(self, connection: StoreReader, run: int | None = None) -> set[int]:
        """Return which runs have a shard with an owner whose lease has not run out."""
        only, values = ("", ()) if run is None else (" AND run = ?", (run,))
        rows = connection.execute(
            "SELECT DISTINCT run FROM shard WHERE state = 'held'"  # noqa: S608 - ours
            f" AND lease_until >= clock_timestamp(){only}",
            values,
        )
        return {held for (held,) in rows}

    def hold(self, connection: StoreConnection, run: int, name: str) -> int:
        """Make a run ours, in the open transaction; it is one shard from then on."""
        shards = connection.execute(
            "SELECT fence, state = 'held' AND lease_until >= clock_timestamp()"  # noqa: S608 - ours
            f" AND NOT {IS_GONE}, owner,"
            " extract(epoch FROM lease_until - clock_timestamp())::float8"
            " FROM shard WHERE run = ? ORDER BY shard FOR UPDATE",
            (run,),
        ).fetchall()
        for _, is_held, owner, left in shards:
            if is_held:
                is_here = owner in self.presence.names
                who = "this process" if is_here else owner.partition(".")[0]
                raise JournalBusy(
                    f"Run {name} is held at {who}: wait for it, stop it, or wait for "
                    f"{max(left, 1.0):.0f} s after its end."
                )
        fence = max((row[0] for row in shards), default=0) + 1
        if len(shards) > 1:
            connection.execute("DELETE FROM shard WHERE run = ? AND shard > 0", (run,))
            connection.execute("UPDATE scan SET shard = 0 WHERE run = ? AND shard > 0", (run,))
        connection.execute(
            "UPDATE shard SET fence = ?, state = 'held', owner = ?, first = 0, last = 2147483647,"
            " lease_until = clock_timestamp() + make_interval(secs => ?), problem = NULL"
            " WHERE run = ? AND shard = 0",
            (fence, self.presence.owner, self.lease, run),
        )
        connection.execute("UPDATE run SET cancelled_at = NULL WHERE id = ?", (run,))
        self.keep()
        return fence

    def keep(self) -> None:
        """Renew the leases of this process from now on. May be called from any thread."""
        if self._writer is not None:
            self._writer.loop.call_soon_threadsafe(self._start_keeping)

    def _start_keeping(self) -> None:
        if not self._keeping and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._keeping = [
                loop.create_task(self._beat()),
                loop.create_task(self.presence.keep()),
            ]

    async def _beat(self) -> None:
        """Renew all leases again and again; while the server is away, as soon as it is back."""
        while True:
            await asyncio.sleep(self.lease / BEATS)
            await self._renew_soon()

    async def _renew_soon(self) -> None:
        with contextlib.suppress(JournalError):
            await self.renew()

    async def renew(self) -> None:
        """Renew the leases of all shards that this process has, in one statement."""

        def work(connection: StoreConnection) -> list[tuple[int, int, int, bool]]:
            return connection.execute(
                "UPDATE shard SET owner = ?,"
                " lease_until = clock_timestamp() + make_interval(secs => ?)"
                " FROM run WHERE run.id = shard.run AND owner = ANY(?) AND state = 'held'"
                " RETURNING shard.run, shard.shard, shard.fence, run.cancelled_at IS NOT NULL",
                (self.presence.owner, self.lease, self.presence.names),
            ).fetchall()

        held = await (await self.writer()).do(work)
        self.renewed_at = asyncio.get_running_loop().time()
        for tell in self.on_beat:
            tell(held)


def _is_lost(error: psycopg.Error) -> bool:
    is_about_it = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return is_about_it and (error.sqlstate or "08").startswith(("08", "57P", "28", "3D", "53300"))
