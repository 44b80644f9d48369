"""The file of a journal in the real world: wrong files, full and read-only disks, two processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense, RetryPolicy
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import JournalBusy, JournalError, JournalMismatch
from bestdefense_async.models import Outcome, ScanOptions
from bestdefense_async.runs import ScanGroup, Snapshot, SqliteJournal, Target, read_journal
from bestdefense_async.runs.saved import load
from bestdefense_async.sandbox import Sandbox
from tests.support.journals import (
    child,
    claim,
    create,
    created_site,
    done,
    mounted,
    remount,
    reopen,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEED = 1_200.0


def newer(path: Path) -> None:
    """Make it the journal of a newer version."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def foreign(path: Path) -> None:
    """Put another program's database there."""
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.close()


def directory(path: Path) -> None:
    """Put a directory there."""
    path.unlink()
    path.mkdir()


def spoilt(path: Path) -> None:
    """Overwrite a part of it."""
    with path.open("r+b") as file:
        file.seek(9000)
        file.write(b"\xff" * 9000)


def halved(path: Path) -> None:
    """Cut it off."""
    os.truncate(path, path.stat().st_size // 2)


WRONG: dict[str, tuple[Callable[[Path], object], type[JournalError], str]] = {
    "newer": (newer, JournalMismatch, "newer version"),
    "a foreign database": (foreign, JournalMismatch, "not a journal"),
    "empty": (lambda path: path.write_bytes(b""), JournalMismatch, "not a journal"),
    "a list": (lambda path: path.write_text("a.example\n" * 99), JournalMismatch, "not a journal"),
    "a line": (lambda path: path.write_text("a.example\n"), JournalMismatch, "not a journal"),
    "cut off": (halved, JournalError, "damaged"),
    "spoilt": (spoilt, JournalError, "damaged"),
    "absent": (lambda path: path.unlink(), JournalError, "no journal at"),
    "a directory": (directory, JournalMismatch, "no regular file"),
}


@pytest.mark.parametrize(("spoil", "kind", "sentence"), WRONG.values(), ids=WRONG)
async def test_what_is_no_journal_is_refused_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], kind: type[JournalError], sentence: str
) -> None:
    """And everything stays as it is, for a program that can use it."""
    path = tmp_path / "run"
    async with await create(path, targets=[Target(f"h{n}.example") for n in range(500)]):
        pass
    (tmp_path / "run.lock").unlink()
    spoil(path)
    before = content(tmp_path)

    for use in (reopen, in_thread):
        with pytest.raises(kind, match=sentence) as caught:
            await use(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).count(".") - str(path).count(".") <= 2

    assert content(tmp_path) == before


async def in_thread(path: Path) -> None:
    """Read a journal without stopping the loop."""
    await asyncio.to_thread(read_journal, path)


def content(directory: Path) -> dict[str, bytes]:
    """Return what all files of a directory contain."""
    return {each.name: each.read_bytes() for each in directory.iterdir() if each.is_file()}


async def test_a_new_journal_replaces_nothing_and_leaves_nothing_when_it_fails(
    tmp_path: Path,
) -> None:
    """A name that is taken, a directory that is not there, a plan that cannot be written."""
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(JournalError, match="exists: resume it"):
        await create(tmp_path / "taken")
    with pytest.raises(JournalError, match="No such file"):
        await create(tmp_path / "absent" / "run")
    odd = Target("h.example")
    object.__setattr__(odd, "line", 1 << 70)
    with pytest.raises(JournalError, match="cannot be"):
        await create(tmp_path / "run", targets=[odd])

    assert content(tmp_path) == {"taken": b"mine", "run.lock": b""}


