"""Text quoted from servers and sites, made safe to show.

A scanner's findings quote attackers. Whatever is shown to a person passes through here first:
controls, bidirectional overrides and invisible characters become visible escapes, and piles of
combining marks and endless titles are cut. A text that a CI system would read as a command, where
it stands in a log, is broken. Escaping for HTML, XML or Markdown comes on top and belongs to each
format. JSON keeps the text as it was: its own escapes are lossless.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

_MOST_MARKS: Final = 2
"""Combining marks kept in a row: enough for real languages, too few to climb over a line."""

_LAST_SECOND: Final = 253_402_300_799.0
"""The end of the year 9999: `datetime` knows no later moment."""

_SPANS: Final = (
    (86_400, "d", 3_600, "h"),
    (3_600, "h", 60, "min"),
    (60, "min", 1, "s"),
)

CI_COMMAND: Final = re.compile(r"#(?=#[A-Za-z]*\[)")
"""Where `##[error]` of GitHub and the like begins: runners obey it anywhere in a line."""

_FIRST_COMMAND: Final = re.compile(r"\s*::(?=.*::)")
"""Where `::error::` begins: runners obey it at the beginning of a line."""

_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def visible(text: object, *, longest: int = 300) -> str:
    r"""Return `text` on one line, at most `longest` characters, with nothing hidden in it.

    What cannot be printed becomes an escape like `\x1b` or `\u202e`; a text of nothing but
    spaces says so.
    """
    raw = text if isinstance(text, str) else str(text)
    if raw and not raw.strip():
        return "(blank)"
    kept = raw[: longest + 1]
    if not kept.isprintable():
        kept = "".join(
            character if character.isprintable() else ascii(character)[1:-1] for character in kept
        )
    if not kept.isascii():
        kept = _thin_marks(kept)
    if _FIRST_COMMAND.match(kept):
        kept = kept.replace(":", "\\x3a", 1)
    kept = without_ci_commands(kept)
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def without_ci_commands(text: str) -> str:
    """Return `text` with nothing in it that a runner would obey in the middle of a line."""
    return CI_COMMAND.sub(r"\\x23", text) if "##" in text else text


def _thin_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def middle_cut(text: str, *, longest: int) -> str:
    """Return `text` with its middle replaced by an ellipsis when it is too long.

    Host names differ at both ends, so both stay readable.
    """
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[len(text) - (longest - 1 - head) :]}"


def without_scheme(url: str) -> str:
    """Return `url` without `https://` and the like."""
    return _SCHEME.sub("", url)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return like `1 site` or `2,000 sites`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def joined(parts: list[str]) -> str:
    """Return like `a`, `a and b`, or `a, b and c`."""
    if len(parts) <= 1:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def moment(epoch: float | None) -> str:
    """Return seconds since the epoch as UTC like `2026-11-24 18:05:09 UTC`, `unknown` for None."""
    if epoch is None or not 0 <= epoch <= _LAST_SECOND:
        return "unknown"
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def utc_time(epoch: float | None) -> str:
    """Return UTC like `2026-11-24T18:05:09`, as schemas want it; the epoch itself when unknown."""
    known = epoch if epoch is not None and 0 <= epoch <= _LAST_SECOND else 0.0
    return datetime.fromtimestamp(int(known), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def duration(seconds: float | None) -> str:
    """Return seconds in the two largest units that matter, like `1 h 5 min` or `4.2 s`."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return "unknown"
    for unit, name, smaller, small_name in _SPANS:
        if round(seconds) >= unit:
            rest = round(seconds) % unit // smaller
            return f"{round(seconds) // unit} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{seconds:.1f} s"
