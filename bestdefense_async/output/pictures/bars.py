"""Stacked bars: the worst sites and the weaknesses, findings by severity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import BANDS
from bestdefense_async.output.text import middle_cut, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

_WIDTH: Final = 1080
_PITCH: Final = 26
_BAR: Final = 18
_TOP: Final = 30
"""Height of the legend above the bars."""
_LABEL_SIZE: Final = 12.5
_LABEL_WIDTH: Final = 7.2
"""Generous width of a character of a label: labels are cut so that they never reach the bars."""
_DIGIT_WIDTH: Final = 8


@frozen(kw_only=True)
class Bar:
    """One bar."""

    label: str
    counts: dict[str, int]
    """By band, worst first."""
    remark: str = ""
    """Stands behind the bar."""


def stacked(
    bars: Sequence[Bar], *, name: str, about: str, labels: int = 290, remarks: int = 60
) -> Markup:
    """Return the bars below each other, on one scale.

    Args:
        bars: In the order in which they are drawn.
        name: Unique in the page.
        about: Title of the picture.
        labels: Width of the column of labels.
        remarks: Width that the remarks behind the longest bar need.
    """
    longest = max((sum(bar.counts.values()) for bar in bars), default=0) or 1
    scale = (_WIDTH - labels - 12 - remarks) / longest
    used = [band for band in BANDS if any(bar.counts.get(band) for bar in bars)]
    parts = [_legend(used, left=labels + 12)]
    for place, bar in enumerate(bars):
        parts.append(_bar(bar, top=_TOP + place * _PITCH, labels=labels, scale=scale))
    details = "; ".join(f"{bar.label}: {_words(bar.counts)}" for bar in bars)
    return svg.picture(
        parts,
        name=name,
        width=_WIDTH,
        height=_TOP + len(bars) * _PITCH,
        about=about,
        details=details,
    )


def _legend(used: list[str], *, left: float) -> str:
    parts = []
    for band in used:
        tone = TONES[band]
        parts.append(svg.rect(left, 4, 11, 11, rx=2, fill=tone.light, class_=f"b-{band}"))
        parts.append(svg.text(tone.label, x=left + 16, y=14, size=12, fill=svg.SOFT, class_="soft"))
        left += 34 + len(tone.label) * _LABEL_WIDTH
    return "".join(parts)


def _bar(bar: Bar, *, top: float, labels: int, scale: float) -> str:
    middle = top + _BAR / 2 + 4.5
    label = middle_cut(visible(bar.label), longest=int(labels / _LABEL_WIDTH))
    parts = [svg.text(label, x=labels, y=middle, size=_LABEL_SIZE, text_anchor="end")]
    left = labels + 12.0
    for band, count in bar.counts.items():
        width = count * scale
        tone = TONES[band]
        parts.append(
            svg.rect(
                left,
                top,
                max(width - 1, 0.5),
                _BAR,
                svg.title(f"{count} {tone.label.lower()}"),
                rx=2,
                fill=tone.light,
                class_=f"b-{band}",
            )
        )
        if width > len(str(count)) * _DIGIT_WIDTH + 6:
            parts.append(
                svg.text(
                    count,
                    x=left + (width - 1) / 2,
                    y=middle - 0.5,
                    size=11,
                    text_anchor="middle",
                    fill=tone.on_light,
                    class_=f"o-{band}",
                )
            )
        left += width
    remark = bar.remark or f"{sum(bar.counts.values())}"
    parts.append(svg.text(remark, x=left + 6, y=middle, size=12, fill=svg.SOFT, class_="soft"))
    return "".join(parts)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {TONES[band].label.lower()}" for band, count in counts.items())
