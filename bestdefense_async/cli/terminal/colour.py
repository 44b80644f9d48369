"""Colours on a terminal: those of severities and statuses, everywhere the same."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

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


def styled(text: str, word: str) -> str:
    """Return a text in the colour of a severity or a status."""
    from rich.color import ColorSystem
    from rich.style import Style

    style = Style.parse(STYLES.get(word, UNKNOWN_STYLE))
    return style.render(text, color_system=ColorSystem.STANDARD)


def is_coloured(stream: TextIO | None = None) -> bool:
    """Return whether a stream, stdout as usual, shows colours: https://no-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: TextIO | None = None) -> bool:
    """Return whether a stream, stdout as usual, is a terminal."""
    wanted = sys.stdout if stream is None else stream
    try:
        return wanted is not None and wanted.isatty()
    except ValueError:  # it is closed
        return False
