"""What a scan found: single findings and their counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from bestdefense_async.models.severity import SEVERITIES, Severity


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

    def at_or_above(self, severity: Severity) -> int:
        """Return how many findings are of `severity` or worse; unknown severities count."""
        return sum(
            count for word, count in self.as_dict().items() if Severity(word).rank >= severity.rank
        )

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
