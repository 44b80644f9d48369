"""The outcomes of a run as a table, the worst first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bestdefense_async.cli.terminal.colour import is_terminal
from bestdefense_async.cli.terminal.tables import table
from bestdefense_async.cli.terminal.tally import status_text
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.models.finding import ranked
from bestdefense_async.report.gate.identity import compare_runs
from bestdefense_async.report.summary import worst_first
from bestdefense_async.report.text import counted

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

SHOWN: Final = 20
"""Targets that a terminal shows of a large run; a file or a pipe gets all."""
_EXTRA: Final = ("report_id", "info", "low", "medium", "known", "waived", "status")
"""What a narrow terminal goes without, the first one first."""
_HEADINGS = {Severity.INFORMATIONAL: "info"}


def run_table(
    run: RunResult, verdict: Verdict, *, min_severity: str, older: RunResult | None = None
) -> str:
    """Return the table; severities below `min_severity` have no column, unknown ones share one.

    A target without a verdict has no numbers: nothing found and nothing known look different.
    What is waived, known from a baseline, or changed since an older run is counted beside.
    """
    least = Severity(min_severity).rank
    shown = [severity for severity in SEVERITIES if severity.rank >= least]
    has_other = any(
        not severity.is_known for outcome in run.outcomes for severity in outcome.counts()
    )
    suppressed = {"waived": verdict.waived, "known": verdict.known}
    records = []
    for judged in sorted(verdict.outcomes, key=lambda each: worst_first(each.outcome)):
        outcome = judged.outcome
        states = Counter(one.state for one in judged.findings)
        beside = {state: states[state] for state, count in suppressed.items() if count}
        record = _record(outcome, shown, has_other=has_other)
        records.append(record | beside | {"report_id": outcome.report_id})
    changes = "" if older is None else "\n" + _changes_table(run, older, least=least)
    shown_records = records if not is_terminal() else records[:SHOWN]
    more = len(records) - len(shown_records)
    rest = f"and {counted(more, 'more target')}: see -o FILE\n" if more else ""
    return table(shown_records, extra=_EXTRA) + rest + changes


def _record(outcome: Outcome, shown: list[Severity], *, has_other: bool) -> dict[str, object]:
    counts = outcome.counts() if outcome.has_verdict else None
    record: dict[str, object] = {
        "target": outcome.target,
        "status": status_text(outcome.status),
    }
    if has_other:
        unknown = [count for severity, count in (counts or {}).items() if not severity.is_known]
        record["other"] = None if counts is None else sum(unknown)
    for severity in shown:
        name = _HEADINGS.get(severity, str(severity))
        record[name] = None if counts is None else counts.get(severity, 0)
    return record


def _changes_table(run: RunResult, older: RunResult, *, least: int) -> str:
    """Return how many findings changed by severity, and which, new ones first."""
    changes = compare_runs(run, older)
    counters = {"fixed": changes.fixed, "new": changes.new, "unchanged": changes.unchanged}
    seen = [severity for counter in counters.values() for severity in counter]
    counts = [
        {"severity": each} | {name: counter[each] for name, counter in counters.items()}
        for each in ranked((*SEVERITIES, *seen))
        if each.rank >= least
    ]
    found = {"new": changes.new_findings, "fixed": changes.fixed_findings}
    listed = [
        {
            "change": name,
            "severity": finding.severity,
            "target": outcome.target,
            "title": finding.title or finding.weakness,
        }
        for name, pairs in found.items()
        for outcome, finding in sorted(pairs, key=lambda pair: -pair[1].severity.rank)
        if finding.severity.rank >= least
    ]
    return "\n".join(table(records) for records in (counts, listed) if records)
