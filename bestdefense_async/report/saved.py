"""Read what was written: outcomes, and runs that were saved as an event log or a JSON document.

Writing is `Outcome.as_dict` and its like, for the record of a run too; reading refuses what it does
not understand, for a run that is misread must not pass the gate.

A saved run may stop anywhere: it was resumed, killed, goes on, or the disk was full. What has no
outcome then gets one that has no verdict, and so does, as one target, the rest that the run had
not come to. So a run that was cut off never passes the gate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from bestdefense_async import errors
from bestdefense_async.errors import BestDefenseError, JournalMismatch, RunStopped, Sent, clean_text
from bestdefense_async.files import STDIN, encoding_of, read_bytes
from bestdefense_async.models import (
    SEVERITIES,
    Finding,
    Outcome,
    OutcomeStatus,
    RiskSummary,
    status_of,
)
from bestdefense_async.models.finding import FINDING_TEXTS, Severity
from bestdefense_async.report.formats.json import SCHEMA_VERSION
from bestdefense_async.report.result import RunResult, finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LARGEST_FILE: Final = 1 << 30
"""Bytes of a document or a log: some millions of findings."""


def read_run(path: Path | str) -> RunResult:
    """Return the run saved at `path`: a document in `.json`, or else an event log.

    `-` is stdin, which may be a document or a log.

    Raises:
        JournalMismatch: The file is not such a run, of another version, or damaged.
        ConfigError: The file cannot be read.
    """
    content = read_bytes(path, what="The run", largest=_LARGEST_FILE)
    text = content.decode(encoding_of(content), errors="replace")  # the end may be cut off
    name = "stdin" if path == STDIN else Path(path).name
    problem = ""
    try:
        return _from_document(text) if _is_document(path, text) else _from_log(text)
    except JournalMismatch as error:
        problem = str(error)
    raise JournalMismatch(f"{name} is no saved run that can be read: {problem}")


def _from_log(text: str) -> RunResult:
    reader = _Reader()
    for record in _records(text):
        reader.take(record)
    return reader.run()


def _is_document(path: Path | str, text: str) -> bool:
    """Return whether this is no log; on stdin, whether its first line is no event."""
    if path != STDIN:
        return Path(path).suffix.lower() == ".json"
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return True
    return not (isinstance(first, dict) and "event" in first)


def _parsed(text: str, *, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise JournalMismatch(f"{where} is not JSON.") from None
    if not isinstance(value, dict):
        raise JournalMismatch(f"{where} is no object.")
    version = value.get("schema_version")
    if type(version) is int and version > SCHEMA_VERSION:
        raise JournalMismatch(
            f"a later version wrote it (schema {version}, not {SCHEMA_VERSION}). Upgrade "
            "bestdefense-async to read it."
        )
    if version != SCHEMA_VERSION:
        raise JournalMismatch(f"{where} is not of schema version {SCHEMA_VERSION}.")
    return value


def _finite(text: str) -> float:
    """Return a number; `NaN` and what is beyond all numbers, like `1e999`, is none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _records(text: str) -> Iterator[dict[str, Any]]:
    """Yield the records of an event log; a last line without its line break was cut off."""
    *whole, _cut = text.split("\n")
    if not whole:
        raise JournalMismatch("it holds no whole line.")
    for number, line in enumerate(whole, start=1):
        if line.strip():
            yield _parsed(line, where=f"line {number}")


def _from_document(text: str) -> RunResult:
    value = _parsed(text, where="it")
    records = value.get("outcomes")
    if not isinstance(records, list) or not all(isinstance(each, Mapping) for each in records):
        raise JournalMismatch("it holds no outcomes.")
    found = tuple(map(outcome_from, records))
    return run_from(value, (*found, *_rest(found, value)), value)


