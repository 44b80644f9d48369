"""The durable journal: real files, real processes, real kills."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.errors import (
    ConnectionLost,
    JournalBusy,
    JournalError,
    JournalMismatch,
    PermissionDenied,
    PollTimeout,
)
from bestdefense_async.models import Finding, RiskSummary, ScanOptions, Severity, Site
from bestdefense_async.orchestration import Created, Done, Failed, Target, Unknown
from bestdefense_async.orchestration.journal_reads import read_journal
from bestdefense_async.orchestration.scan import Planned
from bestdefense_async.orchestration.sqlite_journal import SqliteJournal
from bestdefense_async.testing.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "support" / "journal_runs.py"
URL = "http://127.0.0.1:1"
SPEED = 1_200.0


async def create(path: Path, *, targets: Iterable[Target] = ()) -> SqliteJournal:
    """Return a new journal."""
    return await SqliteJournal.create(
        path, base_url=URL, token="t", options=ScanOptions(), targets=targets
    )


async def reopen(path: Path) -> SqliteJournal:
    """Return the journal of a run that was interrupted."""
    return await SqliteJournal.open(path, base_url=URL, token="t")


async def claim(journal: SqliteJournal, index: int) -> bool:
    """Take the site `s<index>` in and claim it."""
    await journal.accepted(index, target=f"h{index}.example", site_id=f"s{index}")
    return await journal.claimed(index, site_id=f"s{index}", at=100.0 + index)


def created_site(planned: Planned) -> str | None:
    """Return the site of a scan that is to be followed; None for anything else."""
    return planned.item.site_id if isinstance(planned.item, Created) else None


def done(index: int) -> Done:
    """Return an outcome with a finding."""
    finding = Finding(severity=Severity("high"), title="T", extra={"a": [1]})
    return Done(
        index=index,
        target=f"h{index}.example",
        site_id=f"s{index}",
        report_id=f"r{index}",
        started_at=100.0 + index,
        finished_at=200.0,
        risk=RiskSummary(high=1, other={"severe": 2}),
        findings=(finding,),
    )


def child(*words: str) -> subprocess.Popen[str]:
    """Start the program that runs with a journal."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *words], env=env, stdout=subprocess.PIPE, text=True
    )


async def test_a_resumed_run_knows_what_is_new_created_finished_and_unknown(tmp_path: Path) -> None:
    """Findings come back whole, and a claim without an answer is unknown and fed no more."""
    path = tmp_path / "run"
    plan = [Target(f"h{index}.example", index + 1) for index in range(6)]
    async with await create(path, targets=plan) as journal:
        assert [await claim(journal, index) for index in range(5)] == [True] * 5
        await journal.created(0, report_id="r0")
        await journal.created(1, report_id="r1")
        await journal.finished(done(1))
        await journal.refused(3, error=PermissionDenied("No.", status=403))
        await journal.unknown(4, error=ConnectionLost("Reset."))
    async with await reopen(path) as journal:
        remaining = await journal.remaining()
        outcomes = {each.site_id: each for each in read_journal(path).outcomes}

        assert journal.run.fence == 2
        assert journal.next_index == 6
        assert remaining == [
            Planned(
                0, Created(target="h0.example", site_id="s0", report_id="r0", started_at=100.0)
            ),
            Planned(3, Site(id="s3", hostname="h3.example")),
            Planned(5, Target("h5.example", 6)),
        ]
        assert isinstance(outcomes["s1"], Done)
        assert outcomes["s1"].findings == done(1).findings
        assert outcomes["s1"].risk == done(1).risk
        assert isinstance(outcomes["s2"], Unknown)
        assert outcomes["s2"].started_at == 102.0
        assert isinstance(outcomes["s4"], Unknown)
        assert isinstance(outcomes["s4"].error, ConnectionLost)
        assert [each.word for each in outcomes.values()] == [
            "failed",
            "done",
            "unknown",
            "failed",
            "unknown",
            "not_started",
        ]
        assert not await claim(journal, 2)
        assert await claim(journal, 3)


async def test_a_failure_is_read_with_its_kind_and_its_message(tmp_path: Path) -> None:
    """A report from the journal says what the run said."""
    async with await create(tmp_path / "run") as journal:
        await claim(journal, 0)
        await journal.created(0, report_id="r0")
        error = PollTimeout("r0", waited=5.0)
        failed = Failed(index=0, target="h0.example", site_id="s0", report_id="r0", error=error)
        await journal.finished(failed)
        (read,) = read_journal(journal.path).outcomes

    assert isinstance(read, Failed)
    assert isinstance(read.error, PollTimeout)
    assert (str(read.error), read.error.waited) == (str(error), 5.0)


async def test_an_old_owner_changes_nothing_but_its_late_answer_is_welcome(tmp_path: Path) -> None:
    """After its lock file was removed, two think they own the run; the later one does."""
    path = tmp_path / "run"
    async with await create(path) as old:
        for index in range(3):
            await claim(old, index)
        await old.created(0, report_id="r0")
        (tmp_path / "run.lock").unlink()
        async with await reopen(path) as new:
            with pytest.raises(JournalError, match="taken over"):
                await claim(old, 9)
            with pytest.raises(JournalError, match="taken over"):
                await old.refused(1, error=PermissionDenied("No.", status=403))
            with pytest.raises(JournalError, match="taken over"):
                await old.finished(done(0))
            await old.created(2, report_id="r2")

            remaining = await new.remaining()
            unknown = [each.site_id for each in await new.unknowns()]

    assert [created_site(each) for each in remaining] == ["s0", "s2"]
    assert unknown == ["s1"]


