"""Which finding of one run is the same finding in another, and what changed between two runs.

A fingerprint has two parts. The last names a weakness at a path of a site, the first what tells
several of them apart there: the words of the title, the names of the parameters, a host that is not
the site's own. So the first digits alone tell the findings of a run apart. Spelling changes
neither: places are normalised as RFC 3986 asks for in 6.2.2 and 6.2.3, titles are compared by their
words. Where words did change, a finding and one of the earlier run that nothing else matches are
the same by the last part, and that is said.

Two findings with one fingerprint are two findings: what occurs twice where it occurred once has
one occurrence more. And a finding that became worse is new: accepting a low one does not
accept a critical one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote, urlsplit

from attrs import frozen

from bestdefense_async.core.host import authority
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import Finding, Outcome, Severity
from bestdefense_async.report.text import visible, without_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bestdefense_async.report.result import RunResult

Found: TypeAlias = tuple[Outcome, Finding]
"""A finding, and the target it belongs to."""

_PLACE: Final = 20
"""Hexadecimal digits of the last part: 80 bits, too many to meet by chance."""
_LENGTH: Final = 32

_CWE: Final = re.compile(r"\s*(?:cwe)?[\s:_-]*0*([0-9]{1,6})\s*", re.IGNORECASE | re.ASCII)
_WORD: Final = re.compile(r"\w+")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_PLAIN: Final = re.compile(
    r"(?:https?://)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z]+)(/[A-Za-z0-9_~-]*(?:[./][A-Za-z0-9_~-]+)*/?)?"
)
"""Most addresses: there is nothing in them to normalise."""
_URL_CHARACTERS: Final = "%:/?#[]@!$&'()*+,;=~"


def fingerprint(outcome: Outcome, finding: Finding) -> str:
    """Return 32 hexadecimal digits that name this finding, the same in every run.

    Ids, evidence, values of parameters and severity are left out: they may change although the
    weakness stays.
    """
    place = place_of(finding)
    kind = weakness_of(finding)
    last = _hashed("2", site_of(outcome), kind, place.path)[:_PLACE]
    own = host_of(outcome)
    host = place.host if own and place.host != own else ""
    first = _hashed(last, _words(finding.title), place.parameters, host)
    return first[: _LENGTH - _PLACE] + last


def former_fingerprint(outcome: Outcome, finding: Finding) -> str:
    """Return the name that the first versions gave a finding: waivers may still hold it."""
    weakness = finding.cwe or finding.weakness or ""
    bare = without_scheme(finding.url or "").partition("?")[0].partition("#")[0]
    site = outcome.site_id or outcome.target
    return _hashed(site, weakness, finding.title or "", bare)


def weakness_at(name: str) -> str:
    """Return the last part of a fingerprint: site, weakness and path."""
    return name[-_PLACE:]


def _hashed(*parts: str) -> str:
    raw = "\0".join(parts).encode("utf-8", errors="backslashreplace")
    return hashlib.sha256(raw).hexdigest()[:_LENGTH]


def site_of(outcome: Outcome) -> str:
    """Return what identifies the site of a target: its id, else its host, else the target."""
    return outcome.site_id or host_of(outcome) or outcome.target


def host_of(outcome: Outcome) -> str:
    """Return the host that a target names; empty for one that is written as the id of its site."""
    return "" if outcome.target == outcome.site_id else FindingPlace.of(outcome.target).host


def weakness_of(finding: Finding) -> str:
    """Return the weakness: its CWE in one spelling, else the words of its name or its title."""
    return cwe_of(finding) or _words(finding.weakness) or _words(finding.title)


def called(finding: Finding) -> str:
    """Return what a person calls a finding."""
    return finding.title or finding.weakness or "not named"


def cwe_of(finding: Finding) -> str:
    """Return the CWE of a finding like `CWE-79`, in one spelling; empty when there is none."""
    number = cwe_number(finding.cwe)
    return f"CWE-{number}" if number else _words(finding.cwe)


def cwe_number(text: str | None) -> str:
    """Return the digits of a CWE, however it is spelled; empty when it is none."""
    match = _CWE.fullmatch(text or "")
    return match[1] if match else ""


def _words(text: str | None) -> str:
    """Return the words of a text, so that case, full stops and spaces make no difference."""
    shown = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join(_WORD.findall(shown)) or shown.strip()


@frozen
class FindingPlace:
    """Where a weakness is, normalised."""

    host: str
    """With a port that is not the usual one; empty when the location does not say it."""
    path: str
    """From the slash on, or the text itself where it is no address; empty when unknown."""
    parameters: str = ""
    """The names of the query's parameters, sorted: their values are what a scanner tried."""

    @classmethod
    def of(cls, text: str) -> FindingPlace:
        """Return the place that a URL, a `host/path` or a path names."""
        bare = text.strip()
        if not bare:
            return cls("", "")
        if (plain := _PLAIN.fullmatch(bare)) is not None:
            return cls(plain[1], plain[2] or "/")
        has_host = not bare.startswith(("/", "?")) or bare.startswith("//")
        try:
            if not has_host:
                parts = urlsplit(f"https://x/{bare.removeprefix('/')}")
                return cls("", _normal_path(parts.path), _names(parts.query))
            start = bare.removeprefix("//") if "://" not in bare.partition("?")[0] else ""
            parts = urlsplit(f"https://{start}" if start else bare)
            return cls(authority(parts), _normal_path(parts.path), _names(parts.query))
        except ValueError:  # prose, or something nobody could call an address
            return cls("", " ".join(bare.split()))

    def __str__(self) -> str:
        """Return host and path: what waivers match by pattern."""
        return self.host + self.path


