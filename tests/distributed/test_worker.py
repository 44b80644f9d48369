"""Workers in one process with the host they scan: what each takes, leaves and says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

psycopg = pytest.importorskip("psycopg")

from bestdefense_async import BestDefense  # noqa: E402
from bestdefense_async.core.polling import PollPolicy  # noqa: E402
from bestdefense_async.distributed import shards  # noqa: E402
from bestdefense_async.distributed.engine import open_app, wake  # noqa: E402
from bestdefense_async.distributed.enqueue import enqueue  # noqa: E402
from bestdefense_async.distributed.health import health_checks  # noqa: E402
from bestdefense_async.distributed.store import PostgresStore  # noqa: E402
from bestdefense_async.distributed.worker import Worker  # noqa: E402
from bestdefense_async.errors import ConfigError, JournalBusy, JournalMismatch  # noqa: E402
from bestdefense_async.models import ScanOptions  # noqa: E402
from bestdefense_async.sandbox import Sandbox  # noqa: E402
from tests.support.stores import statuses  # noqa: E402
from tests.support.waiting import until  # noqa: E402
from tests.support.workers import SPEED, enqueued, over  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.distributed.shards import HeldShard
    from bestdefense_async.models import Outcome


@contextlib.asynccontextmanager
async def working(
    database: str, url: str, tokens: dict[str, str], **settings: Any
) -> AsyncIterator[Worker]:
    """Give a worker that works until the end of the block."""
    async with BestDefense(base_url=url) as client:
        worker = Worker(
            client,
            database,
            credentials=tokens,
            polling=PollPolicy(speed=settings.pop("speed", SPEED)),
            **{"lease": 3.0, "drain": 1.0, "sweep": "* * * * * *", **settings},
        )
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


async def outcomes(database: str, name: str) -> dict[str, Outcome]:
    """Return the outcomes of a run by target."""
    async with PostgresStore(database) as store:
        result = await (await store.record(name)).result()
        return {each.target: each for each in result.outcomes}


async def test_a_run_is_carried_out_to_its_end(database: str) -> None:
    """Each site is scanned once, each line of the list has its outcome, and a gate can judge it."""
    async with Sandbox(sites=30, speed=SPEED) as sandbox:
        hosts = sandbox.hostnames
        async with (
            BestDefense(sandbox.token, sandbox.url) as client,
            PostgresStore(database) as store,
        ):
            run = await enqueue(
                client, [*hosts, "nowhere.example", hosts[0]], store=store, shard_size=8
            )
            assert (run.targets, run.rejected, run.duplicates) == (31, 1, 1)
        async with working(database, sandbox.url, {"default": sandbox.token}) as worker:
            progress = await over(database, run.name)
        sandbox.assert_no_duplicates()
        assert len(sandbox.scans_per_site()) == 30

    assert progress.shards == {"ended": 4}
    assert worker.ended == 4
    found = await outcomes(database, run.name)
    assert {target for target, each in found.items() if each.has_verdict} == set(hosts)
    assert str(found["nowhere.example"].error).startswith("No site")


async def test_a_run_whose_jobs_could_not_be_made_is_found_by_workers(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is recorded, so nobody begins it a second time for an error of the queue."""
    rename = "ALTER FUNCTION bestdefense.{} RENAME TO {}"
    names = ["procrastinate_defer_jobs_v1", "away"]
    async with Sandbox(sites=2, speed=SPEED) as sandbox:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(rename.format(*names))
            try:
                name = await enqueued(sandbox, database, sandbox.hostnames)
            finally:
                connection.execute(rename.format(*reversed(names)))
        async with working(database, sandbox.url, {"default": sandbox.token}):
            await over(database, name)

    assert set((await statuses_of(database, name)).values()) == {"done"}
    assert f"Workers find run {name} by themselves" in caplog.text


async def test_organizations_have_their_turns(database: str) -> None:
    """A small run that comes after a large one goes before the second shard of that one."""
    async with Sandbox(sites=12, speed=SPEED) as sandbox:
        other = sandbox.add_token(organization="acme")
        large = await enqueued(sandbox, database, sandbox.hostnames, shard_size=3)
        sites = [site.id for site in sandbox.sites_of("acme")][:3]
        async with BestDefense(other, sandbox.url) as client, PostgresStore(database) as store:
            small = await enqueue(client, sites, store=store, credential="acme")
        tokens = {"default": sandbox.token, "acme": other}
        async with working(database, sandbox.url, tokens, concurrency=1):
            await over(database, large)
            await over(database, small.name)
        created = [each.site_id for each in sandbox.ledger if each.operation == "reports.create"]

    assert set(created[3:6]) == set(sites)


