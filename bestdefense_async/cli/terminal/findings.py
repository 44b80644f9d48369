"""What was found, for a terminal: the findings that fail the gate, and how to accept one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bestdefense_async.cli.terminal.colour import styled
from bestdefense_async.report.gate.identity import place_of
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from bestdefense_async.models import Severity
    from bestdefense_async.report.gate.verdict import JudgedFinding, Verdict

SHOWN: Final = 20
"""Findings that are shown one by one of a run of many sites."""
FEW_SITES: Final = 5
"""Sites of which all findings are shown."""
DIGITS: Final = 12
"""Of a fingerprint: enough to tell the findings of a run apart, and what `waive` takes."""


def findings_text(
    verdict: Verdict, *, least: Severity | None, is_coloured: bool = False, width: int = 80
) -> str:
    """Return the findings that fail the gate; of up to five sites all open ones, the failing first.

    Those that are known or waived are counted, not listed. Empty where there is nothing of the
    kind.

    Args:
        verdict: What the gate says.
        least: The least severity to show of findings that fail nothing, None for none of them.
        is_coloured: Colour the severities.
        width: Columns that a line should have at most.
    """
    found = verdict.ranked()
    most = SHOWN if len(verdict.outcomes) > FEW_SITES else len(found)
    failing = [one for one in found if verdict.fails(one)]
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
        parts.append(
            f"To accept one:\n  bestdefense waive {example[:DIGITS]} --reason WHY --until 90d\n"
        )
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
