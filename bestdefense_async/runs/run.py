"""Saved runs, whatever they were saved as."""

from __future__ import annotations

from pathlib import Path

from bestdefense_async.files import STDIN
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.saved import read_run
from bestdefense_async.runs.store.file import is_database
from bestdefense_async.runs.store.reads import read_journal


def load(path: Path | str) -> RunResult:
    """Return the run saved at `path`: a journal, a document in `.json`, or else an event log.

    `-` is stdin, which may be a document or a log.

    What has no outcome yet has one that says so, and no verdict. Nothing is sent or changed.

    Raises:
        JournalMismatch: The file is not such a run, of another version, or damaged.
        JournalError: A journal cannot be read.
        ConfigError: The file cannot be read.
    """
    if path == STDIN or not is_database(Path(path)):
        return read_run(path)
    path = Path(path)
    snapshot = read_journal(path)
    return RunResult(
        name=path.stem,
        outcomes=snapshot.outcomes,
        started_at=snapshot.run.created_at,
        finished_at=snapshot.ended_at,
        base_url=snapshot.run.base_url,
        options=snapshot.run.options,
    )
