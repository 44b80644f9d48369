"""A run as one JSON document, and its rows as JSON values and back.

Both the event log and the JSON document are made of these, so that either of them can be read
again. Text is kept as it came: JSON's own escapes are lossless, also for controls and lone
surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.errors import JournalMismatch, clean_text
from bestdefense_async.models import SEVERITIES, Finding, RiskSummary, Severity
from bestdefense_async.report.gate.identity import compare_runs, fingerprint
from bestdefense_async.report.gate.verdict import exit_code
from bestdefense_async.report.run import OUTCOMES, Problem, Row, finite
from bestdefense_async.report.text import CI_COMMAND

if TYPE_CHECKING:
    from bestdefense_async.report.gate.identity import Changes
    from bestdefense_async.report.gate.verdict import FindingStatus, Verdict, WaiverUse
    from bestdefense_async.report.run import Run


SCHEMA_VERSION: Final = 1
"""Counts up when a reader of the last version could misunderstand the new one."""

_CONDITIONS: Final = ("fingerprint", "weakness", "target", "url", "severity")
_FINDING_TEXTS: Final = ("id", "title", "url", "evidence", "guidance", "cwe", "weakness")


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


def row_record(row: Row, statuses: Sequence[FindingStatus] | None = None) -> dict[str, Any]:
    """Return a row as plain values; `statuses` say what became of each of its findings."""
    findings = [finding_record(row, finding) for finding in row.findings]
    for record, status in zip(findings, statuses or (), strict=False):
        record["state"] = status.state
        if status.waiver is not None:
            record["waived_because"] = status.waiver.reason
    return {
        "target": row.target,
        "site_id": row.site_id,
        "report_id": row.report_id,
        "outcome": row.outcome,
        "risk": None if row.risk is None else row.risk.as_dict(),
        "error": problem_record(row.error),
        "started_at": finite(row.started_at),
        "finished_at": finite(row.finished_at),
        "findings": findings,
    }


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return what baseline and waivers did as plain values; null where there is none."""
    return {
        "threshold": None if verdict.threshold is None else str(verdict.threshold),
        "exceeded": sorted(verdict.exceeded),
        "waived": verdict.waived,
        "known": verdict.known,
        "new": verdict.new,
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
        **{name: str(text) for name, text in conditions.items() if text is not None},
    }


def changes_record(changes: Changes) -> dict[str, Any]:
    """Return what changed since an older run as plain values; unchanged findings are counted."""
    counts = {"fixed": changes.fixed, "new": changes.new, "unchanged": changes.unchanged}
    findings = {"new": changes.new_findings, "fixed": changes.fixed_findings}
    return {
        **{
            name: {str(severity): counter[severity] for severity in _by_rank(counter)}
            for name, counter in counts.items()
        },
        "findings": [
            {"change": name, "target": row.target, **finding_record(row, finding)}
            for name, found in findings.items()
            for row, finding in found
        ],
    }


def _by_rank(counter: Mapping[Severity, int]) -> list[Severity]:
    return sorted({*SEVERITIES, *counter}, key=lambda severity: (-severity.rank, severity))


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


def finding_record(row: Row, finding: Finding) -> dict[str, str]:
    """Return a finding of a row as plain values, with the name it has in every run."""
    texts = ((name, getattr(finding, name)) for name in _FINDING_TEXTS)
    present = {name: text for name, text in texts if text is not None}
    return {"severity": str(finding.severity), "fingerprint": fingerprint(row, finding)} | present


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
    for name, count in record.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise JournalMismatch("The risk of a target holds something that is no count.")
        severity = Severity(name)
        counts[str(severity) if severity.is_known else name] = count
    known = {str(severity): counts.pop(severity, 0) for severity in SEVERITIES}
    return RiskSummary(other=counts, **known)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def document(run: Run, verdict: Verdict, *, older: Run | None = None) -> str:
    """Return the run and its verdict as JSON text that ends with a line break.

    With an older run it also says what changed since.
    """
    changes = {} if older is None else {"changes": changes_record(compare_runs(run, older))}
    return (
        dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "name": run.name,
                "base_url": run.base_url,
                "options": dict(run.options),
                "started_at": finite(run.started_at),
                "finished_at": finite(run.finished_at),
                "throttled": [[begin, end] for begin, end in run.throttled],
                "gate": {
                    "status": verdict.status,
                    "sentence": verdict.sentence,
                    "reasons": list(verdict.reasons),
                    "findings": verdict.findings,
                    "sites": verdict.sites,
                    "missing": verdict.missing,
                    "exit_code": exit_code(verdict),
                    **verdict_record(verdict),
                },
                "targets": len(run.rows),
                "outcomes": run.by_outcome(),
                "risk": {str(severity): count for severity, count in run.counts().items()},
                **changes,
                "rows": [
                    row_record(row, [status for _, status in verdict.with_status(index, row)])
                    for index, row in enumerate(run.rows)
                ],
            },
            indent=1,
        )
        + "\n"
    )
