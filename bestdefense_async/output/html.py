"""The HTML report: one file that needs nothing else, for whoever is responsible for a fleet.

It runs no script and asks for nothing from anywhere; its own content security policy says so and
names its one style sheet by hash. Two reports of one run are the same bytes: nothing in it comes
from a clock, from chance or from the order of a set.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bestdefense_async.models import SEVERITIES
from bestdefense_async.output.fingerprint import Changes, compare
from bestdefense_async.output.palette import TONES, dark_rules
from bestdefense_async.output.pictures.bars import Bar, stacked
from bestdefense_async.output.pictures.changes import changes_bars
from bestdefense_async.output.pictures.fleet import fleet_map
from bestdefense_async.output.pictures.numbers import card, sign
from bestdefense_async.output.pictures.timeline import timeline
from bestdefense_async.output.summary import (
    BANDS,
    WeaknessCount,
    banded,
    by_band,
    severity_band,
    weaknesses,
    worst_first,
)
from bestdefense_async.output.text import counted, duration, joined, moment, visible

if TYPE_CHECKING:
    from bestdefense_async.output.gate import Verdict
    from bestdefense_async.output.run import Row, Run

WORST: Final = 20
"""Sites drawn as bars."""
MOST_WEAKNESSES: Final = 15
MOST_FINDINGS: Final = 100
MOST_SITES: Final = 2_500
"""Rows of the table of all sites; the report says when there are more."""
MOST_GAPS: Final = 500
"""Rows of the table of sites without a verdict."""

_SEVERITY_BANDS: Final = tuple(name for name in BANDS if name not in {"clean", "not_scanned"})


def html(run: Run, verdict: Verdict, *, older: Run | None = None) -> str:
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
            **_facts(run, verdict, None if older is None else compare(run, older)),
        )
    )
    return page + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bestdefense_async.output"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["moment"] = moment
    return environment


@cache
def _style() -> str:
    sheet = _environment().get_template("report.css.j2").render(dark_rules=Markup(dark_rules()))  # noqa: S704 - our own palette
    return "".join(line.strip() for line in sheet.splitlines())


def _facts(run: Run, verdict: Verdict, changes: Changes | None) -> dict[str, Any]:
    """Return everything the template shows."""
    bands = banded(run)
    kinds = weaknesses(run)
    gaps = bands["not_scanned"]
    ranked = worst_first(run.rows)
    return {
        "title": f"Security scan: {visible(run.name, longest=80)}",
        "name": run.name,
        "sign": sign(verdict.word),
        "headline": headline(verdict),
        "facts": _about(run),
        "cards": _cards(bands, len(run.rows), changes),
        "fleet": fleet_map(bands) if run.rows else None,
        "changes": None if changes is None else changes_bars(changes),
        "worst": _worst_bars(ranked),
        "weaknesses": _weakness_bars(kinds),
        "timeline": timeline(run),
        "tones": TONES,
        "severities": _severity_rows(run, changes),
        "has_changes": changes is not None,
        "outcomes": run.by_outcome(),
        "kinds": kinds[:50],
        "kinds_total": len(kinds),
        "columns": _columns(kinds, ranked),
        "findings": _worst_findings(run),
        "findings_total": sum(len(row.findings) for row in run.rows),
        "gaps": gaps[:MOST_GAPS],
        "gaps_total": len(gaps),
        "sites": [(row, by_band(row.counts())) for row in ranked[:MOST_SITES]],
        "sites_total": len(ranked),
    }


def headline(verdict: Verdict) -> str:
    """Return the verdict as a sentence for people."""
    sites = counted(verdict.total, "site")
    gap = (
        f"{verdict.missing:,} of {sites} {'has' if verdict.missing == 1 else 'have'} no verdict"
        if verdict.missing
        else ""
    )
    if not verdict.total:
        return "Incomplete: no site was scanned."
    if verdict.word == "incomplete":
        found = " Where there is one, nothing failed." if verdict.missing < verdict.total else ""
        return f"Incomplete: {gap}.{found}"
    if verdict.word == "passed":
        worse = _severity_or_worse(verdict)
        said = (
            f"no finding is rated {worse}"
            if verdict.threshold is not None
            else "no threshold was set"
        )
        return f"Passed: {said} on {sites}{f'; {gap}' if gap else ''}."
    said = f"more findings than a limit allows on {sites}"
    if verdict.findings:
        said = (
            f"{counted(verdict.findings, 'finding')} rated {_severity_or_worse(verdict)} "
            f"on {verdict.sites:,} of {sites}"
        )
    return f"Failed: {said}{f'; {gap}' if gap else ''}."


def _severity_or_worse(verdict: Verdict) -> str:
    worst = SEVERITIES[0]
    return f"{verdict.threshold}" if verdict.threshold == worst else f"{verdict.threshold} or worse"


def _about(run: Run) -> list[tuple[str, str]]:
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


def _cards(bands: dict[str, list[Row]], total: int, changes: Changes | None) -> list[Markup]:
    of = f"of {counted(total, 'site')}"
    gaps = Counter(row.outcome.replace("_", " ") for row in bands["not_scanned"])
    why = joined([f"{count:,} {word}" for word, count in sorted(gaps.items())])
    numbers = [
        card("critical", f"{len(bands['critical']):,}", "critical sites", of),
        card("high", f"{len(bands['high']):,}", "high sites", of),
        card("clean", f"{len(bands['clean']):,}", "clean sites", of),
        card("not_scanned", f"{len(bands['not_scanned']):,}", "not scanned", why or of),
    ]
    if changes is None:
        return [*numbers, card("informational", "—", "new findings", "no earlier run to compare")]
    new, fixed = changes.new.total(), changes.fixed.total()
    return [*numbers, card("informational", f"{new:,}", "new findings", f"{fixed:,} fixed")]


def _worst_bars(ranked: list[Row]) -> Markup | None:
    bars = [
        Bar(label=row.target, counts=by_band(row.counts()))
        for row in ranked[:WORST]
        if row.has_verdict and row.counts()
    ]
    if not bars:
        return None
    return stacked(bars, name="worst", about="The worst sites, findings by severity")


def _weakness_bars(kinds: list[WeaknessCount]) -> Markup | None:
    bars = [
        Bar(
            label=f"{kind.name} · {kind.cwe}" if kind.name else kind.cwe,
            counts=kind.counts,
            remark=f"{kind.total:,} on {counted(kind.sites, 'site')}",
        )
        for kind in kinds[:MOST_WEAKNESSES]
    ]
    if not bars:
        return None
    return stacked(
        bars,
        name="weaknesses",
        about="Weaknesses, findings by severity",
        labels=380,
        remarks=140,
    )


def _severity_rows(run: Run, changes: Changes | None) -> list[dict[str, Any]]:
    """Return one row per severity: findings, sites, and what changed."""
    findings: Counter[str] = Counter()
    sites: Counter[str] = Counter()
    for row in run.rows:
        counts = by_band(row.counts())
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
            "findings": findings[name],
            "sites": sites[name],
            **{kind: counts.get(name, 0) for kind, counts in moved.items()},
        }
        for name in _SEVERITY_BANDS
        if name != "other" or findings[name]
    ]


def _columns(kinds: list[WeaknessCount], ranked: list[Row]) -> list[str]:
    """Return the bands that tables show: the documented severities, and `other` when it occurs."""
    has_other = any(kind.counts.get("other") for kind in kinds) or any(
        not word.is_known for row in ranked for word in row.counts()
    )
    return [name for name in _SEVERITY_BANDS if name != "other" or has_other]


def _worst_findings(run: Run) -> list[dict[str, str]]:
    """Return the most serious findings that are listed, as text for a table."""
    listed = [(row, finding) for row in run.rows for finding in row.findings]
    listed.sort(
        key=lambda pair: (
            -pair[1].severity.rank,
            pair[0].target,
            pair[1].cwe or "",
            pair[1].title or "",
            pair[1].url or "",
        )
    )
    return [
        {
            "band": severity_band(finding.severity),
            "severity": visible(finding.severity, longest=30),
            "target": visible(row.target, longest=100),
            "title": visible(finding.title or finding.weakness or "not named", longest=160),
            "cwe": visible(finding.cwe or "", longest=20),
            "url": visible(finding.url or "", longest=160),
            "guidance": visible(finding.guidance or "", longest=240),
        }
        for row, finding in listed[:MOST_FINDINGS]
    ]
