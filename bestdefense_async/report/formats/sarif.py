"""SARIF 2.1.0, as GitHub's code scanning and DefectDojo read it.

A rule is a weakness at one severity: both tools rate an alert by its rule, so a rule for all of a
weakness would show its least finding as its worst. GitHub refuses http(s) addresses as artifacts,
so an artifact is `host/path`; the whole address stands in the message and the properties. One run
holds all sites, because several runs of one tool in a file are refused. More than 25,000 results
are refused too, so no more are written: the worst ones, waived ones last, and a notification says
how many of which severity are missing. What is gone since an older run is left out: GitHub closes
an alert when its result is absent.

Source: https://docs.github.com/code-security/code-scanning/troubleshooting-sarif/results-exceed-limit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from bestdefense_async._version import __version__
from bestdefense_async.report.formats.json import dumps
from bestdefense_async.report.gate.identity import compare_runs, cwe_number, weakness_of
from bestdefense_async.report.summary import counted_severities, gap_lines
from bestdefense_async.report.text import counted, visible, without_scheme

if TYPE_CHECKING:
    from bestdefense_async.models import Finding, Outcome, Severity
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.gate.waivers import Waiver
    from bestdefense_async.report.result import RunResult

MOST_RESULTS: Final = 25_000
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


def sarif(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the findings of a run as a SARIF log that ends with a line break.

    With an older run each result says whether it is new.
    """
    found = _ordered(verdict, older=older, run=run)
    rules: dict[str, dict[str, Any]] = {}
    results = [_result(one, rules) for one in found[:MOST_RESULTS]]
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
                        "invocations": [_invocation(run, verdict)],
                        "results": results,
                        "columnKind": "unicodeCodePoints",
                    }
                ],
            },
            indent=1,
        )
        + "\n"
    )


def _ordered(
    verdict: Verdict, *, run: RunResult | None = None, older: RunResult | None = None
) -> list[JudgedFinding]:
    """Return all findings: the worst first, the waived ones last."""
    changes = None if older is None or run is None else compare_runs(run, older)
    found = verdict.ranked(changes)
    found.sort(key=lambda one: (one.waiver is not None, -one.finding.severity.rank))
    return found


def left_out(verdict: Verdict) -> str:
    """Return how many findings the file cannot hold, of which severity; empty when it holds all."""
    if sum(len(each.findings) for each in verdict.outcomes) <= MOST_RESULTS:
        return ""
    missing = _ordered(verdict)[MOST_RESULTS:]
    waived = sum(one.waiver is not None for one in missing)
    also = f", {waived:,} of them waived" if waived else ""
    return (
        f"{counted(len(missing), 'finding')} of {len(missing) + MOST_RESULTS:,} left out of SARIF, "
        f"the least severe: {counted_severities(one.finding.severity for one in missing)}{also}"
    )


def _text(text: object, longest: int = _LONGEST_MESSAGE) -> str:
    """Return text for a message; brackets would be links there."""
    shown = visible(text, longest=longest)
    return shown.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _result(found: JudgedFinding, rules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    outcome, finding = found.outcome, found.finding
    kind = weakness_of(finding) or "not named"
    severity = visible(finding.severity, longest=40)
    name = f"{visible(kind, longest=120)}/{severity}".replace(" ", "-")
    if name not in rules:
        rules[name] = _rule(name, kind, finding)
    location = finding.url or outcome.target
    message = f"{found.title} ({finding.severity}) at {location}"
    properties = {
        "severity": severity,
        "target": visible(outcome.target),
        "url": visible(location),
        "evidence": visible(finding.evidence or "", longest=_LONGEST_MESSAGE),
        "report_id": visible(outcome.report_id or ""),
        "fingerprint": found.fingerprint or "",
        "state": found.state,
    }
    waiver = found.waiver
    state = {None: {}, True: {"baselineState": "new"}, False: {"baselineState": "unchanged"}}
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
        "partialFingerprints": {"primaryLocationLineHash": visible(found.unique_name)},
        "properties": {key: value for key, value in properties.items() if value},
        **({} if waiver is None else {"suppressions": [_suppression(waiver)]}),
        **state[found.is_new],
    }


def _suppression(waiver: Waiver) -> dict[str, str]:
    text = f"{waiver.reason} (until {waiver.expires})"
    return {"kind": "external", "status": "accepted", "justification": _text(text)}


def _rule(name: str, kind: str, finding: Finding) -> dict[str, Any]:
    """Return the rule of a weakness at a severity."""
    cwe = cwe_number(finding.cwe)
    title = finding.weakness or finding.title or kind
    help_text = finding.guidance or "See the report in the BestDefense application."
    tags = ["security", *([f"external/cwe/cwe-{int(cwe):03d}"] if cwe else [])]
    return {
        "id": name,
        "name": visible(title, longest=200),
        "shortDescription": {"text": _text(title, 200)},
        "fullDescription": {"text": _text(title, 900)},
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


def _invocation(run: RunResult, verdict: Verdict) -> dict[str, Any]:
    """Return how the run went: a site without a verdict is a failed part of it."""
    gaps = gap_lines(run, most=_MOST_NOTIFICATIONS)
    told = [("note", verdict.sentence), *(("warning", line) for line in verdict.waiver_lines)]
    told += [("warning", line) for line in [left_out(verdict)] if line]
    told += [("error", line) for line in gaps]
    notes = [{"level": level, "message": {"text": _text(line)}} for level, line in told]
    return {"executionSuccessful": not gaps, "toolExecutionNotifications": notes}
