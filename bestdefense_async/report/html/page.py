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

from bestdefense_async.report.gate.identity import Changes, compare_runs
from bestdefense_async.report.html.bars import Bar, changes_bars, stacked
from bestdefense_async.report.html.findings import (
    Anchors,
    fill,
    first_fixes,
    groups_of,
    named_sites,
    site_heads,
)
from bestdefense_async.report.html.fleet import FEWEST_SQUARES, fleet_map
from bestdefense_async.report.html.head import cards, headline, sign, tab_title
from bestdefense_async.report.html.timeline import timeline
from bestdefense_async.report.summary import (
    BANDS,
    TONES,
    WeaknessCount,
    band_counts,
    banded,
    by_band,
    gap_kind,
    weaknesses,
    worst_first,
)
from bestdefense_async.report.text import counted, duration, joined, moment, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.gate.verdict import Verdict
    from bestdefense_async.report.result import RunResult

LARGEST: Final = 970_000
"""Bytes of a page: what is listed is chosen so that it stays below a megabyte."""
WORST: Final = 20
"""Sites drawn as bars."""
MOST_WEAKNESSES: Final = 15
"""Kinds of weakness drawn as bars."""
MOST_SITES: Final = 2_000
"""Sites that have a section; those behind them are named in a list."""
MOST_NAMES: Final = 300_000
"""Bytes of that list; the report says when there are more."""
MOST_GROUPS: Final = 100
MOST_WAIVERS: Final = 100
MOST_REASONS: Final = 5
MOST_GAPS: Final = 500
"""Rows of the table of sites without a verdict."""
_SHARES: Final = (1.0, 0.5, 0.2, 0.05)
"""Where names and reasons are so long that the page would be too large, its lists are shorter."""
_ABOUT_WORST: Final = "The worst sites, findings by severity"
_SEVERE: Final = {"other", "critical", "high"}


def html(run: RunResult, verdict: Verdict, *, older: RunResult | None = None) -> str:
    """Return the report of a run as one HTML page.

    Args:
        run: What was scanned.
        verdict: What the gate says about it.
        older: An earlier run; the report then says what is new and what is fixed.
    """
    page = ""
    for share in _SHARES:
        page = _page(_facts(run, verdict, older, share=share))
        if len(page.encode()) <= LARGEST:
            break
    return page


def _page(facts: dict[str, Any]) -> str:
    """Return the page, with as many findings listed as there is room for."""
    style = _style()
    template = _environment().get_template("report.html.j2")
    listed = partial(fill, facts["heads"], facts["groups"], facts["anchors"])
    facts = facts | {
        "style": Markup(style),  # noqa: S704 - our own file and palette
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    }
    room = 0.99 * LARGEST - len(template.render(facts, filled=listed(room=0)).encode())
    return template.render(facts, filled=listed(room=max(room, 0))) + "\n"


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
    environment.filters["band_counts"] = band_counts
    environment.filters["gap_kind"] = gap_kind
    environment.filters["number"] = "{:,}".format
    return environment


@cache
def _style() -> str:
    sheet = _environment().get_template("report.css.j2").render(tones=TONES)
    return "".join(line.strip() for line in sheet.splitlines())


def _facts(
    run: RunResult, verdict: Verdict, older: RunResult | None, *, share: float
) -> dict[str, Any]:
    """Return everything the template shows, but for what it lists in the room that is left.

    Of each long list there is the given share of what it may hold at most.
    """
    most_sites, most_gaps = int(MOST_SITES * share), int(MOST_GAPS * share)
    changes = None if older is None else compare_runs(run, older)
    ranked = sorted(run.outcomes, key=worst_first)
    bands = banded(ranked)
    kinds = weaknesses(run)
    gaps = bands["not_scanned"]
    names, named = named_sites(ranked[most_sites:], first=most_sites + 1, room=MOST_NAMES * share)
    listed_sites = ranked[: most_sites + named]
    anchors = Anchors.of(listed_sites, kinds[: int(MOST_GROUPS * share)], sections=most_sites)
    groups = groups_of(verdict.ranked(changes), kinds, anchors)
    severities = _severity_rows(run, changes)
    worst = _worst_bars(ranked, anchors)
    listed = sum(len(outcome.findings) for outcome in run.outcomes)
    return {
        "title": tab_title(run, verdict),
        "total": counted(len(run.outcomes), "site"),
        "sign": sign(verdict.status),
        "headline": headline(verdict),
        "gate": visible(verdict.sentence, longest=600),
        "facts": _about(run),
        "cards": cards(bands, len(run.outcomes), verdict, changes),
        "first": first_fixes(groups, bands),
        "fleet": _both(partial(fleet_map, bands, anchors=anchors.sites, share=share))
        if run.outcomes
        else None,
        "has_tiles": len(run.outcomes) < FEWEST_SQUARES,
        "compared": None if older is None or changes is None else _compared(changes, older),
        "changes": None if changes is None else _both(partial(changes_bars, changes)),
        "worst": worst and _both(partial(stacked, worst, name="worst", about=_ABOUT_WORST)),
        "worst_rest": any(bar.remark for bar in worst),
        "worst_part": _part(len(worst), len(ranked) - len(bands["clean"]) - len(gaps), "site"),
        "weaknesses": _weakness_bars(kinds, anchors),
        "weaknesses_part": _part(MOST_WEAKNESSES, len(kinds), "kind"),
        "timeline": _both(partial(timeline, run)),
        "tones": TONES,
        "severities": severities,
        "counts_by_status": run.by_status(),
        "groups": groups,
        "groups_total": len(kinds),
        "findings_total": listed,
        "unlisted": sum(run.counts().values()) - listed,
        "waived": verdict.waived,
        "waivers": _waiver_rows(verdict)[: int(MOST_WAIVERS * share)],
        "waivers_total": len(verdict.uses),
        "gaps": gaps[:most_gaps],
        "gaps_total": len(gaps),
        "gaps_why": _gap_reasons(gaps),
        "anchors": anchors,
        "heads": site_heads(run, ranked[:most_sites], anchors),
        "names": names,
        "sites_listed": len(listed_sites),
        "sites_total": len(ranked),
    }


