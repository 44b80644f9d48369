"""The timeline: how many scans were under way, when rate limits held them back, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.report.html import svg
from bestdefense_async.report.html.svg import legend
from bestdefense_async.report.summary import TONES, in_flight
from bestdefense_async.report.text import counted, duration

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.report.result import RunResult

_TALL: Final = 150
"""Height of the level."""
_STRIP: Final = 16
"""Height of each strip below the floor: rate limits, outages, failures."""
_LINE: Final = "#2b62b3"
_STEPS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400)
"""Seconds between two ticks of the axis."""
_MINUTE: Final = 60
_DAY: Final = 86_400
_SIZE: Final = 11.5


@frozen(kw_only=True)
class _Scale:
    """Where moments and levels stand in the picture."""

    begin: float
    end: float
    peak: int
    left: float
    right: float
    most_ticks: int
    top: float

    @property
    def floor(self) -> float:
        """Where nothing is under way."""
        return self.top + _TALL

    def x(self, moment: float) -> float:
        """Return the x coordinate of a moment."""
        inside = min(max(moment, self.begin), self.end) - self.begin
        return self.left + (self.right - self.left) * inside / (self.end - self.begin)

    def y(self, level: float) -> float:
        """Return the y coordinate of a level."""
        return self.floor - _TALL * level / self.peak


def timeline(run: RunResult, *, is_narrow: bool = False) -> Markup | None:
    """Return the picture; None when the run knows no times."""
    changes = in_flight(run)
    if not changes:
        return None
    begin = min(run.started_at if run.started_at is not None else changes[0][0], changes[0][0])
    end = max(run.finished_at if run.finished_at is not None else begin, changes[-1][0], begin + 1)
    peak = max(level for _, level in changes)
    failures = sorted(
        outcome.finished_at
        for outcome in run.outcomes
        if not outcome.has_verdict
        and outcome.finished_at is not None
        and outcome.started_at is not None
    )
    width = svg.NARROW if is_narrow else svg.WIDE
    keys, top = _keys(run, width, has_failures=bool(failures))
    scale = _Scale(
        begin=begin,
        end=end,
        peak=max(peak, 1),
        left=svg.width_of(f"{peak:,}", size=_SIZE) + 12,
        right=width - 5,  # half a cross fits behind it
        most_ticks=4 if is_narrow else 9,
        top=top + 10,
    )
    strip = scale.floor + 4
    parts = [keys, _levels(scale), _area(changes, scale)]
    if run.throttled:
        parts.append(_spans(run.throttled, scale, top=strip + 4, tone="medium", name="rate limit"))
        strip += _STRIP
    if run.outages:
        parts.append(_spans(run.outages, scale, top=strip + 4, tone="high", name="host away"))
        strip += _STRIP
    if failures:
        parts.append(_failures(failures, scale, y=strip + _STRIP / 2))
        strip += _STRIP
    parts.append(_moments(scale, y=strip + 14))
    return svg.picture(
        parts,
        name="timeline",
        width=width,
        height=strip + 36,
        about="Scans under way over time",
        details=f"At most {counted(peak, 'scan')} at once, over {duration(end - begin)}; "
        f"{counted(len(failures), 'failure')}, "
        f"{counted(len(run.throttled), 'span')} with a rate limit, "
        f"{counted(len(run.outages), 'span')} with the host away.",
        is_narrow=is_narrow,
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
    floor = svg.number(scale.floor)
    line = f"M{svg.number(scale.left)} {floor}{''.join(steps)}H{svg.number(scale.x(scale.end))}"
    area = {"d": f"{line}V{floor}Z", "fill": _LINE, "fill_opacity": 0.16, "class_": "area"}
    edge = {"stroke": _LINE, "stroke_width": 1.6, "stroke_linejoin": "round", "class_": "level"}
    return svg.element("path", **area) + svg.element("path", d=line, fill="none", **edge)


def _levels(scale: _Scale) -> str:
    parts = []
    for level in sorted({0, scale.peak // 2, scale.peak}):
        y = scale.y(level)
        parts.append(svg.line(scale.left, y, scale.right, y))
        parts.append(svg.caption(f"{level:,}", x=scale.left - 8, y=y + 4, size=_SIZE, anchor="end"))
    return "".join(parts)


def _moments(scale: _Scale, *, y: float) -> str:
    """Return the ticks of the axis with their labels, and what they count from."""
    span = scale.end - scale.begin
    step = next((step for step in _STEPS if span / step <= scale.most_ticks), None)
    if step is None:
        step = _DAY * max(1, round(span / _DAY / scale.most_ticks))
    parts = []
    for seconds in range(0, int(span) + 1, step):
        x = scale.x(scale.begin + seconds)
        parts.append(svg.line(x, scale.floor, x, scale.floor + 4))
        label = duration(seconds) if seconds >= _MINUTE else f"{seconds} s"
        half = svg.width_of(label, size=_SIZE) / 2
        inside = min(max(x, scale.left + half), scale.right - half)
        parts.append(svg.caption(label, x=inside, y=y, size=_SIZE, anchor="middle"))
    since = "since the start of the run"
    parts.append(svg.caption(since, x=scale.right, y=y + 18, size=_SIZE, anchor="end"))
    return "".join(parts)


def _spans(
    spans: tuple[tuple[float, float], ...], scale: _Scale, *, top: float, tone: str, name: str
) -> str:
    parts = []
    for begin, end in spans:
        left, says = scale.x(begin), svg.title(f"{name}, {duration(end - begin)}")
        width = max(scale.x(end) - left, 2)
        parts.append(svg.rect(left, top, width, 8, says, rx=1, **svg.filled(tone)))
    return "".join(parts)


def _failures(failures: list[float], scale: _Scale, *, y: float) -> str:
    return _crosses(sorted({round(scale.x(moment)) for moment in failures}), y)


def _crosses(positions: list[int], y: float) -> str:
    path = "".join(f"M{x - 3} {svg.number(y - 3)}l6 6m0-6l-6 6" for x in positions)
    stroke = TONES["high"].light
    return svg.element(
        "path", d=path, fill="none", stroke=stroke, stroke_width=1.8, class_="k-high"
    )


def _keys(run: RunResult, width: float, *, has_failures: bool) -> tuple[str, float]:
    area = svg.rect(0, 2, 14, 10, fill=_LINE, fill_opacity=0.16, class_="area")
    level = svg.line(0, 2, 14, 2, stroke=_LINE, stroke_width=1.6, class_="level")
    keys = [("scans under way", area + level)]
    strips = (
        (run.throttled, "medium", "held back by a rate limit"),
        (run.outages, "high", "host away, nothing started"),
    )
    for spans, tone, label in strips:
        if spans:
            symbol = svg.rect(0, 3, 14, 8, rx=1, **svg.filled(tone))
            keys.append((label, symbol))
    if has_failures:
        keys.append(("ended without a verdict", _crosses([7], 7)))
    return legend(keys, left=0, right=width)
