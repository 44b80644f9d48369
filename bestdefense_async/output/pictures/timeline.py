"""The timeline: how many scans were under way, when rate limits held them back, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.output import svg
from bestdefense_async.output.palette import TONES
from bestdefense_async.output.summary import in_flight
from bestdefense_async.output.text import counted, duration

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.output.run import Run

_WIDTH: Final = 1080
_HEIGHT: Final = 262
_LEFT: Final = 48
_RIGHT: Final = 1064
_TOP: Final = 34
_FLOOR: Final = 190
_MARKS: Final = 208
"""Where the failures stand, below the floor and above the words of the axis."""
_LINE: Final = "#2b62b3"
_STEPS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400)
"""Seconds between two marks of the axis."""
_MOST_TICKS: Final = 9
_MINUTE: Final = 60
_DAY: Final = 86_400


@frozen
class _Scale:
    """Where moments and levels stand in the picture."""

    begin: float
    end: float
    peak: int

    def x(self, moment: float) -> float:
        """Return the place of a moment."""
        inside = min(max(moment, self.begin), self.end)
        return _LEFT + (_RIGHT - _LEFT) * (inside - self.begin) / (self.end - self.begin)

    def y(self, level: float) -> float:
        """Return the height of a level."""
        return _FLOOR - (_FLOOR - _TOP) * level / self.peak


def timeline(run: Run) -> Markup | None:
    """Return the picture; None when the run knows no times."""
    changes = in_flight(run)
    if not changes:
        return None
    begin = min(run.started_at if run.started_at is not None else changes[0][0], changes[0][0])
    end = max(run.finished_at if run.finished_at is not None else begin, changes[-1][0], begin + 1)
    peak = max(level for _, level in changes)
    scale = _Scale(begin, end, max(peak, 1))
    failures = sorted(
        row.finished_at
        for row in run.rows
        if not row.has_verdict and row.finished_at is not None and row.started_at is not None
    )
    parts = [
        _throttled(run, scale),
        _axes(scale),
        _area(changes, scale),
        _failures(failures, scale),
        _legend(is_throttled=bool(run.throttled), has_failures=bool(failures)),
    ]
    return svg.picture(
        parts,
        name="timeline",
        width=_WIDTH,
        height=_HEIGHT,
        about="Scans under way over time",
        details=f"At most {counted(peak, 'scan')} at once, over {duration(end - begin)}; "
        f"{counted(len(failures), 'failure')}, "
        f"{counted(len(run.throttled), 'span')} with a rate limit.",
    )


def _area(changes: list[tuple[float, int]], scale: _Scale) -> str:
    """Return the level as steps; of what falls into one pixel only the highest is drawn."""
    pixels: dict[int, tuple[int, int]] = {}
    for moment, level in changes:
        pixel = round(scale.x(moment))
        highest = max(level, pixels.get(pixel, (0, 0))[0])
        pixels[pixel] = (highest, level)
    steps = []
    for pixel, (highest, last) in pixels.items():
        steps.append(f"H{pixel}V{svg.number(scale.y(highest))}")
        if last != highest:
            steps.append(f"H{pixel + 1}V{svg.number(scale.y(last))}")
    start = f"M{_LEFT} {_FLOOR}"
    stroke = start + "".join(steps) + f"H{svg.number(scale.x(scale.end))}"
    return svg.element(
        "path", d=f"{stroke}V{_FLOOR}Z", fill=_LINE, fill_opacity=0.16, class_="area"
    ) + svg.element(
        "path",
        d=stroke,
        fill="none",
        stroke=_LINE,
        stroke_width=1.6,
        stroke_linejoin="round",
        class_="level",
    )


def _axes(scale: _Scale) -> str:
    parts = []
    for level in sorted({0, scale.peak // 2, scale.peak}):
        y = scale.y(level)
        parts.append(svg.line(_LEFT, y, _RIGHT, y))
        parts.append(_word(level, x=_LEFT - 8, y=y + 4, text_anchor="end"))
    span = scale.end - scale.begin
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), None)
    if step is None:
        step = _DAY * max(1, round(span / _DAY / _MOST_TICKS))
    for place in range(int(span // step) + 1):
        x = scale.x(scale.begin + place * step)
        parts.append(svg.line(x, _FLOOR, x, _FLOOR + 5))
        anchor = "start" if place == 0 else "end" if x > _RIGHT - 30 else "middle"
        said = duration(place * step) if place * step >= _MINUTE else f"{place * step} s"
        parts.append(_word(said, x=x, y=_MARKS + 28, text_anchor=anchor))
    parts.append(_word("since the start of the run", x=_RIGHT, y=_MARKS + 46, text_anchor="end"))
    return "".join(parts)


def _word(content: object, *, x: float, y: float, text_anchor: str) -> str:
    return svg.text(
        content, x=x, y=y, size=11.5, fill=svg.SOFT, class_="soft", text_anchor=text_anchor
    )


def _throttled(run: Run, scale: _Scale) -> str:
    parts = []
    for begin, end in run.throttled:
        left = scale.x(begin)
        width = max(scale.x(end) - left, 1.5)
        parts.append(
            svg.rect(
                left,
                _TOP,
                width,
                _FLOOR - _TOP,
                svg.title(f"rate limit, {duration(end - begin)}"),
                fill=TONES["medium"].light,
                fill_opacity=0.28,
                class_="throttled b-medium",
            )
        )
    return "".join(parts)


def _cross(x: float, y: float) -> str:
    return f"M{svg.number(x - 3)} {svg.number(y - 3)}l6 6m0-6l-6 6"


def _crosses(path: str) -> str:
    return svg.element(
        "path",
        d=path,
        fill="none",
        stroke=TONES["high"].light,
        stroke_width=1.8,
        class_="k-high",
    )


def _failures(failures: list[float], scale: _Scale) -> str:
    places = sorted({round(scale.x(moment)) for moment in failures})
    return _crosses("".join(_cross(place, _MARKS) for place in places)) if places else ""


def _legend(*, is_throttled: bool, has_failures: bool) -> str:
    keys = [
        ("scans under way", svg.rect(0, 8, 14, 10, fill=_LINE, fill_opacity=0.3, class_="area"))
    ]
    if is_throttled:
        tone = TONES["medium"].light
        mark = svg.rect(0, 8, 14, 10, fill=tone, fill_opacity=0.4, class_="throttled b-medium")
        keys.append(("held back by a rate limit", mark))
    if has_failures:
        keys.append(("ended without a verdict", _crosses(_cross(7, 13))))
    parts = []
    left: float = _LEFT
    for label, mark in keys:
        word = _word(label, x=20, y=17, text_anchor="start")
        parts.append(svg.element("g", mark, word, transform=f"translate({svg.number(left)} 0)"))
        left += 44 + len(label) * 6.4
    return "".join(parts)
