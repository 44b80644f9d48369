"""The fleet map: one square per site, in bands of the worst severity found on it.

A fleet of thousands has no useful order but this one: how much is bad shows at once, and what was
not scanned stands in a band of its own instead of looking clean. Squares shrink with the fleet.
Not scanned is drawn hollow and struck through, so that it differs without colour too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import BANDS, by_band
from bestdefense_async.output.text import counted

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.output.run import Row

_WIDTH: Final = 1080
_LEFT: Final = 168
"""Where the squares begin; the names of the bands stand before them."""
_LEAST_BAND: Final = 36
"""Height that the two lines of a band's name need."""
_BETWEEN: Final = 12
_TALLEST: Final = 460
"""The map stays on one screen: squares shrink until they fit."""
_PITCHES: Final = (18, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4)
_GAP: Final = 2
"""Between two squares, where there is room for it."""
_ROOMY: Final = 6
_MOST_NAMED: Final = 4_000
"""Above this many sites the squares carry no names: the page must stay small."""


def fleet_map(bands: dict[str, list[Row]]) -> Markup:
    """Return the map of sites that are grouped by band, the worst first in each."""
    total = sum(len(rows) for rows in bands.values())
    shown = [name for name in BANDS if bands[name]]
    pitch = next(
        (pitch for pitch in _PITCHES if _height(bands, shown, pitch) <= _TALLEST), _PITCHES[-1]
    )
    parts: list[str] = []
    top = 0.0
    for name in shown:
        rows = bands[name]
        parts.append(_band(name, rows, total=total, top=top, pitch=pitch))
        top += _band_height(len(rows), pitch) + _BETWEEN
    summary = ", ".join(f"{TONES[name].label}: {len(bands[name])}" for name in shown)
    return svg.picture(
        parts,
        name="fleet",
        width=_WIDTH,
        height=max(top - _BETWEEN, 1),
        about=f"Map of {counted(total, 'site')}",
        details=f"Sites by the worst severity found on them. {summary}.",
    )


def _columns(pitch: int) -> int:
    return (_WIDTH - _LEFT) // pitch


def _band_height(sites: int, pitch: int) -> float:
    return max(-(-sites // _columns(pitch)) * pitch, _LEAST_BAND)


def _height(bands: dict[str, list[Row]], shown: list[str], pitch: int) -> float:
    return sum(_band_height(len(bands[name]), pitch) + _BETWEEN for name in shown)


def _band(name: str, rows: list[Row], *, total: int, top: float, pitch: int) -> str:
    tone = TONES[name]
    share = 100 * len(rows) / total
    share_text = f"{share:.0f} %" if share >= 1 else "< 1 %"
    words = (
        svg.rect(0, top + 2, 5, 30, rx=2.5, fill=tone.light, class_=f"b-{name}"),
        svg.text(tone.label, x=14, y=top + 14, size=13, font_weight=600),
        svg.text(
            f"{counted(len(rows), 'site')} · {share_text}",
            x=14,
            y=top + 30,
            size=12,
            fill=svg.SOFT,
            class_="soft",
        ),
    )
    look: dict[str, object] = {"fill": tone.light, "class_": f"band b-{name}"}
    if name == "not_scanned":
        look = {"fill": "none", "stroke": tone.light, "class_": f"band hollow k-{name}"}
    squares = [_square(place, top=top, pitch=pitch) for place in range(len(rows))]
    if total > _MOST_NAMED:
        marks = [svg.element("path", d="".join(squares))]
    else:
        marks = [
            f'<path d="{shape}">{svg.title(_said(row))}</path>'
            for shape, row in zip(squares, rows, strict=True)
        ]
    return "".join(words) + svg.element("g", *marks, **look, data_sites=len(rows))


def _square(place: int, *, top: float, pitch: int) -> str:
    """Return the path of a square; its diagonal shows only where it is drawn as an outline."""
    row, column = divmod(place, _columns(pitch))
    side = pitch - (_GAP if pitch >= _ROOMY else 1)
    x = svg.number(_LEFT + column * pitch + 0.5)
    y = svg.number(top + row * pitch + 0.5)
    return f"M{x} {y}h{side}v{side}h-{side}zl{side} {side}"


def _said(row: Row) -> str:
    """Return what a square says: the site and what was found, or why nothing was."""
    name = row.target[:120]
    if not row.has_verdict:
        why = row.error.kind if row.error is not None else "no risk summary"
        return f"{name}: {row.outcome.replace('_', ' ')}, {why}"
    counts = by_band(row.counts())
    found = ", ".join(f"{count} {TONES[word].label.lower()}" for word, count in counts.items())
    return f"{name}: {found or 'clean'}"
