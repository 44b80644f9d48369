"""Runs in the former format: read once, and taken over into the store.

The file was made by the version that wrote such files: seven inputs, and one state for each.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import JournalMismatch
from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.inputs import ExistingScan, IndexedInput
from bestdefense_async.runs.store.doors import load
from bestdefense_async.runs.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult

NAME = "20260101-120000-000aa"
FILE = Path(__file__).parents[2] / "data" / f"{NAME}.journal"
OWNER: dict[str, Any] = {
    "base_url": "https://acme.example",
    "token_key": Secret("former-token").token_key,
}
STATUSES = ["running", "done", "unknown", "failed", "unknown", "not_started", "not_started"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return where a store is to be, with a run of the former format beside it."""
    (tmp_path / "runs").mkdir()
    shutil.copy(FILE, tmp_path / "runs")
    return tmp_path / "runs.db"


def statuses(run: RunResult) -> list[str]:
    """Return how each target of a run ended."""
    return [str(outcome.status) for outcome in run.outcomes]


async def test_a_former_run_is_taken_over_once_and_gone_on_with(store: Path) -> None:
    """All that it knew is there: findings, reasons, what to follow and what is unknown."""
    async with SqliteStore(store) as opened:
        assert [each.name for each in await opened.list()] == [NAME]
        held = await opened.take(NAME, **OWNER)
        remaining = await held.record.remaining()
        unknowns = await held.record.unknowns()
        run = await held.record.result()
        await held.journal.aclose()

    assert statuses(run) == STATUSES
    assert [finding.title for finding in run.outcomes[1].findings] == ["Weak key"]
    assert remaining[0] == IndexedInput(
        0, ExistingScan(target="h0.example", site_id="S0", report_id="r0", started_at=1000.0)
    )
    assert [each.index for each in remaining] == [0, 3, 5, 6]
    assert [each.index for each in unknowns] == [2, 4]
    assert [path.name for path in (store.parent / "runs").iterdir()] == [f"{NAME}.journal.taken"]


async def test_former_runs_are_older_than_all_others(store: Path) -> None:
    """They stand before the runs that the store has, in the order of their names."""
    aside = store.parent / "aside"
    (store.parent / "runs").rename(aside)
    async with SqliteStore(store) as opened:
        newest = await opened.create(**OWNER, options=ScanOptions())
        await newest.journal.aclose()
    shutil.copy(FILE, aside / "20260102-120000-000aa.journal")
    aside.rename(store.parent / "runs")

    async with SqliteStore(store) as opened:
        listed = await opened.list()

    assert [each.name for each in listed] == [newest.name, "20260102-120000-000aa", NAME]
    assert [each.previous for each in listed] == [None, NAME, None]


async def test_the_file_of_a_former_run_can_be_read_by_itself() -> None:
    """As the run of a gate or a report; it is not changed, and not written on."""
    before = FILE.read_bytes()

    assert statuses(load(FILE)) == STATUSES
    async with SqliteStore(FILE) as opened:
        with pytest.raises(JournalMismatch, match="a run of the former format"):
            await opened.create(**OWNER, options=ScanOptions())

    assert FILE.read_bytes() == before


async def test_a_file_that_is_neither_is_told_of_once(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one sentence that names it; all other runs are there."""
    odd = store.parent / "runs" / "20250101-120000-000bb.journal"
    odd.write_bytes(FILE.read_bytes()[:5000])
    (store.parent / "runs" / "20240101-120000-000cc.journal").write_text("# no database\n")

    with caplog.at_level(logging.WARNING):
        async with SqliteStore(store) as opened:
            assert [each.name for each in await opened.list()] == [NAME]
            assert [each.name for each in await opened.list()] == [NAME]

    assert len(caplog.messages) == 2
    assert all("was not taken over: " in message for message in caplog.messages)
    assert odd.with_name(odd.name + ".unreadable").is_file()
