"""The verdict's sign and the five big numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.report.html import svg
from bestdefense_async.report.summary import TONES

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH: Final = 176
_HEIGHT: Final = 118
_EDGE: Final = 14
_VALUE: Final = 36
_LABEL: Final = 13.5
_REMARK: Final = 11

_SIGNS: Final = {
    "passed": ("clean", "M14 25 L21 32 L35 16"),
    "failed": ("high", "M16 16 L32 32 M32 16 L16 32"),
    "incomplete": ("not_scanned", "M24 12 L24 27 M24 34 L24 35"),
}
"""The tone and the stroke of each verdict: the shape tells them apart without colour."""


def sign(status: str) -> Markup:
    """Return the sign of a verdict: a tick, a cross or an exclamation mark in a disc."""
    tone, stroke = _SIGNS[status]
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
        [disc, mark], name="sign", width=48, height=48, about=status, details=f"Verdict: {status}."
    )


def card(name: str, value: str, label: str, remarks: tuple[str, ...] = ()) -> Markup:
    """Return one big number in the tone of the band `name`; zeros step back.

    Args:
        name: The band.
        value: The number.
        label: What it counts.
        remarks: At most two short lines below.
    """
    tone = TONES[name]
    style: dict[str, object] = {"fill": tone.light, "class_": f"b-{name}"}
    if value in {"0", "—"}:
        style = {"fill": svg.SOFT, "class_": "soft"}
    elif name == "not_scanned":  # its tone is grey, like that of a zero
        style = {"fill": svg.INK, "class_": "ink"}
    room = _WIDTH - 2 * _EDGE
    lines = [
        svg.text(
            svg.fitted(remark, width=room, size=_REMARK),
            x=_EDGE,
            y=88 + index * 15,
            size=_REMARK,
            fill=svg.SOFT,
            class_="soft",
        )
        for index, remark in enumerate(remarks)
    ]
    return svg.picture(
        [
            svg.rect(
                0.5, 0.5, _WIDTH - 1, _HEIGHT - 1, rx=9, fill="#fff", stroke=svg.LINE, class_="card"
            ),
            svg.element(
                "path",
                d=f"M.94 5A9 9 0 0 1 9 0H{_WIDTH - 9}A9 9 0 0 1 {_WIDTH - 0.94} 5z",
                fill=tone.light,
                class_=f"b-{name}",
            ),
            svg.text(value, x=_EDGE, y=50, size=_VALUE, font_weight=700, **style),
            svg.text(label, x=_EDGE, y=71, size=_LABEL, font_weight=600),
            *lines,
        ],
        name=f"card-{name}",
        width=_WIDTH,
        height=_HEIGHT,
        about=f"{value} {label}",
        details=", ".join(remarks) or label,
    )
