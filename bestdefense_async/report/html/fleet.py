"""The fleet map: one square per site, in bands of the worst severity found on it.

A fleet of thousands has no useful order but this one: how much is bad shows at once, and what was
not scanned stands in a band of its own instead of looking clean. Squares shrink with the fleet.
Not scanned is drawn hollow, so that it differs without colour too. In a small fleet each site is a
tile with its name and its numbers.

In a fleet that is not too large each square is a shape of its own that says its name and leads to
the site. In a larger one, and on a phone, a row of squares is one dashed line: a dash is a square.
Some of them side by side are then one link, which says the names of its first and its last site and
leads to the first: the others stand below it in the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.report.html import svg
from bestdefense_async.report.html.svg import swatch
from bestdefense_async.report.summary import BANDS, TONES, band_counts, by_band, found_on
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from bestdefense_async.models import Outcome

_MOST_NAMED: Final = 2_500
"""Above this many sites the squares carry no names: the page must stay small."""
_MOST_BYTES: Final = 250_000
"""And above this many bytes of names: hosts may be long, and not of this alphabet."""
_FEWEST_LINKED: Final = 20
"""Squares of one link, where there are not too many links then."""
_LINKS: Final = 250
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
        """Return how many squares stand in a row."""
        return (self.width - self.left) // pitch

    def band(self, sites: int, pitch: int) -> int:
        """Return the height of a band."""
        return self.head + max(-(-sites // self.columns(pitch)) * pitch, self.least)


_WIDE: Final = _Layout(width=svg.WIDE, left=172, head=0, least=36, between=12, tallest=460)
_NARROW: Final = _Layout(width=svg.NARROW, left=0, head=22, least=0, between=12, tallest=720)


def fleet_map(
    bands: dict[str, list[Outcome]],
    *,
    anchors: Mapping[int, str],
    share: float = 1.0,
    is_narrow: bool = False,
) -> Markup:
    """Return the map of sites that are grouped by band, the worst first in each.

    Args:
        bands: The sites.
        anchors: Where each leads to, by the `id()` of its outcome.
        share: How much of the usual room the names of sites may take.
        is_narrow: Whether it is for a phone.
    """
    layout = _NARROW if is_narrow else _WIDE
    total = sum(len(outcomes) for outcomes in bands.values())
    if total < FEWEST_SQUARES:
        return _tiles(bands, total, anchors, is_narrow=is_narrow)
    shown = [name for name in BANDS if bands[name]]
    heights = {
        pitch: sum(layout.band(len(bands[name]), pitch) + layout.between for name in shown)
        for pitch in _PITCHES
    }
    fitting = (pitch for pitch in _PITCHES if heights[pitch] <= layout.tallest)
    pitch = next(fitting, _PITCHES[-1])
    is_named = total <= _MOST_NAMED and not is_narrow and _is_short(bands, share)
    parts: list[str] = []
    top = 0
    for name in shown:
        outcomes = bands[name]
        at = top + layout.head
        if is_named:
            squares = _named(name, outcomes, anchors, layout=layout, top=at, pitch=pitch)
        else:
            squares = _dashed(name, outcomes, layout=layout, top=at, pitch=pitch)
            most = max(_FEWEST_LINKED, total // _LINKS)
            squares += _links(outcomes, anchors, layout=layout, top=at, pitch=pitch, most=most)
        parts += [
            _label(name, len(outcomes), total=total, top=top, layout=layout),
            svg.element("g", squares, class_="band", data_sites=len(outcomes)),
        ]
        top += layout.band(len(outcomes), pitch) + layout.between
    return _picture(parts, bands, layout.width, max(top - layout.between, 1), is_narrow=is_narrow)


def _picture(
    parts: list[str],
    bands: dict[str, list[Outcome]],
    width: float,
    height: float,
    *,
    is_narrow: bool,
) -> Markup:
    total = sum(map(len, bands.values()))
    summary = ", ".join(f"{TONES[name].label}: {len(bands[name])}" for name in BANDS if bands[name])
    return svg.picture(
        parts,
        name="fleet",
        width=width,
        height=height,
        about=f"Map of {counted(total, 'site')}",
        details=f"Sites by the worst severity found on them. {summary}.",
        is_narrow=is_narrow,
    )


FEWEST_SQUARES: Final = 60
"""Below this many sites each has a tile with its name."""
_TILE: Final = 44
_BETWEEN: Final = 8
_SMALL: Final = 11.5
_BOLD: Final = 1.1
"""How much wider bold letters are."""


def _tiles(
    bands: dict[str, list[Outcome]], total: int, anchors: Mapping[int, str], *, is_narrow: bool
) -> Markup:
    """Return the sites as tiles."""
    layout = _NARROW if is_narrow else _WIDE
    columns = 2 if is_narrow else 4
    width = (layout.width - layout.left - (columns - 1) * _BETWEEN) / columns
    parts: list[str] = []
    top = 0
    for name in BANDS:
        outcomes = bands[name]
        if not outcomes:
            continue
        tiles = []
        for index, outcome in enumerate(outcomes):
            line, column = divmod(index, columns)
            x = layout.left + column * (width + _BETWEEN)
            y = top + layout.head + line * (_TILE + _BETWEEN)
            tile = _tile(name, outcome, x=x, y=y, width=width, size=11.5 if is_narrow else 12.5)
            tiles.append(svg.link(anchors.get(id(outcome)), tile))
        parts += [
            _label(name, len(outcomes), total=total, top=top, layout=layout),
            svg.element("g", *tiles, class_="tiles", data_sites=len(outcomes)),
        ]
        top += layout.head + -(-len(outcomes) // columns) * (_TILE + _BETWEEN) + _BETWEEN
    return _picture(parts, bands, layout.width, max(top - 2 * _BETWEEN, 1), is_narrow=is_narrow)


def _tile(name: str, outcome: Outcome, *, x: float, y: float, width: float, size: float) -> str:
    """Return a tile: an edge in the colour of the band, the site, and what was found."""
    room = width - 24
    style = svg.filled(name) | {"fill_opacity": 0.1}
    if name == "not_scanned":
        style = svg.hollow(name) | {"stroke_dasharray": "3 3"}
    said = _found_within(outcome, room)
    return (
        svg.rect(x + 0.5, y + 0.5, width - 1, _TILE - 1, rx=5, **style)
        + svg.rect(x, y, 5, _TILE, rx=2, **svg.filled(name))
        + svg.text(
            svg.fitted(outcome.target, width=room / _BOLD, size=size),
            x=x + 14,
            y=y + 19,
            size=size,
            font_weight=600,
        )
        + svg.caption(svg.fitted(said, width=room, size=_SMALL), x=x + 14, y=y + 35, size=_SMALL)
    )


def _found_within(outcome: Outcome, width: float) -> str:
    """Return what was found in the words there is room for, the worst first."""
    counts = list(by_band(outcome.counts()).items()) if outcome.has_verdict else []
    for shown in range(len(counts), 1, -1):
        rest = " …" if shown < len(counts) else ""
        said = band_counts(dict(counts[:shown])) + rest
        if svg.width_of(said, size=_SMALL) <= width:
            return said
    return f"{band_counts(dict(counts[:1]))} …" if counts[1:] else found_on(outcome)


def _is_short(bands: dict[str, list[Outcome]], share: float) -> bool:
    """Return whether the names of all sites have room in the page."""
    every = (outcome for outcomes in bands.values() for outcome in outcomes)
    return (
        sum(len(_description(one).encode(errors="replace")) for one in every) < _MOST_BYTES * share
    )


def _label(name: str, sites: int, *, total: int, top: int, layout: _Layout) -> str:
    """Return the name of a band and its share: beside the squares in two lines, above in one."""
    tone = TONES[name]
    share = 100 * sites / total
    amount = f"{counted(sites, 'site')} · {f'{share:.0f} %' if share >= 1 else '< 1 %'}"
    if not layout.left:
        symbol = svg.element("g", swatch(name), transform=f"translate(0 {top})")
        label = svg.text(tone.label, x=20, y=top + 12, size=13, font_weight=600)
        end = svg.caption(amount, x=layout.width, y=top + 12, anchor="end")
        return symbol + label + end
    return (
        svg.rect(0, top, 5, 34, rx=2.5, **svg.filled(name))
        + svg.text(tone.label, x=14, y=top + 13, size=13, font_weight=600)
        + svg.caption(amount, x=14, y=top + 30)
    )


def _gap(pitch: int) -> int:
    return 2 if pitch >= _ROOMY else 1


def _named(
    name: str,
    outcomes: list[Outcome],
    anchors: Mapping[int, str],
    *,
    layout: _Layout,
    top: int,
    pitch: int,
) -> str:
    """Return a shape for every site, which says the site's name and leads to it."""
    side = pitch - _gap(pitch)
    style = svg.filled(name)
    shape, edge = f"h{side}v{side}h-{side}z", 0.0
    if name == "not_scanned":
        style = svg.hollow(name)
        # A line of one unit is sharp between the units.
        shape, edge = f"h{side - 1}v{side - 1}h-{side - 1}zl{side - 1} {side - 1}", 0.5
    squares = []
    for index, outcome in enumerate(outcomes):
        line, column = divmod(index, layout.columns(pitch))
        x = svg.number(layout.left + column * pitch + edge)
        y = svg.number(top + line * pitch + edge)
        square = f'<path d="M{x} {y}{shape}">{svg.title(_description(outcome))}</path>'
        squares.append(svg.link(anchors.get(id(outcome)), square))
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


def _links(
    outcomes: list[Outcome],
    anchors: Mapping[int, str],
    *,
    layout: _Layout,
    top: int,
    pitch: int,
    most: int,
) -> str:
    """Return what is laid over the dashes: links of at most so many squares side by side."""
    columns = layout.columns(pitch)
    links = []
    for start in range(0, len(outcomes), columns):
        row = outcomes[start : start + columns]
        y = top + start // columns * pitch
        for column in range(0, columns, most):
            some = row[column : column + most]
            anchor = anchors.get(id(some[0])) if some else None
            if anchor is None:
                break
            names = dict.fromkeys(visible(one.target, longest=60) for one in (some[0], some[-1]))
            x, width = layout.left + column * pitch, len(some) * pitch
            shape = f'<path d="M{x} {y}h{width}v{pitch}h-{width}z"/>'
            links.append(svg.link(anchor, svg.title(" … ".join(names)), shape))
    style: dict[str, object] = {"fill": "none", "pointer_events": "all", "class_": "links"}
    return svg.element("g", *links, **style) if links else ""


def _description(outcome: Outcome) -> str:
    """Return what a square says: the site and what was found, or why nothing was."""
    return f"{outcome.target[:100]}: {found_on(outcome)}"
