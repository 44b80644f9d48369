"""The HTML report: one file that needs nothing else, for the people responsible for a fleet.

It runs no script and asks for nothing from anywhere; its own content security policy says so and
names its one style sheet by hash. Two reports of one run are the same bytes: nothing in it comes
from a clock, from chance or from the order of a set.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bestdefense_async.models import SEVERITIES
from bestdefense_async.report.gate.identity import Changes, compare_runs
from bestdefense_async.report.html import tables
from bestdefense_async.report.html.bars import Bar, changes_bars, stacked
from bestdefense_async.report.html.cards import card, sign
from bestdefense_async.report.html.fleet import fleet_map
from bestdefense_async.report.html.timeline import timeline
from bestdefense_async.report.summary import (
    TONES,
    WeaknessCount,
    banded,
    by_band,
    dark_rules,
    weaknesses,
    worst_first,
)
from bestdefense_async.report.text import counted, duration, moment, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

WORST: Final = 20
"""Sites drawn as bars."""
MOST_WEAKNESSES: Final = 15
"""Kinds of weakness drawn as bars."""


def html(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the report of a run as one HTML page.

    Args:
        run: What was scanned.
        verdict: What the gate says about it.
        older: An earlier run; the report then says what is new and what is fixed.
    """
    style = _style()
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=Markup(style),  # noqa: S704 - our own file and palette
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            **_facts(run, verdict, older),
        )
    )
    return page + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bestdefense_async.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["number"] = "{:,}".format
    return environment


@cache
def _style() -> str:
    sheet = _environment().get_template("report.css.j2").render(dark_rules=Markup(dark_rules()))  # noqa: S704 - our own palette
    return "".join(line.strip() for line in sheet.splitlines())


def _facts(run: RunResult, verdict: Verdict, older: RunResult | None) -> dict[str, Any]:
    """Return everything the template shows."""
    changes = None if older is None else compare_runs(run, older)
    ranked = sorted(run.outcomes, key=worst_first)
    bands = banded(ranked)
    kinds = weaknesses(run)
    gaps = bands["not_scanned"]
    severities = tables.severity_rows(run, changes)
    return {
        "title": f"Security scan: {visible(run.name, longest=80)}",
        "total": counted(len(run.outcomes), "site"),
        "sign": sign(verdict.status),
        "headline": headline(verdict),
        "gate": visible(verdict.sentence, longest=600),
        "facts": _about(run),
        "cards": _cards(bands, len(run.outcomes), verdict, changes),
        "fleet": _both(partial(fleet_map, bands)) if run.outcomes else None,
        "compared": None if older is None or changes is None else compared(changes, older),
        "changes": None if changes is None else _both(partial(changes_bars, changes)),
        "worst": _worst_bars(ranked),
        "worst_part": _part(WORST, len(ranked) - len(bands["clean"]) - len(gaps), "site"),
        "weaknesses": _weakness_bars(kinds),
        "weaknesses_part": _part(MOST_WEAKNESSES, len(kinds), "kind"),
        "timeline": _both(partial(timeline, run)),
        "tones": TONES,
        "severities": severities,
        "counts_by_status": run.by_status(),
        "kinds": kinds[: tables.MOST_WEAKNESSES],
        "kinds_total": len(kinds),
        "columns": [row["band"] for row in severities],
        "findings": tables.worst_findings(verdict, changes),
        "findings_total": sum(len(outcome.findings) for outcome in run.outcomes),
        "has_statuses": any(each.is_marked for each in verdict.outcomes),
        "waived": verdict.waived,
        "waivers": tables.waiver_rows(verdict),
        "waivers_total": len(verdict.uses),
        "gaps": gaps[: tables.MOST_GAPS],
        "gaps_total": len(gaps),
        "gaps_why": tables.gap_reasons(gaps),
        "sites": [(each, by_band(each.counts())) for each in ranked[: tables.MOST_SITES]],
        "sites_total": len(ranked),
    }


