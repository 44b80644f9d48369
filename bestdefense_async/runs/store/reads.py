"""What the rows of a store mean, whichever database they come from; and how they are read.

A row that cannot be read is an input without a result, never the end of the reading.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, evolve

from bestdefense_async.errors import (
    BestDefenseError,
    JournalError,
    OutcomeUnknown,
    RunStopped,
    TargetError,
)
from bestdefense_async.models import Outcome, OutcomeStatus, ScanOptions, Site
from bestdefense_async.models.outcome import status_of
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.saved import error_from, result_from
from bestdefense_async.runs.inputs import ExistingScan, IndexedInput
from bestdefense_async.runs.store.protocol import RunInfo, StoredInput, UnknownScan
from bestdefense_async.runs.store.schema import POLICY
from bestdefense_async.runs.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bestdefense_async.runs.store.connection import StoreReader
    from bestdefense_async.runs.store.protocol import Family, PlannedItem

RUN_COLUMNS: Final = "id, name, created_at, base_url, options, previous"
_SAMPLED_RUNS: Final = 30
_SAMPLED_SCANS: Final = 2000

_READING_FAULTS = (ValueError, TypeError, KeyError, AttributeError, BestDefenseError)
"""What damaged rows raise."""


def options_text(options: ScanOptions) -> str:
    """Return options as they are stored: without the callback secret."""
    return json.dumps({**asdict(options), "callback_secret": None})


def run_info(row: tuple[Any, ...]) -> RunInfo:
    """Return what a row of `RUN_COLUMNS` says, and the problem when it says nothing."""
    _, name, created_at, base_url, options, previous = row
    try:
        read = ScanOptions(**json.loads(options))
    except _READING_FAULTS:
        return RunInfo(name=name, problem="The record of this run is damaged.")
    return RunInfo(
        name=name, created_at=created_at, base_url=base_url, options=read, previous=previous
    )


def policy_of(connection: StoreReader, run: int) -> Mapping[str, Any] | None:
    """Return the rules that a run is to be judged by; None when nobody has said."""
    row = connection.execute(
        "SELECT result FROM result WHERE run = ? AND input_index = ?", (run, POLICY)
    ).fetchone()
    try:
        policy = None if row is None else json.loads(row[0])
    except _READING_FAULTS:
        return None
    return policy if isinstance(policy, dict) else None


def with_counts(connection: StoreReader, run: int, info: RunInfo) -> RunInfo:
    """Return a run with its inputs counted by status."""
    if info.problem is not None:
        return info
    counts = count_outcomes(connection, run)
    return evolve(
        info,
        counts=counts,
        is_complete=counts[OutcomeStatus.DONE] == sum(counts.values()),
        policy=policy_of(connection, run),
    )


def remaining(
    connection: StoreReader,
    run: int,
    *,
    shard: int | None = None,
    followed_only: bool = False,
    offset: float = 0.0,
) -> list[IndexedInput]:
    """Return what is left to do: the scans to follow, then what was never started.

    Args:
        connection: Where they are read.
        run: The run's number.
        shard: The part of it that is meant; None for all.
        followed_only: Leave out what was never started, and scans whose wait has ended.
        offset: Seconds by which the clock of the store is ahead of this machine's.
    """
    wanted = (
        "state = 'created' AND error IS NULL" if followed_only else "state IN ('created', 'new')"
    )
    rows = connection.execute(
        "SELECT input_index, target, line, site_id, report_id, claimed_at - ?, error FROM scan"  # noqa: S608 - ours
        " WHERE run = ? AND (? < 0 OR shard = ?) AND is_duplicate = 0"
        f" AND {wanted} ORDER BY state, input_index",
        (offset, run, *(2 * (-1 if shard is None else shard,))),
    )
    return [IndexedInput(row[0], _item(*row[1:])) for row in rows]


def _item(  # noqa: PLR0917 - the columns
    target: str,
    line: int | None,
    site_id: str | None,
    report_id: str | None,
    claimed_at: float | None,
    error: str | None,
) -> PlannedItem | ExistingScan:
    if report_id is not None:
        return ExistingScan(
            target=target, site_id=site_id or "", report_id=report_id, started_at=claimed_at or 0.0
        )
    if site_id is not None:
        return Site(id=site_id, hostname=target)
    known = _error(error)
    if type(known) is TargetError:  # an unknown site may be known by now; a malformed text is not
        return known
    try:
        return Target(target, line)
    except TargetError as malformed:
        return malformed.with_traceback(None)


def unknowns(connection: StoreReader, run: int) -> list[UnknownScan]:
    """Return the creations whose answers are lost, by index."""
    rows = connection.execute(
        "SELECT input_index, target, site_id, claimed_at FROM scan"
        " WHERE run = ? AND is_duplicate = 0 AND state = 'unknown' ORDER BY input_index",
        (run,),
    )
    return [
        UnknownScan(index=index, target=target, site_id=site_id, claimed_at=claimed_at or 0.0)
        for index, target, site_id, claimed_at in rows
    ]


def count_outcomes(connection: StoreReader, run: int) -> dict[str, int]:
    """Return how many inputs have each outcome as it stands, by status."""
    # One error stands for all of its kind; the others are not even decoded.
    rows = connection.execute(
        "SELECT state, max(error), count(*) FROM scan WHERE run = ? AND is_duplicate = 0"
        " GROUP BY state, CASE WHEN json_valid(error) THEN json_extract(error, '$.kind')"
        " || coalesce(json_extract(error, '$.attributes.sent'), '') END",
        (run,),
    )
    counts = {str(status): 0 for status in OutcomeStatus}
    for state, error, count in rows:
        status = _status(state, _error(error), report_id="" if state in _HAS_SCAN else None)
        counts[status] += count
    return counts


_HAS_SCAN: Final = {"created", "finished"}


def _status(state: str, error: BestDefenseError | None, *, report_id: str | None) -> OutcomeStatus:
    """Return the status of a row: the one it has, or would have if the run ended now."""
    if state in {"claimed", "unknown"}:
        return OutcomeStatus.UNKNOWN
    if state == "finished":
        return OutcomeStatus.DONE if error is None else OutcomeStatus.FAILED
    if state == "created":
        return OutcomeStatus.RUNNING
    return OutcomeStatus.NOT_STARTED if error is None else status_of(error, report_id=report_id)


def samples(connection: StoreReader, kind: str, *, base_url: str) -> list[tuple[float, bool]]:
    """Return how long the latest scans of a kind took: seconds, and whether to their end."""
    found: list[tuple[float, bool]] = []
    rows = connection.execute(
        f"SELECT {RUN_COLUMNS} FROM run WHERE base_url = ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - ours
        (base_url, _SAMPLED_RUNS),
    ).fetchall()
    for row in rows:
        options = run_info(row).options
        if options is not None and options.kind == kind and len(found) < _SAMPLED_SCANS:
            found += _durations(connection, row[0], most=_SAMPLED_SCANS - len(found))
    return found


def _durations(connection: StoreReader, run: int, *, most: int) -> list[tuple[float, bool]]:
    """Return how long the scans of a run took.

    What is not finished after those seconds was still running then, as far as is known. A scan
    that was not followed for a while is left out: when it finished is not known.
    """
    rows = connection.execute(
        "SELECT claimed_at, finished_at, state = 'finished' FROM scan"
        " WHERE run = ? AND is_duplicate = 0 AND was_left = 0 AND claimed_at IS NOT NULL"
        " AND ((state = 'finished' AND error IS NULL) OR (state = 'created'"
        " AND (error IS NULL OR json_extract(error, '$.kind') = 'PollTimeout')))"
        " ORDER BY input_index DESC LIMIT ?",
        (run, most),
    ).fetchall()
    latest = max((at for row in rows for at in row[:2] if at is not None), default=0.0)
    took = [
        ((latest if finished_at is None else finished_at) - claimed_at, bool(is_finished))
        for claimed_at, finished_at, is_finished in rows
    ]
    return [(seconds, is_finished) for seconds, is_finished in took if seconds > 0.0]


def run_result(connection: StoreReader, run: int, info: RunInfo) -> RunResult:
    """Return a run with all its outcomes. Duplicates have none."""
    claims, ends, unsettled = connection.execute(
        "SELECT max(claimed_at), max(finished_at), count(*) FILTER (WHERE state = 'claimed'"
        " OR (state IN ('new', 'created') AND error IS NULL))"
        " FROM scan WHERE run = ? AND is_duplicate = 0",
        (run,),
    ).fetchone()
    changed_at = max(info.created_at or 0.0, claims or 0.0, ends or 0.0)
    return RunResult(
        name=info.name,
        outcomes=tuple(_outcomes(connection, run, is_held=info.is_held)),
        base_url=info.base_url,
        options=info.options,
        policy=policy_of(connection, run),
        started_at=info.created_at,
        finished_at=None if unsettled else changed_at,
        throttled=tuple(_spans(connection, run, "throttled", until=changed_at)),
        outages=tuple(_spans(connection, run, "outage", until=changed_at)),
    )


def _spans(
    connection: StoreReader, run: int, kind: str, *, until: float
) -> Iterator[tuple[float, float]]:
    """Yield spans of time; one that has no end was cut off by the end of the run."""
    rows = connection.execute(
        "SELECT begun, ended FROM span WHERE run = ? AND kind = ? ORDER BY begun", (run, kind)
    )
    for begun, ended in rows:
        yield begun, max(begun, until) if ended is None else ended


def outcome(connection: StoreReader, run: int, index: int, *, is_held: bool) -> Outcome | None:
    """Return the outcome of one input as it stands; None without one, and for a mere duplicate."""
    found = _outcomes(
        connection, run, is_held=is_held, only="AND scan.input_index = ?", at=(index,)
    )
    return next(found, None)


def under_way(
    connection: StoreReader, run: int, site_key: str, family: Family
) -> StoredInput | None:
    """Return where a site is under way in another run of a family than this one; None if nowhere.

    What a process left behind is under way, too: somebody has to go on with it first.
    """
    rows = connection.execute(
        "SELECT other.id, other.name, scan.input_index FROM run JOIN run AS other"
        " ON other.base_url = run.base_url AND other.options = run.options AND other.id <> run.id"
        " JOIN shard ON shard.run = other.id AND shard.state <> 'ended'"
        " JOIN scan ON scan.run = other.id AND scan.shard = shard.shard"
        " WHERE run.id = ? AND scan.site_key = ?"
        " AND scan.is_duplicate = 0 AND scan.state <> 'finished' ORDER BY other.id",
        (run, site_key),
    ).fetchall()
    for other, name, index in rows:
        if family.has(name):
            found = outcome(connection, other, index, is_held=True)
            if found is not None and family.is_open(found):
                return StoredInput(name, index)
    return None


def outcomes_since(connection: StoreReader, run: int, moment: float) -> list[Outcome]:
    """Return the outcomes that became known at a moment of the store or later, by index."""
    only = "AND scan.finished_at >= ?"
    return list(_outcomes(connection, run, is_held=True, only=only, at=(moment,)))


def _outcomes(
    connection: StoreReader,
    run: int,
    *,
    is_held: bool,
    only: str = "",
    at: tuple[float, ...] = (),
) -> Iterator[Outcome]:
    rows = connection.execute(
        "SELECT scan.input_index, target, site_id, report_id, claimed_at, finished_at, state,"  # noqa: S608 - ours
        " error, result FROM scan LEFT JOIN result"
        " ON result.run = scan.run AND result.input_index = scan.input_index"
        f" WHERE scan.run = ? AND is_duplicate = 0 {only} ORDER BY scan.input_index",
        (run, *at),
    )
    for *common, state, error, result in rows:
        index, target, site_id, report_id, claimed_at, finished_at = common
        known: dict[str, Any] = {
            "index": index,
            "target": target,
            "site_id": site_id,
            "report_id": report_id,
            "started_at": claimed_at,
            "finished_at": finished_at,
        }
        yield _outcome(known, state, _error(error), result, is_held=is_held)


def _outcome(
    known: dict[str, Any],
    state: str,
    error: BestDefenseError | None,
    result: str | None,
    *,
    is_held: bool,
) -> Outcome:
    if state == "finished" and error is None:
        try:
            risk, findings = result_from(json.loads(result or ""))
        except _READING_FAULTS:
            # It can be read again from the server, by its id.
            lost = JournalError("The result of this scan cannot be read from the record.")
            return Outcome(**known, status=OutcomeStatus.RUNNING, error=lost)
        return Outcome(**known, status=OutcomeStatus.DONE, risk=risk, findings=findings)
    status = _status(state, error, report_id=known["report_id"])
    if error is None:
        error = _reason(state, known, is_held=is_held)
    return Outcome(**known, status=status, error=error)


def _reason(state: str, known: dict[str, Any], *, is_held: bool) -> BestDefenseError:
    """Return why an input has no result that was not told why."""
    if state == "created":
        return RunStopped(
            "It is still running." if is_held else "It was still running when the run ended."
        )
    if state == "new":
        return RunStopped("It was not started yet.")
    if state == "claimed" and is_held:
        return RunStopped("Its creation is on the way.")
    return OutcomeUnknown(
        "no answer is recorded",
        operation="reports.create",
        subject=known["site_id"] or "",
        sent_at=known["started_at"] or 0.0,
    )


def _error(text: str | None) -> BestDefenseError | None:
    """Return an error as it was stored."""
    if text is None:
        return None
    try:
        return error_from(json.loads(text))
    except _READING_FAULTS:
        return JournalError("The reason cannot be read from the record.")
