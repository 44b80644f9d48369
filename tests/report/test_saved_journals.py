"""A run read from its journal: the same rows as the run itself had, and no verdict too many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import JournalError, JournalMismatch
from bestdefense_async.models import ScanOptions
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.run import Row
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs import ScanGroup, SqliteJournal, Target
from bestdefense_async.sandbox import Sandbox
from tests.support.journals import URL, claim, create, done

if TYPE_CHECKING:
    from pathlib import Path

SPEED = 1_200.0


async def test_a_journal_gives_the_rows_of_its_run(tmp_path: Path) -> None:
    """With findings, in the order of the list, without the duplicate; no server is asked."""
    path = tmp_path / "20251125-120000-abcd.journal"
    async with Sandbox(sites=20, speed=SPEED) as sandbox:
        names = [*sandbox.hostnames, sandbox.hostnames[0], "stranger.example"]
        async with (
            await SqliteJournal.create(
                path,
                base_url=sandbox.url,
                token=sandbox.token,
                options=ScanOptions(intensity="quick"),
                targets=map(Target, names),
            ) as journal,
            BestDefense(sandbox.token, sandbox.url) as client,
            ScanGroup(client, journal=journal, polling=PollPolicy(speed=SPEED)) as group,
        ):
            group.feed(await journal.remaining())
            outcomes = [outcome async for outcome in group]
    run = read_run(path)

    expected = [Row.of(each) for each in sorted(outcomes, key=lambda one: one.index)]
    assert [row for row in run.rows if row.outcome == "done"] == expected[:20]
    assert [(row.target, row.outcome) for row in run.rows[20:]] == [
        ("stranger.example", "not_started")
    ]
    assert any(row.findings for row in run.rows)
    assert run.name == path.stem
    assert run.base_url == sandbox.url
    assert run.options["intensity"] == "quick"
    assert run.seconds is not None


async def test_a_run_that_was_cut_off_never_passes(tmp_path: Path) -> None:
    """Whatever has no outcome has no verdict."""
    path = tmp_path / "run"

    async with await create(path, targets=[Target("h0.example"), Target("h1.example")]) as journal:
        await claim(journal, 0)
        await journal.created(0, report_id="r0")
        await journal.finished(done(0))
        run = read_run(path)

    assert run.by_outcome() == {"done": 1, "failed": 0, "unknown": 0, "not_started": 1}
    assert run.finished_at is None
    assert run.base_url == URL
    assert judge(run.rows, GatePolicy(fail_on=None)).status == "incomplete"


async def test_what_is_no_run_is_told_so(tmp_path: Path) -> None:
    """A database of another program is a journal that is none; an absent file is just absent."""
    import sqlite3

    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE a (b)")
    connection.close()

    with pytest.raises(JournalMismatch, match="not a journal"):
        read_run(other)
    with pytest.raises(FileNotFoundError):
        read_run(tmp_path / "absent")
    assert issubclass(JournalMismatch, JournalError)
