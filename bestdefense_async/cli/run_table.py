"""A run as a table for people: one line per target, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bestdefense_async.cli.records import table
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.output.summary import worst_first

if TYPE_CHECKING:
    from bestdefense_async.output.run import Row, Run

_HEADINGS = {Severity.INFORMATIONAL: "info"}


def run_table(run: Run, *, min_severity: str) -> str:
    """Return the table; severities below `min_severity` have no column, unknown ones share one.

    A target without a verdict has no numbers: nothing found and nothing known look different.
    """
    least = Severity(min_severity).rank
    shown = [severity for severity in SEVERITIES if severity.rank >= least]
    has_other = any(not word.is_known for row in run.rows for word in row.counts())
    rows = worst_first(run.rows)
    return table([_record(row, shown, has_other=has_other) for row in rows])


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
    return record | {"report_id": row.report_id}
