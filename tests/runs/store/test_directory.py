"""Many runs in a directory: names, lists, and what is never thrown away."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.errors import ConfigError, ConnectionLost, JournalError, PollTimeout
from bestdefense_async.models import Outcome, ScanOptions
from bestdefense_async.runs import RunStore, SqliteJournal, Target
from tests.support.journals import URL, child, claim, done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

NOON = 1_764_072_000.0
"""2025-11-25 12:00 in UTC."""
DAY = 86_400.0
DENIED = JournalError("No.")


async def begun(
    store: RunStore,
    now: float,
    work: Callable[[SqliteJournal], Awaitable[object]],
    *,
    options: ScanOptions | None = None,
    targets: int = 0,
) -> Path:
    """Make a run that began then, in which something was done."""
    path = store.new_path(now=now)
    plan = [Target(f"h{index}.example") for index in range(targets)]
    async with await SqliteJournal.create(
        path, base_url=URL, token="t", options=options or ScanOptions(), targets=plan
    ) as journal:
        await work(journal)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE run SET created_at = ?", (now,))
    return path


async def finish(journal: SqliteJournal) -> None:
    """Scan the first input."""
    await claim(journal, 0)
    await journal.created(0, report_id="r0")
    await journal.finished(done(0))


async def claimed(journal: SqliteJournal) -> None:
    """Claim the first input."""
    await claim(journal, 0)


async def nothing(_: SqliteJournal) -> None:
    """Leave the plan as it is."""


async def created(journal: SqliteJournal) -> None:
    """Leave a scan running."""
    await claim(journal, 0)
    await journal.created(0, report_id="r0")


async def lost(journal: SqliteJournal) -> None:
    """Lose the answer to a creation."""
    await claim(journal, 0)
    await journal.unknown(0, error=ConnectionLost("Reset."))


def test_a_run_is_called_by_the_time_of_its_start(tmp_path: Path) -> None:
    """In UTC and with a random end, in a directory that is made for its owner only."""
    store = RunStore(tmp_path / "state" / "runs")
    first, second = store.new_path(now=NOON), store.new_path(now=NOON)

    assert first.name.startswith("20251125-120000-000")
    assert len(first.name) == len("20251125-120000-000ab.journal")
    assert store.new_path(now=NOON + 0.25).name.startswith("20251125-120000-250")
    assert first != second
    assert first.parent == store.directory
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """A file stands in its way."""
    (tmp_path / "state").write_text("")
    with pytest.raises(JournalError, match="Not a directory"):
        RunStore(tmp_path / "state" / "runs").new_path()


async def test_a_run_is_found_by_its_name_its_beginning_its_age_or_its_path(
    tmp_path: Path,
) -> None:
    """And an error names those that were perhaps meant."""
    store = RunStore(tmp_path / "runs")
    with pytest.raises(JournalError, match="no run in"):
        store.find("last")
    old = await begun(store, NOON, nothing)
    new = await begun(store, NOON + DAY, nothing)
    other = tmp_path / "other.file"
    other.write_text("")

    assert store.find(old.stem) == old
    assert store.find("20251125") == old
    assert store.find("last") == new
    assert store.find(str(new)) == new
    assert store.find(str(other)) == other
    with pytest.raises(JournalError, match=f"202511 fits 2 runs: {new.stem}, {old.stem}"):
        store.find("202511")
    for wrong in ("2024", "", "x" * 5000, "*", str(tmp_path)):
        with pytest.raises(JournalError, match=f"no run or file.*{new.stem}, {old.stem}"):
            store.find(wrong)


async def test_an_error_about_many_runs_names_a_few(tmp_path: Path) -> None:
    """The newest ones."""
    store = RunStore(tmp_path)
    for number in range(7):
        (tmp_path / f"run-{number}.journal").write_text("")

    with pytest.raises(JournalError, match=r"fits 7 runs: run-6, run-5, .* and 2 more"):
        store.find("run")


async def test_a_list_has_the_state_of_every_run(tmp_path: Path) -> None:
    """The newest first, also the one that is being written and the one that cannot be read."""
    store = RunStore(tmp_path)
    assert store.list() == ()
    quick = ScanOptions(intensity="quick")
    await begun(store, NOON, finish, options=quick)

    async def in_every_state(journal: SqliteJournal) -> None:
        for index in range(5):
            await claim(journal, index)
        await journal.created(0, report_id="r0")
        await journal.finished(done(0))
        await journal.created(1, report_id="r1")
        await journal.unknown(2, error=ConnectionLost("Reset."))
        await journal.refused(3, error=ConnectionLost("x"))
        await journal.rejected(5, target="h5.example", error=DENIED, is_duplicate=False)
        await journal.rejected(6, target="h6.example", error=DENIED, is_duplicate=True)

    await begun(store, NOON + 1, in_every_state, targets=8)
    (tmp_path / "20251125-120002-abcd.journal").write_text("What is this?\n" * 99)
    with child("hold", str(tmp_path / "20251125-120003-abcd.journal")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        held, odd, mixed, first = store.list()
        process.communicate("\n", timeout=20)

    assert (held.is_held, held.is_complete, held.problem) == (True, False, None)
    assert odd.problem is not None
    assert "not a journal" in odd.problem
    assert (odd.is_complete, odd.created_at, odd.counts) == (False, None, {})
    assert mixed.counts == {
        "done": 1,
        "running": 1,
        "failed": 1,
        "unknown": 2,
        "not_started": 2,
    }
    assert (mixed.is_held, mixed.is_complete, mixed.created_at) == (False, False, NOON + 1)
    assert first.counts == {"done": 1, "running": 0, "failed": 0, "unknown": 0, "not_started": 0}
    assert (first.is_complete, first.base_url, first.kind) == (True, URL, quick.kind)
    assert first.name == first.path.stem


async def test_old_runs_are_deleted_and_unfinished_ones_are_not(tmp_path: Path) -> None:
    """What may still run, may have been sent or was not started stays unless it is asked for."""
    store = RunStore(tmp_path)
    finished = [await begun(store, NOON + number * DAY, finish) for number in range(3)]
    unfinished = [
        await begun(store, NOON - number, work, targets=1)
        for number, work in enumerate((created, lost, nothing, claimed))
    ]
    odd = tmp_path / "odd.journal"
    odd.write_text("?")
    for ending in ("-wal", "-shm"):
        finished[0].with_name(finished[0].name + ending).touch()

    with pytest.raises(ConfigError):
        store.prune()
    with pytest.raises(ConfigError):
        store.prune(keep=-1)
    assert store.prune(keep=99) == ()
    assert store.prune(keep=0, older_than=9 * DAY, now=NOON) == ()
    first = store.prune(older_than=2 * DAY, now=NOON + 2 * DAY)
    second = store.prune(keep=2)

    assert [each.path for each in (*first, *second)] == [finished[0], finished[1]]
    names = {each.name for each in tmp_path.iterdir()}
    assert not any(finished[0].stem in name or finished[1].stem in name for name in names)
    assert {each.name for each in (finished[2], *unfinished, odd)} <= names

    everything = store.prune(keep=0, include_incomplete=True)
    assert {each.path for each in everything} == {finished[2], *unfinished}
    assert [each.name for each in tmp_path.iterdir()] == [odd.name]


async def test_a_run_that_is_held_is_never_deleted(tmp_path: Path) -> None:
    """Not even when it is complete and everything is to go."""
    store = RunStore(tmp_path)
    path = store.new_path()
    async with await SqliteJournal.create(
        path, base_url=URL, token="t", options=ScanOptions()
    ) as journal:
        await finish(journal)
        assert store.list()[0].is_complete
        assert store.prune(keep=0, include_incomplete=True) == ()
        assert path.exists()

    assert [each.path for each in store.prune(keep=0)] == [path]


async def test_durations_are_learned_from_what_was_followed_to_its_end(tmp_path: Path) -> None:
    """A scan that was still running counts as that; one that was left does not count."""
    store = RunStore(tmp_path)
    quick = ScanOptions(intensity="quick")

    def result(index: int, seconds: float) -> Outcome:
        return Outcome(
            status="done",
            index=index,
            target="h",
            site_id=f"s{index}",
            report_id=f"r{index}",
            finished_at=100.0 + index + seconds,
        )

    async def some(journal: SqliteJournal) -> None:
        for index in range(7):
            await claim(journal, index)
            if index != 5:
                await journal.created(index, report_id=f"r{index}")
        await journal.finished(result(0, 50.0))
        await journal.finished(result(1, 70.0))
        await journal.finished(result(2, -5.0))
        for index, error in ((3, PollTimeout("r3", waited=9.0)), (4, ConnectionLost("x"))):
            await journal.finished(
                Outcome(
                    status="running",
                    index=index,
                    target="h",
                    site_id=f"s{index}",
                    report_id=f"r{index}",
                    finished_at=190.0,
                    error=error,
                )
            )

    path = await begun(store, NOON, some, options=quick)
    await begun(store, NOON + 1, finish)
    (tmp_path / "odd.journal").write_text("?")
    before = sorted(store.samples(quick.kind, base_url=URL))
    async with await SqliteJournal.open(path, base_url=URL, token="t") as journal:
        await journal.finished(result(6, 9e9))

    assert before == [(50.0, True), (70.0, True), (84.0, False), (87.0, False)]
    assert sorted(store.samples(quick.kind, base_url=URL)) == [(50.0, True), (70.0, True)]
    assert store.samples("another", base_url=URL) == []
    assert store.samples(quick.kind, base_url="http://elsewhere") == []