def _part(shown: int, total: int, noun: str) -> str:
    """Return how many of them a picture shows, in words."""
    every = counted(total, noun)
    return f"The {shown} worst of {every}" if total > shown > 1 else every


def _both(draw: Callable[..., Markup | None]) -> Markup | None:
    """Return a picture in its wide form followed by its narrow one."""
    forms = [draw(is_narrow=is_narrow) for is_narrow in (False, True)]
    return Markup("").join(form for form in forms if form is not None) or None


def _compared(changes: Changes, older: RunResult) -> str:
    """Return what changed since the older run as a sentence for people."""
    when = "" if older.started_at is None else f" of {moment(older.started_at)}"
    new, fixed, unchanged = (
        kind.total() for kind in (changes.new, changes.fixed, changes.unchanged)
    )
    return (
        f"Since the run{when} ({visible(older.name, longest=80)}): "
        f"{counted(new, 'finding')} new, {fixed:,} fixed, {unchanged:,} unchanged."
    )


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


def _worst_bars(ranked: list[Outcome], anchors: Anchors) -> list[Bar]:
    """Return the worst sites. What is critical and high is drawn, and sets the scale.

    The rest is said behind the bar: dozens of small findings would make all sites look alike.
    """
    shown = [
        (outcome, counts)
        for outcome in ranked[:WORST]
        if outcome.has_verdict and (counts := by_band(outcome.counts()))
    ]
    drawn = {name for _, counts in shown for name in counts}
    drawn = drawn & _SEVERE or drawn
    bars = []
    for outcome, counts in shown:
        if not drawn & counts.keys():
            break
        less = {name: count for name, count in counts.items() if name not in drawn}
        total = sum(less.values())
        bars.append(
            Bar(
                label=visible(outcome.target),
                counts={name: count for name, count in counts.items() if name in drawn},
                remark=band_counts(less) and f"and {band_counts(less)}",
                short=f"and {total:,} less severe" if less else "",
                href=anchors.site(outcome),
            )
        )
    return bars


def _weakness_bars(kinds: list[WeaknessCount], anchors: Anchors) -> Markup | None:
    bars = []
    for kind in kinds[:MOST_WEAKNESSES]:
        remark = f"{kind.total:,} on {counted(kind.sites, 'site')}"
        bars.append(
            Bar(
                label=" · ".join(visible(part) for part in (kind.name, kind.cwe) if part),
                counts=kind.counts,
                remark=remark,
                short=remark,
                href=anchors.weaknesses.get(kind.key),
            )
        )
    if not bars:
        return None
    about = "Weaknesses, findings by severity"
    return _both(partial(stacked, bars, name="weaknesses", about=about, labels=420))


_SEVERITY_BANDS: Final = tuple(name for name in BANDS if name not in {"clean", "not_scanned"})


def _severity_rows(run: RunResult, changes: Changes | None) -> list[dict[str, Any]]:
    """Return one row per severity: findings, sites, and what changed.

    Documented severities are always there, others have one row when they occur.
    """
    findings: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    for outcome in run.outcomes:
        counts = by_band(outcome.counts())
        findings.update(counts)
        sites.update(counts.keys())
    kinds = (
        {"new": changes.new, "fixed": changes.fixed, "unchanged": changes.unchanged}
        if changes
        else {}
    )
    moved = {kind: by_band(dict(counter)) for kind, counter in kinds.items()}
    return [
        {
            "band": name,
            "numbers": [
                findings[name],
                sites[name],
                *(counts.get(name, 0) for counts in moved.values()),
            ],
        }
        for name in _SEVERITY_BANDS
        if name != "other" or findings[name]
    ]


def _gap_reasons(gaps: Iterable[Outcome]) -> str:
    """Return why targets have no verdict, the most frequent reasons with their numbers."""
    kinds = Counter(map(gap_kind, gaps))
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{count:,} {visible(kind, longest=30)}" for kind, count in ranked[:MOST_REASONS]]
    if len(ranked) > MOST_REASONS:
        listed.append(f"{sum(count for _, count in ranked[MOST_REASONS:]):,} for other reasons")
    return joined(listed)


def _waiver_rows(verdict: Verdict) -> list[dict[str, Any]]:
    """Return what each waiver did, those that need attention first."""
    urgency = ("expired", "stale", "used")
    uses = sorted(verdict.uses, key=lambda use: urgency.index(use.state))
    return [
        {
            "what": visible(use.waiver, longest=160),
            "reason": visible(use.waiver.reason, longest=240),
            "expires": use.waiver.expires.isoformat(),
            "state": "matches nothing" if use.state == "stale" else use.state,
            "findings": use.findings,
        }
        for use in uses
    ]
