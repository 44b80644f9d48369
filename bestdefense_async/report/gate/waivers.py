"""Waivers: findings that were accepted, until a day and for a reason.

A waiver covers findings, never sites: what was not scanned, and what is counted but not listed,
cannot be waived. Each has a last day, so that no decision outlives the memory of it. A waiver that
is meant for good has a late date, and is reviewed then.

`read_waivers`: read waivers from a TOML file.

    [[waiver]]
    fingerprint = "9f86d081884c7d659a2feaa0c55ad015"
    reason = "Fixed with the release of January, SEC-412"
    expires = 2027-01-31

    [[waiver]]
    weakness = "CWE-614"
    target = "*.staging.example.com"
    severity = "low"
    reason = "Staging has no sessions"
    expires = 2027-06-30

A fingerprint of the former way still counts, and so does one whose finding is described in other
words now, when nothing else at that path has the weakness; the verdict says so, and what to write
in its place.

A file that cannot be meant as it stands is refused as a whole: an entry that was passed over could
be the one that matters, and a misspelt condition would widen what is waived.
"""

from __future__ import annotations

import re
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import evolve, field, frozen

from bestdefense_async.config import line_of, parse_toml
from bestdefense_async.core.host import comparable_host
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.files import read_text, shown
from bestdefense_async.models import SEVERITIES, Finding, Severity
from bestdefense_async.report.gate.identity import (
    cwe_number,
    former_fingerprint,
    host_of,
    place_of,
    weakness_at,
)
from bestdefense_async.report.text import visible, without_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from bestdefense_async.models import Outcome


_PORT: Final = re.compile(r":[0-9]{1,5}$")


@frozen(kw_only=True)
class Waiver:
    """One entry. Whatever of its conditions is not None must hold."""

    reason: str
    expires: date
    """The last day on which it counts."""
    fingerprint: str | None = None
    """The finding, as every format names it."""
    weakness: str | None = None
    """CWE or name of the weakness type, in any letter case; never a pattern."""
    target: str | None = None
    """Pattern like `*.example.com` for the host, or the target as it was written, or the id."""
    url: str | None = None
    """Pattern for the affected location, or for its path alone, without query and fragment."""
    severity: Severity | None = None
    """The worst severity it covers: a finding that became worse is not waived. None is every
    documented severity; one that is not documented is never covered."""
    line: int | None = None
    """Where it stands in its file, from 1."""

    def covers(self, outcome: Outcome, finding: Finding, *, names: Collection[str]) -> bool:
        """Return whether the finding of this outcome is meant, which has these fingerprints."""
        return (
            (self.fingerprint is None or self.fingerprint in names)
            and self._means_weakness(finding)
            and _is_at_most(finding.severity, self.severity)
            and (self.target is None or _is_at(self.target, outcome))
            and (self.url is None or _fits(without_scheme(self.url), _locations(outcome, finding)))
        )

    def _means_weakness(self, finding: Finding) -> bool:
        return self.weakness is None or _kind(self.weakness) in _kinds(finding)

    def __str__(self) -> str:
        """Return what is waived, on one line."""
        parts = [self.fingerprint or "", self.weakness or ""]
        parts += [f"at {self.target}"] if self.target else []
        parts += [f"in {self.url}"] if self.url else []
        parts += [f"up to {self.severity}"] if self.severity else []
        return visible(" ".join(part for part in parts if part))


