"""What a run comes to: sites by their worst severity, the worst sites, the weaknesses, the load.

Each band of severity has its colours here too, and the label that always stands beside them. A
colour that is clear on white is glaring or lost on black, so light and dark differ: the light ones
are written into the pictures, the dark ones stand in the page's style sheet. Each stands out from
its ground by 3 to 1 or more, and the text on each by 4.5 to 1, as WCAG 2.1 (AA) asks for.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from bestdefense_async.core.host import authority
from bestdefense_async.models import Severity
from bestdefense_async.models.finding import ranked
from bestdefense_async.report.gate.identity import cwe_of, weakness_of
from bestdefense_async.report.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.result import RunResult


_LONGEST_ID: Final = 100


@frozen(kw_only=True)
class Tone:
    """How a band looks and is called."""

    label: str
    light: str
    dark: str
    short: str = field()
    """The label where there is little room."""
    on_light: str = "#ffffff"
    """Text on the light colour."""
    on_dark: str = "#10151d"
    """Text on the dark colour."""

    @short.default
    def _short(self) -> str:
        return self.label


TONES: Final = {
    "other": Tone(label="Other severity", short="Other", light="#5b2a86", dark="#a98cf0"),
    "critical": Tone(label="Critical", light="#7a1040", dark="#f0509f"),
    "high": Tone(label="High", light="#d0342c", dark="#ff7d66"),
    "medium": Tone(label="Medium", light="#de7410", dark="#f5a84d", on_light="#10151d"),
    "low": Tone(label="Low", light="#b38f00", dark="#ead27a", on_light="#10151d"),
    "informational": Tone(label="Informational", short="Info", light="#3a76b4", dark="#82aed6"),
    "clean": Tone(label="Clean", light="#1f8f69", dark="#4cc096"),
    "not_scanned": Tone(label="Not scanned", light="#6b7587", dark="#a3aebf"),
}


BANDS: Final = tuple(TONES)
"""Where a site belongs: its worst severity, `other` for one that is not documented."""


def severity_band(severity: Severity) -> str:
    """Return the band of a severity."""
    return str(severity) if severity.is_known else "other"


def band(outcome: Outcome) -> str:
    """Return the band of a site. One without a verdict is not clean, whatever it counts."""
    if not outcome.has_verdict:
        return "not_scanned"
    return next((severity_band(severity) for severity in outcome.counts()), "clean")


def by_band(counts: dict[Severity, int]) -> dict[str, int]:
    """Return counts by band, worst first; undocumented severities are one band."""
    total: Counter[str] = Counter()
    for severity, count in counts.items():
        total[severity_band(severity)] += count
    return {name: total[name] for name in BANDS if total[name]}


def band_counts(counts: dict[str, int]) -> str:
    """Return counts by band like `3 critical, 12 low`."""
    return ", ".join(f"{count:,} {TONES[name].short.lower()}" for name, count in counts.items())


def gap_kind(outcome: Outcome) -> str:
    """Return in a word why a target has no verdict."""
    return "no risk summary" if outcome.error is None else outcome.error.kind


def gap_reason(outcome: Outcome) -> str:
    """Return why a target has no verdict, as the server or we said it."""
    error = outcome.error
    return gap_kind(outcome) if error is None else f"{error.kind}: {error}"


def gap_lines(run: RunResult, *, most: int) -> list[str]:
    """Return which targets have no verdict, and why; a last line counts those that are too many."""
    gaps = [each for each in run.outcomes if not each.has_verdict]
    lines = [
        f"{each.target} has no verdict: {each.status}, {gap_reason(each)}" for each in gaps[:most]
    ]
    more = len(gaps) - most
    return [*lines, f"and {counted(more, 'more target')} without a verdict"] if more > 0 else lines


def found_on(outcome: Outcome) -> str:
    """Return what was found on a site, or why nothing was."""
    if not outcome.has_verdict:
        return f"{outcome.status.replace('_', ' ')}, {gap_kind(outcome)}"
    return band_counts(by_band(outcome.counts())) or "clean"


def counted_severities(severities: Iterable[Severity]) -> str:
    """Return like `3 high, 12 low`, worst first, in the words of the server."""
    counts = Counter(severities)
    return ", ".join(f"{counts[one]:,} {visible(one, longest=40)}" for one in ranked(counts))


def _badness(counts: dict[str, int]) -> tuple[int, ...]:
    return tuple(-counts.get(name, 0) for name in BANDS)


def worst_first(outcome: Outcome) -> tuple[bool, tuple[int, ...], str]:
    """Return what sorts sites with the worst first, those without a verdict last."""
    return not outcome.has_verdict, _badness(by_band(outcome.counts())), outcome.target


def banded(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Return the sites of every band; in each they keep their order."""
    sites: dict[str, list[Outcome]] = {name: [] for name in BANDS}
    for outcome in outcomes:
        sites[band(outcome)].append(outcome)
    return sites


@frozen(kw_only=True)
class WeaknessCount:
    """How often one kind of weakness was found."""

    key: str
    """What identifies it: its CWE in one spelling, else the words of its name."""
    cwe: str
    name: str
    counts: dict[str, int]
    """Findings by band, worst first."""
    sites: int

    @property
    def total(self) -> int:
        """All findings of this kind."""
        return sum(self.counts.values())


@frozen
class _Gathered:
    cwe: str
    name: str
    severities: Counter[Severity] = field(factory=Counter)
    sites: set[int] = field(factory=set)


def weaknesses(run: RunResult) -> list[WeaknessCount]:
    """Return the kinds of weakness that were found and listed, the worst first."""
    gathered: dict[str, _Gathered] = {}
    for index, outcome in enumerate(run.outcomes):
        for finding in outcome.findings:
            key = weakness_of(finding)
            if key not in gathered:
                name = finding.weakness or finding.title or "not named"
                gathered[key] = _Gathered(cwe_of(finding).upper(), name)
            kind = gathered[key]
            kind.severities[finding.severity] += 1
            kind.sites.add(index)
    counted = [
        WeaknessCount(
            key=key,
            cwe=kind.cwe,
            name=kind.name,
            counts=by_band(dict(kind.severities)),
            sites=len(kind.sites),
        )
        for key, kind in gathered.items()
    ]
    return sorted(counted, key=lambda item: (_badness(item.counts), item.key))


def page_for_people(base_url: str, report_id: str | None) -> str | None:
    """Return the address of a report's page in the application; None when it cannot be told.

    A saved run may say anything: only http and https with a host are led to.

    Source: api-facts, "page for people". (documented)
    """
    if not report_id or len(report_id) > _LONGEST_ID:
        return None
    try:
        parts = urlsplit(base_url)
        host = authority(parts)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"}:
        return None
    return f"{parts.scheme}://{host}/report/{quote(report_id, safe='', errors='replace')}"


def in_flight(run: RunResult) -> list[tuple[float, int]]:
    """Return the moments at which the number of scans under way changed, and to what.

    A scan that started and was seen no more is under way until the end of the run.
    """
    steps: Counter[float] = Counter()
    for outcome in run.outcomes:
        if outcome.started_at is None:
            continue
        end = outcome.finished_at if outcome.finished_at is not None else run.finished_at
        steps[outcome.started_at] += 1
        if end is not None:
            steps[max(end, outcome.started_at)] -= 1
    level = 0
    changes = []
    for moment in sorted(steps):
        level += steps[moment]
        changes.append((moment, level))
    return changes
