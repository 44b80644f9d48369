"""What a database in the real world does: it is away, old, read-only, elsewhere in time."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

psycopg = pytest.importorskip("psycopg")

import time_machine  # noqa: E402

from bestdefense_async import BestDefense  # noqa: E402
from bestdefense_async.distributed import postgres  # noqa: E402
from bestdefense_async.distributed.address import Address  # noqa: E402
from bestdefense_async.distributed.postgres import WritingConnection  # noqa: E402
from bestdefense_async.distributed.schema import VERSION, migrate  # noqa: E402
from bestdefense_async.distributed.store import PostgresStore  # noqa: E402
from bestdefense_async.errors import ConfigError, JournalError, JournalMismatch  # noqa: E402
from bestdefense_async.models import ScanOptions, Site  # noqa: E402
from bestdefense_async.runs.inputs import ExistingScan  # noqa: E402
from bestdefense_async.runs.store.doors import open_store  # noqa: E402
from tests.support.stores import (  # noqa: E402
    KEY,
    URL,
    begin,
    claim,
    create,
    done,
    followed,
    statuses,
    take,
)
from tests.support.waiting import until  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
PASSWORD = "p4ss-w0rd"
SITES = [Site(id=f"s{n}", hostname=f"h{n}.example") for n in range(40)]


def sql(database: str, statement: str) -> list[Any]:
    """Do something behind the back of a store; return the rows."""
    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def owners(database: str) -> list[str]:
    """Return who holds something."""
    return [owner for (owner,) in sql(database, "SELECT owner FROM bestdefense.shard")]


def cut(server: str, name: str) -> None:
    """End every connection of ours to a database, as a network does."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'bestdefense'",
            (name,),
        )


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/runs",
        f"postgresql://127.0.0.1:1/runs?user=me&password={PASSWORD}",
        f"postgres://me:{PASSWORD}@127.0.0.1:1/runs?nonsense={PASSWORD}",
        f"postgresql://me:{PASSWORD}@127.0.0.1:{PASSWORD}/runs",
        f"me:{PASSWORD}@127.0.0.1/runs",
        f"postgresql://me:x@{PASSWORD}@127.0.0.1:1/runs",
    ],
    ids=["as usual", "as a parameter", "unknown parameter", "as the port", "no URL", "with an @"],
)
async def test_no_text_shows_the_password_of_an_address(text: str) -> None:
    """Neither what is shown of a store nor the error of one that cannot be reached."""
    shown = []

    async def look() -> None:
        async with PostgresStore(text) as store:
            shown.append(repr(store) + repr(store.database.address))
            await store.list()

    with pytest.raises((ConfigError, JournalError)) as caught:
        await look()

    shown.append(str(caught.value))
    assert not [each for each in shown if PASSWORD in each]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_database_that_cannot_be_reached_is_named_in_one_sentence() -> None:
    """The writer says it at once, too: only a connection that was there is tried again."""
    async with PostgresStore("postgresql://me@127.0.0.1:1/runs") as store:
        for work in (store.list(), create(store)):
            with pytest.raises(JournalError, match=r"me@127\.0\.0\.1:1/runs cannot be reached: "):
                await work


async def test_what_a_server_cannot_do_is_said_in_one_sentence(database: str) -> None:
    """A certificate that cannot be checked, and a pooler that forgets what was prepared."""
    safe = f"{database}?sslmode=verify-full&sslrootcert=/not/there"
    async with PostgresStore(safe) as store:
        with pytest.raises(JournalError, match="cannot be reached: "):
            await create(store)
    async with PostgresStore(database) as store:
        writer = await store.database.writer()
        with pytest.raises(JournalError, match="session mode"):
            await writer.do(lambda connection: connection.execute("EXECUTE nothing"))


async def test_an_address_of_a_store_needs_no_import_of_ours(database: str) -> None:
    """A client takes it in place of a path, and closes what it has opened."""
    async with BestDefense("a-token", "http://127.0.0.1:1") as bd:
        run = bd.scan_many([], store=database)
        async with run:
            assert [outcome async for outcome in run] == []
        assert bd.scan_many([], store=database)._store is run._store  # noqa: SLF001 - one for both

    async with open_store(database) as store:
        assert [each.name for each in await store.list()] == [run.name]


@pytest.fixture
def bare(database: str) -> Iterator[str]:
    """A database without tables of ours."""
    sql(database, "DROP SCHEMA bestdefense CASCADE")
    yield database
    with psycopg.connect(database, autocommit=True) as connection:
        migrate(connection, from_nothing=True)


async def test_tables_are_made_by_order_only(bare: str) -> None:
    """A store without tables says what to do; making them twice is harmless."""
    async with PostgresStore(bare) as store:
        for work in (store.list(), create(store)):
            with pytest.raises(JournalMismatch, match="run `bestdefense database init`"):
                await work
    assert sql(bare, "SELECT 1 FROM pg_namespace WHERE nspname = 'bestdefense'") == []
    with psycopg.connect(bare, autocommit=True) as connection:
        assert migrate(connection, from_nothing=False) == 0
        assert migrate(connection, from_nothing=True) == 0
        assert migrate(connection, from_nothing=True) == VERSION

    async with PostgresStore(bare) as store:
        await create(store)