@frozen(kw_only=True)
class Waivers:
    """The entries of a file, as of a day."""

    entries: tuple[Waiver, ...]
    today: date
    """The day, in UTC, by which entries expire."""
    _by_key: dict[str, list[Waiver]] = field(init=False, repr=False, eq=False)
    """By fingerprint, by its last part, and by the weakness where there is no fingerprint."""

    @_by_key.default
    def _index(self) -> dict[str, list[Waiver]]:
        found: dict[str, list[Waiver]] = {}
        for entry in filter(self.is_active, self.entries):
            name = entry.fingerprint
            keys = [_kind(entry.weakness)] if name is None else [name, weakness_at(name)]
            for key in keys:
                found.setdefault(key, []).append(entry)
        return found

    def is_active(self, entry: Waiver) -> bool:
        """Return whether an entry counts today."""
        return self.today <= entry.expires

    def covering(self, outcome: Outcome, names: list[str]) -> list[list[Cover]]:
        """Return, for each finding, the active entries that cover it; `names` are fingerprints."""
        covers: list[list[Cover]] = [[] for _ in outcome.findings]
        if not self._by_key:
            return covers
        for found, name, finding in zip(covers, names, outcome.findings, strict=True):
            former = former_fingerprint(outcome, finding)
            for key in (name, former, *sorted(_kinds(finding))):
                for entry in self._by_key.get(key, ()):
                    if entry.covers(outcome, finding, names=(name, former)):
                        is_former = entry.fingerprint == former
                        found.append(Cover(entry, name, "former" if is_former else "exact"))
        self._add_reworded(outcome, names, covers)
        return covers

    def _add_reworded(self, outcome: Outcome, names: list[str], covers: list[list[Cover]]) -> None:
        """Add entries that match no finding, each to the only one left of its weakness and path."""
        used = {id(cover.waiver) for found in covers for cover in found}
        open_at: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            if not covers[at]:
                open_at.setdefault(weakness_at(name), []).append(at)
        for place, left in open_at.items():
            entries = [one for one in self._by_key.get(place, ()) if id(one) not in used]
            if len(left) == 1:
                [at] = left
                for entry in entries:
                    known = (names[at], entry.fingerprint or "")
                    if entry.covers(outcome, outcome.findings[at], names=known):
                        covers[at].append(Cover(entry, names[at], "reworded"))


@frozen
class Cover:
    """A waiver, and how it covers a finding."""

    waiver: Waiver
    fingerprint: str
    """Of the finding, as it is now."""
    by: str
    """exact, former (a fingerprint of the former way) or reworded (its last part alone)."""


@frozen(kw_only=True)
class WaiverUse:
    """What a waiver did."""

    waiver: Waiver
    state: str
    """used, expired, or stale: in force and matching nothing."""
    findings: int
    """Findings it covers."""
    by: str = "exact"
    """exact; else why its fingerprint should be written anew: former or reworded."""
    fingerprint: str | None = None
    """What to write then."""

    @classmethod
    def of(cls, entry: Waiver, covers: list[Cover], waivers: Waivers) -> Self:
        """Return what an entry of these waivers did, which covered this."""
        state = "used" if covers else "stale" if waivers.is_active(entry) else "expired"
        use = cls(waiver=entry, state=state, findings=len(covers))
        inexact = next((cover for cover in covers if cover.by != "exact"), None)
        if inexact is None:
            return use
        return evolve(use, by=inexact.by, fingerprint=inexact.fingerprint)

    @property
    def needs_attention(self) -> bool:
        """Whether a person has to do something about it."""
        return self.state != "used" or self.by != "exact"

    def __str__(self) -> str:
        """Return one line about a waiver that needs attention: what it is, and why."""
        at = "" if self.waiver.line is None else f" of line {self.waiver.line}"
        if self.state == "expired":
            says = f"expired on {self.waiver.expires}"
        elif self.state == "stale":
            says = "matches nothing"
        elif self.by == "former":
            says = f"has a fingerprint of the former way, now {self.fingerprint}"
        else:
            says = f"fits by weakness and path alone: the finding is now {self.fingerprint}"
        return f"the waiver{at} {says}: {self.waiver}"


def _kinds(finding: Finding) -> set[str]:
    return {_kind(text) for text in (finding.cwe, finding.weakness) if text}


def _kind(text: str | None) -> str:
    """Return a weakness in one spelling: `cwe-079` is CWE-79, and case is no matter in a name."""
    number = cwe_number(text)
    return f"CWE-{number}" if number else " ".join((text or "").casefold().split())


def _is_at_most(severity: Severity, limit: Severity | None) -> bool:
    return severity.is_known and (limit is None or severity.rank <= limit.rank)


def _is_at(pattern: str, outcome: Outcome) -> bool:
    """Return whether a target is meant: as it was written, by its host without port, by its id."""
    host = _PORT.sub("", without_scheme(outcome.target).partition("/")[0])
    names = [outcome.target, host, comparable_host(host), outcome.site_id or ""]
    bare = without_scheme(pattern).rstrip("/")
    return any(_fits(each, names) for each in (pattern, bare, comparable_host(bare)))


