"""A run from its journal: a resumed, a killed and a running one are reported like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.orchestration.journal_reads import read_journal
from bestdefense_async.output.run import Row, Run

if TYPE_CHECKING:
    from pathlib import Path


def run_from_journal(path: Path) -> Run:
    """Return the run as its journal knows it now. Nothing is sent and nothing is changed.

    A target without an outcome has one that says so, and no verdict.

    Raises:
        JournalMismatch: It is no journal, or one of a newer version.
        JournalError: It is not there, damaged, or cannot be read.
    """
    snapshot = read_journal(path)
    return Run(
        name=path.stem,
        rows=tuple(map(Row.of, snapshot.outcomes)),
        started_at=snapshot.run.created_at,
        finished_at=snapshot.ended_at,
        base_url=snapshot.run.base_url,
        options=snapshot.run.options,
    )
