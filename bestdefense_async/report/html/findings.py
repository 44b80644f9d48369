"""What a person mends: findings grouped by weakness, and a section per site.

The page has a size to keep, so what is listed is chosen: first every site with its numbers, because
pictures and groups lead there; then findings under their weakness, the worst first; then the
findings of single sites. What is left out is counted where it would stand.
"""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Final

from attrs import define, frozen
from markupsafe import Markup

from bestdefense_async.report.gate.identity import place_of, weakness_of
from bestdefense_async.report.gate.verdict import JudgedFinding
from bestdefense_async.report.summary import (
    TONES,
    WeaknessCount,
    band,
    band_counts,
    by_band,
    found_on,
    page_for_people,
    severity_band,
)
from bestdefense_async.report.text import counted, visible, without_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.models import Outcome
    from bestdefense_async.report.result import RunResult

_SHARE_OF_GROUPS: Final = 0.65
"""Of the room that is left, what groups may take before single sites get theirs."""
_SHORT: Final = 12
"""Digits of a fingerprint that tell the findings of a run apart."""
_STEP: Final = 20
"""Sites in a list of names that stand at one anchor."""
_PLAIN: Final = re.compile(r"[a-z0-9]{1,20}(?: [a-z0-9]{1,20}){0,4}", re.IGNORECASE)


@define
class _Room:
    """The bytes that may still be written."""

    left: float

    def takes(self, text: str) -> bool:
        """Take the room of a text, if there is enough."""
        size = len(text.encode("utf-8", "backslashreplace"))
        if size > self.left:
            return False
        self.left -= size
        return True


@frozen(kw_only=True)
class Anchors:
    """Where things stand in the page, as the ends of links."""

    sites: dict[int, str]
    """By the `id()` of an outcome."""
    weaknesses: dict[str, str]
    """By the key of a weakness."""

    @classmethod
    def of(cls, ranked: list[Outcome], kinds: list[WeaknessCount], *, sections: int) -> Anchors:
        """Return those of these sites and weaknesses.

        Args:
            ranked: The sites that are listed, the worst first.
            kinds: The weaknesses; each has a section of its own.
            sections: So many sites have one, too; those behind them are named in a list, in which
                some stand at one anchor.
        """
        taken: dict[str, str] = {}
        for number, kind in enumerate(kinds, 1):
            name = f"weakness-{kind.key.lower().replace(' ', '-')}"
            if name in taken or not _PLAIN.fullmatch(kind.key.replace("-", " ")):
                name = f"weakness--{number}"
            taken[name] = kind.key
        return cls(
            sites={
                id(one): f"site-{at + 1 - max(at - sections, 0) % _STEP}"
                for at, one in enumerate(ranked)
            },
            weaknesses={key: name for name, key in taken.items()},
        )

    def site(self, outcome: Outcome) -> str | None:
        """Return where a site stands; None when it has no section."""
        return self.sites.get(id(outcome))


@frozen(kw_only=True)
class WeaknessGroup:
    """A weakness, and the findings of it."""

    kind: WeaknessCount
    anchor: str
    findings: list[JudgedFinding]

    @property
    def guidance(self) -> str:
        """How to mend it, as the worst finding says."""
        texts = (one.finding.guidance for one in self.findings)
        return visible(next(filter(None, texts), ""), longest=600)

    @property
    def evidence(self) -> tuple[str, str] | None:
        """One line that shows it, and where it was seen."""
        for one in self.findings:
            if one.finding.evidence:
                where = f"{visible(one.outcome.target, longest=80)} {_place(one)}"
                return visible(one.finding.evidence, longest=240), where.strip()
        return None


def groups_of(
    found: Iterable[JudgedFinding], kinds: list[WeaknessCount], anchors: Anchors
) -> list[WeaknessGroup]:
    """Return the findings by weakness, the worst weakness first."""
    gathered: dict[str, list[JudgedFinding]] = {}
    for one in found:
        gathered.setdefault(weakness_of(one.finding), []).append(one)
    return [
        WeaknessGroup(kind=kind, anchor=anchors.weaknesses[kind.key], findings=gathered[kind.key])
        for kind in kinds
        if kind.key in anchors.weaknesses
    ]


@frozen(kw_only=True)
class FirstFix:
    """A weakness that somebody should mend before all others."""

    kind: WeaknessCount
    anchor: str
    found: str
    """How much of it there is."""
    effect: str
    """What mending it removes."""
    guidance: str


