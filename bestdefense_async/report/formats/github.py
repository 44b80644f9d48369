"""What GitHub Actions shows of a run: annotations, and the summary of a step.

A runner reads workflow commands from both streams of a step, where a line begins with one. It
shows at most ten errors and ten warnings of a step and 4,096 characters of each, and drops the
rest silently, so the verdict comes first.

The summary is Markdown that the page of the job shows. Its file takes 1 MiB, and what is larger is
dropped as a whole, together with what was there before. So a summary is appended whole, or as the
verdict alone, or not at all, which is an error.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bestdefense_async.report.formats.markdown import heading, markdown
from bestdefense_async.report.summary import gap_kind, worst_first
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict
    from bestdefense_async.report.result import RunResult


MOST_ANNOTATIONS: Final = 10
_LONGEST: Final = 600

_TITLES: Final = {
    "failed": "Security gate failed",
    "incomplete": "Security gate incomplete",
}


def annotation_lines(verdict: Verdict) -> list[str]:
    """Return the lines to write, ten at most; none when the gate passed."""
    if verdict.status not in _TITLES:
        return []
    first = _command(
        "error", _TITLES[verdict.status], "; ".join((*verdict.reasons, *verdict.notes))
    )
    lines = []
    for judged in sorted(verdict.outcomes, key=lambda each: worst_first(each.outcome)):
        outcome, failing = judged.outcome, list(filter(verdict.fails, judged.findings))
        if failing:
            lines.append(_command("error", outcome.target, _findings(failing)))
        elif not outcome.has_verdict:
            why = outcome.error or gap_kind(outcome)
            lines.append(_command("warning", f"{outcome.target} has no verdict", why))
    return [first, *lines][:MOST_ANNOTATIONS]


def _findings(failing: list[JudgedFinding]) -> str:
    one = max(failing, key=lambda one: one.finding.severity.rank)
    worst = one.finding
    more = len(failing) - 1
    rest = f" and {counted(more, 'more finding')}" if more else ""
    location = f" at {worst.url}" if worst.url else ""
    return f"{worst.severity}: {one.title}{location}{rest}"


def _command(kind: str, title: str, message: object) -> str:
    """Return a workflow command. Only its delimiters need escapes once the text is printable."""
    shown = visible(title, longest=120).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    data = visible(message, longest=_LONGEST).replace("%", "%25")
    return f"::{kind} title={shown}::{data}"


LARGEST: Final = 900_000
"""Bytes the file may have; some room is left below the limit for what is written next."""


def append_summary(
    path: Path | str, run: RunResult, verdict: Verdict, *, older: RunResult | None = None
) -> None:
    """Append the run to the file, its verdict alone where the whole does not fit.

    Raises:
        OSError: The file cannot be written, or it is full.
    """
    with Path(path).open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 2, 0))
        end = file.read()
        # What another step wrote last may be a table or a paragraph: a blank line ends both.
        breaks = "\n" * (2 - len(end) + len(end.rstrip(b"\n"))) if size else ""
        room = LARGEST - size
        for text in (markdown(run, verdict, older=older), heading(verdict) + "\n"):
            content = f"{breaks}{text}\n".encode(errors="backslashreplace")
            if len(content) <= room:
                file.write(content)
                return
    raise OSError(errno.EFBIG, "the summary of this step is full")
