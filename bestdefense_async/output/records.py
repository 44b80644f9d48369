"""Rows as JSON values and back.

Both the event log and the JSON document are made of these, so that either of them can be read
again. Text is kept as it came: JSON's own escapes are lossless, also for controls and lone
surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from bestdefense_async.errors import JournalMismatch, clean_text
from bestdefense_async.models import SEVERITIES, Finding, RiskSummary, Severity
from bestdefense_async.output.run import OUTCOMES, Problem, Row, finite

SCHEMA_VERSION: Final = 1
"""Counts up when a reader of the last version could misunderstand the new one."""

_FINDING_TEXTS: Final = ("id", "title", "url", "evidence", "guidance", "cwe", "weakness")


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return `value` as JSON in plain ASCII; never NaN, never a raw control character.

    Raises:
        ValueError: A number is not finite.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, allow_nan=False, indent=indent, separators=separators)


def row_record(row: Row) -> dict[str, Any]:
    """Return a row as plain values."""
    return {
        "target": row.target,
        "site_id": row.site_id,
        "report_id": row.report_id,
        "outcome": row.outcome,
        "risk": None if row.risk is None else row.risk.as_dict(),
        "error": problem_record(row.error),
        "started_at": finite(row.started_at),
        "finished_at": finite(row.finished_at),
        "findings": [_finding_record(finding) for finding in row.findings],
    }


def problem_record(problem: Problem | None) -> dict[str, str] | None:
    """Return why a target has no verdict as plain values."""
    return None if problem is None else {"kind": problem.kind, "message": problem.message}


def row_from(record: Mapping[str, Any]) -> Row:
    """Return the row that `record` describes.

    Raises:
        JournalMismatch: It describes none. A run that is misread must not pass the gate.
    """
    outcome = record.get("outcome")
    if outcome not in OUTCOMES:
        raise JournalMismatch(f"{clean_text(outcome, longest=60)} is no outcome of a target.")
    findings = record.get("findings") or []
    if not isinstance(findings, list):
        raise JournalMismatch("The findings of a target are not a list.")
    return Row(
        target=str(record.get("target", "")),
        outcome=outcome,
        site_id=_text(record.get("site_id")),
        report_id=_text(record.get("report_id")),
        risk=_risk_from(record.get("risk")),
        findings=tuple(_finding_from(item) for item in findings),
        error=problem_from(record.get("error")),
        started_at=finite(record.get("started_at")),
        finished_at=finite(record.get("finished_at")),
    )


def problem_from(record: object) -> Problem | None:
    """Return why a target has no verdict; None when nothing is said."""
    if not isinstance(record, Mapping):
        return None
    return Problem(str(record.get("kind", "unknown")), str(record.get("message", "")))


def _finding_record(finding: Finding) -> dict[str, str]:
    texts = ((name, getattr(finding, name)) for name in _FINDING_TEXTS)
    present = {name: text for name, text in texts if text is not None}
    return {"severity": str(finding.severity)} | present


def _finding_from(record: object) -> Finding:
    severity = record.get("severity") if isinstance(record, Mapping) else None
    if not isinstance(record, Mapping) or not isinstance(severity, str):
        raise JournalMismatch("A finding has no severity.")
    texts: dict[str, Any] = {name: _text(record.get(name)) for name in _FINDING_TEXTS}
    return Finding(severity=Severity(severity), **texts)


def _risk_from(record: object) -> RiskSummary | None:
    if record is None:
        return None
    if not isinstance(record, Mapping):
        raise JournalMismatch("The risk of a target is not a table of counts.")
    counts: dict[str, int] = {}
    for word, count in record.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise JournalMismatch("The risk of a target holds something that is no count.")
        severity = Severity(word)
        counts[str(severity) if severity.is_known else word] = count
    known = {str(severity): counts.pop(severity, 0) for severity in SEVERITIES}
    return RiskSummary(other=counts, **known)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
