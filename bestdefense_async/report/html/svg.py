"""Small helpers that write SVG as text.

Colour and geometry are presentation attributes, never style sheets: a page whose policy blocks
styles still shows the pictures. Classes only let the page's own style sheet recolour them for
the dark. All text is escaped here; numbers are written with at most two decimals, so that the
same run always gives the same bytes.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from bestdefense_async.report.summary import TONES
from bestdefense_async.report.text import middle_cut, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"

INK: Final = "#1d2433"
"""Text, in the light."""
SOFT: Final = "#5b6577"
"""Secondary text, in the light: 5.9 to 1 on white."""
LINE: Final = "#dfe3ea"
"""Axes and rules, in the light."""

WIDE: Final = 1080
"""Width of a picture on a desk and on paper: exactly what the page leaves, so that it is sharp."""
NARROW: Final = 340
"""Width of its other form, for a phone."""

_EMS: Final = (
    ("ijlI|.,:;'!", 0.32),
    (" ()[]frt/\\-·J", 0.42),
    ("mwMW@%…—←→", 1.02),
    ("ABCDEFGHKLNOPQRSTUVXYZ&<>=+~#", 0.8),
)
"""Generous widths of characters in ems; all others get 0.64, those beyond ASCII 1.02."""


def number(value: float) -> str:
    """Return `value` with at most two decimals and no needless zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def attributes(**given: object) -> str:
    """Return XML attributes; `_` in a name becomes `-`, a trailing one vanishes."""
    parts = []
    for name, value in given.items():
        if value is None:
            continue
        text = number(value) if isinstance(value, int | float) else escape(str(value))
        parts.append(f' {name.rstrip("_").replace("_", "-")}="{text}"')
    return "".join(parts)


def element(name: str, *children: str, **given: object) -> str:
    """Return an element; the children are markup already."""
    inner = "".join(children)
    head = f"<{name}{attributes(**given)}"
    return f"{head}>{inner}</{name}>" if inner else f"{head}/>"


def safe_text(text: object, *, longest: int = 200) -> str:
    """Return text safe and escaped, to stand between tags."""
    return escape(visible(text, longest=longest), quote=False)


def width_of(content: str, *, size: float) -> float:
    """Return about how wide `content` is drawn, rather too much than too little.

    The reader's font is unknown; the widths are those of a wide one.
    """
    return size * sum(_ems(character) for character in content)


def _ems(character: str) -> float:
    known = next((ems for group, ems in _EMS if character in group), None)
    if known is not None:
        return known
    return 0.64 if character.isascii() else 1.02


def fitted(content: object, *, width: float, size: float) -> str:
    """Return text safe to show that needs no more than `width`; what is cut out is its middle."""
    whole = visible(content)
    if width_of(whole, size=size) <= width:
        return whole
    longest = max(min(int(width / size / _EMS[0][1]), len(whole) - 1), 1)
    while longest > 1 and width_of(middle_cut(whole, longest=longest), size=size) > width:
        longest -= 1
    return middle_cut(whole, longest=longest)


def text(content: object, *, x: float, y: float, size: float = 12, **given: object) -> str:
    """Return a line of text; `fill` and the like may be given."""
    style: dict[str, object] = {"fill": INK, "class_": "ink"} | given
    return element("text", safe_text(content), x=x, y=y, font_size=size, **style)


def caption(
    content: object, *, x: float, y: float, size: float = 12, anchor: str | None = None
) -> str:
    """Return a line of secondary text."""
    return text(content, x=x, y=y, size=size, fill=SOFT, class_="soft", text_anchor=anchor)


def filled(name: str) -> dict[str, Any]:
    """Return the attributes of what is filled with the tone of a band."""
    return {"fill": TONES[name].light, "class_": f"b-{name}"}


def hollow(name: str) -> dict[str, Any]:
    """Return the attributes of what has an edge in the tone of a band and nothing inside."""
    return {"fill": "none", "stroke": TONES[name].light, "class_": f"hollow k-{name}"}


def link(href: str | None, *children: str) -> str:
    """Return what leads to another place of the page; without a place the children alone."""
    return element("a", *children, href=f"#{href}") if href else "".join(children)


def title(content: object) -> str:
    """Return a `<title>`: what a pointer shows and a screen reader reads out."""
    return f"<title>{safe_text(content)}</title>"


def rect(x: float, y: float, width: float, height: float, *children: str, **given: object) -> str:
    """Return a rectangle."""
    return element("rect", *children, x=x, y=y, width=width, height=height, **given)


def line(x1: float, y1: float, x2: float, y2: float, **given: object) -> str:
    """Return a straight line in the colour of axes, unless another is given."""
    style: dict[str, object] = {"stroke": LINE, "class_": "rule"} | given
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **style)


def picture(
    children: Iterable[str],
    *,
    name: str,
    width: float,
    height: float,
    about: str,
    details: str,
    is_narrow: bool = False,
) -> Markup:
    """Return a whole picture with its title and description.

    Args:
        children: Markup of what it shows.
        name: Unique in the page; ids are made from it.
        width: In the units of the picture; it shrinks with the page and never grows.
        height: In the same units.
        about: The title.
        details: What the picture says, in words, for people who cannot see it.
        is_narrow: Whether this is the form for a phone. It is hidden by an attribute, and only
            the page's style sheet shows it, in place of the wide form.
    """
    inner = "".join(children)
    kind = name
    if is_narrow:
        kind, name = f"{name} narrow", f"{name}-narrow"
    return Markup(  # noqa: S704 - every text in it went through `safe_text` or `attributes`
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img"'
        f' aria-labelledby="{name}-title {name}-desc"'
        f' viewBox="0 0 {number(width)} {number(height)}"'
        f' width="{number(width)}" height="{number(height)}" font-family="{escape(FONT)}"'
        f"{attributes(display='none' if is_narrow else None)}>"
        f'<title id="{name}-title">{safe_text(about)}</title>'
        f'<desc id="{name}-desc">{safe_text(details, longest=2_000)}</desc>{inner}</svg>'
    )


_SIZE: Final = 12
_LINE: Final = 20
_SYMBOL: Final = 14
"""Side of the square that a symbol is drawn in."""
_BETWEEN: Final = 18


def legend(keys: Sequence[tuple[str, str]], *, left: float, right: float) -> tuple[str, float]:
    """Return the keys side by side, and how much height they take.

    Args:
        keys: Labels with their symbols, each drawn in a square of 14 at the origin.
        left: Where the first one stands.
        right: What does not fit before it goes to the next line.
    """
    parts = []
    x, y = left, 0.0
    for label, symbol in keys:
        width = _SYMBOL + 6 + width_of(label, size=_SIZE)
        if x > left and x + width > right:
            x, y = left, y + _LINE
        words = caption(label, x=_SYMBOL + 6, y=11.5, size=_SIZE)
        shift = f"translate({number(x)} {number(y)})"
        parts.append(element("g", symbol, words, transform=shift))
        x += width + _BETWEEN
    return "".join(parts), y + _LINE


def band_keys(bands: Iterable[str]) -> list[tuple[str, str]]:
    """Return the keys of bands of severity."""
    return [(TONES[name].label, swatch(name)) for name in bands]


def swatch(name: str) -> str:
    """Return a small square in the colour of a band."""
    return rect(1, 1, 12, 12, rx=2.5, **filled(name))
