"""The one way in which runs and outcomes are written down, and read again.

The record of a run, its event log and its JSON document are made of these plain values, so that
each of them gives back what was written. Writing is `Outcome.as_dict` and its like; reading refuses
what it does not understand, for a run that is misread must not pass the gate.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async import errors
from bestdefense_async.errors import BestDefenseError, JournalMismatch, Sent, clean_text
from bestdefense_async.models import SEVERITIES, Finding, Outcome, OutcomeStatus, RiskSummary
from bestdefense_async.models.finding import FINDING_TEXTS, Severity
from bestdefense_async.report.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterable


def head_record(run: RunResult) -> dict[str, Any]:
    """Return what is known of a run when it begins."""
    return {
        "name": run.name,
        "base_url": run.base_url,
        "options": dict(run.options),
        "started_at": finite(run.started_at),
    }


def end_record(run: RunResult) -> dict[str, Any]:
    """Return what is known of a run when it has ended, its outcomes left out."""
    return {
        "finished_at": finite(run.finished_at),
        "throttled": [[begin, end] for begin, end in run.throttled],
        "outages": [[begin, end] for begin, end in run.outages],
    }


def run_from(
    head: Mapping[str, Any], outcomes: Iterable[Outcome], end: Mapping[str, Any]
) -> RunResult:
    """Return the run of a head, its outcomes, and an end; what they do not say is unknown.

    Raises:
        JournalMismatch: A span is not two numbers.
    """
    options = head.get("options")
    return RunResult(
        name=str(head.get("name") or "scan"),
        outcomes=tuple(outcomes),
        started_at=finite(head.get("started_at")),
        finished_at=finite(end.get("finished_at")),
        base_url=str(head.get("base_url") or ""),
        options=options if isinstance(options, Mapping) else None,
        throttled=_spans(end.get("throttled")),
        outages=_spans(end.get("outages")),
    )


def _spans(value: object) -> tuple[tuple[float, float], ...]:
    spans = []
    for pair in value if isinstance(value, list) else ():
        match pair:
            case [begin, end] if finite(begin) is not None and finite(end) is not None:
                spans.append((float(begin), float(end)))
            case _:
                raise JournalMismatch("A span of time is not two numbers.")
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
        raise JournalMismatch("The findings of a target are not a list.")
    return _risk_from(record.get("risk")), tuple(map(_finding_from, findings))


_MOST: Final = 10**15
"""A number beyond is no count."""


def _risk_from(record: object) -> RiskSummary | None:
    if record is None:
        return None
    if not isinstance(record, Mapping):
        raise JournalMismatch("The risk of a target is not a table of counts.")
    counts: dict[str, int] = {}
    for name, count in record.items():
        if type(count) is not int or not 0 <= count <= _MOST:
            raise JournalMismatch("The risk of a target holds something that is no count.")
        severity = Severity(name)
        counts[str(severity) if severity.is_known else name] = count
    known = {str(severity): counts.pop(severity, 0) for severity in SEVERITIES}
    return RiskSummary(other=counts, **known)


def _finding_from(record: object) -> Finding:
    severity = record.get("severity") if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or not isinstance(severity, str):
        raise JournalMismatch("A finding has no severity.")
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


def finite(value: object) -> float | None:
    """Return `value` as a float when it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None