@pytest.mark.parametrize(
    ("version", "advice"), [(0, "database init"), (VERSION + 1, "update this program")]
)
async def test_tables_of_another_version_are_left_alone(
    database: str, version: int, advice: str
) -> None:
    """Nothing is read or written by a program that may misread it."""
    sql(database, f"UPDATE bestdefense.schema_version SET version = {version}")  # noqa: S608
    try:
        async with PostgresStore(database) as store:
            for work in (store.list(), create(store)):
                with pytest.raises(JournalMismatch, match=advice):
                    await work
    finally:
        sql(database, f"UPDATE bestdefense.schema_version SET version = {VERSION}")  # noqa: S608


async def test_a_read_only_database_is_read(database: str) -> None:
    """As a standby is; writing says so, and nothing is lost."""
    async with PostgresStore(database) as store:
        name = (await create(store)).name
    standby = f"{database}?options=-c%20default_transaction_read_only%3Don"
    async with PostgresStore(standby) as store:
        assert [each.name for each in await store.list()] == [name]
        with pytest.raises(JournalError, match="read-only"):
            await create(store)


async def test_writes_go_on_after_a_connection_was_cut(database: str) -> None:
    """Whoever waits for a write notices nothing but a moment, and nothing is written twice."""
    async with PostgresStore(database) as store:
        run = await create(store, plan=SITES)
        for index in range(40):
            if index % 10 == 5:
                cut(database, database.rpartition("/")[2])
            await begin(run.journal, index)
            await run.journal.finished(done(index))
        assert await run.journal.end() == []

        assert set((await statuses(store)).values()) == {"done"}
        assert store.database.reconnects == 4


