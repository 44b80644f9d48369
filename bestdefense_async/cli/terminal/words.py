"""Severities, statuses and days, as people read them: one wording and one colour everywhere."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLES: Final = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
    "scanning": "bold blue",
    "waiting": "dim",
    "done": "green",
    "running": "cyan",
    "failed": "bold red",
    "unknown": "bold magenta",
    "not_started": "yellow",
}
"""In the words of rich. Colour never says anything alone."""
UNKNOWN_STYLE: Final = "bold magenta"
"""Of a severity that is not documented: it ranks above all others."""
SHORT: Final = {"informational": "info"}
"""Severities that are written shorter where they head a column."""
SOON: Final = 7
"""Days before an end at which it is warned of."""


def styled(text: str, word: str) -> str:
    """Return a text in the colour of a severity or a status."""
    from rich.color import ColorSystem
    from rich.style import Style

    style = Style.parse(STYLES.get(word, UNKNOWN_STYLE))
    return style.render(text, color_system=ColorSystem.STANDARD)


def status_text(status: str) -> str:
    """Return a status as people read it."""
    return status.replace("_", " ")


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts by severity on one line, zeros left out."""
    from bestdefense_async.report.text import visible

    parts = [f"{count} {visible(name, longest=20)}" for name, count in counts.items() if count]
    return ", ".join(parts) or "nothing found"


def today() -> date:
    """Return the day it is, in UTC."""
    return datetime.now(UTC).date()


def is_soon(end: date) -> bool:
    """Return whether a day is within a week, or over."""
    return (end - today()).days <= SOON


def in_days(end: date) -> str:
    """Return when a day is: `in 3 days`, `today`, or `2 days ago`."""
    days = (end - today()).days
    if days == 0:
        return "today"
    count = f"{abs(days)} day{'' if abs(days) == 1 else 's'}"
    return f"in {count}" if days > 0 else f"{count} ago"
