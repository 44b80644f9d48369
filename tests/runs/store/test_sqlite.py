"""The file of a store in the real world: wrong files, bad disks, killed processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import time_machine

from bestdefense_async import BestDefense, ScanGroup
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import JournalBusy, JournalError, JournalMismatch, RateLimited
from bestdefense_async.models import Outcome, ScanOptions, Site
from bestdefense_async.runs.store import files
from bestdefense_async.runs.store.sqlite import SqliteStore
from bestdefense_async.runs.targets import Target
from bestdefense_async.sandbox import Sandbox
from tests.support.mounts import mounted, remount
from tests.support.stores import begin, child, claim, create, done, statuses, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bestdefense_async.runs.store.protocol import HeldRun

SPEED = 1_200.0


def change(path: Path, *commands: str) -> None:
    """Change a database behind the back of its store."""
    with closing(sqlite3.connect(path)) as connection:
        for command in commands:
            connection.execute(command)
        connection.commit()


def foreign(path: Path) -> None:
    """Put another program's database there."""
    path.unlink()
    change(path, "CREATE TABLE a (b)")


def directory(path: Path) -> None:
    """Put a directory there."""
    path.unlink()
    path.mkdir()


def spoilt(path: Path) -> None:
    """Overwrite a part of it."""
    with path.open("r+b") as file:
        file.seek(9000)
        file.write(b"\xff" * 29000)


WRONG: dict[str, tuple[Callable[[Path], object], type[JournalError], str]] = {
    "newer": (lambda path: change(path, "PRAGMA user_version = 99"), JournalMismatch, "newer"),
    "a foreign database": (foreign, JournalMismatch, "not a store"),
    "a list": (lambda path: path.write_text("a.example\n" * 99), JournalMismatch, "not a store"),
    "cut off": (lambda path: os.truncate(path, path.stat().st_size // 2), JournalError, "damaged"),
    "spoilt": (spoilt, JournalError, "damaged"),
    "a directory": (directory, JournalMismatch, "no regular file"),
}


@pytest.mark.parametrize(("spoil", "kind", "sentence"), WRONG.values(), ids=WRONG)
async def test_what_is_no_store_is_refused_in_one_sentence_and_stays_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], object], kind: type[JournalError], sentence: str
) -> None:
    """Also where it is to be written, for a program that can use it."""
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        run = await create(store, plan=[Target(f"h{n}.example") for n in range(500)])
        await run.journal.aclose()
    spoil(path)
    before = content(tmp_path)

    async with SqliteStore(path) as store:
        with pytest.raises(kind, match=sentence) as caught:
            await take(store)
    assert str(path) in str(caught.value)

    assert content(tmp_path) == before


def content(directory: Path) -> dict[str, bytes]:
    """Return what all files of a directory contain."""
    return {each.name: each.read_bytes() for each in directory.iterdir() if each.is_file()}


async def test_reading_makes_and_changes_nothing(tmp_path: Path) -> None:
    """Neither where there is a store nor where there is none."""
    async with SqliteStore(tmp_path / "absent" / "runs.db") as store:
        assert await store.list() == ()
        assert await store.samples("x", base_url="y") == []
        assert await store.prune(keep=0) == ()
        with pytest.raises(JournalError, match="none at all"):
            await take(store)
    assert list(tmp_path.iterdir()) == []

    async with SqliteStore(tmp_path / "runs.db") as store:
        run = await create(store)
        await claim(run.journal, 0)
        await run.journal.aclose()
    before = content(tmp_path)
    assert await statuses(SqliteStore(tmp_path / "runs.db")) == {0: "unknown"}
    assert content(tmp_path) == before


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
async def test_everything_is_its_owners_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """The directories it makes 0700, the files 0600."""
    path = tmp_path / "a" / "b" / "runs.db"
    before = os.umask(umask)
    try:
        async with SqliteStore(path) as store:
            await create(store)
            made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
            modes = {each.name: each.stat().st_mode & 0o777 for each in made}
    finally:
        os.umask(before)

    assert {modes.pop(name) for name in ("a", "b", "runs.db.owners")} == {0o700}
    assert len(modes) >= 3
    assert set(modes.values()) == {0o600}


async def test_what_is_left_of_a_killed_beginning_disturbs_nobody(tmp_path: Path) -> None:
    """An empty file and a database without tables are stores without runs."""
    path = tmp_path / "runs.db"
    path.touch()
    assert await SqliteStore(path).list() == ()
    change(path, "PRAGMA journal_mode = WAL", "VACUUM")
    assert await SqliteStore(path).list() == ()

    async with SqliteStore(path) as store:
        await create(store)
        assert len(await store.list()) == 1