def _part(shown: int, total: int, noun: str) -> str:
    """Return how many of them a picture shows, in words."""
    every = counted(total, noun)
    return f"The {shown} worst of {every}" if total > shown else every


def _both(draw: Callable[..., Markup | None]) -> Markup | None:
    """Return a picture in its wide form followed by its narrow one."""
    forms = [draw(is_narrow=is_narrow) for is_narrow in (False, True)]
    return Markup("").join(form for form in forms if form is not None) or None


def compared(changes: Changes, older: RunResult) -> str:
    """Return what changed since the older run as a sentence for people."""
    when = "" if older.started_at is None else f" of {moment(older.started_at)}"
    new, fixed, unchanged = (
        kind.total() for kind in (changes.new, changes.fixed, changes.unchanged)
    )
    return (
        f"Since the run{when} ({visible(older.name, longest=80)}): "
        f"{counted(new, 'finding')} new, {fixed:,} fixed, {unchanged:,} unchanged."
    )


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
        worse = _severity_or_worse(verdict)
        found = (
            f"no {new}finding is rated {worse}"
            if verdict.threshold is not None
            else "no threshold was set"
        )
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
    return f"{verdict.threshold}" if verdict.threshold == worst else f"{verdict.threshold} or worse"


def _about(run: RunResult) -> list[tuple[str, str]]:
    """Return what was run, when and where, as names and values."""
    options = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for name, value in run.options.items()
        if value is not None
    }
    known = [
        ("Run", visible(run.name, longest=80)),
        ("Started", moment(run.started_at)),
        ("Took", duration(run.seconds)),
        ("API", visible(run.base_url, longest=120) or "unknown"),
        *((name.replace("_", " ").capitalize(), visible(value)) for name, value in options.items()),
    ]
    return [(name, value) for name, value in known if value != "unknown"]


def _cards(
    bands: dict[str, list[Outcome]], total: int, verdict: Verdict, changes: Changes | None
) -> list[Markup]:
    of = f"of {counted(total, 'site')}"
    gaps = Counter(each.status.replace("_", " ") for each in bands["not_scanned"])
    why = tuple(f"{count:,} {status}" for status, count in gaps.most_common(2))
    other = (f"and {len(bands['other']):,} of other severity",) if bands["other"] else ()
    numbers = [
        card("critical", f"{len(bands['critical']):,}", "critical sites", (of, *other)),
        card("high", f"{len(bands['high']):,}", "high sites", (of,)),
        card("clean", f"{len(bands['clean']):,}", "clean sites", (of,)),
        card("not_scanned", f"{len(bands['not_scanned']):,}", "not scanned", why or (of,)),
    ]
    new, remark = "—", "no earlier run"
    if changes is not None:
        new, remark = f"{changes.new.total():,}", f"{changes.fixed.total():,} fixed"
    elif verdict.new is not None:
        new, remark = f"{verdict.new:,}", "beside the baseline"
    remarks = (remark, f"{verdict.waived:,} waived") if verdict.waived else (remark,)
    return [*numbers, card("informational", new, "new findings", remarks)]


def _worst_bars(ranked: list[Outcome]) -> Markup | None:
    bars = [
        Bar(label=visible(outcome.target), counts=counts, remark=f"{sum(counts.values()):,}")
        for outcome in ranked[:WORST]
        if outcome.has_verdict and (counts := by_band(outcome.counts()))
    ]
    if not bars:
        return None
    about = "The worst sites, findings by severity"
    return _both(partial(stacked, bars, name="worst", about=about))


def _weakness_bars(kinds: list[WeaknessCount]) -> Markup | None:
    bars = [
        Bar(
            label=" · ".join(visible(part) for part in (kind.name, kind.cwe) if part),
            counts=kind.counts,
            remark=f"{kind.total:,} on {counted(kind.sites, 'site')}",
        )
        for kind in kinds[:MOST_WEAKNESSES]
    ]
    if not bars:
        return None
    about = "Weaknesses, findings by severity"
    return _both(partial(stacked, bars, name="weaknesses", about=about, labels=420))