async def test_a_small_organization_goes_before_a_large_one(database: str) -> None:
    """Also before its first shard, and although it comes later."""
    async with Sandbox(sites=9, speed=SPEED) as sandbox:
        other = sandbox.add_token(organization="acme")
        sites = [site.id for site in sandbox.sites_of("acme")][:2]
        await enqueued(sandbox, database, sandbox.hostnames, shard_size=3)
        async with BestDefense(other, sandbox.url) as client, PostgresStore(database) as store:
            await enqueue(client, sites, store=store, credential="acme")
        tokens = {"default": sandbox.token, "acme": other}
        async with working(database, sandbox.url, tokens, concurrency=1):
            await over(database, "last")
        created = [each.site_id for each in sandbox.ledger if each.operation == "reports.create"]

    assert set(created[:2]) == set(sites)


async def test_who_comes_later_is_served_from_now_on_and_keeps_nobody_waiting(
    database: str,
) -> None:
    """By how many targets each has had: not before those who have waited for their share."""
    rows = [(each, f"s{each}", each + 1, f"i{each}", f"k{each}", None) for each in range(900)]
    async with (
        PostgresStore(database) as store,
        open_app(store.database.address).open_async() as app,
    ):

        async def turns(credential: str, count: int) -> list[int]:
            _, begun = await store.enqueue(
                rows[:count],
                base_url="http://x",
                token_key="k",
                credential=credential,
                options=ScanOptions(),
            )
            await wake(app, begun)
            return [each.turn for each in begun]

        assert await turns("large", 900) == [200, 400, 600, 800, 900]
        assert await turns("small", 10) == [10]
        assert await turns("small", 20) == [30]
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("SET search_path = bestdefense")
            connection.execute("DELETE FROM procrastinate_jobs WHERE priority > -700")
        assert await turns("late", 10) == [610]
        assert await turns("large", 10) == [910]


