"""What a scan found: findings, how bad they are, and their counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Self

from attrs import field, frozen

from bestdefense_async import vendor
from bestdefense_async.models.plain import html_table

_WIRE_FORMS: Final = {"info": "informational", "": "unknown"}
_RANKS: Final = {word: rank for rank, word in enumerate(reversed(vendor.SEVERITIES))}


class Severity(str):
    """A severity in the API's words, as text in lower case.

    The enumeration is open: a word we do not know is kept as it came. It ranks above every
    known one, so that a gate fails closed instead of overlooking it.

    Source: api-facts, "Severities". (documented; `info` as wire form inferred)
    """

    __slots__ = ()

    CRITICAL: ClassVar[Severity]
    HIGH: ClassVar[Severity]
    MEDIUM: ClassVar[Severity]
    LOW: ClassVar[Severity]
    INFORMATIONAL: ClassVar[Severity]

    def __new__(cls, text: str) -> Self:
        """Return the severity for `text` in any letter case.

        `info` means informational, and no word at all `unknown`.
        """
        lowered = text.strip().lower()
        return super().__new__(cls, _WIRE_FORMS.get(lowered, lowered))

    @property
    def is_known(self) -> bool:
        """Whether this is one of the five words the API documents."""
        return str(self) in _RANKS

    @property
    def rank(self) -> int:
        """0 for informational up to 4 for critical; 5 for an unknown word."""
        return _RANKS.get(str(self), len(_RANKS))

    def __repr__(self) -> str:
        return f"Severity({str(self)!r})"


SEVERITIES: Final = tuple(map(Severity, vendor.SEVERITIES))
"""The documented severities, worst first."""
(
    Severity.CRITICAL,
    Severity.HIGH,
    Severity.MEDIUM,
    Severity.LOW,
    Severity.INFORMATIONAL,
) = SEVERITIES


def ranked(severities: Iterable[Severity]) -> list[Severity]:
    """Return each severity once, the worst first, those that nobody has documented by word."""
    return sorted(set(severities), key=lambda severity: (-severity.rank, severity))


@frozen(kw_only=True)
class RiskSummary:
    """Counts of findings by severity.

    Source: api-facts, "Risk summary". (counts documented; an absent severity counts 0)
    """

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    informational: int = 0
    other: Mapping[str, int] = field(factory=dict)
    """Counts under severities that are not documented; a gate counts them as the worst."""

    @property
    def total(self) -> int:
        """All findings, of whatever severity."""
        return sum(self.as_dict().values())

    @property
    def worst(self) -> Severity | None:
        """The worst severity that occurs; None when nothing was found."""
        present = [Severity(word) for word, count in self.as_dict().items() if count]
        return max(present, key=lambda severity: severity.rank, default=None)

    def as_dict(self) -> dict[str, int]:
        """Return the counts by severity, worst first, undocumented ones last."""
        known = {str(severity): getattr(self, severity) for severity in SEVERITIES}
        return known | dict(self.other)


@frozen(kw_only=True)
class Finding:
    """One weakness at one place; the API says alert.

    What a finding contains is documented in prose, the names of its members are inferred:
    all but the severity may be None, and whatever else came is in `extra`.
    """

    severity: Severity
    id: str | None = None
    title: str | None = None
    url: str | None = None
    """The affected location."""
    evidence: str | None = None
    guidance: str | None = None
    """How to mend it."""
    cwe: str | None = None
    """Like `CWE-79`."""
    weakness: str | None = None
    """Name of the weakness type."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""

    def as_dict(self) -> dict[str, Any]:
        """Return what is known of it as plain values; what is not known is left out."""
        texts = {name: text for name in FINDING_TEXTS if (text := getattr(self, name)) is not None}
        extra = {"extra": dict(self.extra)} if self.extra else {}
        return {"severity": str(self.severity), **texts, **extra}


FINDING_TEXTS: Final = ("id", "title", "url", "evidence", "guidance", "cwe", "weakness")
"""The members of a finding that are text or None."""


@frozen(kw_only=True)
class Alerts:
    """The result of a security report: counts, and the findings where the answer lists them.

    Source: api-facts, "alerts of a Vortex security report". (key of the summary inferred)
    """

    risk: RiskSummary
    findings: tuple[Finding, ...] = ()
    """In the order of the answer; empty when it carries only counts."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""

    def as_dict(self) -> dict[str, Any]:
        """Return counts and findings as plain values that any writer of JSON takes."""
        return {
            "risk": self.risk.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def _repr_html_(self) -> str:
        """Return them as a table, for notebooks."""
        return findings_table(self.risk, self.findings)


def findings_table(risk: RiskSummary | None, findings: tuple[Finding, ...]) -> str:
    """Return findings as a table for a notebook, the worst first."""
    counts = {} if risk is None else risk.as_dict()
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    ranked = sorted(findings, key=lambda finding: -finding.severity.rank)
    rows = [(each.severity, each.title, each.url, each.cwe) for each in ranked]
    return html_table(told or "no findings", ("severity", "title", "location", "weakness"), rows)
