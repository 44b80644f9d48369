"""Annotations of GitHub Actions: the verdict and what led to it, on the page of the job.

A runner reads workflow commands from both streams of a step, where a line begins with one. It
shows at most ten errors and ten warnings of a step and 4,096 characters of each, and drops the
rest without a word, so the verdict comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output.summary import worst_first
from bestdefense_async.output.text import counted, visible

if TYPE_CHECKING:
    from bestdefense_async.models import Finding
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Run

MOST_ANNOTATIONS: Final = 10
_LONGEST: Final = 600

_TITLES: Final = {
    "failed": "Security gate failed",
    "incomplete": "Security gate incomplete",
}


def annotation_lines(run: Run, verdict: Verdict) -> list[str]:
    """Return the lines to write, ten at most; none when the gate passed."""
    if verdict.word not in _TITLES:
        return []
    first = _command("error", _TITLES[verdict.word], "; ".join((*verdict.reasons, *verdict.notes)))
    places = {id(row): place for place, row in enumerate(run.rows)}
    lines = []
    for row in worst_first(run.rows):
        failing = verdict.failing(places[id(row)], row)
        if failing:
            lines.append(_command("error", row.target, _findings(failing)))
        elif not row.has_verdict:
            why = "it has no security result" if row.error is None else row.error.message
            lines.append(_command("warning", f"{row.target} has no verdict", why))
    return [first, *lines][:MOST_ANNOTATIONS]


def _findings(failing: list[Finding]) -> str:
    worst = max(failing, key=lambda finding: finding.severity.rank)
    title = worst.title or worst.weakness or "not named"
    more = len(failing) - 1
    rest = f" and {counted(more, 'more finding')}" if more else ""
    place = f" at {worst.url}" if worst.url else ""
    return f"{worst.severity}: {title}{place}{rest}"


def _command(kind: str, title: str, message: str) -> str:
    """Return a workflow command. Only its own marks need escapes once the text is printable."""
    shown = visible(title, longest=120).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    data = visible(message, longest=_LONGEST).replace("%", "%25")
    return f"::{kind} title={shown}::{data}"