async def test_there_is_room_for_scans_not_for_shards(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small shards take little of it, and each scan that ends makes room before its shard ends."""
    monkeypatch.setattr(shards, "SHARD_SIZE", 4)
    async with Sandbox(sites=12, speed=SPEED) as sandbox:
        for number, host in enumerate(sandbox.hostnames):
            sandbox.script(host, duration=1.0 if number in {0, 2} else 10_000_000.0)
        await enqueued(sandbox, database, sandbox.hostnames, shard_size=2)
        async with working(database, sandbox.url, {"default": sandbox.token}, concurrency=2) as one:
            await until(lambda: sandbox.count("reports.create") >= 8)
            await asyncio.sleep(0.5)
            assert (one.shards, one.ended) == (4, 0)
        assert sandbox.count("reports.create") == 8


async def test_what_is_not_a_worker_s_own_is_left_to_others(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of another credential, and one of another host: untouched, and said once."""
    async with Sandbox(sites=4, speed=SPEED) as sandbox, Sandbox(sites=4, speed=SPEED) as elsewhere:
        theirs = await enqueued(sandbox, database, sandbox.hostnames, credential="org-b")
        there = await enqueued(elsewhere, database, elsewhere.hostnames)
        ours = await enqueued(sandbox, database, sandbox.hostnames)
        async with working(database, sandbox.url, {"default": sandbox.token}):
            await over(database, ours)
            await asyncio.sleep(1.2)
        assert elsewhere.ledger[1:] == []

    for name in (theirs, there):
        assert set((await states(database, name)).items()) == {("ready", 1)}
    said = [each.getMessage() for each in caplog.records if "Shards wait" in each.getMessage()]
    assert len(said) == 1
    assert f"org-b at {sandbox.url}" in said[0]
    assert f"default at {elsewhere.url}" in said[0]


async def states(database: str, name: str) -> dict[str, int]:
    """Return the shards of a run by state."""
    async with PostgresStore(database) as store:
        return (await store.shard_counts(name)).shards


async def test_a_shard_of_another_host_is_refused_also_when_its_job_comes(database: str) -> None:
    """The queue is a hint; whose a shard is stands in the store."""
    async with Sandbox(sites=2, speed=SPEED) as sandbox:
        name = await enqueued(sandbox, database, sandbox.hostnames)
        async with PostgresStore(database) as store:
            (shard,) = await store.waiting()
            with pytest.raises(JournalMismatch, match="not at"):
                await store.take_shard(
                    shard.run, shard.number, base_url="http://127.0.0.1:1", token_key="k"
                )

    assert await states(database, name) == {"ready": 1}


async def test_a_revoked_token_stops_its_own_shards_only(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait for a good token and say why; nothing is lost; others end."""
    async with Sandbox(sites=6, speed=SPEED) as sandbox:
        dead = sandbox.add_token(organization="acme")
        sites = [site.id for site in sandbox.sites_of("acme")][:4]
        async with BestDefense(dead, sandbox.url) as client, PostgresStore(database) as store:
            theirs = (await enqueue(client, sites, store=store, credential="acme")).name
        ours = await enqueued(sandbox, database, sandbox.hostnames)
        sandbox.revoke(dead)
        tokens = {"default": sandbox.token, "acme": dead}
        async with working(database, sandbox.url, tokens):
            assert (await over(database, ours)).shards == {"ended": 1}
            blocked = await over(database, theirs)

    assert blocked.shards == {"blocked": 1}
    assert "credential acme: " in blocked.problems[0]
    assert dead not in caplog.text + blocked.problems[0]
    assert set((await statuses_of(database, theirs)).values()) == {"not_started"}


async def test_a_token_that_is_revoked_in_mid_run_loses_nothing(database: str) -> None:
    """What was started is followed, and the rest started, by a worker with another token."""
    async with Sandbox(sites=20, speed=SPEED) as sandbox:
        slow = sandbox.fault("reports.create", delay=0.1)
        dead, fresh = sandbox.token, sandbox.add_token()
        name = await enqueued(sandbox, database, sandbox.hostnames)
        async with working(database, sandbox.url, {"default": dead}, max_starting=2):
            await until(lambda: sandbox.count("reports.create") >= 4)
            sandbox.revoke(dead)
            assert (await over(database, name)).shards == {"blocked": 1}
        slow.remove()
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("UPDATE bestdefense.shard SET lease_until = now()")
        async with working(database, sandbox.url, {"default": fresh}):
            while await states(database, name) != {"ended": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        sandbox.assert_no_duplicates()

    assert set((await statuses_of(database, name)).values()) == {"done"}


async def statuses_of(database: str, name: str) -> dict[int, str]:
    """Return the statuses of a run by index."""
    async with PostgresStore(database) as store:
        return await statuses(store, name)


async def test_a_credential_of_another_organization_scans_nothing(database: str) -> None:
    """Its token is not even tried on the sites of the run."""
    async with Sandbox(sites=3, speed=SPEED) as sandbox:
        name = await enqueued(sandbox, database, sandbox.hostnames)
        async with working(
            database, sandbox.url, {"default": sandbox.add_token(organization="acme")}
        ):
            progress = await over(database, name)
        assert sandbox.count("reports.create") == 0

    assert "another organization" in progress.problems[0]


async def test_a_worker_that_is_stopped_leaves_the_rest_to_the_next(database: str) -> None:
    """What was sent is answered and recorded: nothing is unknown, nothing starts twice."""
    async with Sandbox(sites=40, speed=30.0) as sandbox:
        for host in sandbox.hostnames:
            sandbox.script(host, duration=6000.0)
        name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=20)
        tokens = {"default": sandbox.token}
        async with working(database, sandbox.url, tokens, speed=30.0):
            await until(lambda: sandbox.count("reports.create") >= 10)
        assert await states(database, name) == {"ready": 2}
        assert "unknown" not in (await statuses_of(database, name)).values()
        sandbox.advance(6000.0)
        for host in sandbox.hostnames:
            sandbox.script(host, duration=1.0)
        async with working(database, sandbox.url, tokens, speed=SPEED):
            await over(database, name)
        sandbox.assert_no_duplicates()

    assert set((await statuses_of(database, name)).values()) == {"done"}


async def test_a_shard_that_was_only_taken_is_left_as_it_was(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop in the moment between taking and feeding it: nothing of it counts as done."""
    async with Sandbox(sites=3, speed=SPEED) as sandbox:
        name = await enqueued(sandbox, database, sandbox.hostnames)
        async with working(database, sandbox.url, {"default": sandbox.token}) as worker:
            take = worker.store.take_shard

            async def take_and_stop(*where: int, **whose: Any) -> HeldShard | None:
                held = await take(*where, **whose)
                worker.stop()
                return held

            monkeypatch.setattr(worker.store, "take_shard", take_and_stop)
            await until(worker._stopping.is_set)  # noqa: SLF001 - nobody else asks

        assert await states(database, name) == {"ready": 1}
        assert sandbox.count("reports.create") == 0


async def test_a_run_that_is_cancelled_starts_nothing_more(database: str) -> None:
    """Its workers leave it; it can be gone on with by one process, which has it then alone."""
    async with Sandbox(sites=120, speed=30.0) as sandbox:
        slow = sandbox.fault("reports.create", delay=0.3)
        name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=120)
        tokens = {"default": sandbox.token}
        async with working(database, sandbox.url, tokens, concurrency=1, speed=30.0):
            await until(lambda: sandbox.count("reports.create") > 0)
            async with (
                PostgresStore(database) as store,
                BestDefense(sandbox.token, sandbox.url) as client,
            ):
                with pytest.raises(JournalBusy, match="held at"):
                    await client.resume(name, store=store).__aenter__()
                assert await store.cancel("last") == name
            assert (await over(database, name)).is_cancelled
            started = sandbox.count("reports.create")
            await asyncio.sleep(1.2)
            assert sandbox.count("reports.create") == started < 120

        slow.remove()
        policy = PollPolicy(speed=30.0)
        async with (
            BestDefense(sandbox.token, sandbox.url) as client,
            client.resume(name, store=database, polling=policy) as run,
        ):
            assert (await states(database, name)) == {"held": 1}
            await run.drain()
        sandbox.assert_no_duplicates()


async def test_a_run_is_begun_again_when_it_is_due(database: str) -> None:
    """By one worker, with the same targets, and not while the one before has not ended."""
    async with Sandbox(sites=6, speed=SPEED) as sandbox, PostgresStore(database) as store:
        first = await enqueued(sandbox, database, [*sandbox.hostnames, "nowhere.example"])
        at = await store.repeat("last", "0 3 * * *")
        assert at is not None
        assert at % 86_400 == 3 * 3600
        assert await store.begin_due() == []
        with psycopg.connect(database, autocommit=True) as connection:
            due = "UPDATE bestdefense.repetition SET next_at = now()"
            connection.execute(due)
            assert await store.begin_due() == []  # the first one has not ended
            tokens = {"default": sandbox.token}
            async with (
                working(database, sandbox.url, tokens),
                working(database, sandbox.url, tokens),
            ):
                await over(database, first)
                connection.execute(due)
                while len(await store.list()) < 2:  # noqa: ASYNC110 - a worker does it in its turn
                    await asyncio.sleep(0.05)
                await over(database, "last")
        second, first_info = await store.list()
        assert second.previous == first == first_info.name
        assert second.counts == first_info.counts
        assert set(sandbox.scans_per_site().values()) == {2}

        assert await store.repeat("last", None) is None
        with pytest.raises(ConfigError, match="no time of cron"):
            await store.repeat("last", "at three")


async def test_a_worker_on_other_tables_refuses_to_work(database: str) -> None:
    """In one sentence, before it takes anything."""
    statement = "UPDATE bestdefense.schema_version SET version = version + %s"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement, (1,))
        try:
            async with BestDefense(base_url="http://127.0.0.1:1") as client:
                worker = Worker(client, database, credentials={"default": "a-token"})
                with pytest.raises(JournalMismatch, match="update this program"):
                    await worker.run()
        finally:
            connection.execute(statement, (-1,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"credentials": {}}, "name one"),
        ({"credentials": {"a b": "t"}}, "The name of a credential"),
        ({"concurrency": 0}, "concurrency"),
        ({"drain": 30.0}, "22.5 s or less"),
    ],
    ids=["no credential", "an odd name", "no concurrency", "a drain as long as a lease"],
)
async def test_what_a_worker_cannot_work_with_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """Before anything is opened."""
    async with BestDefense(base_url="http://127.0.0.1:1") as client:
        with pytest.raises(ConfigError, match=message):
            Worker(client, "postgresql://127.0.0.1:1/x", **{"credentials": {"a": "t"}, **arguments})


