"""What changed since an older run: fixed findings to the left, new ones to the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import BANDS, by_band

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.output.fingerprint import Changes

_WIDTH: Final = 1080
_LABELS: Final = 130
_MIDDLE: Final = 605
_REACH: Final = 400
"""Length of the longest bar; a number stands behind each."""
_PITCH: Final = 30
_BAR: Final = 20
_TOP: Final = 30


def changes_bars(changes: Changes) -> Markup | None:
    """Return the picture on one scale for both sides; None when nothing changed."""
    new, fixed = by_band(dict(changes.new)), by_band(dict(changes.fixed))
    shown = [name for name in BANDS if name in new or name in fixed]
    if not shown:
        return None
    scale = _REACH / max(*new.values(), *fixed.values(), 1)
    bottom = _TOP + len(shown) * _PITCH
    parts = [
        _word("← fixed", x=_MIDDLE - 10, anchor="end"),
        _word("new →", x=_MIDDLE + 10, anchor="start"),
    ]
    for place, name in enumerate(shown):
        top = _TOP + place * _PITCH
        parts.append(_row(name, fixed.get(name, 0), new.get(name, 0), top=top, scale=scale))
    parts.append(svg.line(_MIDDLE, 20, _MIDDLE, bottom, stroke=svg.SOFT, class_="axis"))
    details = "; ".join(
        f"{TONES[name].label}: {fixed.get(name, 0)} fixed, {new.get(name, 0)} new" for name in shown
    )
    return svg.picture(
        parts,
        name="changes",
        width=_WIDTH,
        height=bottom,
        about="Findings that were fixed and that are new, by severity",
        details=f"{details}.",
    )


def _word(content: str, *, x: float, anchor: str) -> str:
    return svg.text(content, x=x, y=14, size=12, fill=svg.SOFT, class_="soft", text_anchor=anchor)


def _row(name: str, fixed: int, new: int, *, top: float, scale: float) -> str:
    """Return one severity: hollow for what is gone, full for what has come."""
    tone = TONES[name]
    base = top + _BAR / 2 + 4.5
    left, right = fixed * scale, new * scale
    return "".join(
        (
            svg.text(tone.label, x=_LABELS, y=base, size=12.5, text_anchor="end"),
            svg.rect(
                _MIDDLE - 1 - left,
                top + 0.75,
                left,
                _BAR - 1.5,
                rx=2,
                fill="none",
                stroke=tone.light,
                stroke_width=1.5,
                class_=f"hollow k-{name}",
            )
            if fixed
            else "",
            svg.rect(_MIDDLE + 1, top, right, _BAR, rx=2, fill=tone.light, class_=f"b-{name}")
            if new
            else "",
            svg.text(f"{fixed:,}", x=_MIDDLE - 9 - left, y=base, size=12, text_anchor="end"),
            svg.text(f"{new:,}", x=_MIDDLE + 9 + right, y=base, size=12),
        )
    )
