"""Lists on stdout: aligned columns for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async import vendor
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.words import SHORT, STYLES, styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

SCHEMA_VERSION: Final = 1

FORMATS: Final = ("table", "json", "jsonl")
"""What a list can be on stdout."""


def onto_stdout(_context: click.Context, _option: click.Parameter, format_: str) -> str:
    """Return the format of what goes to stdout, which has to be open: nothing is sent before.

    Raises:
        Unwritable: It is closed.
    """
    streams.require_stdout()
    return format_


FORMAT = click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(FORMATS, case_sensitive=False),
    default="table",
    show_default=True,
    callback=onto_stdout,
    help="What stdout is to hold.",
)


def emit(
    name: str,
    records: Iterable[Mapping[str, Any]],
    format_: str,
    *,
    columns: Sequence[str] | None = None,
    extra: Sequence[str] = (),
    nothing: str = "",
) -> None:
    """Write records to stdout as a table, one JSON document, or one JSON object a line.

    Args:
        name: What the records are, in the JSON document.
        records: All with the same members.
        format_: table, json or jsonl.
        columns: Members that fit into a table's width; None for all.
        extra: Of these, what a narrow terminal goes without, the first one first.
        nothing: What to tell on stderr when there are no records.

    Raises:
        ReaderGone: The reader of stdout went away.
        Unwritable: stdout takes no more.
    """
    from bestdefense_async.report.formats.json import dumps

    records = list(records)
    if format_ == "json":
        document = {"schema_version": SCHEMA_VERSION, name: records}
        streams.put(dumps(document, indent=2) + "\n")
    elif format_ == "jsonl":
        for record in records:
            line = {"schema_version": SCHEMA_VERSION, **record}
            streams.put(dumps(line) + "\n")
    else:
        shown = columns if columns is not None else list(records[0]) if records else []
        picked = [{name: record[name] for name in shown} for record in records]
        streams.put(table(picked, extra=extra))
    if nothing and not records:
        streams.note(nothing)


def iso(at: datetime | None) -> str | None:
    """Return a moment as it stands in records: ISO 8601, None when it is not known."""
    return None if at is None else at.isoformat()


def table(records: Sequence[Mapping[str, Any]], *, extra: Sequence[str] = ()) -> str:
    """Return records as aligned columns under their names; nothing for no records.

    On a terminal the table fits: columns that may be left out are, then long texts are cut in their
    middle, never a name that is typed again; and where even that is too wide, each record is a few
    lines. Anywhere else nothing is left out.

    Args:
        records: All with the same members.
        extra: Members to leave out where there is no room, the first one first.
    """
    if not records:
        return ""
    names = list(records[0])
    rows = [[_cell(name, record[name]) for name in names] for record in records]
    is_fitted = streams.is_terminal()
    room = streams.width() if is_fitted else _UNBOUNDED
    titles = {name: name.removeprefix("is_").upper().replace("_", " ") for name in names}
    columns = {name: [titles[name], *(row[at] for row in rows)] for at, name in enumerate(names)}
    for name in extra:
        if _width(columns) > room:
            columns.pop(name, None)
    whole = columns
    if _width(columns) > room:
        columns = dict(columns)
        _shorten(columns, room)
    if _width(columns) > room:
        return _as_blocks(whole)
    if is_fitted and streams.is_coloured():
        columns = {name: _coloured(name, cells) for name, cells in columns.items()}
    return "\n".join(line.rstrip() for line in _lines(columns)) + "\n"


_UNBOUNDED: Final = 1 << 30
_NARROWEST: Final = 12
"""Characters that are left of a text that is cut."""
_WHOLE: Final = (
    *("id", "run", "fingerprint", "filename", "setting", "variable", "check"),
    *("value", "origin", "detail"),
)
"""What somebody copies, and what the command was called for: half of it is worth nothing."""
_Columns = dict[str, list[str]]
"""By name: the title, then a cell for each record."""


def shown_length(text: str) -> int:
    """Return how many columns a text takes on a terminal: colours take none, some letters two."""
    import re
    import unicodedata

    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    if plain.isascii():
        return len(plain)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in plain
    )


def _widths(columns: _Columns) -> dict[str, int]:
    return {name: max(map(shown_length, cells)) for name, cells in columns.items()}


def _width(columns: _Columns) -> int:
    """Return how many characters a line has."""
    return sum(_widths(columns).values()) + 2 * (len(columns) - 1)


def _lines(columns: _Columns) -> Iterator[str]:
    widths = _widths(columns)
    for row in zip(*columns.values(), strict=True):
        cells = zip(row, widths.values(), strict=True)
        yield "  ".join(cell + " " * (width - shown_length(cell)) for cell, width in cells)


def _shorten(columns: _Columns, room: int) -> None:
    """Cut long texts in their middle until a line fits, or there is nothing more to cut."""
    from bestdefense_async.report.text import middle_cut

    while (over := _width(columns) - room) > 0:
        widths = {
            name: width
            for name, width in _widths(columns).items()
            if width > _NARROWEST and not name.endswith(_WHOLE)
        }
        if not widths:
            return
        longest = max(widths, key=widths.__getitem__)
        others = sorted(widths.values())[:-1]
        # No further than the next longest, so that the longest columns end equally wide.
        least = max(_NARROWEST, widths[longest] - over, others[-1] - 1 if others else 0)
        keep = min(least, widths[longest] - 1)
        columns[longest] = [middle_cut(cell, longest=keep) for cell in columns[longest]]


def _as_blocks(columns: _Columns) -> str:
    """Return each record as lines of a name and a value."""
    titles = [cells[0].lower() for cells in columns.values()]
    longest = max(map(len, titles))
    blocks = (
        "\n".join(
            f"{title.ljust(longest)}  {cell}" for title, cell in zip(titles, row, strict=True)
        )
        for row in list(zip(*columns.values(), strict=True))[1:]
    )
    return "\n\n".join(blocks) + "\n"


def _coloured(name: str, cells: list[str]) -> list[str]:
    """Return the cells of a column in the colours of what they say."""
    word = _LONG.get(name, name)
    if word in vendor.SEVERITIES:
        return [cells[0], *(styled(cell, word) if cell not in "0-" else cell for cell in cells[1:])]
    if name in {"status", "severity"}:
        words = [cell.replace(" ", "_") for cell in cells]
        return [
            styled(cell, word) if word in STYLES else cell
            for cell, word in zip(cells, words, strict=True)
        ]
    return cells


_LONG: Final = {short: severity for severity, short in SHORT.items()}


def _cell(name: str, value: object) -> str:
    from bestdefense_async.report.text import visible

    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "-"
    return visible(value, longest=_UNBOUNDED if name.endswith(_WHOLE) else 120)
