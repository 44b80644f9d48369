"""The picture of the architecture: the rows of the table that the layout test holds the code to."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from tests.test_layout import MAY_IMPORT

ROOT = Path(__file__).parents[2]
HIDDEN = {"__main__", "_version", "vendor", "files", "stats", "view"}
"""Doors and odds and ends: nobody needs them to understand the rest."""

WIDTH, HEIGHT, GAP, BAND = 480, 38, 12, 76


@cache
def _table() -> dict[str, set[str]]:
    """Return the parts of the package and what each may import, from the test of the layout."""
    exists = {
        each.stem
        for each in (ROOT / "bestdefense_async").iterdir()
        if each.suffix == ".py" or (each / "__init__.py").exists()
    }
    rows = MAY_IMPORT
    shown = {part for part in rows if part in exists and part not in HIDDEN}

    def seen(part: str) -> set[str]:
        """Return what is shown of what a part imports, also through what is hidden."""
        found = set()
        for each in rows.get(part, ()):
            found |= {each} if each in shown else seen(each) if each in HIDDEN else set()
        return found

    return {part: seen(part) - {part} for part in rows if part in shown}


@cache
def _depth(part: str) -> int:
    below = _table()[part]
    return 1 + max((_depth(each) for each in below), default=-1)


def layers() -> list[list[str]]:
    """Return the parts by how far they stand above the ground, the lowest first."""
    deepest = max(map(_depth, _table()))
    return [[part for part in _table() if _depth(part) == level] for level in range(deepest + 1)]


def edges() -> list[tuple[str, str]]:
    """Return each part with those it rests on directly, without what others bring along."""
    rows = _table()

    def reaches(part: str, target: str) -> bool:
        return target in rows[part] or any(reaches(each, target) for each in rows[part])

    return [
        (part, below)
        for part, allowed in rows.items()
        for below in allowed
        if not any(reaches(other, below) for other in allowed - {below})
    ]


def draw() -> str:
    """Return the drawing as SVG; its colours are those of the page around it."""
    rows = list(reversed(layers()))
    height = len(rows) * BAND
    boxes: dict[str, tuple[float, float, float]] = {}
    for index, row in enumerate(rows):
        width = min(124, (WIDTH - GAP * (len(row) + 1)) / len(row))
        left = (WIDTH - len(row) * width - (len(row) - 1) * GAP) / 2
        for number, part in enumerate(sorted(row)):
            boxes[part] = (left + number * (width + GAP), index * BAND + 6, width)
    lines = []
    for upper, lower in sorted(edges()):
        (x1, y1, w1), (x2, y2, w2) = boxes[upper], boxes[lower]
        start, end = (x1 + w1 / 2, y1 + HEIGHT), (x2 + w2 / 2, y2 - 2)
        bend = min(36, (end[1] - start[1]) / 2)
        lines.append(
            f'<path d="M{start[0]:.1f} {start[1]:.1f} C{start[0]:.1f} {start[1] + bend:.1f} '
            f'{end[0]:.1f} {end[1] - bend:.1f} {end[0]:.1f} {end[1]:.1f}" '
            'marker-end="url(#tip)"/>'
        )
    drawn = [
        f'<g><rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{x + w / 2:.1f}" y="{y + HEIGHT / 2 + 5}">{escape(part)}</text></g>'
        for part, (x, y, w) in boxes.items()
    ]
    return (
        f'<svg class="architecture" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="The parts of the package; an arrow leads to what a part imports">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" stroke="none"/></marker></defs>'
        f"{''.join(lines)}{''.join(drawn)}</svg>"
    )
