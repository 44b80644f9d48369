"""What changed since an older run: fixed findings to the left, new ones to the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import BANDS, by_band

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.output.fingerprint import Changes

_PITCH: Final = 30
_BAR: Final = 20
_TOP: Final = 30
_SIZE: Final = 12.5


@frozen(kw_only=True)
class _Layout:
    """Where things stand; a number stands behind the end of each bar."""

    width: int
    labels: int
    """Where the names of the severities end."""
    middle: int
    reach: int
    """Length of the longest bar."""


_WIDE: Final = _Layout(width=svg.WIDE, labels=130, middle=605, reach=400)
_NARROW: Final = _Layout(width=svg.NARROW, labels=92, middle=218, reach=66)


def changes_bars(changes: Changes, *, is_narrow: bool = False) -> Markup | None:
    """Return the picture on one scale for both sides; None when nothing changed."""
    at = _NARROW if is_narrow else _WIDE
    new, fixed = by_band(dict(changes.new)), by_band(dict(changes.fixed))
    shown = [name for name in BANDS if name in new or name in fixed]
    if not shown:
        return None
    scale = at.reach / max(*new.values(), *fixed.values(), 1)
    bottom = _TOP + len(shown) * _PITCH
    parts = [
        _word("← fixed", x=at.middle - 10, anchor="end"),
        _word("new →", x=at.middle + 10, anchor="start"),
    ]
    for place, name in enumerate(shown):
        lengths = (fixed.get(name, 0), new.get(name, 0))
        parts.append(_row(name, *lengths, top=_TOP + place * _PITCH, scale=scale, at=at))
    parts.append(svg.line(at.middle, 20, at.middle, bottom, stroke=svg.SOFT, class_="axis"))
    details = "; ".join(
        f"{TONES[name].label}: {fixed.get(name, 0)} fixed, {new.get(name, 0)} new" for name in shown
    )
    return svg.picture(
        parts,
        name="changes",
        width=at.width,
        height=bottom,
        about="Findings that were fixed and that are new, by severity",
        details=f"{details}.",
        is_narrow=is_narrow,
    )


def _word(content: str, *, x: float, anchor: str) -> str:
    return svg.text(content, x=x, y=14, size=12, fill=svg.SOFT, class_="soft", text_anchor=anchor)


def _row(name: str, fixed: int, new: int, *, top: float, scale: float, at: _Layout) -> str:
    """Return one severity: hollow for what is gone, full for what has come."""
    tone = TONES[name]
    base = top + _BAR / 2 + 4.5
    left, right = fixed * scale, new * scale
    label = tone.label if svg.width_of(tone.label, size=_SIZE) <= at.labels else tone.short
    parts = [svg.text(label, x=at.labels, y=base, size=_SIZE, text_anchor="end")]
    if fixed:
        parts.append(
            svg.rect(
                at.middle - 1 - left,
                top + 0.75,
                left,
                _BAR - 1.5,
                rx=2,
                fill="none",
                stroke=tone.light,
                stroke_width=1.5,
                class_=f"hollow k-{name}",
            )
        )
    if new:
        parts.append(
            svg.rect(at.middle + 1, top, right, _BAR, rx=2, fill=tone.light, class_=f"b-{name}")
        )
    numbers = [
        (f"{fixed:,}", at.middle - 9 - left, "end"),
        (f"{new:,}", at.middle + 9 + right, None),
    ]
    parts += [svg.text(word, x=x, y=base, size=12, text_anchor=side) for word, x, side in numbers]
    return "".join(parts)
