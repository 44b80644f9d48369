"""The fleet map: one square per site, in bands of the worst severity found on it.

A fleet of thousands has no useful order but this one: how much is bad shows at once, and what was
not scanned stands in a band of its own instead of looking clean. Squares shrink with the fleet.
Not scanned is drawn hollow, so that it differs without colour too.

In a fleet that is not too large each square is a shape of its own that can say its name. In a
larger one, and on a phone, a outcome of squares is one dashed line: a dash is a square. Twenty
thousand sites are then a few kilobytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.report.html import svg
from bestdefense_async.report.html.svg import swatch
from bestdefense_async.report.summary import BANDS, TONES, by_band
from bestdefense_async.report.text import counted

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.models import Outcome

_MOST_NAMED: Final = 4_000
"""Above this many sites the squares carry no names: the page must stay small."""
_PITCHES: Final = (26, 22, 18, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4)
_ROOMY: Final = 6
"""From this pitch on there is room for two units between squares, before for one."""


@frozen(kw_only=True)
class _Layout:
    """Where things stand in the map."""

    width: int
    left: int
    """Where the squares begin; 0 when the names of the bands stand above them."""
    head: int
    """Height of a name above its squares."""
    least: int
    """Height that the name of a band needs beside its squares."""
    between: int
    """Between two bands."""
    tallest: int
    """The map stays on one screen: squares shrink until they fit."""

    def columns(self, pitch: int) -> int:
        """Return how many squares stand in a outcome."""
        return (self.width - self.left) // pitch

    def band(self, sites: int, pitch: int) -> int:
        """Return the height of a band."""
        return self.head + max(-(-sites // self.columns(pitch)) * pitch, self.least)


_WIDE: Final = _Layout(width=svg.WIDE, left=172, head=0, least=36, between=12, tallest=460)
_NARROW: Final = _Layout(width=svg.NARROW, left=0, head=22, least=0, between=12, tallest=720)


def fleet_map(bands: dict[str, list[Outcome]], *, is_narrow: bool = False) -> Markup:
    """Return the map of sites that are grouped by band, the worst first in each."""
    layout = _NARROW if is_narrow else _WIDE
    total = sum(len(outcomes) for outcomes in bands.values())
    shown = [name for name in BANDS if bands[name]]
    heights = {
        pitch: sum(layout.band(len(bands[name]), pitch) + layout.between for name in shown)
        for pitch in _PITCHES
    }
    fitting = (pitch for pitch in _PITCHES if heights[pitch] <= layout.tallest)
    pitch = next(fitting, _PITCHES[-1])
    is_named = total <= _MOST_NAMED and not is_narrow
    parts: list[str] = []
    top = 0
    for name in shown:
        outcomes = bands[name]
        draw = _named if is_named else _dashed
        squares = draw(name, outcomes, layout=layout, top=top + layout.head, pitch=pitch)
        parts += [
            _label(name, len(outcomes), total=total, top=top, layout=layout),
            svg.element("g", squares, class_="band", data_sites=len(outcomes)),
        ]
        top += layout.band(len(outcomes), pitch) + layout.between
    summary = ", ".join(f"{TONES[name].label}: {len(bands[name])}" for name in shown)
    return svg.picture(
        parts,
        name="fleet",
        width=layout.width,
        height=max(top - layout.between, 1),
        about=f"Map of {counted(total, 'site')}",
        details=f"Sites by the worst severity found on them. {summary}.",
        is_narrow=is_narrow,
    )


def _label(name: str, sites: int, *, total: int, top: int, layout: _Layout) -> str:
    """Return the name of a band and its share: beside the squares in two lines, above in one."""
    tone = TONES[name]
    share = 100 * sites / total
    amount = f"{counted(sites, 'site')} · {f'{share:.0f} %' if share >= 1 else '< 1 %'}"
    soft: dict[str, object] = {"size": 12, "fill": svg.SOFT, "class_": "soft"}
    if not layout.left:
        symbol = svg.element("g", swatch(name), transform=f"translate(0 {top})")
        label = svg.text(tone.label, x=20, y=top + 12, size=13, font_weight=600)
        end = svg.text(amount, x=layout.width, y=top + 12, text_anchor="end", **soft)  # type: ignore[arg-type]
        return symbol + label + end
    return (
        svg.rect(0, top, 5, 34, rx=2.5, fill=tone.light, class_=f"b-{name}")
        + svg.text(tone.label, x=14, y=top + 13, size=13, font_weight=600)
        + svg.text(amount, x=14, y=top + 30, **soft)  # type: ignore[arg-type]
    )


def _gap(pitch: int) -> int:
    return 2 if pitch >= _ROOMY else 1


def _named(name: str, outcomes: list[Outcome], *, layout: _Layout, top: int, pitch: int) -> str:
    """Return a shape for every site, which says the site's name."""
    side = pitch - _gap(pitch)
    style: dict[str, object] = {"fill": TONES[name].light, "class_": f"b-{name}"}
    shape, edge = f"h{side}v{side}h-{side}z", 0.0
    if name == "not_scanned":
        style = {"fill": "none", "stroke": TONES[name].light, "class_": f"hollow k-{name}"}
        # A line of one unit is sharp between the units.
        shape, edge = f"h{side - 1}v{side - 1}h-{side - 1}zl{side - 1} {side - 1}", 0.5
    squares = []
    for index, outcome in enumerate(outcomes):
        line, column = divmod(index, layout.columns(pitch))
        x = svg.number(layout.left + column * pitch + edge)
        y = svg.number(top + line * pitch + edge)
        squares.append(f'<path d="M{x} {y}{shape}">{svg.title(_description(outcome))}</path>')
    return svg.element("g", *squares, **style)


def _dashed(name: str, outcomes: list[Outcome], *, layout: _Layout, top: int, pitch: int) -> str:
    """Return the same squares as dashes, without names."""
    columns, gap = layout.columns(pitch), _gap(pitch)
    side = pitch - gap
    lines = [
        (top + line * pitch, min(columns, len(outcomes) - line * columns) * pitch - gap)
        for line in range(-(-len(outcomes) // columns))
    ]

    def dashes(pattern: str, width: int, *down: float) -> str:
        return svg.element(
            "path",
            d="".join(
                f"M{layout.left} {svg.number(y + offset)}h{length}"
                for y, length in lines
                for offset in down
            ),
            fill="none",
            stroke=TONES[name].light,
            stroke_width=width,
            stroke_dasharray=pattern,
            class_=f"dashes k-{name}",
        )

    if name != "not_scanned":
        return dashes(f"{side} {gap}", side, side / 2)
    # Hollow: the upper and the lower edge of each square, and its two sides.
    edges = dashes(f"{side} {gap}", 1, 0.5, side - 0.5)
    return edges + dashes(f"1 {side - 2} 1 {gap}", side, side / 2)


def _description(outcome: Outcome) -> str:
    """Return what a square says: the site and what was found, or why nothing was."""
    name = outcome.target[:120]
    if not outcome.has_verdict:
        why = outcome.error.kind if outcome.error is not None else "no risk summary"
        return f"{name}: {outcome.status.replace('_', ' ')}, {why}"
    counts = by_band(outcome.counts())
    found = ", ".join(
        f"{count} {TONES[severity].label.lower()}" for severity, count in counts.items()
    )
    return f"{name}: {found or 'clean'}"