def _rest(outcomes: tuple[Outcome, ...], end: Mapping[str, Any]) -> tuple[Outcome, ...]:
    """Return an outcome for the targets that are not there, none when all are."""
    total = end.get("targets")
    many = "The rest"
    if isinstance(total, int) and total >= 0:
        if total <= len(outcomes):
            return ()
        many = f"{total - len(outcomes)} more"
    index = max((outcome.index for outcome in outcomes), default=-1) + 1
    return (
        Outcome(
            index=index,
            target=f"({many} of the targets)",
            status=OutcomeStatus.NOT_STARTED,
            error=RunStopped("The saved run ends before all its targets are told."),
        ),
    )


@define
class _Reader:
    """Gathers the targets of an event log in the order in which they first occur."""

    _start: Mapping[str, Any] = field(factory=dict)
    _end: Mapping[str, Any] = field(factory=dict)
    _outcomes: dict[object, Outcome] = field(factory=dict)
    _decided: set[object] = field(factory=set)
    """Those that ended or were rejected: what else is told of them changes nothing."""
    _ended: set[object] = field(factory=set)
    _duplicates: set[object] = field(factory=set)

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in one event; events of a later minor version are passed over."""
        event = record.get("event")
        if event == "run.started":
            if self._start:
                raise JournalMismatch("it holds more than one run.")
            self._start = record
        elif event == "run.summary":
            self._end = record
        elif event in {"target.accepted", "target.rejected", "scan.started", "scan.finished"}:
            self._take_target(str(event), record)

    def _take_target(self, event: str, record: Mapping[str, Any]) -> None:
        key = record.get("index", record.get("target"))
        if type(key) not in {int, str}:
            raise JournalMismatch("it tells of a target without its number.")
        if event == "scan.finished":
            if key in self._ended:
                raise JournalMismatch(f"it tells twice how target {key} ended.")
            self._ended.add(key)
            self._outcomes[key] = outcome_from(record)
            self._decided.add(key)
            return
        if event == "target.rejected" and record.get("reason") == "duplicate":
            self._duplicates.add(key)
        if key not in self._decided:
            self._outcomes[key] = _unfinished(record)
        if event == "target.rejected":
            self._decided.add(key)

    def run(self) -> RunResult:
        """Return the run. A target that was named twice is one target."""
        if not self._start:
            raise JournalMismatch("it does not begin as one.")
        found = tuple(
            outcome for key, outcome in self._outcomes.items() if key not in self._duplicates
        )
        return run_from(self._start, (*found, *_rest(found, self._end)), self._end)


def _unfinished(record: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a target whose end is not told."""
    index, report_id = record.get("index"), text_or_none(record.get("report_id"))
    cut_off = RunStopped("The run ended before this target had an outcome.")
    error = error_from(record.get("error")) or cut_off
    return Outcome(
        index=index if type(index) is int else 0,
        target=str(record.get("target", "")),
        status=status_of(error, report_id=report_id),
        site_id=text_or_none(record.get("site_id")),
        report_id=report_id,
        error=error,
        started_at=finite(record.get("started_at")),
    )


def run_from(
    head: Mapping[str, Any], outcomes: Iterable[Outcome], end: Mapping[str, Any]
) -> RunResult:
    """Return the run of a head, its outcomes, and an end; what they do not say is unknown.

    Raises:
        JournalMismatch: A span is not two numbers.
    """
    options, policy = head.get("options"), head.get("policy")
    return RunResult(
        name=str(head.get("name") or "scan"),
        outcomes=tuple(outcomes),
        started_at=finite(head.get("started_at")),
        finished_at=finite(end.get("finished_at")),
        base_url=str(head.get("base_url") or ""),
        options=options if isinstance(options, Mapping) else None,
        policy=policy if isinstance(policy, Mapping) else None,
        judged_by=_threshold(end),
        throttled=_spans(end.get("throttled")),
        outages=_spans(end.get("outages")),
    )


def _threshold(end: Mapping[str, Any]) -> str | None:
    """Return the threshold of the saved verdict; a document has it in a table of its own."""
    gate = end.get("gate")
    verdict = gate if isinstance(gate, Mapping) else end
    return str(verdict["threshold"] or "none") if "threshold" in verdict else None


