"""The store in PostgreSQL: what every store does, and runs in shards that workers take.

A shard is a range of a run's inputs. Whoever takes it gets a fencing number and a lease. A shard
that is `blocked` may be taken again when its lease is over: by then the token may be good.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.distributed.address import Address
from bestdefense_async.distributed.postgres import LEASE, PostgresDatabase
from bestdefense_async.distributed.presence import IS_GONE
from bestdefense_async.distributed.repetition import begin_due, plan_repetition
from bestdefense_async.distributed.shards import (
    SHARD_SIZE,
    SIZE,
    HeldShard,
    ShardCounts,
    WaitingShard,
    served,
)
from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.store import reads
from bestdefense_async.runs.store.journal import StoreJournal
from bestdefense_async.runs.store.schema import LAST_INDEX
from bestdefense_async.runs.store.store import (
    DatabaseStore,
    check_owner,
    doubt,
    insert_plan,
    insert_policy,
    insert_run,
    new_name,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.inputs import IndexedInput
    from bestdefense_async.runs.store.connection import StoreConnection, StoreReader

_MAY_BE_TAKEN: Final = (
    "(shard.state = 'ready'"
    " OR (shard.state IN ('held', 'blocked') AND shard.lease_until < clock_timestamp()))"
)


class PostgresStore(DatabaseStore):
    """A `Store` in a database. Use it as `async with`, or close it; it belongs to one event loop.

    Args:
        address: A URL like `postgresql://user@host/name`.
        lease: Seconds after which another owner may take what this process holds, if it is not
            heard of.

    Raises:
        ConfigError: It is none.
    """

    def __init__(self, address: str, *, lease: float = LEASE) -> None:
        self.database: PostgresDatabase = PostgresDatabase(Address.of(address), lease=lease)
        super().__init__(self.database)

    def __repr__(self) -> str:
        return f"<PostgresStore {self.database.shown}>"

    async def enqueue(
        self,
        rows: Sequence[tuple[Any, ...]],
        *,
        base_url: str,
        token_key: str,
        credential: str,
        options: ScanOptions,
        shard_size: int = SHARD_SIZE,
        policy: Mapping[str, Any] | None = None,
    ) -> tuple[str, list[WaitingShard]]:
        """Begin a run that workers carry out; return its name and its shards.

        Args:
            rows: Its inputs: index, target, line, site id, site key, error; by index from 0.
            base_url: The server of the run.
            token_key: The name of the token its sites were looked up with.
            credential: What workers call the token.
            options: What is scanned.
            shard_size: Inputs of a shard.
            policy: The rules it is to be judged by, as plain values; None when nobody has said.

        Raises:
            JournalError: It cannot be written.
        """
        firsts = range(0, max(len(rows), 1), shard_size)
        ends = [min(first + shard_size, max(len(rows), 1)) for first in firsts]
        values = (base_url, token_key, reads.options_text(options))
        names: list[str] = []

        def make(connection: StoreConnection) -> tuple[int, str, int]:
            had = served(connection, credential, base_url)
            for known in names:  # the answer to an earlier commit was lost
                row = connection.execute("SELECT id FROM run WHERE name = ?", (known,)).fetchone()
                if row is not None:
                    return row[0], known, had
            name = new_name(connection)
            run = insert_run(connection, name, values)
            names.append(name)
            connection.execute("UPDATE run SET credential = ? WHERE id = ?", (credential, run))
            connection.write_rows(
                "INSERT INTO shard (run, shard, first, last, fence, state) VALUES ",
                ("bigint", "integer", "integer", "integer", "bigint", "text"),
                "",
                [
                    (run, number, first, end - 1, 0, "ready")
                    for number, (first, end) in enumerate(zip(firsts, ends, strict=True))
                ],
            )
            insert_plan(connection, run, [(row[0] // shard_size, *row) for row in rows])
            insert_policy(connection, run, policy)
            return run, name, had

        run, name, had = await (await self.database.writer()).do(make)
        shards = [
            WaitingShard(
                run=run,
                number=number,
                credential=credential,
                base_url=base_url,
                turn=had + end,
            )
            for number, end in enumerate(ends)
        ]
        return name, shards

    async def shard(self, run: int, number: int) -> WaitingShard | None:
        """Return whose a shard is; None when there is none any more, or its run was cancelled."""

        def read(connection: StoreConnection) -> tuple[str, str] | None:
            found: tuple[str, str] | None = connection.execute(
                "SELECT credential, base_url FROM run JOIN shard ON shard.run = run.id"
                " WHERE run.id = ? AND shard = ? AND cancelled_at IS NULL"
                " AND credential IS NOT NULL",
                (run, number),
            ).fetchone()
            return found

        row = await (await self.database.writer()).do(read)
        if row is None:
            return None
        return WaitingShard(run=run, number=number, credential=row[0], base_url=row[1], turn=0)

    async def take_shard(
        self,
        run: int,
        number: int,
        *,
        base_url: str,
        token_key: str,
        site_ids: Collection[str] | None = None,
    ) -> HeldShard | None:
        """Take a shard, if it may be taken: raise its fence, and doubt what was claimed.

        Raises:
            JournalMismatch: It is of another server or organization.
            JournalError: It cannot be written.
        """
        keys = None if site_ids is None else {each.lower() for each in site_ids}
        earlier: list[int] = []

        def work(connection: StoreConnection) -> tuple[int, Any, Sequence[IndexedInput]] | None:
            row = connection.execute(
                "SELECT name, credential, options FROM run WHERE id = ? AND cancelled_at IS NULL",
                (run,),
            ).fetchone()
            if row is None:
                return None
            check_owner(connection, run, base_url, token_key, keys)
            if not (earlier and connection.count_held([(run, number, earlier[-1])])):
                taken = connection.execute(
                    "UPDATE shard SET fence = fence + 1, state = 'held', owner = ?,"  # noqa: S608 - ours
                    " lease_until = clock_timestamp() + make_interval(secs => ?), problem = NULL"
                    f" WHERE run = ? AND shard = ? AND {_MAY_BE_TAKEN} RETURNING fence",
                    (self.database.presence.owner, self.database.lease, run, number),
                ).fetchone()
                if taken is None:
                    return None
                earlier.append(taken[0])
                doubt(connection, run, number)
            left = reads.remaining(connection, run, shard=number, offset=self.database.offset)
            return earlier[-1], row, left

        writer = await self.database.writer()
        found = await writer.do(work)
        if found is None:
            return None
        self.database.keep()
        fence, (name, credential, options), left = found
        return HeldShard(
            run=run,
            number=number,
            fence=fence,
            name=name,
            credential=credential,
            options=ScanOptions(**json.loads(options)),
            remaining=left,
            journal=StoreJournal(
                self.database, writer, (run, number, fence), next_index=LAST_INDEX
            ),
        )

    async def release(
        self, shard: HeldShard, *, blocked_for: float | None = None, problem: str | None = None
    ) -> None:
        """Leave a shard to others; blocked, for so many seconds to nobody."""
        values = (
            "ready" if blocked_for is None else "blocked",
            blocked_for or 0.0,
            problem,
            *(shard.run, shard.number, shard.fence),
        )

        def work(connection: StoreConnection) -> None:
            connection.execute(
                "UPDATE shard SET state = ?, owner = NULL, problem = ?::text,"
                " lease_until = clock_timestamp() + make_interval(secs => ?)"
                " WHERE run = ? AND shard = ? AND fence = ? AND state = 'held'",
                (values[0], values[2], values[1], *values[3:]),
            )

        await (await self.database.writer()).do(work)

    async def block(self, run: int, number: int, *, seconds: float, problem: str) -> None:
        """Let nobody take a shard for a while, and say why."""

        def work(connection: StoreConnection) -> None:
            connection.execute(
                "UPDATE shard SET state = 'blocked', owner = NULL, problem = ?,"  # noqa: S608 - ours
                " lease_until = clock_timestamp() + make_interval(secs => ?)"
                f" WHERE run = ? AND shard = ? AND {_MAY_BE_TAKEN}",
                (problem, seconds, run, number),
            )

        await (await self.database.writer()).do(work)

    async def owners_without_session(self) -> list[str]:
        """Return who seems to have died, though its leases last.

        Who is there again within `GRACE` has only lost its connection.
        """

        def find(connection: StoreConnection) -> list[str]:
            rows = connection.execute(
                "SELECT DISTINCT owner FROM shard WHERE state = 'held'"  # noqa: S608 - ours
                f" AND lease_until >= clock_timestamp() AND {IS_GONE}"
            )
            return [owner for (owner,) in rows]

        return await (await self.database.writer()).do(find)

    async def end_leases(self, owners: list[str]) -> None:
        """Let the shards of these owners be taken, unless they have a session by now."""

        def end(connection: StoreConnection) -> None:
            connection.execute(
                "UPDATE shard SET lease_until = clock_timestamp()"  # noqa: S608 - ours
                f" WHERE state = 'held' AND owner = ANY(?) AND {IS_GONE}",
                (owners,),
            )

        await (await self.database.writer()).do(end)

    async def waiting(self) -> list[WaitingShard]:
        """Return the shards that may be taken now, those of one organization in their order."""

        def read(connection: StoreConnection) -> list[tuple[Any, ...]]:
            return connection.execute(
                "SELECT shard.run, shard.shard, run.credential, run.base_url,"  # noqa: S608 - ours
                f" (sum({SIZE}) OVER (PARTITION BY run.credential, run.base_url"
                " ORDER BY shard.run, shard.shard))::bigint,"
                " shard.problem, EXISTS (SELECT 1 FROM procrastinate_jobs AS job"
                "  WHERE job.status = 'todo'"
                "  AND job.queueing_lock = shard.run || '/' || shard.shard)"
                " FROM shard JOIN run ON run.id = shard.run"
                " WHERE run.credential IS NOT NULL AND run.cancelled_at IS NULL"
                f" AND {_MAY_BE_TAKEN} ORDER BY 5, 1, 2"
            ).fetchall()

        names = ("run", "number", "credential", "base_url", "turn", "problem", "is_woken")
        rows = await (await self.database.writer()).do(read)
        return [WaitingShard(**dict(zip(names, row, strict=True))) for row in rows]

    async def cancel(self, name: str) -> str:
        """Start nothing more of a run: its workers leave it. Scans that exist go on at the server.

        Returns:
            The name of the run, found as by `find`.

        Raises:
            JournalError: There is none, or it cannot be written.
        """
        name = await self.find(name)

        def work(connection: StoreConnection) -> None:
            connection.execute(
                "UPDATE run SET cancelled_at = coalesce(cancelled_at, ?) WHERE name = ?",
                (connection.now(), name),
            )

        await (await self.database.writer()).do(work)
        return name

    async def repeat(self, name: str, cron: str | None) -> float | None:
        """Let workers begin a run again whenever it is due; return when that is next.

        Args:
            name: The run, found as by `find`; each one that follows is a copy of the one before.
            cron: Five fields, in UTC; None for never again.

        Raises:
            ConfigError: The time makes no sense.
            JournalError: Workers do not carry out that run, or the database cannot be written.
        """
        name = await self.find(name)
        writer = await self.database.writer()
        return await writer.do(lambda connection: plan_repetition(connection, name, cron))

    async def begin_due(self) -> list[str]:
        """Begin the runs that are due to be repeated; return their names."""
        return await (await self.database.writer()).do(begin_due)

    async def shard_counts(self, name: str) -> ShardCounts:
        """Return how far a run is, by its shards.

        Raises:
            JournalError: There is none of that name, or it cannot be read.
        """
        name = await self.find(name)

        def read(connection: StoreReader) -> list[tuple[Any, ...]]:
            return connection.execute(
                "SELECT CASE WHEN state = 'held' AND lease_until < clock_timestamp() THEN 'ready'"
                " ELSE state END, count(*), max(problem), bool_or(cancelled_at IS NOT NULL)"
                " FROM shard JOIN run ON run.id = shard.run WHERE run.name = ? GROUP BY 1",
                (name,),
            ).fetchall()

        rows: list[tuple[Any, ...]] = await self.database.read(read, [])
        return ShardCounts(
            shards={state: count for state, count, _, _ in rows},
            problems=tuple(problem for _, _, problem, _ in rows if problem is not None),
            is_cancelled=any(row[3] for row in rows),
        )

    async def changed(self, name: str, *, since: float) -> tuple[list[Outcome], float]:
        """Return the outcomes of a run that became known at a moment or later, and what it is now.

        Both moments are the database's.
        """

        def read(connection: StoreReader) -> tuple[list[Outcome], float]:
            run, now = connection.execute(
                "SELECT id, extract(epoch FROM now())::float8 FROM run WHERE name = ?", (name,)
            ).fetchone()
            return reads.outcomes_since(connection, run, since), now

        return await self.database.read(read, ([], 0.0))

    async def running(self, name: str) -> set[int]:
        """Return the indexes of the scans of a run that are followed."""

        def read(connection: StoreReader) -> set[int]:
            rows = connection.execute(
                "SELECT input_index FROM scan JOIN run ON run.id = scan.run"
                " WHERE run.name = ? AND state = 'created' AND error IS NULL",
                (name,),
            )
            return {index for (index,) in rows}

        return await self.database.read(read, set())
