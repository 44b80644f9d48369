"""A run as a table for people: one line per target, the worst first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bestdefense_async.cli.records import table
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.output.fingerprint import compare
from bestdefense_async.output.summary import worst_first

if TYPE_CHECKING:
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Row, Run

_HEADINGS = {Severity.INFORMATIONAL: "info"}


def run_table(run: Run, verdict: Verdict, *, min_severity: str, older: Run | None = None) -> str:
    """Return the table; severities below `min_severity` have no column, unknown ones share one.

    A target without a verdict has no numbers: nothing found and nothing known look different.
    What is waived, known from a baseline, or changed since an older run is counted beside.
    """
    least = Severity(min_severity).rank
    shown = [severity for severity in SEVERITIES if severity.rank >= least]
    has_other = any(not word.is_known for row in run.rows for word in row.counts())
    places = {id(row): place for place, row in enumerate(run.rows)}
    excused = {"waived": verdict.waived, "known": verdict.known}
    records = []
    for row in worst_first(run.rows):
        marks = Counter(mark.word for _, mark in verdict.marked(places[id(row)], row))
        beside = {word: marks[word] for word, number in excused.items() if number}
        record = _record(row, shown, has_other=has_other)
        records.append(record | beside | {"report_id": row.report_id})
    changes = "" if older is None else "\n" + _changes_table(run, older, least=least)
    return table(records) + changes


def _record(row: Row, shown: list[Severity], *, has_other: bool) -> dict[str, object]:
    counts = row.counts() if row.has_verdict else None
    record: dict[str, object] = {
        "target": row.target,
        "outcome": row.outcome.replace("_", " "),
    }
    if has_other:
        unknown = [count for word, count in (counts or {}).items() if not word.is_known]
        record["other"] = None if counts is None else sum(unknown)
    for severity in shown:
        name = _HEADINGS.get(severity, str(severity))
        record[name] = None if counts is None else counts.get(severity, 0)
    return record


def _changes_table(run: Run, older: Run, *, least: int) -> str:
    """Return how many findings changed by severity, and which, new ones first."""
    changes = compare(run, older)
    counters = {"fixed": changes.fixed, "new": changes.new, "unchanged": changes.unchanged}
    seen = {word for counter in counters.values() for word in counter}
    words = sorted({*SEVERITIES, *seen}, key=lambda word: (-word.rank, word))
    counts = [
        {"severity": word} | {name: counter[word] for name, counter in counters.items()}
        for word in words
        if word.rank >= least
    ]
    found = {"new": changes.new_findings, "fixed": changes.fixed_findings}
    listed = [
        {
            "change": name,
            "severity": finding.severity,
            "target": row.target,
            "title": finding.title or finding.weakness,
        }
        for name, pairs in found.items()
        for row, finding in sorted(pairs, key=lambda pair: -pair[1].severity.rank)
        if finding.severity.rank >= least
    ]
    return "\n".join(table(records) for records in (counts, listed) if records)
