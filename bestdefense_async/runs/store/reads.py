"""What is read from a journal: what remains to be done, and how every input stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from bestdefense_async.errors import OutcomeUnknown, RunStopped, TargetError
from bestdefense_async.models import Outcome, OutcomeStatus, Site, status_of
from bestdefense_async.runs.inputs import ExistingScan, IndexedInput
from bestdefense_async.runs.store import file
from bestdefense_async.runs.store.codec import RunRecord, read_error, read_result, read_run_record
from bestdefense_async.runs.targets import Target

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.runs.store.writes import PlannedItem


@frozen(kw_only=True)
class Snapshot:
    """A run as its journal knows it at one moment."""

    run: RunRecord
    outcomes: tuple[Outcome, ...]
    """One per input that is no duplicate, by index. What has no outcome yet has the one
    that it would have if the run ended now."""
    states: Mapping[str, int]
    """How many of them are new, claimed, created, finished and unknown."""
    is_held: bool
    """Whether a process is writing the journal."""
    changed_at: float
    """When a claim or an outcome was last written, in seconds since the epoch."""
    ended_at: float | None
    """The same once every input has its outcome; None before."""


@frozen(kw_only=True)
class UnknownScan:
    """A creation whose answer is lost: what to look for at the server."""

    index: int
    target: str
    site_id: str
    claimed_at: float
    """When the creation was sent, in seconds since the epoch."""


_COLUMNS: Final = (
    "input_index, target, site_id, report_id, claimed_at, finished_at, state, error, result"
)


def read_journal(path: Path) -> Snapshot:
    """Return how a run stands, without taking or changing its journal.

    It may be held by a process that writes, and it may stand on a read-only disk. All of it is
    read: a tenth of a second for each thousand scans with ten findings, and their memory.

    Raises:
        JournalMismatch: It is no journal, or one of a newer version.
        JournalError: It is not there, damaged, or cannot be read.
    """
    is_held = file.is_held(path)
    with file.reading(path) as connection:
        run = read_run_record(connection)
        claims, ends, unsettled = connection.execute(
            "SELECT max(claimed_at), max(finished_at), coalesce(sum(state = 'claimed'"
            " OR (state IN ('new', 'created') AND error IS NULL)), 0)"
            " FROM scan WHERE is_duplicate = 0"
        ).fetchone()
        changed_at = max(run.created_at, claims or 0.0, ends or 0.0)
        return Snapshot(
            run=run,
            outcomes=tuple(_outcomes(connection, is_held=is_held)),
            states=count_states(connection),
            is_held=is_held,
            changed_at=changed_at,
            ended_at=None if unsettled else changed_at,
        )


def remaining(connection: sqlite3.Connection) -> list[IndexedInput]:
    """Return what is left to do: the scans to follow, then what was never started."""
    rows = connection.execute(
        "SELECT input_index, target, line, site_id, report_id, claimed_at, error FROM scan"
        " WHERE is_duplicate = 0 AND state IN ('created', 'new') ORDER BY state, input_index"
    )
    return [IndexedInput(row[0], _item(row[1:])) for row in rows]


def _item(row: tuple[Any, ...]) -> PlannedItem | ExistingScan:
    target, line, site_id, report_id, claimed_at, error = row
    if report_id is not None:
        return ExistingScan(
            target=target, site_id=site_id, report_id=report_id, started_at=claimed_at or 0.0
        )
    if site_id is not None:
        return Site(id=site_id, hostname=target)
    known = None if error is None else read_error(error)
    if type(known) is TargetError:  # an unknown site may be known by now; a malformed text is not
        return known
    return Target(target, line)


def unknowns(connection: sqlite3.Connection) -> list[UnknownScan]:
    """Return the creations whose answers are lost, by index."""
    rows = connection.execute(
        "SELECT input_index, target, site_id, claimed_at FROM scan"
        " WHERE is_duplicate = 0 AND state = 'unknown' ORDER BY input_index"
    )
    return [
        UnknownScan(index=index, target=target, site_id=site_id, claimed_at=claimed_at or 0.0)
        for index, target, site_id, claimed_at in rows
    ]


def known_reports(connection: sqlite3.Connection) -> set[str]:
    """Return the ids of all scans the journal knows."""
    rows = connection.execute("SELECT report_id FROM scan WHERE report_id IS NOT NULL")
    return {report_id for (report_id,) in rows}


def count_states(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many inputs are in each state, duplicates not counted."""
    counts = dict.fromkeys(("new", "claimed", "created", "finished", "unknown"), 0)
    rows = connection.execute(
        "SELECT state, count(*) FROM scan WHERE is_duplicate = 0 GROUP BY state"
    )
    return counts | dict(rows.fetchall())