async def test_a_journal_that_another_process_holds_can_be_read_and_not_opened(
    tmp_path: Path,
) -> None:
    """Read again and again while the other one writes: each time a whole state, a later one."""
    path = tmp_path / "run"
    with child("hold", str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(JournalBusy, match="Another process holds"):
            await reopen(path)
        seen = [read_journal(path) for _ in range(20)]
        process.communicate("\n", timeout=20)
    last = read_journal(path)
    async with await reopen(path) as journal:
        fence = journal.run.fence

    counts = [len(each.outcomes) for each in (*seen, last)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert [each.is_held for each in (*seen, last)] == [True] * 20 + [False]
    assert all(each.index == index for one in seen for index, each in enumerate(one.outcomes))
    assert "still running." in str(failure(seen[-1].outcomes[1]))
    assert "was still running" in str(failure(last.outcomes[1]))
    assert fence == 2


def failure(outcome: Outcome) -> Exception | None:
    """Return why there is no result."""
    return None if outcome.status == "done" else outcome.error


async def test_reading_takes_and_changes_nothing(tmp_path: Path) -> None:
    """Neither the file nor the fencing number, and no file is left beside it."""
    path = tmp_path / "run"
    async with await create(path, targets=[Target("h0.example")]) as journal:
        await claim(journal, 0)
    before = content(tmp_path)
    snapshot = read_journal(path)

    assert content(tmp_path) == before
    assert snapshot.run.fence == 1
    assert snapshot.states == {
        "new": 0, "claimed": 1, "created": 0, "finished": 0, "unknown": 0
    }  # fmt: skip
    assert snapshot.outcomes[0].status == "unknown"


def killed(path: Path) -> None:
    """Leave the journal of a process that was killed while it wrote, with its `-wal`."""
    with child("hold", str(path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert path.with_name(path.name + "-wal").stat().st_size > 0


@pytest.mark.parametrize("lost", [(), ("-shm",)], ids=["as it was left", "copied without -shm"])
def test_a_killed_run_on_a_read_only_disk_is_read_with_what_it_wrote_last(
    tmp_path: Path, lost: tuple[str, ...]
) -> None:
    """The file alone does not hold it: the last writes are in the log beside it."""
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.mkdir()
    killed(source / "run")
    for ending in lost:
        (source / f"run{ending}").unlink()
    expected = [each.status for each in read_journal_of_copy(source, tmp_path / "copy").outcomes]
    before = content(source)
    with mounted(disk, "--bind", str(source)):
        remount(disk, "-o", "remount,bind,ro")
        statuses = [each.status for each in read_journal(disk / "run").outcomes]
        rows = load(disk / "run").outcomes
        with pytest.raises(JournalError, match="read-only"):
            asyncio.run(_open_and_close(disk / "run"))

    assert statuses == expected == [row.status for row in rows]
    assert statuses[0] == "unknown"
    assert content(source) == before


def read_journal_of_copy(source: Path, copy: Path) -> Snapshot:
    """Return what a journal holds, read from a copy that may be changed."""
    shutil.copytree(source, copy)
    return read_journal(copy / "run")


async def _open_and_close(path: Path) -> None:
    await (await reopen(path)).aclose()


async def test_a_full_disk_ends_the_claims_and_loses_nothing(tmp_path: Path) -> None:
    """What was reported as written is there, and the journal is whole."""
    path = tmp_path / "run"
    with child("fill", str(path)) as process:
        told, _ = process.communicate(timeout=60)
    claimed, created, errors = map(int, told.split())
    async with await reopen(path) as journal:
        known = [each for each in await journal.remaining() if created_site(each)]
        unknown = await journal.unknowns()

    assert (claimed > 9, errors) == (True, 1)
    assert len(known) == created
    assert len(unknown) == claimed - created


async def test_a_run_on_a_full_disk_starts_nothing_more_and_is_resumed_when_there_is_room(
    tmp_path: Path,
) -> None:
    """No scan is created twice, and every target is done in the end or truly unknown."""
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        async with Sandbox(sites=200, speed=SPEED) as sandbox:
            journal = await SqliteJournal.create(
                disk / "run",
                base_url=sandbox.url,
                token=sandbox.token,
                options=ScanOptions(),
                targets=map(Target, sandbox.hostnames),
            )
            first = await scanned(journal, sandbox)
            is_whole = read_journal(disk / "run").outcomes
            started = sandbox.scans_per_site()
            remount(disk, "-o", "remount,size=16m")
            resumed = await SqliteJournal.open(
                disk / "run", base_url=sandbox.url, token=sandbox.token
            )
            await scanned(resumed, sandbox)
            last = read_journal(disk / "run").outcomes
            created = sandbox.scans_per_site()

    refused = [each for each in first if each.status == "not_started"]
    assert len(first) == len(is_whole) == len(last) == 200
    assert 0 < len(started) < 200
    assert len(refused) == 200 - len(started)
    assert all("the disk is full" in str(each.error) for each in refused)
    assert {type(each.error) for each in refused} == {JournalError}
    assert set(created.values()) == {1}
    assert {each.status for each in last} <= {"done", "unknown"}
    assert all(created.get(each.site_id or "") for each in last)
    assert len(created) == 200


async def scanned(journal: SqliteJournal, sandbox: Sandbox) -> list[Outcome]:
    """Scan what remains of a run, and return the outcomes."""
    retry = RetryPolicy(attempts=3, base=0.01)
    async with (
        journal,
        BestDefense(sandbox.token, sandbox.url, retry=retry) as client,
        ScanGroup(client, journal=journal, polling=PollPolicy(speed=SPEED)) as group,
    ):
        group.feed(await journal.remaining())
        return [outcome async for outcome in group]


async def test_a_clock_that_jumps_back_disturbs_nothing(tmp_path: Path) -> None:
    """A scan that ends before it began is done, and the last change is the latest time known."""
    path = tmp_path / "run"
    async with await create(path) as journal:
        await journal.accepted(0, target="h0.example", site_id="s0")
        await journal.claimed(0, site_id="s0", at=9e9)
        await journal.created(0, report_id="r0")
        await journal.finished(done(0))
    async with await reopen(path) as journal:
        assert await journal.remaining() == []
    snapshot = read_journal(path)

    assert snapshot.outcomes[0].status == "done"
    assert (snapshot.changed_at, snapshot.ended_at) == (9e9, 9e9)


async def test_a_run_has_ended_when_every_input_has_an_outcome(tmp_path: Path) -> None:
    """What was given up has one; what is under way or was never begun has none."""
    path = tmp_path / "run"
    failed = Outcome(
        status="running",
        index=0,
        target="h0.example",
        site_id="s0",
        report_id="r0",
        finished_at=9e9,
        error=JournalError("x"),
    )
    ends: list[float | None] = []
    async with await create(path, targets=[Target("h0.example")]) as journal:
        ends.append(read_journal(path).ended_at)
        await claim(journal, 0)
        ends.append(read_journal(path).ended_at)
        await journal.created(0, report_id="r0")
        ends.append(read_journal(path).ended_at)
        await journal.finished(failed)
        ends.append(read_journal(path).ended_at)

    assert ends == [None, None, None, 9e9]
