"""The event log of a run: one JSON object per line, written as it happens.

Every line carries `event` and `schema_version`; `schemas/events.json` says the rest. A run that is
cut off leaves a readable log: `read_run` takes it up to the last whole line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TextIO

from attrs import define, field

from bestdefense_async.models import (
    ScanEvent,
    ScanFinished,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetAccepted,
    TargetRejected,
    error_as_dict,
)
from bestdefense_async.report.formats.json import (
    SCHEMA_VERSION,
    changes_record,
    dumps,
    outcome_record,
    verdict_record,
)
from bestdefense_async.report.gate.identity import compare_runs
from bestdefense_async.report.gate.verdict import Verdict, exit_code
from bestdefense_async.report.record import end_record, finite, head_record

if TYPE_CHECKING:
    from bestdefense_async.report.result import RunResult


def _accepted(event: TargetAccepted) -> dict[str, Any]:
    return {"target": event.target, "site_id": event.site_id, "report_id": None}


def _rejected(event: TargetRejected) -> dict[str, Any]:
    return {
        "target": event.target,
        "site_id": None,
        "report_id": None,
        "reason": event.reason,
        "error": error_as_dict(event.error),
    }


def _started(event: ScanStarted) -> dict[str, Any]:
    return {
        "target": event.target,
        "site_id": event.site_id,
        "report_id": event.report_id,
        "started_at": finite(event.started_at),
    }


def _paused(event: StartingPaused) -> dict[str, Any]:
    return {"since": finite(event.since), "error": error_as_dict(event.error)}


def _resumed(event: StartingResumed) -> dict[str, Any]:
    return {"paused_for": finite(event.paused_for)}


def _finished(event: ScanFinished) -> dict[str, Any]:
    return outcome_record(event.outcome)


_RECORDS: Final[Mapping[type, tuple[str, Callable[[Any], dict[str, Any]]]]] = {
    TargetAccepted: ("target.accepted", _accepted),
    TargetRejected: ("target.rejected", _rejected),
    ScanStarted: ("scan.started", _started),
    ScanFinished: ("scan.finished", _finished),
    StartingPaused: ("starting.paused", _paused),
    StartingResumed: ("starting.resumed", _resumed),
}


@define
class EventLog:
    """Writes events to an open text stream, each as one line, and flushes it."""

    _stream: TextIO
    _now: Callable[[], float] = field(kw_only=True)
    """Seconds since the epoch: every line says when it was written."""

    def run_started(self, run: RunResult) -> None:
        """Write the first line. The run may be empty yet: only what is known before counts."""
        self._write("run.started", head_record(run))

    def write(self, event: ScanEvent) -> None:
        """Write an event of a scan group.

        Raises:
            OSError: The disk is full, or the reader has gone.
        """
        name, record = _RECORDS[type(event)]
        if isinstance(event, StartingPaused | StartingResumed):
            self._write(name, record(event))
            return
        index = event.outcome.index if isinstance(event, ScanFinished) else event.index
        self._write(name, {"index": index, **record(event)})

    def run_summary(
        self, run: RunResult, verdict: Verdict, *, older: RunResult | None = None
    ) -> None:
        """Write the last line."""
        self._write("run.summary", summary_record(run, verdict, older=older))

    def _write(self, event: str, record: dict[str, Any]) -> None:
        head = {"event": event, "schema_version": SCHEMA_VERSION, "at": finite(self._now())}
        self._stream.write(dumps(head | record) + "\n")
        self._stream.flush()


def summary_record(
    run: RunResult, verdict: Verdict, *, older: RunResult | None = None
) -> dict[str, Any]:
    """Return the counts and the verdict of a run as plain values, and what changed."""
    changes = {} if older is None else {"changes": changes_record(compare_runs(run, older))}
    return {
        "targets": len(run.outcomes),
        "counts": run.by_status(),
        "risk": {str(severity): count for severity, count in run.counts().items()},
        "gate": verdict.status,
        "sentence": verdict.sentence,
        "exit_code": exit_code(verdict),
        **verdict_record(verdict),
        **changes,
        **end_record(run),
    }


def saved_events(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the event log of a finished run, as it could have been written meanwhile."""
    begin = {"event": "run.started", "at": finite(run.started_at)}
    lines = [begin | head_record(run)]
    for outcome in run.outcomes:
        event = {"event": "scan.finished", "at": outcome.finished_at}
        lines.append(event | outcome_record(outcome))
    summary = {"event": "run.summary", "at": finite(run.finished_at)}
    lines.append(summary | summary_record(run, verdict, older=older))
    return "".join(dumps({"schema_version": SCHEMA_VERSION} | line) + "\n" for line in lines)
