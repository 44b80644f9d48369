"""GitLab's report of a dynamic scan, for `artifacts: reports: dast`.

All findings are in it, waived ones too with the reason: GitLab has decisions of its own, and takes
what is absent for mended. A severity that is not documented is `Unknown`, GitLab's own word.

Source: the schema `dast-report-format.json` 15.0.7 of GitLab's security-report-schemas.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bestdefense_async._version import __version__
from bestdefense_async.report.formats.json import dumps
from bestdefense_async.report.gate.identity import (
    compare_runs,
    cwe_number,
    host_of,
    place_of,
    weakness_of,
)
from bestdefense_async.report.summary import gap_lines
from bestdefense_async.report.text import utc_time, visible

if TYPE_CHECKING:
    from bestdefense_async.models import Finding, Outcome
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.result import RunResult

_VERSION: Final = "15.0.7"
_MOST_MESSAGES: Final = 500
_LONGEST: Final = 6_000
"""GitLab takes 7,000 characters of a solution."""
_TOOL: Final = {
    "id": "bestdefense",
    "name": "BestDefense",
    "version": __version__,
    "vendor": {"name": "BestDefense"},
}
_SEVERITIES: Final = {
    "critical": "Critical",
    "high": "High",
    "medium": "Medium",
    "low": "Low",
    "informational": "Info",
}
_NAMESPACE: Final = uuid.UUID("6f1d4a0e-51a3-5f3c-9d0b-2f1c7e9ad3b4")
"""Under which the ids of findings are made from their fingerprints: the same in every run."""


def gitlab(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the findings of a run as a DAST report of GitLab that ends with a line break.

    With an older run each finding says whether it is new.
    """
    changes = None if older is None else compare_runs(run, older)
    missing = [outcome for outcome in run.outcomes if not outcome.has_verdict]
    level = "warn" if missing else "info"
    messages = [
        {"level": level, "value": visible(line, longest=900)}
        for line in (verdict.sentence, *gap_lines(run, most=_MOST_MESSAGES))
    ]
    report = {
        "version": _VERSION,
        "scan": {
            "analyzer": _TOOL,
            "scanner": _TOOL,
            "type": "dast",
            "status": "failure" if missing or not run.outcomes else "success",
            "start_time": utc_time(run.started_at),
            "end_time": utc_time(run.finished_at),
            "messages": messages,
            "scanned_resources": [
                {"method": "GET", "url": _address(outcome), "type": "url"}
                for outcome in run.outcomes
                if outcome.has_verdict
            ],
        },
        "vulnerabilities": [_vulnerability(one) for one in verdict.ranked(changes)],
    }
    return dumps(report, indent=1) + "\n"


def _vulnerability(one: JudgedFinding) -> dict[str, Any]:
    finding, outcome = one.finding, one.outcome
    place = place_of(finding)
    texts = {
        "solution": visible(finding.guidance or "", longest=_LONGEST),
        "description": visible(finding.title or "", longest=_LONGEST),
    }
    return {
        "id": str(uuid.uuid5(_NAMESPACE, visible(one.unique_name))),
        "name": visible(finding.weakness or one.title, longest=250),
        "severity": _SEVERITIES.get(finding.severity, "Unknown"),
        **{key: text for key, text in texts.items() if text},
        "identifiers": _identifiers(finding, one.fingerprint),
        "location": {
            "hostname": _host(finding, outcome),
            "path": visible(place.path, longest=2_000),
            "method": "",
            "param": visible(place.parameters, longest=500),
        },
        **(
            {"evidence": {"summary": visible(finding.evidence, longest=_LONGEST)}}
            if finding.evidence
            else {}
        ),
        "details": _details(one),
    }


def _identifiers(finding: Finding, fingerprint: str | None) -> list[dict[str, str]]:
    """Return the weakness, which is what GitLab groups by, and the name that a waiver needs."""
    kind = weakness_of(finding) or "not named"
    if number := cwe_number(finding.cwe):
        url = f"https://cwe.mitre.org/data/definitions/{number}.html"
        found = [{"type": "cwe", "name": kind, "value": number, "url": url}]
    else:
        shown = visible(kind, longest=200)
        found = [{"type": "bestdefense_weakness", "name": shown, "value": shown}]
    if fingerprint is not None:
        known = {"type": "bestdefense_fingerprint", "name": fingerprint, "value": fingerprint}
        found.append(known)
    return found


def _details(one: JudgedFinding) -> dict[str, dict[str, str]]:
    waiver = one.waiver
    state = {"open": "open", "known": "known from the baseline"}.get(one.state)
    facts = {
        "site": ("Site", one.outcome.target),
        "severity": ("Severity as reported", one.finding.severity),
        "state": ("State", state or f"waived until {waiver and waiver.expires}"),
        "reason": ("Waived because", "" if waiver is None else waiver.reason),
        "report": ("Report", one.outcome.report_id or ""),
        "new": ("New", {None: "", True: "yes", False: "no"}[one.is_new]),
    }
    return {
        key: {"name": name, "type": "text", "value": visible(value)}
        for key, (name, value) in facts.items()
        if value
    }


def _host(finding: Finding, outcome: Outcome) -> str:
    """Return scheme, host and port of a finding, as GitLab calls a hostname."""
    host = place_of(finding).host or host_of(outcome)
    try:
        scheme = urlsplit(finding.url or "").scheme
    except ValueError:
        scheme = ""
    scheme = scheme if scheme in {"http", "https"} else "https"
    return f"{scheme}://{visible(host)}" if host else visible(outcome.target)


def _address(outcome: Outcome) -> str:
    host = host_of(outcome)
    return f"https://{visible(host)}/" if host else visible(outcome.target) or "unknown"