def first_fixes(groups: list[WeaknessGroup], bands: dict[str, list[Outcome]]) -> list[FirstFix]:
    """Return at most three weaknesses to mend first, what is waived left out.

    Args:
        groups: All weaknesses.
        bands: The sites by the worst severity found on them.
    """
    kept = [(group, [one for one in group.findings if one.waiver is None]) for group in groups]
    kept = [pair for pair in kept if pair[1]]
    kept.sort(key=lambda pair: [-count for count in _banded(pair[1]).values()])
    total = Counter[str]()
    for outcomes in bands.values():
        for outcome in outcomes:
            total.update(by_band(outcome.counts()) if outcome.has_verdict else {})
    return [_first_fix(group, found, bands, total) for group, found in kept[:3]]


def _banded(found: Iterable[JudgedFinding]) -> dict[str, int]:
    counts = Counter(severity_band(one.finding.severity) for one in found)
    return {name: counts[name] for name in TONES}


def _first_fix(
    group: WeaknessGroup,
    found: list[JudgedFinding],
    bands: dict[str, list[Outcome]],
    totals: Counter[str],
) -> FirstFix:
    counts = _banded(found)
    worst = next(name for name, count in counts.items() if count)
    word = TONES[worst].label.lower()
    gone: dict[int, Counter[str]] = {}
    for one in found:
        gone.setdefault(id(one.outcome), Counter())[severity_band(one.finding.severity)] += 1
    bad = bands[worst]
    better = sum(by_band(one.counts())[worst] <= gone.get(id(one), Counter())[worst] for one in bad)
    effect = f"Mending it removes {counts[worst]:,} of {totals[worst]:,} {word} findings"
    if better:
        effect += f"; {better:,} of {counted(len(bad), f'{word} site')} then {_have(better)} none"
    return FirstFix(
        kind=group.kind,
        anchor=group.anchor,
        found=f"{band_counts({key: n for key, n in counts.items() if n})} on "
        f"{counted(len(gone), 'site')}",
        effect=f"{effect}.",
        guidance=visible(group.guidance, longest=220) if group.guidance else "",
    )


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


@frozen
class Filled:
    """What was listed in the room there was."""

    groups: dict[str, Markup]
    """The lines of each weakness, by its key."""
    sites: Markup
    sections: int
    is_cut: bool
    """Whether the findings of some sites are not listed under them."""


def site_heads(
    run: RunResult, ranked: list[Outcome], anchors: Anchors
) -> list[tuple[Outcome, str]]:
    """Return the beginning of the section of each of these sites, under that of its band."""
    heads, last = [], ""
    for outcome in ranked:
        title = _band_title(outcome, "") if band(outcome) != last else ""
        last = band(outcome)
        heads.append((outcome, f"{title}{_head(outcome, run, anchors)}"))
    return heads


def _band_title(outcome: Outcome, how: str) -> str:
    name = band(outcome)
    return f'<h3 class="band"><i class="t-{name}"></i>{TONES[name].label}{how}</h3>'


def named_sites(ranked: list[Outcome], *, first: int, room: float) -> tuple[Markup, int]:
    """Return a list of these sites by name, and how many of them there was room for.

    Args:
        ranked: The sites, the worst first.
        first: The number of the first one.
        room: Bytes.
    """
    budget, parts, last = _Room(room), [], ""
    for at, outcome in enumerate(ranked):
        anchor = f' id="site-{first + at}"' if at % _STEP == 0 else ""
        line = f"<li{anchor}>{escape(visible(outcome.target, longest=100))}"
        if band(outcome) != "clean":
            line += f" <small>{escape(visible(found_on(outcome), longest=60))}</small>"
        if band(outcome) != last:
            title = _band_title(outcome, ", by name")
            line = f'{"</ul>" if last else ""}{title}<ul class="names">{line}'
        last = band(outcome)
        if not budget.takes(line):
            break
        parts.append(line)
    end = "</ul>" if parts else ""
    return Markup("\n".join(parts) + end), len(parts)  # noqa: S704 - each name is escaped


def fill(
    heads: list[tuple[Outcome, str]], groups: list[WeaknessGroup], anchors: Anchors, *, room: float
) -> Filled:
    """List all sites that have a section, and findings in `room` bytes."""
    budget = _Room(room * _SHARE_OF_GROUPS)
    lines = {group.kind.key: _group_lines(group, anchors, budget) for group in groups}
    budget.left += room * (1 - _SHARE_OF_GROUPS)
    by_site: dict[int, list[JudgedFinding]] = {}
    for group in groups:
        for one in group.findings:
            by_site.setdefault(id(one.outcome), []).append(one)
    sections = []
    for outcome, head in heads:
        body = _site_lines(by_site.get(id(outcome), []), anchors) if budget.left > 0 else ""
        if not budget.takes(body):
            body, budget.left = "", 0
        sections.append(f"{head}{body}</div>\n")
    return Filled(
        groups=lines,
        sites=Markup("".join(sections)),  # noqa: S704 - each part is escaped where it is made
        sections=len(heads),
        is_cut=budget.left <= 0,
    )


