"""CSV for spreadsheets: one line per finding, and one for each site without any.

A cell that a spreadsheet would take for a formula begins with an apostrophe: findings quote
attackers. So does what follows a semicolon, for half of the world's spreadsheets begin the next
cell there, whatever the quotes say. Lines end and cells are quoted as RFC 4180 says.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv as writers
import io
import re
from typing import TYPE_CHECKING, Final

from bestdefense_async.report.gate.identity import compare_runs
from bestdefense_async.report.text import visible

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.result import RunResult

COLUMNS: Final = (
    "site",
    "status",
    "severity",
    "state",
    "new",
    "cwe",
    "weakness",
    "title",
    "url",
    "evidence",
    "guidance",
    "fingerprint",
    "waived_because",
    "report_id",
    "error",
)
_FORMULA: Final = re.compile(r"(^|;)(?=[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20])")
_LONGEST: Final = 8_000
"""Characters of a cell: a spreadsheet takes 32,767."""


def csv(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the findings of a run as CSV with a line of names.

    A site that was scanned and is clean, and one without a verdict, has a line without a severity.
    With an older run the column `new` says yes or no.
    """
    changes = None if older is None else compare_runs(run, older)
    text = io.StringIO()
    writer = writers.DictWriter(text, COLUMNS, restval="", quoting=writers.QUOTE_ALL)
    writer.writeheader()
    rows = [_finding_row(one) for one in verdict.ranked(changes)]
    bare = [each for each in verdict.outcomes if not each.findings or not each.outcome.has_verdict]
    bare.sort(key=lambda each: bool(each.findings))
    rows += [_site_row(each.outcome) for each in bare]
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _finding_row(one: JudgedFinding) -> dict[str, object]:
    finding, waiver = one.finding, one.waiver
    return {
        **_site_row(one.outcome),
        "severity": finding.severity,
        "state": one.state,
        "new": {None: "", True: "yes", False: "no"}[one.is_new],
        "cwe": finding.cwe,
        "weakness": finding.weakness,
        "title": finding.title,
        "url": finding.url,
        "evidence": finding.evidence,
        "guidance": finding.guidance,
        "fingerprint": one.fingerprint,
        "waived_because": None if waiver is None else waiver.reason,
    }


def _site_row(outcome: Outcome) -> dict[str, object]:
    error = outcome.error
    return {
        "site": outcome.target,
        "status": outcome.status
        if outcome.has_verdict or error
        else f"{outcome.status}, no result",
        "report_id": outcome.report_id,
        "error": None if error is None else f"{error.kind}: {error}",
    }


def _cell(value: object) -> str:
    text = "" if value in {None, ""} else visible(value, longest=_LONGEST)
    return _FORMULA.sub(r"\1'", text)
