"""Journals of runs, and what a group would write into them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.models import Finding, Outcome, RiskSummary, ScanOptions, Severity
from bestdefense_async.runs import ExistingScan, IndexedInput, SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bestdefense_async.runs.store.writes import PlannedItem

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests" / "support" / "journal_runs.py"
URL = "http://127.0.0.1:1"


async def create(path: Path, *, targets: Iterable[PlannedItem] = ()) -> SqliteJournal:
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


def done(index: int) -> Outcome:
    """Return an outcome with a finding."""
    finding = Finding(severity=Severity("high"), title="T", extra={"a": [1]})
    return Outcome(
        status="done",
        index=index,
        target=f"h{index}.example",
        site_id=f"s{index}",
        report_id=f"r{index}",
        started_at=100.0 + index,
        finished_at=200.0,
        risk=RiskSummary(high=1, other={"severe": 2}),
        findings=(finding,),
    )


def created_site(planned: IndexedInput) -> str | None:
    """Return the site of a scan that is to be followed; None for anything else."""
    return planned.item.site_id if isinstance(planned.item, ExistingScan) else None


def child(*words: str) -> subprocess.Popen[str]:
    """Start the program that runs with a journal."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *words],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """Mount something at `place`, or skip the test where that is not allowed."""
    place.mkdir(exist_ok=True)
    _mount("mount", *words, str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def remount(place: Path, *words: str) -> None:
    """Change the options of what is mounted at `place`."""
    _mount("mount", *words, str(place))


def _mount(*command: str) -> None:
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    if made.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
