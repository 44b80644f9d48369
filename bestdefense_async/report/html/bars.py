"""Bars of findings: the worst sites, the weaknesses, and what changed since an older run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.report.html import svg
from bestdefense_async.report.html.svg import band_keys, legend
from bestdefense_async.report.summary import BANDS, TONES, band_counts, by_band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from bestdefense_async.report.gate.identity import Changes


_LABEL: Final = 12.5
_REMARK: Final = 12
_DIGITS: Final = 11
"""Size of the numbers in the bars."""


@frozen(kw_only=True)
class Bar:
    """One bar."""

    label: str
    counts: dict[str, int]
    """By band, worst first."""
    remark: str
    """Stands behind the bar."""
    short: str
    """Stands above the end of the bar on a phone."""
    href: str | None = None
    """Where the label leads to."""


@frozen(kw_only=True)
class _BarLayout:
    width: int
    left: float
    """Where the bars begin."""
    pitch: int
    bar: int
    """Height of a bar."""
    head: int
    """Height of the label above its bar; 0 when it stands beside it."""
    room: float
    """Length of the longest bar."""
    longest: int
    """Its findings."""

    def length(self, findings: int) -> float:
        """Return the length of so many: a ratio, for a count may be larger than any float."""
        return self.room * (findings / self.longest)


def stacked(
    bars: Sequence[Bar], *, name: str, about: str, labels: int = 290, is_narrow: bool = False
) -> Markup:
    """Return the bars below each other, on one scale.

    Args:
        bars: In the order in which they are drawn.
        name: Unique in the page.
        about: Title of the picture.
        labels: Width of the column of labels; on a phone they stand above their bars.
        is_narrow: Whether it is for a phone.
    """
    longest = max((sum(bar.counts.values()) for bar in bars), default=0) or 1
    if is_narrow:
        layout = _BarLayout(
            width=svg.NARROW,
            left=0,
            pitch=42,
            bar=14,
            head=18,
            room=svg.NARROW,
            longest=longest,
        )
    else:
        left = labels + 12
        remarks = 14 + max(svg.width_of(bar.remark, size=_REMARK) for bar in bars)
        room = svg.WIDE - left - remarks
        layout = _BarLayout(
            width=svg.WIDE, left=left, pitch=26, bar=18, head=0, room=room, longest=longest
        )
    used = [band for band in BANDS if any(bar.counts.get(band) for bar in bars)]
    keys, top = legend(band_keys(used), left=layout.left, right=layout.width)
    top += 8
    parts = [keys]
    parts += [
        _bar(bar, top=top + index * layout.pitch, at=layout) for index, bar in enumerate(bars)
    ]
    details = "; ".join(f"{bar.label}: {band_counts(bar.counts)}" for bar in bars)
    return svg.picture(
        parts,
        name=name,
        width=layout.width,
        height=top + len(bars) * layout.pitch - (layout.pitch - layout.head - layout.bar),
        about=about,
        details=details,
        is_narrow=is_narrow,
    )


def _bar(bar: Bar, *, top: float, at: _BarLayout) -> str:
    beside = top + at.bar / 2 + 4.5
    length = at.length(sum(bar.counts.values()))
    if at.head:
        room = at.width - svg.width_of(bar.short, size=_REMARK) - 12
        label = svg.fitted(bar.label, width=room, size=_LABEL)
        name = svg.text(label, x=1, y=top + 11, size=_LABEL)
        said = svg.caption(bar.short, x=at.width, y=top + 11, size=_REMARK, anchor="end")
    else:
        label = svg.fitted(bar.label, width=at.left - 12, size=_LABEL)
        name = svg.text(label, x=at.left - 12, y=beside, size=_LABEL, text_anchor="end")
        said = svg.caption(bar.remark, x=at.left + length + 7, y=beside, size=_REMARK)
    return svg.link(bar.href, name) + said + "".join(_pieces(bar.counts, top=top + at.head, at=at))


def _pieces(counts: dict[str, int], *, top: float, at: _BarLayout) -> list[str]:
    """Return one piece per band, with its number where there is room for it.

    A bar of one piece has no number in it: the remark says the same.
    """
    parts = []
    left = at.left
    for band, count in counts.items():
        width = at.length(count)
        tone = TONES[band]
        says = svg.title(f"{count:,} {tone.label.lower()}")
        shown = max(width - 1, 0.5)
        parts.append(svg.rect(left, top, shown, at.bar, says, rx=2, **svg.filled(band)))
        number = f"{count:,}"
        if len(counts) > 1 and width > svg.width_of(number, size=_DIGITS) + 4:
            parts.append(
                svg.text(
                    number,
                    x=left + (width - 1) / 2,
                    y=top + at.bar / 2 + 4,
                    size=_DIGITS,
                    text_anchor="middle",
                    fill=tone.on_light,
                    class_=f"o-{band}",
                )
            )
        left += width
    return parts


_PITCH: Final = 30
_BAR: Final = 20
_TOP: Final = 30
_SIZE: Final = 12.5


@frozen(kw_only=True)
class _ChangeLayout:
    """Where things stand; a number stands behind the end of each bar."""

    width: int
    labels: int
    """Where the names of the severities end."""
    middle: int
    reach: int
    """Length of the longest bar."""


_WIDE: Final = _ChangeLayout(width=svg.WIDE, labels=130, middle=605, reach=400)
_NARROW: Final = _ChangeLayout(width=svg.NARROW, labels=92, middle=218, reach=66)


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
        svg.caption("← fixed", x=at.middle - 10, y=14, anchor="end"),
        svg.caption("new →", x=at.middle + 10, y=14),
    ]
    for index, name in enumerate(shown):
        lengths = (fixed.get(name, 0), new.get(name, 0))
        parts.append(_row(name, *lengths, top=_TOP + index * _PITCH, scale=scale, at=at))
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


def _row(name: str, fixed: int, new: int, *, top: float, scale: float, at: _ChangeLayout) -> str:
    """Return one severity: hollow for what is gone, full for what has come."""
    tone = TONES[name]
    base = top + _BAR / 2 + 4.5
    left, right = fixed * scale, new * scale
    label = tone.label if svg.width_of(tone.label, size=_SIZE) <= at.labels else tone.short
    parts = [svg.text(label, x=at.labels, y=base, size=_SIZE, text_anchor="end")]
    if fixed:
        place = (at.middle - 1 - left, top + 0.75, left, _BAR - 1.5)
        parts.append(svg.rect(*place, rx=2, stroke_width=1.5, **svg.hollow(name)))
    if new:
        parts.append(svg.rect(at.middle + 1, top, right, _BAR, rx=2, **svg.filled(name)))
    numbers = [
        (f"{fixed:,}", at.middle - 9 - left, "end"),
        (f"{new:,}", at.middle + 9 + right, None),
    ]
    parts += [svg.text(count, x=x, y=base, size=12, text_anchor=side) for count, x, side in numbers]
    return "".join(parts)
