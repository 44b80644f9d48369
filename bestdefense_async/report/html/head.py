"""The head of the page: the verdict as a sentence, a sign and a tab, and five big numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bestdefense_async.models import SEVERITIES
from bestdefense_async.report.html import svg
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from markupsafe import Markup

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.identity import Changes
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

_MARKS: Final = {"passed": "\u2713", "failed": "\u2717", "incomplete": "!"}
"""What the tab of a browser begins with."""


def tab_title(run: RunResult, verdict: Verdict) -> str:
    """Return the title of the page, the verdict first: a tab shows its beginning alone."""
    return f"{_MARKS[verdict.status]} {headline(verdict)} {visible(run.name, longest=80)}"


def headline(verdict: Verdict) -> str:
    """Return the verdict as a sentence for people."""
    sites = counted(verdict.total, "site")
    gap = (
        f"{verdict.missing:,} of {sites} {'has' if verdict.missing == 1 else 'have'} no verdict"
        if verdict.missing
        else ""
    )
    new = "" if verdict.new is None else "new "
    if not verdict.total:
        return "Incomplete: no site was scanned."
    if verdict.status == "incomplete":
        found = " Where there is one, nothing failed." if verdict.missing < verdict.total else ""
        return f"Incomplete: {gap}.{found}"
    if verdict.status == "passed":
        found = "no threshold was set"
        if verdict.policy.fail_on is not None:
            found = f"no {new}finding is rated {_severity_or_worse(verdict)}"
        elif verdict.policy.max_counts:
            found = f"no limit of {new}findings is exceeded"
        return f"Passed: {found} on {sites}{f'; {gap}' if gap else ''}."
    found = f"more {new}findings than a limit allows on {sites}"
    if verdict.findings:
        found = (
            f"{counted(verdict.findings, f'{new}finding')} rated {_severity_or_worse(verdict)} "
            f"on {verdict.sites:,} of {sites}"
        )
    return f"Failed: {found}{f'; {gap}' if gap else ''}."


def _severity_or_worse(verdict: Verdict) -> str:
    worst = SEVERITIES[0]
    least = verdict.policy.fail_on
    return str(least) if least == worst else f"{least} or worse"


def cards(
    bands: dict[str, list[Outcome]], total: int, verdict: Verdict, changes: Changes | None
) -> list[Markup]:
    """Return the five big numbers."""
    of = f"of {counted(total, 'site')}"
    gaps = Counter(each.status.replace("_", " ") for each in bands["not_scanned"])
    why = tuple(f"{count:,} {status}" for status, count in gaps.most_common(2))
    other = (f"and {len(bands['other']):,} of other severity",) if bands["other"] else ()
    numbers = [
        _card("critical", f"{len(bands['critical']):,}", "critical sites", (of, *other)),
        _card("high", f"{len(bands['high']):,}", "high sites", (of,)),
        _card("clean", f"{len(bands['clean']):,}", "clean sites", (of,)),
        _card("not_scanned", f"{len(bands['not_scanned']):,}", "not scanned", why or (of,)),
    ]
    new, remark = "—", "no earlier run"
    if changes is not None:
        new, remark = f"{changes.new.total():,}", f"{changes.fixed.total():,} fixed"
    elif verdict.new is not None:
        new, remark = f"{verdict.new:,}", "beside the baseline"
    remarks = (remark, f"{verdict.waived:,} waived") if verdict.waived else (remark,)
    return [*numbers, _card("informational", new, "new findings", remarks)]


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
    disc = svg.element("circle", cx=24, cy=24, r=22, **svg.filled(tone))
    pen = {"stroke": "#ffffff", "stroke_width": 5, "class_": "mark"}
    ends = {"stroke_linecap": "round", "stroke_linejoin": "round"}
    mark = svg.element("path", d=stroke, fill="none", **pen, **ends)
    return svg.picture(
        [disc, mark], name="sign", width=48, height=48, about=status, details=f"Verdict: {status}."
    )


def _card(name: str, value: str, label: str, remarks: tuple[str, ...] = ()) -> Markup:
    """Return one big number in the tone of the band `name`; zeros step back.

    Args:
        name: The band.
        value: The number.
        label: What it counts.
        remarks: At most two short lines below.
    """
    style = svg.filled(name)
    if value in {"0", "—"}:
        style = {"fill": svg.SOFT, "class_": "soft"}
    elif name == "not_scanned":  # its tone is grey, like that of a zero
        style = {"fill": svg.INK, "class_": "ink"}
    room = _WIDTH - 2 * _EDGE
    lines = [
        svg.caption(svg.fitted(remark, width=room, size=_REMARK), x=_EDGE, y=y, size=_REMARK)
        for y, remark in zip((88, 103), remarks, strict=False)
    ]
    ground = {"rx": 9, "fill": "#fff", "stroke": svg.LINE, "class_": "card"}
    edge = f"M.94 5A9 9 0 0 1 9 0H{_WIDTH - 9}A9 9 0 0 1 {_WIDTH - 0.94} 5z"
    return svg.picture(
        [
            svg.rect(0.5, 0.5, _WIDTH - 1, _HEIGHT - 1, **ground),
            svg.element("path", d=edge, **svg.filled(name)),
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
