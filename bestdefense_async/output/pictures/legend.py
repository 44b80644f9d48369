"""What the colours and marks of a picture mean, in a line or more above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIZE: Final = 12
_LINE: Final = 20
_MARK: Final = 14
"""Side of the room for a mark."""
_BETWEEN: Final = 18


def legend(keys: Sequence[tuple[str, str]], *, left: float, right: float) -> tuple[str, float]:
    """Return the keys side by side, and how much height they take.

    Args:
        keys: Labels with their marks, each drawn in a square of 14 at the origin.
        left: Where the first one stands.
        right: What does not fit before it goes to the next line.
    """
    parts = []
    x, y = left, 0.0
    for label, mark in keys:
        width = _MARK + 6 + svg.width_of(label, size=_SIZE)
        if x > left and x + width > right:
            x, y = left, y + _LINE
        word = svg.text(label, x=_MARK + 6, y=11.5, size=_SIZE, fill=svg.SOFT, class_="soft")
        place = f"translate({svg.number(x)} {svg.number(y)})"
        parts.append(svg.element("g", mark, word, transform=place))
        x += width + _BETWEEN
    return "".join(parts), y + _LINE


def band_keys(bands: Iterable[str]) -> list[tuple[str, str]]:
    """Return the keys of bands of severity."""
    return [(TONES[name].label, swatch(name)) for name in bands]


def swatch(name: str) -> str:
    """Return a small square in the colour of a band."""
    return svg.rect(1, 1, 12, 12, rx=2.5, fill=TONES[name].light, class_=f"b-{name}")
