"""Waivers: findings that somebody has decided to live with, until a day and for a reason.

A waiver covers findings, never sites: what was not scanned, and what is counted but not listed,
cannot be waived. Each has a last day, so that no decision outlives the memory of it: whoever means
"for good" writes a late date, and somebody looks at it again then.
"""

from __future__ import annotations

import re
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from bestdefense_async.models import Finding, Severity
from bestdefense_async.output.fingerprint import fingerprint, place_of
from bestdefense_async.output.text import visible, without_scheme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bestdefense_async.output.run import Row

_PORT: Final = re.compile(r":[0-9]{1,5}$")


@frozen(kw_only=True)
class Waiver:
    """One entry. Whatever of its conditions is not None must hold."""

    reason: str
    expires: date
    """The last day on which it counts."""
    fingerprint: str | None = None
    """The finding, as `fingerprint()`, the JSON output and SARIF name it."""
    weakness: str | None = None
    """CWE or name of the weakness type, in any letter case; never a pattern."""
    target: str | None = None
    """Pattern like `*.example.com` for the host, or the target as it was written, or the id."""
    url: str | None = None
    """Pattern for the affected location, without scheme, query and fragment."""
    severity: Severity | None = None
    """The worst severity it covers: a finding that became worse is not waived. None is every
    documented severity; one that is not documented is never covered."""
    line: int | None = None
    """Where it stands in its file, from 1."""

    def covers(self, row: Row, finding: Finding, *, name: str) -> bool:
        """Tell whether the finding of this row, whose fingerprint is `name`, is meant."""
        return (
            self.fingerprint in {None, name}
            and self._means_weakness(finding)
            and _is_at_most(finding.severity, self.severity)
            and (self.target is None or _fits(self.target, _names(row)))
            and (self.url is None or _fits(self.url, [place_of(finding)]))
        )

    def _means_weakness(self, finding: Finding) -> bool:
        return self.weakness is None or self.weakness.lower() in _kinds(finding)

    def __str__(self) -> str:
        """Say what is waived, on one line."""
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

    @_by_key.default
    def _index(self) -> dict[str, list[Waiver]]:
        found: dict[str, list[Waiver]] = {}
        for entry in self.entries:
            if self.is_active(entry):
                key = entry.fingerprint or (entry.weakness or "").lower()
                found.setdefault(key, []).append(entry)
        return found

    def is_active(self, entry: Waiver) -> bool:
        """Tell whether an entry counts today."""
        return self.today <= entry.expires

    def covering(self, row: Row, finding: Finding) -> list[Waiver]:
        """Return the active entries that cover a finding; nothing covers one without a verdict."""
        if not self._by_key or not row.has_verdict:
            return []
        name = fingerprint(row, finding)
        near = [entry for key in {name, *_kinds(finding)} for entry in self._by_key.get(key, ())]
        return [entry for entry in near if entry.covers(row, finding, name=name)]


def _kinds(finding: Finding) -> set[str]:
    return {text.lower() for text in (finding.cwe, finding.weakness) if text}


def _is_at_most(severity: Severity, limit: Severity | None) -> bool:
    return severity.is_known and (limit is None or severity.rank <= limit.rank)


def _names(row: Row) -> list[str]:
    """Return what a target is called: as it was written, its host without port, its id."""
    host = _PORT.sub("", without_scheme(row.target).partition("/")[0])
    return [row.target, host, row.site_id or ""]


def _fits(pattern: str, texts: Iterable[str]) -> bool:
    return any(fnmatchcase(text.lower(), pattern.lower()) for text in texts if text)