async def test_a_worker_says_whether_it_is_ready(database: str) -> None:
    """An orchestrator sends no work to one that stops, and restarts none for that."""

    async def status(port: int, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.split(b" ", 2)[1]

    url = "http://127.0.0.1:1"
    async with (
        working(database, url, {"default": "a-token"}) as worker,
        health_checks(worker, ("127.0.0.1", 0)) as port,
    ):
        await until(lambda: worker.is_ready)
        assert [await status(port, path) for path in ("/health", "/ready", "/x")] == [
            b"200",
            b"200",
            b"404",
        ]
        worker.stop()
        assert [await status(port, path) for path in ("/health", "/ready")] == [b"200", b"503"]


async def test_a_lost_connection_stops_no_shard(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine is started again; what was taken goes on meanwhile."""
    caplog.set_level(logging.CRITICAL, "procrastinate")
    async with Sandbox(sites=60, speed=SPEED) as sandbox:
        name = await enqueued(sandbox, database, sandbox.hostnames, shard_size=20)
        async with working(database, sandbox.url, {"default": sandbox.token}):
            waiting = asyncio.create_task(over(database, name))
            for _ in range(3):
                await asyncio.sleep(0.4)
                with psycopg.connect(database, autocommit=True) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND application_name = 'bestdefense'"
                    )
            with contextlib.suppress(Exception):
                await waiting
            await over(database, name)
        sandbox.assert_no_duplicates()

    assert set((await statuses_of(database, name)).values()) == {"done"}