def _locations(outcome: Outcome, finding: Finding) -> list[str]:
    """Return an affected location as it was written and normalised: with its host, and alone."""
    if not finding.url:
        return []
    place = place_of(finding)
    written = without_scheme(finding.url).partition("?")[0].partition("#")[0]
    return [written, f"{place.host or host_of(outcome)}{place.path}", place.path]


def _fits(pattern: str, texts: Iterable[str]) -> bool:
    """Return whether a pattern fits a text, or is it: brackets of an address are no pattern."""
    wanted, lowered = pattern.lower(), [text.lower() for text in texts if text]
    return wanted in lowered or any(fnmatchcase(text, wanted) for text in lowered)


_LARGEST_FILE: Final = 5 << 20
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")
_ENTRY: Final = re.compile(r"""\s*\[\[\s*["']?waiver["']?\s*\]\]""")


def read_waivers(path: Path | str, *, today: date) -> Waivers:
    """Return the waivers of a file.

    Args:
        path: The file, `-` for stdin.
        today: The day, in UTC, by which entries expire.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; the message names the line.
    """
    text = read_text(path, what="The waivers", largest=_LARGEST_FILE)
    values = parse_toml(text, where=shown(path))
    return Waivers(entries=_entries(text, values, where=shown(path)), today=today)


def _entries(text: str, values: Mapping[str, Any], *, where: str) -> tuple[Waiver, ...]:
    for key in [key for key in values if key != "waiver"][:1]:
        raise ConfigError(
            f"{where}, line {line_of(key, text)}: {clean_text(key, longest=60)!r} is not known "
            "here: each entry begins with [[waiver]]."
        )
    entries = values.get("waiver", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        line = line_of("waiver", text)
        raise ConfigError(f"{where}, line {line}: each entry begins with [[waiver]].")
    numbered = enumerate(text.splitlines(), start=1)
    heads = [line for line, content in numbered if _ENTRY.match(content)]
    if len(heads) != len(entries):  # written in another way: an array of inline tables
        heads = [line_of("waiver", text)] * len(entries)
    return tuple(
        _entry(entry, text, line, where=where) for entry, line in zip(entries, heads, strict=True)
    )


def _entry(entry: Mapping[str, Any], text: str, line: int, *, where: str) -> Waiver:
    checked: dict[str, Any] = {}
    for key, value in entry.items():
        at = f"{where}, line {line_of(key, text, first=line)}"
        if key not in _CHECKS:
            known = ", ".join(_CHECKS)
            shown = clean_text(key, longest=60)
            raise ConfigError(f"{at}: a waiver has no {shown!r}. Known: {known}.")
        problem = ""
        try:
            checked[key] = _CHECKS[key](value)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise ConfigError(f"{at}: {key} must be {problem}.")
    problem = _lacking(checked)
    if problem:
        raise ConfigError(f"{where}, line {line}: this waiver {problem}.")
    return Waiver(line=line, **checked)


def _lacking(checked: Mapping[str, Any]) -> str:
    """Return what an entry lacks before it may waive anything; empty when it lacks nothing."""
    if "fingerprint" not in checked and not {"weakness", "target"} <= checked.keys():
        return 'needs a fingerprint, or a weakness and a target ("*" for all)'
    if "reason" not in checked:
        return "needs a reason"
    if "expires" not in checked:
        return "needs a last day, like expires = 2027-01-31"
    return ""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("text")
    return value.strip()


def _fingerprint(value: object) -> str:
    if not isinstance(value, str) or not _FINGERPRINT.fullmatch(value):
        raise ValueError("the 32 hexadecimal digits that JSON output and SARIF show")
    return value


def _severity(value: object) -> Severity:
    if value not in SEVERITIES:
        raise ValueError(f"one of {', '.join(SEVERITIES)}")
    return Severity(str(value))


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError("a day like 2027-01-31, without quotes and time")
    return value


_CHECKS: Final[Mapping[str, Callable[[object], Any]]] = {
    "fingerprint": _fingerprint,
    "weakness": _text,
    "target": _text,
    "url": _text,
    "severity": _severity,
    "reason": _text,
    "expires": _day,
}
"""Every key of an entry, and how its value is checked."""
