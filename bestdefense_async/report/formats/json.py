"""A run as one JSON document, and the JSON values that it shares with the event log.

Text is kept as it came: JSON's own escapes are lossless, also for controls and lone surrogates.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.models import SEVERITIES
from bestdefense_async.report.gate.identity import compare_runs, fingerprint
from bestdefense_async.report.gate.verdict import exit_code
from bestdefense_async.report.record import end_record, head_record
from bestdefense_async.report.text import CI_COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.models import Finding, Outcome, Severity
    from bestdefense_async.report.gate.identity import Changes
    from bestdefense_async.report.gate.verdict import JudgedOutcome, Verdict, WaiverUse
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


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain values, each finding with the name it has in every run."""
    findings = [_finding_record(outcome, finding) for finding in outcome.findings]
    return outcome.as_dict() | {"findings": findings}


def _judged_record(judged: JudgedOutcome) -> dict[str, Any]:
    record = outcome_record(judged.outcome)
    for finding, (_, status) in zip(record["findings"], judged.findings, strict=False):
        finding["state"] = status.state
        if status.waiver is not None:
            finding["waived_because"] = status.waiver.reason
    return record


def _finding_record(outcome: Outcome, finding: Finding) -> dict[str, Any]:
    return finding.as_dict() | {"fingerprint": fingerprint(outcome, finding)}


def verdict_record(verdict: Verdict) -> dict[str, Any]:
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


def changes_record(changes: Changes) -> dict[str, Any]:
    """Return what changed since an older run as plain values; unchanged findings are counted."""
    counts = {"fixed": changes.fixed, "new": changes.new, "unchanged": changes.unchanged}
    findings = {"new": changes.new_findings, "fixed": changes.fixed_findings}
    return {
        **{
            name: {str(severity): counter[severity] for severity in _by_rank(counter)}
            for name, counter in counts.items()
        },
        "reworded": changes.reworded,
        "findings": [
            {"change": name, "target": outcome.target, **_finding_record(outcome, finding)}
            for name, found in findings.items()
            for outcome, finding in found
        ],
    }


def _by_rank(counter: Mapping[Severity, int]) -> list[Severity]:
    return sorted({*SEVERITIES, *counter}, key=lambda severity: (-severity.rank, severity))


def document(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the run and its verdict as JSON text that ends with a line break.

    With an older run it also says what changed since.
    """
    changes = {} if older is None else {"changes": changes_record(compare_runs(run, older))}
    return (
        dumps(
            {
                "schema_version": SCHEMA_VERSION,
                **head_record(run),
                **end_record(run),
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
                "targets": len(run.outcomes),
                "counts": run.by_status(),
                "risk": {str(severity): count for severity, count in run.counts().items()},
                **changes,
                "outcomes": [_judged_record(judged) for judged in verdict.outcomes],
            },
            indent=1,
        )
        + "\n"
    )