def _spans(value: object) -> tuple[tuple[float, float], ...]:
    spans = []
    for pair in value if isinstance(value, list) else ():
        match pair:
            case [begin, end] if finite(begin) is not None and finite(end) is not None:
                spans.append((float(begin), float(end)))
            case _:
                raise JournalMismatch("a span of time is not two numbers.")
    return tuple(spans)


def outcome_from(record: Mapping[str, Any]) -> Outcome:
    """Return the outcome that `Outcome.as_dict` wrote.

    Raises:
        JournalMismatch: It describes none.
    """
    status, index = record.get("status"), record.get("index")
    if status not in set(OutcomeStatus):
        raise JournalMismatch(f"{clean_text(status, longest=60)} is no status of a target.")
    risk, findings = result_from(record)
    return Outcome(
        index=index if type(index) is int else 0,
        target=str(record.get("target", "")),
        status=OutcomeStatus(str(status)),
        site_id=text_or_none(record.get("site_id")),
        report_id=text_or_none(record.get("report_id")),
        risk=risk,
        findings=findings,
        error=error_from(record.get("error")),
        started_at=finite(record.get("started_at")),
        finished_at=finite(record.get("finished_at")),
    )


def result_from(record: Mapping[str, Any]) -> tuple[RiskSummary | None, tuple[Finding, ...]]:
    """Return what a scan found, from the members `risk` and `findings`.

    Raises:
        JournalMismatch: They are not what `Outcome.as_dict` writes.
    """
    findings = record.get("findings") or []
    if not isinstance(findings, list):
        raise JournalMismatch("the findings of a target are not a list.")
    return _risk_from(record.get("risk")), tuple(map(_finding_from, findings))


_MOST: Final = 10**15
"""A number beyond is no count."""


def _risk_from(record: object) -> RiskSummary | None:
    if record is None:
        return None
    if not isinstance(record, Mapping):
        raise JournalMismatch("the risk of a target is not a table of counts.")
    counts: dict[str, int] = {}
    for name, count in record.items():
        if type(count) is not int or not 0 <= count <= _MOST:
            raise JournalMismatch("the risk of a target holds something that is no count.")
        severity = Severity(name)
        counts[str(severity) if severity.is_known else name] = count
    known = {str(severity): counts.pop(severity, 0) for severity in SEVERITIES}
    return RiskSummary(other=counts, **known)


def _finding_from(record: object) -> Finding:
    severity = record.get("severity") if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or not isinstance(severity, str):
        raise JournalMismatch("a finding has no severity.")
    texts: dict[str, Any] = {name: text_or_none(record.get(name)) for name in FINDING_TEXTS}
    extra = record.get("extra")
    return Finding(
        severity=Severity(severity), extra=extra if isinstance(extra, Mapping) else {}, **texts
    )


_KINDS: Final = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, BestDefenseError)
}


class _OtherError(BestDefenseError):
    """An error of a kind that this version does not know; it keeps the word for it."""

    _kind: str

    @property
    def kind(self) -> str:
        """The word it was written under."""
        return self._kind


def error_from(record: object) -> BestDefenseError | None:
    """Return the error that `error_as_dict` wrote; None when nothing is said."""
    if not isinstance(record, Mapping):
        return None
    word = clean_text(str(record.get("kind", "unknown")), longest=100)
    kind = _KINDS.get(word, _OtherError)
    error = kind.__new__(kind)
    error.args = (clean_text(str(record.get("message", ""))),)
    if isinstance(error, _OtherError):
        error._kind = word  # noqa: SLF001 - ours
    attributes = record.get("attributes")
    for name, value in attributes.items() if isinstance(attributes, Mapping) else ():
        if name == "sent":
            error.sent = Sent(value) if value in set(Sent) else Sent.MAYBE
        elif not name.startswith("_") and not hasattr(BestDefenseError, name):
            vars(error)[name] = value
    return error


def text_or_none(value: object) -> str | None:
    """Return `value` as text; None where there is none."""
    return None if value is None else str(value)