def test_a_run_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A process is killed again and again while it begins runs, from its first moment on."""
    path = tmp_path / "runs.db"
    seen = 0
    for number in range(8):
        with child("many", path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 * number)
            process.kill()
        runs = asyncio.run(SqliteStore(path).list())
        assert [each.problem for each in runs] == [None] * len(runs)
        seen = len(runs)
    assert seen > 0

    async def go_on() -> None:
        async with SqliteStore(path) as store:
            for each in await store.list():
                await take(store, each.name)
            assert list(path.parent.glob("*.owners/*")) != []

    asyncio.run(go_on())
    assert list(path.parent.glob("*.owners")) == []  # those of the killed are gone too


async def test_a_damaged_run_is_told_beside_the_others(tmp_path: Path) -> None:
    """And is never deleted; its results are read as far as they can be."""
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        for _ in range(3):
            run = await create(store)
            await begin(run.journal, 0)
            await run.journal.finished(done(0))
            await begin(run.journal, 1)
            await run.journal.aclose()
        change(
            path,
            "UPDATE run SET options = '{' WHERE id = 2",
            "UPDATE result SET result = '{\"findings\": 1}' WHERE run = 3",
            "UPDATE scan SET error = 'x' WHERE run = 3 AND input_index = 1",
            "DELETE FROM shard WHERE run = 1",
        )

        infos = await store.list()
        assert [each.problem is None for each in infos] == [True, False, True]
        assert "damaged" in str(infos[1].problem)
        assert infos[0].counts["running"] == 1
        result = await (await store.record("last")).result()
        assert [outcome.status for outcome in result.outcomes] == ["running", "running"]
        assert "cannot be read" in str(result.outcomes[0].error)
        pruned = await store.prune(keep=0, include_incomplete=True)
        assert infos[1].name not in {each.name for each in pruned}


async def test_a_run_that_a_process_holds_is_read_and_not_taken_and_then_taken_at_once(
    tmp_path: Path,
) -> None:
    """Each reading sees a later state; the moment after `kill -9` it can be gone on with."""
    path = tmp_path / "runs.db"
    with child("hold", path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        async with SqliteStore(path) as store:
            with pytest.raises(JournalBusy, match="Another process holds"):
                await take(store)
            counts = [len(await statuses(store))]
            while counts[-1] < 20:
                counts.append(len(await statuses(store)))
            assert (await store.list())[0].is_held
            process.kill()
            process.wait()
            assert not (await store.list())[0].is_held
            await take(store)

    assert counts == sorted(counts)


async def test_an_owner_is_asked_for_once_however_many_runs_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask takes a while, and another process may hold thousands of runs."""
    path = tmp_path / "runs.db"
    asked: list[str | None] = []
    is_alive = files.is_alive

    def count(store: Path, owner: str | None) -> bool:
        asked.append(owner)
        return is_alive(store, owner)

    async with SqliteStore(path) as one, SqliteStore(path) as two, SqliteStore(path) as reader:
        for _ in range(5):
            await create(one)
            await create(two)
        monkeypatch.setattr(files, "is_alive", count)
        infos = await reader.list()
        times = len(asked)

    assert [info.is_held for info in infos] == [True] * 10
    assert times == 2


async def test_a_file_is_checked_once_for_all_runs_that_are_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check reads all of the file, which a service would do for each run of a restart."""
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        names = [(await create(store)).name for _ in range(3)]
    statements: list[str] = []
    reading = files.reading

    @contextlib.contextmanager
    def traced(path: Path) -> Iterator[sqlite3.Connection | None]:
        with reading(path) as connection:
            if connection is not None:
                connection.set_trace_callback(statements.append)
            yield connection

    monkeypatch.setattr(files, "reading", traced)
    async with SqliteStore(path) as store:
        for name in names:
            await take(store, name)

    assert len([each for each in statements if "quick_check" in each]) == 1


async def test_a_killed_run_on_a_read_only_disk_is_read_with_what_it_wrote_last(
    tmp_path: Path,
) -> None:
    """The file alone does not hold it: the last writes are in the log beside it."""
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.mkdir()
    with child("hold", source / "runs.db") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert (source / "runs.db-wal").stat().st_size > 0
    shutil.copytree(source, tmp_path / "copy")
    expected = await statuses(SqliteStore(tmp_path / "copy" / "runs.db"))
    before = content(source)
    with mounted(disk, "--bind", str(source)):
        remount(disk, "-o", "remount,bind,ro")
        async with SqliteStore(disk / "runs.db") as store:
            read = await statuses(store)
            with pytest.raises(JournalError, match=r"read-only|Read-only"):
                await take(store)
            with pytest.raises(JournalError, match=r"read-only|Read-only"):
                await create(store)

    assert read == expected
    assert read[0] == "unknown"
    assert content(source) == before


async def test_a_full_disk_ends_the_claims_and_loses_nothing(tmp_path: Path) -> None:
    """What was reported as written is there, and the store is whole."""
    path = tmp_path / "runs.db"
    with child("fill", path) as process:
        told, _ = process.communicate(timeout=60)
    claimed, created, errors = map(int, told.split())
    async with SqliteStore(path) as store:
        run = await take(store)
        counts = (await run.record.info()).counts

    assert (claimed > 9, errors) == (True, 1)
    assert counts["running"] == created
    assert counts["unknown"] == claimed - created


async def test_the_newest_run_is_the_last_that_began_whatever_the_clock_said(
    tmp_path: Path,
) -> None:
    """The clock was a day ahead during the first of two runs."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        with time_machine.travel(time.time() + 86_400.0, tick=True):
            ahead = await create(store)
        now = await create(store)

        assert ahead.name > now.name
        assert await store.find("last") == now.name
        assert [each.name for each in await store.list()] == [now.name, ahead.name]
        assert (await store.list())[0].previous == ahead.name


