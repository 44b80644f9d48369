"""Markdown for a job summary or a comment: the verdict, the numbers, the worst.

Text from sites stands in code spans: nothing in them is a link, a mention, an image or HTML. The
whole stays far below GitHub's limit of 1 MiB, whatever the size of the fleet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import BANDS, banded, by_band, weaknesses, worst_first
from bestdefense_async.output.text import counted, duration, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Row, Run

_WORST: Final = 20
_MOST_GAPS: Final = 100
_MOST_WEAKNESSES: Final = 20

_SIGNS: Final = {"passed": "✅", "failed": "❌", "incomplete": "⚠️"}


def markdown(run: Run, verdict: Verdict) -> str:
    """Return the summary of a run as Markdown that ends with a line break."""
    parts = [
        f"## {_SIGNS[verdict.word]} Security scan: {verdict.word}",
        "\n".join(f"- {_code(reason, longest=400)}" for reason in verdict.reasons),
        _about(run),
        _sites(run),
        _worst(run),
        _weaknesses(run),
        _gaps([row for row in run.rows if not row.has_verdict]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _code(text: object, *, longest: int = 120) -> str:
    """Return text as a code span that also stands safely in a cell of a table."""
    shown = visible(text, longest=longest).replace("`", "'").replace("|", "¦").strip()
    return f"`{shown or '(blank)'}`"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], *, texts: int = 1) -> str:
    """Return a table whose first `texts` columns are to the left and the others to the right."""
    heads = list(heads)
    rules = ["---" if place < texts else "---:" for place in range(len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rules, *rows])


def _about(run: Run) -> str:
    facts = [counted(len(run.rows), "site")]
    if run.started_at is not None:
        facts.append(f"started {moment(run.started_at)}")
    if run.seconds is not None:
        facts.append(f"took {duration(run.seconds)}")
    return f"{_code(run.name)}: {', '.join(facts)}."


def _sites(run: Run) -> str:
    bands = banded(run)
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


def _worst(run: Run) -> str:
    ranked = [row for row in worst_first(run.rows) if row.has_verdict and row.counts()][:_WORST]
    if not ranked:
        return ""
    names = _columns(ranked)
    rows = [
        [_code(row.target), *(str(by_band(row.counts()).get(name, 0)) for name in names)]
        for row in ranked
    ]
    return "### Worst sites\n\n" + _table(["Site", *(TONES[name].label for name in names)], rows)


def _columns(rows: list[Row]) -> list[str]:
    used = {name for row in rows for name in by_band(row.counts())}
    return [name for name in BANDS if name in used]


def _weaknesses(run: Run) -> str:
    kinds = weaknesses(run)
    if not kinds:
        return ""
    rows = [
        [
            _code(f"{kind.cwe} {kind.name}".strip()),
            TONES[next(iter(kind.counts))].label,
            f"{kind.total:,}",
            f"{kind.sites:,}",
        ]
        for kind in kinds[:_MOST_WEAKNESSES]
    ]
    more = len(kinds) - len(rows)
    return (
        "### Weaknesses\n\n"
        + _table(["Weakness", "Worst severity", "Findings", "Sites"], rows, texts=2)
        + (f"\n\nAnd {counted(more, 'more kind')}." if more > 0 else "")
    )


def _gaps(missing: list[Row]) -> str:
    if not missing:
        return ""
    rows = [
        [
            _code(row.target),
            row.outcome.replace("_", " "),
            "no risk summary"
            if row.error is None
            else _code(f"{row.error.kind}: {row.error.message}", longest=200),
        ]
        for row in missing[:_MOST_GAPS]
    ]
    more = len(missing) - len(rows)
    return (
        "### Not scanned\n\n"
        + _table(["Site", "Outcome", "Reason"], rows, texts=3)
        + (f"\n\nAnd {counted(more, 'more site')}." if more > 0 else "")
    )