async def test_a_database_that_stays_away_is_told_after_a_while(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write that waited for it gets the error, and what comes later may be written again."""
    monkeypatch.setattr(postgres, "PATIENCE", 0.5)
    name, server = database.rpartition("/")[2], database.rpartition("/")[0] + "/postgres"
    async with PostgresStore(database) as store:
        run = await create(store, plan=SITES[:2])
        sql(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        cut(server, name)
        try:
            with pytest.raises(JournalError, match="cannot be"):
                await claim(run.journal, 0)
        finally:
            sql(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

        assert (await claim(run.journal, 0)).is_ours
        assert await statuses(store) == {0: "unknown", 1: "not_started"}


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the answer to each commit be lost once; the list holds those that were not yet."""
    left: list[str] = []
    execute = WritingConnection.execute

    def lose(self: WritingConnection, sql: str, parameters: Any = (), /) -> Any:
        found = execute(self, sql, parameters)
        if sql == "COMMIT" and left:
            left.pop()
            self.close()
            raise psycopg.OperationalError("the connection was lost")
        return found

    monkeypatch.setattr(WritingConnection, "execute", lose)
    return left


async def test_what_was_committed_is_not_done_again_when_the_answer_is_lost(
    database: str, lost_answers: list[str]
) -> None:
    """One run, one owner, one claim, one result, however often they were told."""
    async with PostgresStore(database) as store, PostgresStore(database) as other:
        lost_answers.append("create")
        run = await create(store, plan=SITES[:3])
        assert [each.name for each in await store.list()] == [run.name]
        lost_answers.append("claim")
        assert (await claim(run.journal, 0)).is_ours
        lost_answers.append("created")
        await run.journal.created(0, report_id="r0")
        lost_answers.append("finished")
        await run.journal.finished(done(0))
        await run.journal.aclose()
        lost_answers.append("take")
        taken = await take(other)
        await begin(taken.journal, 1)

        assert await statuses(store) == {0: "done", 1: "running", 2: "not_started"}
        assert lost_answers == []


async def test_writes_stay_one_statement_when_other_work_comes_between(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And neither is undone when the other fails."""
    sizes: list[int] = []
    write_rows = WritingConnection.write_rows

    def counted(self: WritingConnection, start: str, types: Any, end: str, rows: Any) -> bool:
        sizes.append(len(rows))
        return write_rows(self, start, types, end, rows)

    async with PostgresStore(database) as store:
        run = await create(store, plan=SITES)
        monkeypatch.setattr(WritingConnection, "write_rows", counted)
        writer = await store.database.writer()
        claims = [claim(run.journal, index) for index in range(40)]
        first = asyncio.gather(*claims[:20])
        await asyncio.sleep(0)
        nothing = writer.do(lambda connection: connection.execute("SELECT 1 / 0"))
        answers = await asyncio.gather(first, nothing, *claims[20:], return_exceptions=True)

    assert isinstance(answers[1], JournalError)
    assert [each for each in answers if isinstance(each, BaseException)] == [answers[1]]
    assert len(sizes) <= 4


async def test_a_shard_is_not_ended_while_a_late_answer_is_written(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the scan would be paid for and followed by nobody."""
    written, may_commit = threading.Event(), threading.Event()
    execute = WritingConnection.execute
    old: list[WritingConnection] = []

    def wait(self: WritingConnection, sql: str, parameters: Any = (), /) -> Any:
        if sql == "COMMIT" and self in old:
            written.set()
            may_commit.wait(10)
        return execute(self, sql, parameters)

    async with PostgresStore(database) as store, PostgresStore(database) as other:
        run = await create(store, plan=SITES[:1])
        await claim(run.journal, 0)
        sql(
            database,
            "UPDATE bestdefense.shard SET owner = 'gone', lease_until = now() - interval '1 s'",
        )
        new = await take(other, run.name)
        monkeypatch.setattr(WritingConnection, "execute", wait)
        assert store.database._connection is not None  # noqa: SLF001 - there is no seam before a commit
        old.append(store.database._connection)  # noqa: SLF001
        answer = asyncio.create_task(run.journal.created(0, report_id="r0"))
        await asyncio.to_thread(written.wait, 10)
        end = asyncio.create_task(new.journal.end())
        await asyncio.wait([end], timeout=0.3)
        may_commit.set()
        await answer

        assert followed(await end) == [0]


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_the_clock_of_a_store_is_the_database_s(database: str, minutes: int) -> None:
    """A machine ten minutes off changes no moment, and reads how old a scan is."""
    real = time.time()
    with time_machine.travel(real + 60 * minutes, tick=True):
        async with PostgresStore(database) as store:
            run = await create(store)
            await run.journal.claim(0, target="h", site_id="s0", at=time.time())
            await run.journal.created(0, report_id="r0")
            (left,) = await run.record.remaining()
            assert isinstance(left.item, ExistingScan)
            assert abs(left.item.started_at - time.time()) < 5.0

    stored = sql(
        database, "SELECT claimed_at, extract(epoch FROM now())::float8 FROM bestdefense.scan"
    )
    assert abs(stored[0][0] - stored[0][1]) < 5.0
    assert (
        sql(
            database, "SELECT 1 FROM bestdefense.shard WHERE lease_until > now() + interval '1 min'"
        )
        == []
    )


async def test_a_lease_is_renewed_as_long_as_its_owner_lives(database: str) -> None:
    """And runs out when it is not heard of: then others may take the run."""
    async with PostgresStore(database, lease=1.0) as store, PostgresStore(database) as other:
        run = await create(store, plan=SITES[:1])
        await asyncio.sleep(1.5)
        with pytest.raises(JournalError, match="held"):
            await take(other, run.name)
        beats, _ = store.database._keeping  # noqa: SLF001 - what a hung process looks like
        beats.cancel()
        await asyncio.sleep(1.2)

        await take(other, run.name)


async def test_who_has_no_session_any_more_holds_nothing(database: str) -> None:
    """Its lease need not run out; but who opens another session at once loses nothing."""
    async with PostgresStore(database) as store, PostgresStore(database) as other:
        await store.enqueue(
            [], base_url=URL, token_key=KEY, credential="default", options=ScanOptions()
        )
        (shard,) = await store.waiting()
        await store.take_shard(shard.run, shard.number, base_url=URL, token_key=KEY)
        _, shown = store.database.presence.names
        await until(lambda: owners(database) == [shown])
        cut(database, psycopg.conninfo.conninfo_to_dict(database)["dbname"])
        while await other.owners_without_session() != []:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        await other.end_leases([shown])
        assert await other.waiting() == []
        assert owners(database) == [shown]

        store.database._keeping[1].cancel()  # noqa: SLF001 - its end, as others see it
        while await other.owners_without_session() != [shown]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await other.end_leases([shown])
        assert await other.waiting() == [shard]


async def test_behind_a_pooler_only_the_lease_counts(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that others use too says nothing about its process: nobody is told that it does."""
    real = psycopg.AsyncConnection.connect
    sessions = []

    async def pooled(*given: Any, **settings: Any) -> Any:
        session = await real(*given, **settings)
        monkeypatch.setattr(type(session.info), "backend_pid", 1)  # a pooler makes one up
        sessions.append(session)
        return session

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", pooled)
    async with PostgresStore(database) as store, PostgresStore(database) as other:
        run = await create(store)
        await until(lambda: bool(sessions) and sessions[0].closed)
        assert owners(database) == [store.database.presence.names[0]]
        assert await other.owners_without_session() == []
        with pytest.raises(JournalError, match="held"):
            await take(other, run.name)


async def test_texts_of_any_kind_are_kept(database: str) -> None:
    """What a host or a list may hold: quotes, percents, question marks, other scripts."""
    odd = ["a'b\"c", "%s ? %% \\", "ünïcödé.例え", "x" * 200]
    async with PostgresStore(database) as store:
        run = await create(store, plan=[Site(id=f"s{n}", hostname=t) for n, t in enumerate(odd)])

        assert [each.target for each in (await run.record.result()).outcomes] == odd


def test_an_address_is_read_as_the_driver_reads_it() -> None:
    """The usual settings stand unless the address has its own."""
    found = Address.of("postgresql://me@db.example:5433/runs?connect_timeout=2").conninfo

    assert "connect_timeout=2" in found
    assert "application_name=bestdefense" in found