async def test_writes_that_arrive_together_are_committed_together(tmp_path: Path) -> None:
    """Two hundred claims at once cost a few commits."""
    async with await create(tmp_path / "run") as journal:
        before = journal.commits
        assert all(await asyncio.gather(*(claim(journal, index) for index in range(200))))
        assert journal.commits - before <= 20


async def test_one_bad_write_does_not_undo_its_neighbours(tmp_path: Path) -> None:
    """An id that cannot be stored fails alone."""
    async with await create(tmp_path / "run") as journal:
        await asyncio.gather(*(claim(journal, index) for index in range(2)))
        bad, good = await asyncio.gather(
            journal.created(0, report_id="\ud800"),
            journal.created(1, report_id="r1"),
            return_exceptions=True,
        )
        remaining = await journal.remaining()

    assert isinstance(bad, JournalError)
    assert good is None
    assert [created_site(each) for each in remaining] == ["s1"]


async def test_a_second_holder_is_refused_at_once_and_closing_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Closing twice is harmless, leaves no thread, and frees the journal; only we may read it."""
    path = tmp_path / "run"
    journal = await create(path)
    with pytest.raises(JournalBusy):
        await reopen(path)
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(JournalError, match="closed"):
        await claim(journal, 0)
    await (await reopen(path)).aclose()

    assert not [each for each in threading.enumerate() if "journal" in each.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


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


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (newer, JournalMismatch, "newer version"),
        (foreign, JournalMismatch, "not a journal"),
        (lambda path: path.write_bytes(b""), JournalMismatch, "not a journal"),
        (lambda path: path.write_text("a.example\n" * 99), JournalMismatch, "not a journal"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), JournalError, "journal|damaged"),
        (lambda path: path.unlink(), JournalError, "no journal at"),
    ],
    ids=["newer", "a foreign database", "empty", "a list of targets", "truncated", "absent"],
)
async def test_what_cannot_be_resumed_is_refused_in_one_sentence(
    tmp_path: Path, spoil: object, kind: type[JournalError], words: str
) -> None:
    """And the file stays as it is, for whoever can use it."""
    path = tmp_path / "run"
    async with await create(path, targets=[Target(f"h{n}.example") for n in range(500)]):
        pass
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes() if path.exists() else None

    with pytest.raises(kind, match=words):
        await reopen(path)

    assert (path.read_bytes() if path.exists() else None) == before


async def test_a_run_is_resumed_only_by_its_own_organization(tmp_path: Path) -> None:
    """A renewed token needs a site in common; another server is never accepted."""
    path = tmp_path / "run"
    async with await create(path) as journal:
        await claim(journal, 0)
    for words in ({"token": "u"}, {"token": "u", "site_ids": ["z"]}, {"base_url": "http://other"}):
        with pytest.raises(JournalMismatch):
            await SqliteJournal.open(path, **{"base_url": URL, "token": "t", **words})  # type: ignore[arg-type]
    await (await SqliteJournal.open(path, base_url=URL, token="u", site_ids=["S0"])).aclose()

    assert b'"t"' not in path.read_bytes()
    with pytest.raises(JournalError, match="exists"):
        await create(path)
    with pytest.raises(JournalError):
        await create(tmp_path / "absent" / "run")


async def test_a_full_disk_ends_the_claims_and_loses_nothing(tmp_path: Path) -> None:
    """What was told as written is there, and the journal is whole."""
    path = tmp_path / "run"
    with child("fill", str(path)) as process:
        told, _ = process.communicate(timeout=60)
    claimed, created, errors = map(int, told.split())
    async with await SqliteJournal.open(path, base_url="http://x", token="t") as journal:
        known = [each for each in await journal.remaining() if created_site(each)]
        unknown = await journal.unknowns()

    assert (claimed > 9, errors) == (True, 1)
    assert len(known) == created
    assert len(unknown) == claimed - created


def test_a_run_killed_again_and_again_creates_nothing_twice_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """After each `kill -9` it is resumed; in the end every target is done or truly unknown."""
    chance = random.Random(7)
    path = tmp_path / "run"
    with SandboxProcess(sites=400, speed=SPEED) as sandbox:
        names = [f"{sandbox.url}", sandbox.token]
        hosts = _hosts(sandbox)

        async def begin() -> None:
            await (
                await SqliteJournal.create(
                    path,
                    base_url=sandbox.url,
                    token=sandbox.token,
                    options=ScanOptions(),
                    targets=[Target(each) for each in hosts],
                )
            ).aclose()

        asyncio.run(begin())
        kills = 0
        for attempt in range(12):
            with child("resume", str(path), *names, str(SPEED)) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "started\n"
                if attempt < 6:
                    time.sleep(chance.uniform(0.02, 0.4))
                    process.kill()
                    kills += process.wait() < 0
                elif process.wait() == 0:
                    break

        outcomes = read_journal(path).outcomes
        created = sandbox.scans_per_site()
        sandbox.assert_no_duplicates()

    words = Counter(each.word for each in outcomes)
    assert kills >= 5
    assert [each.index for each in outcomes] == list(range(400))
    assert set(words) <= {"done", "unknown"}
    assert words.total() == 400
    assert words["unknown"] <= 32 * kills
    assert all(created[each.site_id or ""] == 1 for each in outcomes if each.word == "done")


def _hosts(sandbox: SandboxProcess) -> list[str]:
    from bestdefense_async import BestDefense

    async def read() -> list[str]:
        async with BestDefense(sandbox.token, sandbox.url) as client:
            return [each.hostname for each in await client.sites.list()]

    return asyncio.run(read())