def _head(outcome: Outcome, run: RunResult, anchors: Anchors) -> str:
    """Return the first line of a site: its name, what was found, and the way to its report."""
    found = found_on(outcome)
    page = page_for_people(run.base_url, outcome.report_id)
    link = f' <a href="{escape(page)}">Report</a>' if page else ""
    name = escape(visible(outcome.target, longest=100))
    return (
        f'<div id="{anchors.site(outcome)}"><b>{name}</b>'
        f" <small>{escape(visible(found, longest=120))}</small>{link}"
    )


def _group_lines(group: WeaknessGroup, anchors: Anchors, room: _Room) -> Markup:
    """Return the findings of a weakness as a list that can be opened."""
    is_mixed = len(group.kind.counts) > 1
    has_titles = len({one.title for one in group.findings}) > 1
    lines: list[str] = []
    for one in group.findings:
        line = _group_line(one, anchors, is_mixed=is_mixed, has_title=has_titles)
        if not room.takes(line):
            break
        lines.append(line)
    left = len(group.findings) - len(lines)
    if left:
        many = f"And {counted(left, 'more finding')}" if lines else counted(left, "finding")
        lines.append(f'<li class="soft">{many}: see JSON, SARIF or CSV.</li>')
    head = counted(group.kind.sites, "site")
    if group.kind.total > group.kind.sites:
        head = f"{counted(group.kind.total, 'finding')} on {head}"
    return Markup(f"<details><summary>{head}</summary><ul>{''.join(lines)}</ul></details>")  # noqa: S704 - escaped


def _group_line(one: JudgedFinding, anchors: Anchors, *, is_mixed: bool, has_title: bool) -> str:
    parts = [f"{_dot(one)}{escape(visible(one.finding.severity, longest=30))}"] if is_mixed else []
    parts += [_site_link(one.outcome, anchors), escape(_place(one))]
    parts += [f"“{escape(visible(one.title, longest=120))}”"] if has_title else []
    return f"<li>{' '.join(part for part in (*parts, _tail(one)) if part)}</li>"


def _site_lines(found: list[JudgedFinding], anchors: Anchors) -> str:
    """Return the findings of a site as a list that can be opened; nothing for none."""
    if not found:
        return ""
    lines = []
    for one in sorted(
        found,
        key=lambda one: (one.state != "open", -one.finding.severity.rank, not one.is_new),
    ):
        kind = anchors.weaknesses[weakness_of(one.finding)]
        title = escape(visible(one.title, longest=120))
        severity = escape(visible(one.finding.severity, longest=30))
        parts = (
            f'{_dot(one)}{severity} <a href="#{kind}">{title}</a>',
            escape(_place(one)),
            _tail(one, digits=_SHORT),
        )
        lines.append(f"<li>{' '.join(part for part in parts if part)}</li>")
    head = counted(len(found), "finding")
    return f"<details><summary>{head}</summary><ul>{''.join(lines)}</ul></details>"


def _dot(one: JudgedFinding) -> str:
    return f'<i class="t-{severity_band(one.finding.severity)}"></i>'


def _tail(one: JudgedFinding, *, digits: int = 32) -> str:
    """Return what is known of a finding beside: marks, and the name that a waiver needs."""
    marks = [] if one.state == "open" else [one.state]
    marks += ["new"] if one.is_new else []
    badges = [f'<b class="badge">{mark}</b>' for mark in marks]
    return " ".join(
        [*badges, *([f"<code>{one.fingerprint[:digits]}</code>"] if one.fingerprint else [])]
    )


def _site_link(outcome: Outcome, anchors: Anchors) -> str:
    name = escape(visible(outcome.target, longest=80))
    anchor = anchors.site(outcome)
    return f'<a href="#{anchor}">{name}</a>' if anchor else name


def _place(one: JudgedFinding) -> str:
    """Return the affected location; its path alone where the host is that of its site."""
    place = place_of(one.finding)
    url = without_scheme(visible(one.finding.url or "", longest=160))
    host = one.outcome.target.lower()
    return url[len(host) :] or "/" if place.host == host and url.lower().startswith(host) else url
