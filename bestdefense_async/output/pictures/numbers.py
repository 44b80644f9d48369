"""The verdict's sign and the five big numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH: Final = 204
_HEIGHT: Final = 108

_SIGNS: Final = {
    "passed": ("clean", "M14 25 L21 32 L35 16"),
    "failed": ("high", "M16 16 L32 32 M32 16 L16 32"),
    "incomplete": ("not_scanned", "M24 12 L24 27 M24 34 L24 35"),
}
"""The tone and the stroke of each verdict: the shape tells them apart without colour."""


def sign(word: str) -> Markup:
    """Return the sign of a verdict: a tick, a cross or an exclamation mark in a disc."""
    tone, stroke = _SIGNS[word]
    disc = svg.element("circle", cx=24, cy=24, r=22, fill=TONES[tone].light, class_=f"b-{tone}")
    mark = svg.element(
        "path",
        d=stroke,
        fill="none",
        stroke="#ffffff",
        stroke_width=5,
        stroke_linecap="round",
        stroke_linejoin="round",
        class_="mark",
    )
    return svg.picture(
        [disc, mark], name="sign", width=48, height=48, about=word, details=f"Verdict: {word}."
    )


def card(name: str, value: str, label: str, remark: str) -> Markup:
    """Return one big number in the tone of the band `name`."""
    tone = TONES[name]
    edge = svg.rect(
        0.5, 0.5, _WIDTH - 1, _HEIGHT - 1, rx=10, fill="#ffffff", stroke=svg.LINE, class_="card"
    )
    bar = svg.rect(16, 16, 28, 5, rx=2.5, fill=tone.light, class_=f"b-{name}")
    return svg.picture(
        [
            edge,
            bar,
            svg.text(value, x=16, y=60, size=34, font_weight=700),
            svg.text(label, x=16, y=80, size=13, font_weight=600),
            svg.text(remark, x=16, y=96, size=11, fill=svg.SOFT, class_="soft"),
        ],
        name=f"card-{name}",
        width=_WIDTH,
        height=_HEIGHT,
        about=f"{value} {label}",
        details=remark,
    )
