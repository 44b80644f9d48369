"""A run as JSON: one document, or a log of events, one object per line, written as they happen.

Every line of a log carries `event` and `schema_version`; the schemas of both lie in `schemas`. A
run that is cut off leaves a readable log: `read_run` takes it up to the last whole line. Text is
kept as it came: JSON's own escapes are lossless, also for controls and lone surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TextIO

from attrs import define, field

from bestdefense_async.models import (
    SEVERITIES,
    ScanEvent,
    ScanFinished,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetAccepted,
    TargetRejected,
    error_as_dict,
)
from bestdefense_async.models.finding import ranked
from bestdefense_async.report.gate.identity import compare_runs, fingerprint
from bestdefense_async.report.gate.verdict import Verdict, exit_code
from bestdefense_async.report.result import finite
from bestdefense_async.report.text import CI_COMMAND

if TYPE_CHECKING:
    from bestdefense_async.models import Finding, Outcome
    from bestdefense_async.report.gate.verdict import JudgedOutcome
    from bestdefense_async.report.gate.waivers import WaiverUse
    from bestdefense_async.report.result import RunResult

SCHEMA_VERSION: Final = 1
"""Counts up when a reader of the last version could misunderstand the new one."""

_CONDITIONS: Final = ("fingerprint", "weakness", "target", "url", "severity")


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return `value` as JSON in plain ASCII; never NaN, never a raw control character.

    A `##[` in a text is written with an escape: the same to every reader of JSON, and no command
    to a CI system in whose log it stands.

    Raises:
        ValueError: A number is not finite.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, allow_nan=False, indent=indent, separators=separators)
    return CI_COMMAND.sub(r"\\u0023", text) if "##" in text else text


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values, each finding with the name it has in every run."""
    findings = [_finding_record(outcome, finding) for finding in outcome.findings]
    return outcome.as_dict() | {"findings": findings}


def _judged_record(judged: JudgedOutcome) -> dict[str, Any]:
    record = _outcome_record(judged.outcome)
    for finding, one in zip(record["findings"], judged.findings, strict=False):
        finding["state"] = one.state
        if one.waiver is not None:
            finding["waived_because"] = one.waiver.reason
    return record


def _finding_record(outcome: Outcome, finding: Finding) -> dict[str, Any]:
    return finding.as_dict() | {"fingerprint": fingerprint(outcome, finding)}


def _verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return what baseline and waivers did as plain values; null where there is none."""
    return {
        "threshold": verdict.policy.fail_on,
        "exceeded": sorted(verdict.exceeded),
        "waived": verdict.waived,
        "known": verdict.known,
        "new": verdict.new,
        "reworded": verdict.reworded,
        "waivers": [_waiver_record(use) for use in verdict.uses],
    }


def _waiver_record(use: WaiverUse) -> dict[str, Any]:
    waiver = use.waiver
    conditions = {name: getattr(waiver, name) for name in _CONDITIONS}
    return {
        "state": use.state,
        "findings": use.findings,
        "reason": waiver.reason,
        "expires": waiver.expires.isoformat(),
        "line": waiver.line,
        **({} if use.fingerprint is None else {"by": use.by, "now": use.fingerprint}),
        **{name: str(text) for name, text in conditions.items() if text is not None},
    }


def _changes_record(run: RunResult, older: RunResult | None) -> dict[str, Any]:
    """Return what changed since an older run as plain values; unchanged findings are counted."""
    if older is None:
        return {}
    changes = compare_runs(run, older)
    counts = {"fixed": changes.fixed, "new": changes.new, "unchanged": changes.unchanged}
    findings = {"new": changes.new_findings, "fixed": changes.fixed_findings}
    record: dict[str, Any] = {
        name: {str(each): counter[each] for each in ranked((*SEVERITIES, *counter))}
        for name, counter in counts.items()
    }
    record |= {
        "reworded": changes.reworded,
        "findings": [
            {"change": name, "target": outcome.target, **_finding_record(outcome, finding)}
            for name, found in findings.items()
            for outcome, finding in found
        ],
    }
    return {"changes": record}


def document(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the run and its verdict as JSON text that ends with a line break.

    With an older run it also says what changed since.
    """
    gate = {
        "status": verdict.status,
        "sentence": verdict.sentence,
        "reasons": list(verdict.reasons),
        "findings": verdict.findings,
        "sites": verdict.sites,
        "missing": verdict.missing,
        "exit_code": exit_code(verdict),
        **_verdict_record(verdict),
    }
    record = {
        "schema_version": SCHEMA_VERSION,
        **run.head(),
        **run.summary(),
        "gate": gate,
        **_changes_record(run, older),
        "outcomes": [_judged_record(judged) for judged in verdict.outcomes],
    }
    return dumps(record, indent=1) + "\n"


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
    return {"paused_for": finite(event.paused_for), "is_back": event.is_back}


def _finished(event: ScanFinished) -> dict[str, Any]:
    return _outcome_record(event.outcome)


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
        self._write("run.started", run.head())

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
        self._write("run.summary", _summary_record(run, verdict, older=older))

    def _write(self, event: str, record: dict[str, Any]) -> None:
        head = {"event": event, "schema_version": SCHEMA_VERSION, "at": finite(self._now())}
        self._stream.write(dumps(head | record) + "\n")
        self._stream.flush()


def _summary_record(
    run: RunResult, verdict: Verdict, *, older: RunResult | None = None
) -> dict[str, Any]:
    """Return the counts and the verdict of a run as plain values, and what changed."""
    return {
        **run.summary(),
        "gate": verdict.status,
        "sentence": verdict.sentence,
        "exit_code": exit_code(verdict),
        **_verdict_record(verdict),
        **_changes_record(run, older),
    }


def saved_events(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the event log of a finished run, as it could have been written meanwhile."""
    begin = {"event": "run.started", "at": run.started_at}
    lines = [begin | run.head()]
    for outcome in run.outcomes:
        event = {"event": "scan.finished", "at": outcome.finished_at}
        lines.append(event | _outcome_record(outcome))
    summary = {"event": "run.summary", "at": run.finished_at}
    lines.append(summary | _summary_record(run, verdict, older=older))
    return "".join(dumps({"schema_version": SCHEMA_VERSION} | line) + "\n" for line in lines)
