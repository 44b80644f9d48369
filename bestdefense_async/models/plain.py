"""Models as plain values, for JSON, and as tables, for notebooks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_ROWS: Final = 200
"""Rows of a table in a notebook; the others are counted."""


class PlainData:
    """A model that can be written as JSON."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that any writer of JSON takes; times as ISO 8601."""
        return asdict(self, value_serializer=lambda *found: _plain(found[2]))  # type: ignore[arg-type]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table for a notebook, everything escaped: findings quote attackers."""
    rows = list(rows)
    shown = "".join(
        f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>"
        for row in rows[:MOST_ROWS]
    )
    rest = len(rows) - MOST_ROWS
    more = f"<p>and {rest} more</p>" if rest > 0 else ""
    names = "".join(f"<th>{_escaped(name)}</th>" for name in head)
    return (
        f"<table><caption>{_escaped(caption)}</caption><thead><tr>{names}</tr></thead>"
        f"<tbody>{shown}</tbody></table>{more}"
    )


def _escaped(value: object) -> str:
    text = "-" if value is None else str(value)
    for character, entity in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        text = text.replace(character, f"&{entity};")
    return text