def count_outcomes(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many inputs have each outcome as it stands, by status."""
    counts = {str(status): 0 for status in OutcomeStatus}
    # One error stands for all of its kind; the others are not even decoded.
    rows = connection.execute(
        "SELECT state, max(report_id), max(error), count(*) FROM scan WHERE is_duplicate = 0"
        " GROUP BY state, json_extract(error, '$.kind'), json_extract(error, '$.attributes.sent')"
    )
    for state, report_id, error, count in rows:
        reason = None if error is None else read_error(error)
        counts[_status(state, reason, report_id)] += count
    return counts


def durations(connection: sqlite3.Connection, *, most: int) -> list[tuple[float, bool]]:
    """Return how long the latest scans took, at most so many: seconds, and whether to their end.

    What is not finished after those seconds was still running then, as far as is known. A scan
    that was not followed for a while is left out: when it finished is not known.
    """
    rows = connection.execute(
        "SELECT claimed_at, finished_at, state = 'finished' FROM scan"
        " WHERE is_duplicate = 0 AND was_left = 0 AND claimed_at IS NOT NULL"
        " AND (state = 'finished' OR (state = 'created'"
        " AND (error IS NULL OR json_extract(error, '$.kind') = 'PollTimeout')))"
        " ORDER BY input_index DESC LIMIT ?",
        (most,),
    ).fetchall()
    latest = max((at for row in rows for at in row[:2] if at is not None), default=0.0)
    took = [
        ((latest if finished_at is None else finished_at) - claimed_at, bool(is_finished))
        for claimed_at, finished_at, is_finished in rows
    ]
    return [(seconds, is_finished) for seconds, is_finished in took if seconds > 0.0]


def _outcomes(connection: sqlite3.Connection, *, is_held: bool) -> Iterator[Outcome]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM scan WHERE is_duplicate = 0 ORDER BY input_index"  # noqa: S608 - ours
    )
    for *common, state, error, result in rows:
        index, target, site_id, report_id, claimed_at, finished_at = common
        known = {
            "index": index,
            "target": target,
            "site_id": site_id,
            "report_id": report_id,
            "started_at": claimed_at,
            "finished_at": finished_at,
        }
        reason = None if error is None else read_error(error)
        yield _outcome(known, state, reason, result, is_held=is_held)


def _status(state: str, error: BestDefenseError | None, report_id: str | None) -> OutcomeStatus:
    """Return the status of a row: the one it has, or would have if the run ended now."""
    if state == "finished":
        return OutcomeStatus.DONE
    if state in {"claimed", "unknown"}:
        return OutcomeStatus.UNKNOWN
    return status_of(error or RunStopped("It has not ended."), report_id=report_id)


def _outcome(
    known: dict[str, Any],
    state: str,
    error: BestDefenseError | None,
    result: str | None,
    *,
    is_held: bool,
) -> Outcome:
    """Return the outcome of a row: the one it has, or would have if the run ended now."""
    status = _status(state, error, known["report_id"])
    if status is OutcomeStatus.DONE and result is not None:
        risk, findings = read_result(result)
        return Outcome(**known, status=status, risk=risk, findings=findings)
    if error is None and state == "created":
        going_on = "It is still running." if is_held else "It was still running when the run ended."
        error = RunStopped(going_on)
    elif error is None and state == "new":
        error = RunStopped("It was not started yet.")
    elif error is None:
        error = OutcomeUnknown(
            "no answer is recorded",
            operation="reports.create",
            subject=known["site_id"],
            sent_at=known["started_at"],
        )
    return Outcome(**known, status=status, error=error)