async def test_a_run_on_a_full_disk_starts_nothing_more_and_is_resumed_when_there_is_room(
    tmp_path: Path,
) -> None:
    """No scan is created twice, and every target is done in the end or truly unknown."""
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=600k", "tmpfs"):
        async with Sandbox(sites=200, speed=SPEED) as sandbox:
            async with SqliteStore(disk / "runs.db") as store:
                held = await store.create(
                    base_url=sandbox.url,
                    token_key="k",
                    options=ScanOptions(),
                    plan=map(Target, sandbox.hostnames),
                )
                first = await scanned(held, sandbox)
                with contextlib.suppress(JournalError):
                    await held.journal.aclose()
                started = sandbox.scans_per_site()
                remount(disk, "-o", "remount,size=16m")
            async with SqliteStore(disk / "runs.db") as store:
                held = await store.take("last", base_url=sandbox.url, token_key="k")
                await scanned(held, sandbox)
                last = (await held.record.result()).outcomes
                created = sandbox.scans_per_site()

    refused = [each for each in first if each.status == "not_started"]
    assert len(first) == len(last) == 200
    assert 0 < len(started) < 200
    assert len(refused) == 200 - len(started)
    assert {type(each.error) for each in refused} == {JournalError}
    assert all("the disk is full" in str(each.error) for each in refused)
    assert set(created.values()) == {1}
    assert {each.status for each in last} <= {"done", "unknown"}
    assert all(created.get(each.site_id or "") for each in last)
    assert len(created) == 200


async def scanned(held: HeldRun, sandbox: Sandbox) -> list[Outcome]:
    """Scan what remains of a run, and return the outcomes."""
    async with (
        BestDefense(sandbox.token, sandbox.url) as client,
        ScanGroup(client, journal=held.journal, polling=PollPolicy(speed=SPEED)) as group,
    ):
        group.feed(await held.record.remaining())
        return [outcome async for outcome in group]


async def test_a_fault_of_the_program_is_not_told_as_one_of_the_disk(tmp_path: Path) -> None:
    """Texts are a plan too; a value that no database takes is a fault, and nothing is written."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        run = await create(store, plan=["a.example", Site(id="s1", hostname="b.example")])  # type: ignore[list-item]
        assert len(await run.record.remaining()) == 2
        odd = Target("h.example")
        object.__setattr__(odd, "line", 1 << 70)
        with pytest.raises(OverflowError):
            await create(store, plan=[odd])
        assert len(await store.list()) == 1


async def test_a_thousand_runs_need_one_thread_and_few_descriptors(tmp_path: Path) -> None:
    """However many runs a process has, one file is open and one thread writes."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        threads, before = threading.active_count(), descriptors()
        runs = await asyncio.gather(*(create(store) for _ in range(1000)))
        await asyncio.gather(*(begin(run.journal, 0) for run in runs))
        commits = store.commits

        assert descriptors() - before <= 6
        writers = [each for each in threading.enumerate() if each.name == "bestdefense-store"]
        assert len(writers) == 1
        assert threading.active_count() - threads <= 40  # the loop's own, which read and resolve
        assert commits < 1500
        await asyncio.gather(*(run.journal.finished(done(0)) for run in runs))
        assert store.commits - commits <= 4
        await asyncio.gather(*(run.journal.end() for run in runs))


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_writes_that_nobody_waited_for_are_raised_by_the_next(tmp_path: Path) -> None:
    """Nothing that could not be written goes unsaid, not even at the end."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        run = await create(store)
        change(tmp_path / "runs.db", "UPDATE shard SET fence = 9")
        run.journal.span("outage", 1.0, 2.0, RateLimited("x", status=429))
        await asyncio.sleep(0.1)

        with pytest.raises(JournalError, match="taken over"):
            run.journal.accepted(0, target="x", site_id="s0")


async def test_a_claim_that_was_cancelled_can_be_given_back(tmp_path: Path) -> None:
    """Whether or not it was written already when its task was cancelled."""
    async with SqliteStore(tmp_path / "runs.db") as store:
        run = await create(store)
        for index in range(4):
            task = asyncio.create_task(claim(run.journal, index))
            await asyncio.sleep(0.002 * index)
            task.cancel()
            await asyncio.wait([task])
            await run.journal.give_back(index)

        assert set((await statuses(store)).values()) == {"not_started"}


def test_a_new_store_is_opened_by_several_at_once(tmp_path: Path) -> None:
    """Whoever opens a file in which another makes the tables right now has the same store."""
    at_once = threading.Barrier(4)

    def open_all(_: int) -> None:
        for number in range(60):
            at_once.wait()
            try:
                files.close(files.open_to_write(tmp_path / f"{number}.db"))
            except BaseException:
                at_once.abort()
                raise

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(open_all, range(4)))
