"""What is said when a run has ended: what needs attention, and what to type next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.days import SOON, in_days, today
from bestdefense_async.cli.terminal.tally import status_text
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

SHOWN: Final = 20
"""Targets and waivers that are named; the rest is counted."""
TARGET_ERRORS: Final = frozenset({"TargetError", "UnknownSite"})
"""What is wrong with a target itself: no run over it can go on."""
_FINAL: Final = frozenset(
    {"InvalidRequest", "PermissionDenied", "NotFound", "Conflict", "ClientError"}
)
"""Refusals that are the same tomorrow, unless somebody does something."""


def say_missing(outcomes: Sequence[Outcome]) -> None:
    """Name the first targets without a verdict, and why they have none."""
    missing = [outcome for outcome in outcomes if not outcome.has_verdict]
    for outcome in missing[:SHOWN]:
        why = "it has no security result" if outcome.error is None else str(outcome.error)
        is_named = outcome.report_id is None or outcome.report_id in why
        report = "" if is_named else f" (report {outcome.report_id})"
        status = status_text(outcome.status)
        streams.say(f"{status}: {visible(outcome.target)}{report}: {visible(why, longest=400)}")
    if len(missing) > SHOWN:
        streams.say(f"and {counted(len(missing) - SHOWN, 'more target')} without a verdict")


def say_waivers(verdict: Verdict) -> None:
    """Name the waivers that need attention, and those that end within a week."""
    lines = verdict.waiver_lines
    lines += [
        f"the waiver of line {use.waiver.line} ends {in_days(use.waiver.expires)} "
        f"({use.waiver.expires}): {use.waiver}"
        for use in verdict.uses
        if use.state == "used" and (use.waiver.expires - today()).days <= SOON
    ]
    for line in lines[:SHOWN]:
        streams.say(line)
    if len(lines) > SHOWN:
        streams.say(f"and {counted(len(lines) - SHOWN, 'more waiver')} that need attention")


def interrupted_line(run: RunResult) -> str:
    """Return what became of the targets of a run that a signal ended."""
    counts = run.by_status()
    parts = [
        f"{counts['done']} done",
        f"{counts['running']} running at the server",
    ]
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    if counts["unknown"]:
        parts.append(f"{counts['unknown']} perhaps started")
    return f"bestdefense: interrupted: {', '.join(parts)}, {counts['not_started']} not started"


def next_lines(outcomes: Sequence[Outcome], name: str) -> list[str]:
    """Return what to do about targets without a result; nothing when all have one.

    What was refused for good is not to be resumed: it would be refused again.
    """
    kinds = Counter(
        "unknown" if outcome.status == "unknown" else _what_helps(outcome)
        for outcome in outcomes
        if outcome.status != "done"
    )
    resume = f"bestdefense scan --resume {name}"
    lines = []
    if kinds["refused"]:
        lines += [
            f"{counted(kinds['refused'], 'target')} refused: do first what is asked for above",
            f"then: {resume}",
        ]
    if kinds["left"]:
        lines.append(f"to resume: {resume}")
    if kinds["unknown"]:
        lines.append(f"to look for perhaps started scans: bestdefense runs reconcile {name}")
    return lines


def _what_helps(outcome: Outcome) -> str:
    kind = None if outcome.error is None else outcome.error.kind
    if kind in TARGET_ERRORS:
        return "nothing"
    return "refused" if outcome.status == "failed" and kind in _FINAL else "left"
