"""SARIF 2.1.0, within the rules of GitHub's code scanning.

GitHub refuses http(s) addresses as artifacts, so an artifact is `host/path`; the whole address
stands in the message and the properties. One run holds all sites, because several runs of one tool
in a file are refused. At most 5,000 results are shown there, so no more are written: the worst
ones, waived ones last, and a notification says how many were left out. What is gone since an older
run is left out too: GitHub closes an alert when its result is absent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from attrs import frozen

from bestdefense_async._version import __version__
from bestdefense_async.models import Finding, Outcome
from bestdefense_async.report.formats.json import dumps
from bestdefense_async.report.gate.identity import KnownFindings, fingerprint
from bestdefense_async.report.gate.verdict import waiver_line
from bestdefense_async.report.gate.waivers import Waiver
from bestdefense_async.report.text import counted, visible, without_scheme

if TYPE_CHECKING:
    from bestdefense_async.models import Severity
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

MOST_RESULTS: Final = 5_000
_MOST_NOTIFICATIONS: Final = 500
_LONGEST_MESSAGE: Final = 900

_LEVELS: Final = {"medium": "warning", "low": "note", "informational": "note"}
"""Everything else, undocumented severities too, is an error."""
_SCORES: Final = {"high": "8.0", "medium": "5.5", "low": "2.5", "informational": "0.0"}
"""GitHub's `security-severity`, the middle of each of its ranges."""
_WORST_SCORE: Final = "9.5"
_CATEGORY: Final = "bestdefense"
"""What stands before the last slash of an id is the category: results close alerts of their own
category only, so it is the same in every run."""
_CWE: Final = re.compile(r"CWE-([0-9]{1,6})", re.IGNORECASE | re.ASCII)


def sarif(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the findings of a run as a SARIF log that ends with a line break.

    With an older run each result says whether it is new.
    """
    found = _results_of(verdict, None if older is None else KnownFindings.of(older.outcomes))
    found.sort(key=_order)
    kept = found[:MOST_RESULTS]
    rules: dict[str, dict[str, Any]] = {}
    results = [_result(one, rules) for one in kept]
    return (
        dumps(
            {
                "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
                "version": "2.1.0",
                "runs": [
                    {
                        "tool": {
                            "driver": {
                                "name": "BestDefense",
                                "semanticVersion": __version__,
                                "rules": list(rules.values()),
                            }
                        },
                        "automationDetails": {
                            "id": f"{_CATEGORY}/{quote(visible(run.name, longest=80), safe='')}"
                        },
                        "invocations": [_invocation(run, verdict, left_out=found[MOST_RESULTS:])],
                        "results": results,
                        "columnKind": "unicodeCodePoints",
                    }
                ],
            },
            indent=1,
        )
        + "\n"
    )


@frozen
class _Found:
    """A finding, and what else is said about it."""

    outcome: Outcome
    finding: Finding
    waiver: Waiver | None
    baseline_state: str | None
    """new or unchanged; None when nothing is compared."""


def _results_of(verdict: Verdict, known: KnownFindings | None) -> list[_Found]:
    found = []
    for judged in verdict.outcomes:
        before = {} if known is None else known.match(judged.outcome)
        for at, (finding, status) in enumerate(judged.findings):
            state = None if known is None else "unchanged" if at in before else "new"
            found.append(_Found(judged.outcome, finding, status.waiver, state))
    return found


def _order(found: _Found) -> tuple[Any, ...]:
    finding = found.finding
    texts = (finding.cwe, finding.weakness, finding.title, finding.url)
    is_waived = found.waiver is not None
    rank = -finding.severity.rank
    return (is_waived, rank, found.outcome.target, *(text or "" for text in texts))


def _text(text: object, longest: int = _LONGEST_MESSAGE) -> str:
    """Return text for a message; brackets would be links there."""
    shown = visible(text, longest=longest)
    return shown.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _result(found: _Found, rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    outcome, finding = found.outcome, found.finding
    name = visible(finding.cwe or finding.weakness or finding.title or "not named", longest=120)
    rules.setdefault(name, _rule(name, finding))
    location = finding.url or outcome.target
    message = f"{finding.title or finding.weakness or name} ({finding.severity}) at {location}"
    properties = {
        "severity": visible(finding.severity, longest=60),
        "target": visible(outcome.target),
        "url": visible(location),
        "evidence": visible(finding.evidence or "", longest=_LONGEST_MESSAGE),
        "report_id": visible(outcome.report_id or ""),
    }
    return {
        "ruleId": name,
        "level": _LEVELS.get(finding.severity, "error"),
        "message": {"text": _text(message)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _artifact(location, outcome)},
                    "region": {"startLine": 1},
                }
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint(outcome, finding)}:1"},
        "properties": {key: value for key, value in properties.items() if value},
        **({} if found.waiver is None else {"suppressions": [_suppression(found.waiver)]}),
        **({} if found.baseline_state is None else {"baselineState": found.baseline_state}),
    }


def _suppression(waiver: Waiver) -> dict[str, str]:
    text = f"{waiver.reason} (until {waiver.expires})"
    return {"kind": "external", "status": "accepted", "justification": _text(text)}


def _rule(name: str, finding: Finding) -> dict[str, Any]:
    """Return the rule of a weakness, from the worst finding of it: those come first."""
    kind = finding.weakness or finding.title or name
    help_text = finding.guidance or "See the report in the BestDefense application."
    cwe = _CWE.fullmatch(finding.cwe or "")
    tags = ["security", *([f"external/cwe/cwe-{int(cwe[1]):03d}"] if cwe else [])]
    return {
        "id": name,
        "name": visible(kind, longest=200),
        "shortDescription": {"text": _text(kind, 200)},
        "fullDescription": {"text": _text(kind, 900)},
        "help": {"text": _text(help_text)},
        "defaultConfiguration": {"level": _LEVELS.get(finding.severity, "error")},
        "properties": {"security-severity": _score(finding.severity), "tags": tags},
    }


def _score(severity: Severity) -> str:
    return _SCORES.get(severity, _WORST_SCORE)


def _artifact(location: str, outcome: Outcome) -> str:
    """Return `host/path` as a relative URI: no scheme, no query, nothing that climbs."""
    bare = without_scheme(visible(location)).partition("?")[0].partition("#")[0]
    parts = [quote(part, safe="") for part in bare.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts) or quote(outcome.site_id or "unknown", safe="", errors="replace")


def _invocation(run: RunResult, verdict: Verdict, *, left_out: list[_Found]) -> dict[str, Any]:
    """Return how the run went: a site without a verdict is a failed part of it."""
    missing = [outcome for outcome in run.outcomes if not outcome.has_verdict]
    notes = [{"level": "note", "message": {"text": _text(verdict.sentence)}}]
    for use in verdict.uses:
        if use.needs_attention:
            message = {"text": _text(waiver_line(use))}
            notes.append({"level": "warning", "message": message})
    if left_out:
        waived = " or waived" if any(found.waiver for found in left_out) else ""
        many = counted(len(left_out), "finding")
        text = f"{many} of lower severity{waived} left out: the limit is"
        message = {"text": f"{text} {MOST_RESULTS:,} results."}
        notes.append({"level": "warning", "message": message})
    for outcome in missing[:_MOST_NOTIFICATIONS]:
        why = (
            "no risk summary" if outcome.error is None else f"{outcome.error.kind}: {outcome.error}"
        )
        message = {"text": _text(f"{outcome.target} has no verdict: {outcome.status}, {why}")}
        notes.append({"level": "error", "message": message})
    return {"executionSuccessful": not missing, "toolExecutionNotifications": notes}