def place_of(finding: Finding) -> FindingPlace:
    """Return the affected location."""
    return FindingPlace.of(finding.url or "")


def _normal_path(path: str) -> str:
    """Return a path without dots and with one spelling of each character; `/` for an empty one."""
    kept: list[str] = []
    *folders, last = _spelled(path).split("/")[1:] or [""]
    for part in folders:
        if part == "..":
            kept = kept[:-1]
        elif part != ".":
            kept.append(part)
    if last == "..":
        kept = kept[:-1]
    return "/".join(["", *kept, "" if last in {".", ".."} else last])


def _names(query: str) -> str:
    return "&".join(sorted({_spelled(part.partition("=")[0]) for part in query.split("&")} - {""}))


def _spelled(text: str) -> str:
    """Return text with escapes only where they are needed, in capitals."""
    known = _ESCAPE.sub(_as_needed, text)
    return quote(known, safe=_URL_CHARACTERS, errors="backslashreplace")


def _as_needed(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


@frozen
class KnownFindings:
    """The findings of an earlier run, to tell which of a later one are new."""

    _listed: dict[str, list[Found]]
    """By fingerprint, the worst first."""
    _near: dict[str, list[str]]
    """The fingerprints that share a last part."""
    sites: frozenset[str]
    """Sites that have a verdict in the earlier run; all others are unknown to it."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> KnownFindings:
        """Return the findings of these outcomes; one without a verdict has none that count.

        Of a site that occurs twice, the last one counts.
        """
        judged = {site_of(outcome): outcome for outcome in outcomes if outcome.has_verdict}
        listed: dict[str, list[Found]] = {}
        for outcome in judged.values():
            for finding in outcome.findings:
                listed.setdefault(fingerprint(outcome, finding), []).append((outcome, finding))
        near: dict[str, list[str]] = {}
        for name, found in listed.items():
            found.sort(key=lambda pair: _worst_first(pair[1]))
            near.setdefault(weakness_at(name), []).append(name)
        return cls(listed, near, frozenset(judged))

    def match(self, outcome: Outcome, names: list[str]) -> dict[int, Known]:
        """Return the known findings, by their index in the outcome; `names` are fingerprints.

        First those whose fingerprint is the same; then, of what is left on both sides, those of
        the same weakness at the same path.
        """
        near = {each for name in names for each in self._near.get(weakness_at(name), ())}
        unused = {name: list(self._listed[name]) for name in sorted(near)}
        known: dict[int, Known] = {}
        worst = sorted(range(len(names)), key=lambda at: _worst_first(outcome.findings[at]))
        for at in worst:
            if earlier := _taken(unused, names[at : at + 1], outcome.findings[at].severity):
                known[at] = Known(earlier)
        for at in worst:
            others = () if at in known else self._near.get(weakness_at(names[at]), ())
            if earlier := _taken(unused, others, outcome.findings[at].severity):
                known[at] = Known(earlier, is_reworded=True)
        return known

    def __iter__(self) -> Iterator[Found]:
        for found in self._listed.values():
            yield from found


@frozen
class Known:
    """A finding of an earlier run that a later one has too."""

    earlier: Found
    is_reworded: bool = False
    """Whether only the weakness and the path are the same: the words have changed."""


def _taken(
    unused: dict[str, list[Found]], names: Iterable[str], severity: Severity
) -> Found | None:
    """Take the first finding of these names that is at least as severe; None without one."""
    for name in names:
        before = unused.get(name)
        if before and _covers(before[0][1].severity, severity):
            return before.pop(0)
    return None


def _worst_first(finding: Finding) -> tuple[int, str]:
    return (-finding.severity.rank, finding.severity)


def _covers(before: Severity, now: Severity) -> bool:
    """Return whether a severity is no worse than it was; undocumented ones cannot be compared."""
    return before == now or (now.is_known and before.rank >= now.rank)


@frozen(kw_only=True)
class Changes:
    """What differs between a run and an older one."""

    new_findings: tuple[Found, ...]
    """In the order of the run."""
    fixed_findings: tuple[Found, ...]
    """With the outcomes of the older run."""
    unchanged_findings: tuple[Found, ...]
    known_at: tuple[Collection[int], ...]
    """For each outcome of the run the indexes of its unchanged findings."""
    reworded: int
    """How many of the unchanged ones are the same by weakness and path alone."""

    @property
    def new(self) -> Counter[Severity]:
        """New findings by severity."""
        return _by_severity(self.new_findings)

    @property
    def fixed(self) -> Counter[Severity]:
        """Fixed findings by severity."""
        return _by_severity(self.fixed_findings)

    @property
    def unchanged(self) -> Counter[Severity]:
        """Findings of both runs by severity."""
        return _by_severity(self.unchanged_findings)


def compare_runs(run: RunResult, older: RunResult) -> Changes:
    """Return what is new, fixed and unchanged since the older run.

    Only listed findings can be told apart. A finding counts as fixed only when its site has a
    verdict in the newer run: what was not looked at is not mended.

    Raises:
        ConfigError: Both hold the same scan.
    """
    refuse_same_scans(run.outcomes, older.outcomes)
    before = KnownFindings.of(older.outcomes)
    judged = {site_of(outcome) for outcome in run.outcomes if outcome.has_verdict}
    new: list[Found] = []
    unchanged: list[Found] = []
    known_at: list[Collection[int]] = []
    used: set[int] = set()
    reworded = 0
    for outcome in run.outcomes:
        known = before.match(outcome, [fingerprint(outcome, each) for each in outcome.findings])
        known_at.append(known.keys())
        used.update(id(each.earlier) for each in known.values())
        reworded += sum(each.is_reworded for each in known.values())
        for at, finding in enumerate(outcome.findings):
            (unchanged if at in known else new).append((outcome, finding))
    return Changes(
        new_findings=tuple(new),
        fixed_findings=tuple(
            found for found in before if site_of(found[0]) in judged and id(found) not in used
        ),
        unchanged_findings=tuple(unchanged),
        known_at=tuple(known_at),
        reworded=reworded,
    )


def refuse_same_scans(outcomes: Iterable[Outcome], earlier: Iterable[Outcome]) -> None:
    """Refuse an earlier run that holds a scan of this one: it would know whatever was found.

    Raises:
        ConfigError: There is one.
    """
    begun = {one.report_id: one.started_at for one in earlier if one.report_id is not None}
    for outcome in outcomes:
        if outcome.report_id in begun:
            times = {outcome.started_at, begun[outcome.report_id]}
            if None in times or len(times) == 1:
                raise ConfigError(
                    f"The earlier run holds the same scan of {visible(outcome.target)}, report "
                    f"{visible(outcome.report_id)}: a scan cannot be compared with itself."
                )


def _by_severity(found: Iterable[Found]) -> Counter[Severity]:
    return Counter(finding.severity for _, finding in found)
