"""A run for people: its outcomes as a table, the worst first, and the findings that matter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import table
from bestdefense_async.cli.terminal.words import SHORT, status_text, styled
from bestdefense_async.models import SEVERITIES, Severity
from bestdefense_async.models.finding import ranked
from bestdefense_async.report.gate.identity import compare_runs, place_of
from bestdefense_async.report.summary import worst_first
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.result import RunResult

SHOWN: Final = 20
"""Targets and findings that a terminal shows of a large run; a file or a pipe gets all targets."""
_EXTRA: Final = ("report_id", "info", "low", "medium", "known", "waived", "status")
"""What a narrow terminal goes without, the first one first."""
FEW_SITES: Final = 5
"""Sites of which all findings are shown."""
DIGITS: Final = 12
"""Of a fingerprint: enough to tell the findings of a run apart, and what `waive` takes."""


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
    shown_records = records if not streams.is_terminal() else records[:SHOWN]
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
        name = SHORT.get(severity, str(severity))
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


def findings_text(
    verdict: Verdict,
    *,
    least: Severity | None,
    is_coloured: bool = False,
    width: int = 80,
    waive_with: str | None = "",
) -> str:
    """Return the findings that fail the gate; of up to five sites all open ones, the failing first.

    Those that are known or waived are counted, not listed. Empty where there is nothing of the
    kind.

    Args:
        verdict: What the gate says.
        least: The least severity to show of findings that fail nothing, None for none of them.
        is_coloured: Colour the severities.
        width: Columns that a line should have at most.
        waive_with: The options by which `waive` finds the run; None where it cannot, and takes a
            whole fingerprint alone.
    """
    found = verdict.ranked()
    most = SHOWN if len(verdict.outcomes) > FEW_SITES else len(found)
    failing = verdict.failing()
    is_small = least is not None and len(verdict.outcomes) <= FEW_SITES
    others = [
        one
        for one in (found if is_small else ())
        if not verdict.fails(one) and (least is None or one.finding.severity.rank >= least.rank)
    ]
    still_open = [one for one in others if one.state == "open"]
    title = "What else was found" if failing else "What was found"
    parts = [
        *_block("What fails the gate", failing, most, is_coloured=is_coloured, width=width),
        *_block(title, still_open, most, is_coloured=is_coloured, width=width),
        *_unlisted(others),
    ]
    example = next((one.fingerprint for one in failing if one.fingerprint is not None), None)
    if example is not None:
        name = example if waive_with is None else f"{example[:DIGITS]} {waive_with}".rstrip()
        parts.append(f"To accept one:\n  bestdefense waive {name} --reason WHY --until 90d\n")
    return "\n".join(parts)


def _block(
    title: str, found: list[JudgedFinding], most: int, *, is_coloured: bool, width: int
) -> list[str]:
    if not found:
        return []
    lines = [f"{title}: {counted(len(found), 'finding')}"]
    for one in found[:most]:
        lines += _lines(one, is_coloured=is_coloured, width=width)
    if len(found) > most:
        lines.append(f"and {counted(len(found) - most, 'more finding')}: see -o report.html")
    return ["\n".join(lines) + "\n"]


def _unlisted(found: list[JudgedFinding]) -> list[str]:
    """Return how many findings are not listed, by the reason."""
    states = Counter(one.state for one in found)
    reasons = {"known": "known from the baseline", "waived": "waived"}
    parts = [f"{states[state]} {reason}" for state, reason in reasons.items() if states[state]]
    return [f"Not listed: {', '.join(parts)}\n"] if parts else []


def _lines(one: JudgedFinding, *, is_coloured: bool, width: int) -> list[str]:
    """Return one finding: what and where, and below it the place and the fingerprint."""
    import textwrap

    severity = visible(one.finding.severity, longest=20)
    head = f"{severity}  {visible(one.outcome.target, longest=100)}  {visible(one.title)}"
    room = max(width - 1, 20)
    first, *rest = textwrap.wrap(
        head,
        room,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    if is_coloured:
        first = first.replace(severity, styled(severity, str(one.finding.severity)), 1)
    place = place_of(one.finding)
    where = place.path if place.host in {"", one.outcome.target} else str(place)
    name = "" if one.fingerprint is None else f"fingerprint {one.fingerprint[:DIGITS]}"
    below = [visible(where, longest=200)] if where else []
    if below and len(below[0]) + len(name) + 8 <= room:
        below, name = [f"{below[0]}  {name}".rstrip()], ""
    return [first, *rest, *(f"    {line}" for line in (*below, name) if line)]
