"""Lists on stdout: aligned columns for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

SCHEMA_VERSION: Final = 1

FORMATS: Final = ("table", "json", "jsonl")
"""What a list can be on stdout."""

FORMAT = click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="What stdout is to hold.",
)


def emit(
    name: str,
    records: Sequence[Mapping[str, Any]],
    format_: str,
    *,
    columns: Sequence[str] | None = None,
) -> None:
    """Write records to stdout as a table, one JSON document, or one JSON object a line.

    Args:
        name: What the records are, in the JSON document.
        records: All with the same members.
        format_: table, json or jsonl.
        columns: Members that fit into a table's width; None for all.

    Raises:
        ReaderGone: The reader of stdout went away.
        Unwritable: stdout takes no more.
    """
    from bestdefense_async.report.formats.json import dumps

    if format_ == "json":
        document = {"schema_version": SCHEMA_VERSION, name: list(records)}
        streams.put(dumps(document, indent=2) + "\n")
    elif format_ == "jsonl":
        for record in records:
            line = {"schema_version": SCHEMA_VERSION, **record}
            streams.put(dumps(line) + "\n")
    else:
        shown = columns if columns is not None else list(records[0]) if records else []
        streams.put(table([{name: record[name] for name in shown} for record in records]))


def iso(at: datetime | None) -> str | None:
    """Return a moment as it stands in records: ISO 8601, None when it is not known."""
    return None if at is None else at.isoformat()


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as aligned columns under their names; nothing for no records."""
    if not records:
        return ""
    names = list(records[0])
    rows = [[_cell(record[name]) for name in names] for record in records]
    grid = [[name.removeprefix("is_").upper().replace("_", " ") for name in names], *rows]
    widths = [max(len(row[column]) for row in grid) for column in range(len(names))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in grid
    )
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    from bestdefense_async.report.text import visible

    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "-"
    return visible(value, longest=120)
