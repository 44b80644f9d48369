"""Markdown for a job summary or a comment: the verdict, the numbers, the worst.

Text from sites stands in code spans: nothing in them is a link, a mention, an image or HTML. The
whole stays far below GitHub's limit of 1 MiB, whatever the size of the fleet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.report.gate.identity import compare_runs
from bestdefense_async.report.summary import (
    BANDS,
    TONES,
    banded,
    by_band,
    gap_reason,
    weaknesses,
    worst_first,
)
from bestdefense_async.report.text import counted, duration, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.result import RunResult

_WORST: Final = 20
_MOST_GAPS: Final = 100
_MOST_IDLE: Final = 20

_SIGNS: Final = {"passed": "✅", "failed": "❌", "incomplete": "⚠️"}


def markdown(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the summary of a run as Markdown that ends with a line break.

    With an older run it also says what changed since.
    """
    parts = [
        heading(verdict),
        _about(run),
        _sites(run),
        "" if older is None else _changes(run, older),
        _failing(verdict),
        _worst(run),
        _weaknesses(run),
        _gaps([outcome for outcome in run.outcomes if not outcome.has_verdict]),
        _waived(verdict),
        _idle_waivers(verdict),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(verdict: Verdict) -> str:
    """Return the verdict alone: what must be said even where nothing else fits."""
    clauses = (*verdict.reasons, *verdict.notes)
    reasons = "\n".join(f"- {_code(clause, longest=400)}" for clause in clauses)
    return f"## {_SIGNS[verdict.status]} Security scan: {verdict.status}\n\n{reasons}"


def _code(text: object, *, longest: int = 120) -> str:
    """Return text as a code span that also stands safely in a cell of a table."""
    shown = visible(text, longest=longest).replace("`", "'").replace("|", "¦").strip()
    return f"`{shown or '(blank)'}`"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], *, texts: int = 1) -> str:
    """Return a table whose first `texts` columns are to the left and the others to the right."""
    heads = list(heads)
    rules = ["---" if index < texts else "---:" for index in range(len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rules, *rows])


def _about(run: RunResult) -> str:
    facts = [counted(len(run.outcomes), "site")]
    if run.started_at is not None:
        facts.append(f"started {moment(run.started_at)}")
    if run.seconds is not None:
        facts.append(f"took {duration(run.seconds)}")
    return f"{_code(run.name)}: {', '.join(facts)}."


def _sites(run: RunResult) -> str:
    bands = banded(run.outcomes)
    findings = by_band(run.counts())
    rows = [
        [
            TONES[name].label,
            f"{len(bands[name]):,}",
            f"{findings[name]:,}" if name in findings else "",
        ]
        for name in BANDS
        if bands[name] or name != "other"
    ]
    return _table(["Worst severity", "Sites", "Findings of it"], rows)


def _changes(run: RunResult, older: RunResult) -> str:
    changes = compare_runs(run, older)
    counts = [by_band(counter) for counter in (changes.fixed, changes.new, changes.unchanged)]
    rows = [
        [TONES[name].label, *(f"{counter.get(name, 0):,}" for counter in counts)]
        for name in BANDS
        if any(name in counter for counter in counts)
    ]
    head = f"### Since {_code(older.name)}, {moment(older.started_at)}"
    if not rows:
        return f"{head}\n\nNo finding is listed in either run."
    return f"{head}\n\n" + _table(["Severity", "Fixed", "New", "Unchanged"], rows)


def _failing(verdict: Verdict) -> str:
    """Return what broke a rule, with the name that a waiver would need."""
    rows = [
        [*_finding_cells(one), _code(one.fingerprint) if one.fingerprint else ""]
        for one in filter(verdict.fails, verdict.ranked())
    ]
    heads = ["Site", "Finding", "Severity", "Fingerprint"]
    return _capped("What failed", heads, rows, noun="more finding")


def _waived(verdict: Verdict) -> str:
    rows = [
        [*_finding_cells(one), str(waiver.expires), _code(waiver.reason, longest=200)]
        for one in verdict.ranked()
        if (waiver := one.waiver) is not None
    ]
    heads = ["Site", "Finding", "Severity", "Until", "Reason"]
    return _capped("Waived", heads, rows, noun="more finding")


def _finding_cells(one: JudgedFinding) -> list[str]:
    severity = _code(one.finding.severity, longest=40)
    return [_code(one.outcome.target), _code(one.title), severity]


def _capped(
    title: str,
    heads: list[str],
    rows: list[list[str]],
    *,
    noun: str,
    most: int = 20,
    texts: int | None = None,
) -> str:
    """Return a section with the first rows and how many more there are; nothing for no rows."""
    if not rows:
        return ""
    shown = _table(heads, rows[:most], texts=len(heads) if texts is None else texts)
    more = len(rows) - most
    return f"### {title}\n\n{shown}" + (f"\n\nAnd {counted(more, noun)}." if more > 0 else "")


def _idle_waivers(verdict: Verdict) -> str:
    lines = verdict.waiver_lines
    if not lines:
        return ""
    shown = [f"- {_code(line, longest=400)}" for line in lines[:_MOST_IDLE]]
    more = len(lines) - len(shown)
    shown += [f"- and {counted(more, 'more waiver')}"] if more > 0 else []
    return "### Waivers to look at\n\n" + "\n".join(shown)


def _worst(run: RunResult) -> str:
    ranked = sorted(run.outcomes, key=worst_first)
    ranked = [outcome for outcome in ranked if outcome.has_verdict and outcome.counts()][:_WORST]
    if not ranked:
        return ""
    names = _columns(ranked)
    rows = [
        [_code(outcome.target), *(str(by_band(outcome.counts()).get(name, 0)) for name in names)]
        for outcome in ranked
    ]
    return "### Worst sites\n\n" + _table(["Site", *(TONES[name].label for name in names)], rows)


def _columns(outcomes: list[Outcome]) -> list[str]:
    used = {name for outcome in outcomes for name in by_band(outcome.counts())}
    return [name for name in BANDS if name in used]


def _weaknesses(run: RunResult) -> str:
    rows = [
        [
            _code(f"{kind.cwe} {kind.name}".strip()),
            TONES[next(iter(kind.counts))].label,
            f"{kind.total:,}",
            f"{kind.sites:,}",
        ]
        for kind in weaknesses(run)
    ]
    heads = ["Weakness", "Worst severity", "Findings", "Sites"]
    return _capped("Weaknesses", heads, rows, noun="more kind", texts=2)


def _gaps(missing: list[Outcome]) -> str:
    rows = [
        [
            _code(outcome.target),
            outcome.status.replace("_", " "),
            _code(gap_reason(outcome), longest=200),
        ]
        for outcome in missing
    ]
    heads = ["Site", "Outcome", "Reason"]
    return _capped("Not scanned", heads, rows, noun="more site", most=_MOST_GAPS)
