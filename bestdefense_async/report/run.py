"""A run: what every output and the gate are made from.

It is a value without a connection to anything, so a report of a saved run is the same report as
the one written when the run ended.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Protocol, Self

from attrs import field, frozen

from bestdefense_async.models import SEVERITIES, Finding, RiskSummary, ScanOptions, Severity

OUTCOMES: Final = ("done", "failed", "unknown", "not_started")
"""How a target may end."""


class OutcomeLike(Protocol):
    """What a row is made from: the outcomes of `bestdefense_async.runs`."""

    @property
    def status(self) -> str:
        """One of `OUTCOMES`."""

    @property
    def site_id(self) -> str | None:
        """The site's id, None until known."""

    @property
    def report_id(self) -> str | None:
        """The report's id, None until known."""


@frozen
class Problem:
    """Why a target has no verdict."""

    kind: str
    """Class name of the error, like `PollTimeout`."""
    message: str


@frozen(kw_only=True)
class Row:
    """One target and how it ended."""

    target: str
    outcome: str
    """One of `OUTCOMES`."""
    site_id: str | None = None
    report_id: str | None = None
    risk: RiskSummary | None = None
    """Counts by severity; None without a verdict."""
    findings: tuple[Finding, ...] = ()
    """May be empty although `risk` counts some: not every answer lists them."""
    error: Problem | None = None
    started_at: float | None = None
    """Seconds since the epoch, None when it never started."""
    finished_at: float | None = None
    """Seconds since the epoch, None when it never finished."""

    @classmethod
    def of(cls, outcome: OutcomeLike) -> Self:
        """Return the row of an outcome of a scan group."""
        error = getattr(outcome, "error", None)
        return cls(
            target=target_text(getattr(outcome, "target", "")),
            outcome=outcome.status,
            site_id=outcome.site_id,
            report_id=outcome.report_id,
            risk=getattr(outcome, "risk", None),
            findings=tuple(getattr(outcome, "findings", ())),
            error=None if error is None else problem_of(error),
            started_at=finite(getattr(outcome, "started_at", None)),
            finished_at=finite(getattr(outcome, "finished_at", None)),
        )

    @property
    def has_verdict(self) -> bool:
        """Whether this target was scanned to the end and its risk is known."""
        return self.outcome == "done" and self.risk is not None

    def counts(self) -> dict[Severity, int]:
        """Return the findings by severity, zeros left out, worst first.

        Where the summary and the list disagree, the larger number counts: a gate must not pass
        because an answer contradicts itself.
        """
        listed = Counter(finding.severity for finding in self.findings)
        summary = self.risk.as_dict() if self.risk is not None else {}
        known = {Severity(severity): count for severity, count in summary.items()}
        severities = sorted(
            known.keys() | listed.keys(), key=lambda severity: (-severity.rank, severity)
        )
        most = {severity: max(known.get(severity, 0), listed[severity]) for severity in severities}
        return {severity: count for severity, count in most.items() if count > 0}

    def reported(self) -> tuple[Finding, ...]:
        """Return the findings, and for those that are only counted one that says how many.

        A format that lists findings would otherwise show a site as clean whose answer carried
        nothing but counts.
        """
        listed = Counter(finding.severity for finding in self.findings)
        missing = {severity: count - listed[severity] for severity, count in self.counts().items()}
        return self.findings + tuple(
            Finding(
                severity=severity, weakness="Not listed", title=f"{count} not listed one by one"
            )
            for severity, count in missing.items()
            if count > 0
        )


def _as_options(options: ScanOptions | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return options as plain values, without the callback secret."""
    if options is None:
        return {}
    if isinstance(options, ScanOptions):
        options = {
            "types": list(options.types),
            "intensity": options.intensity,
            "mode": options.mode,
            "testing_type": options.testing_type,
        }
    return {key: value for key, value in options.items() if key != "callback_secret"}


@frozen(kw_only=True)
class Run:
    """One bulk scan: its targets and how each ended."""

    rows: tuple[Row, ...]
    """One per target, in the order of the targets."""
    name: str = "scan"
    started_at: float | None = None
    """Seconds since the epoch."""
    finished_at: float | None = None
    """Seconds since the epoch; None while it runs, or when it was cut off."""
    base_url: str = ""
    options: Mapping[str, Any] = field(default=None, converter=_as_options)
    """The scan options as plain values; a callback secret is never kept."""
    throttled: tuple[tuple[float, float], ...] = ()
    """Spans in which a rate limit held requests back, seconds since the epoch."""

    @property
    def seconds(self) -> float | None:
        """How long the run took, or None."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(self.finished_at - self.started_at, 0.0)

    def by_outcome(self) -> dict[str, int]:
        """Return how many targets ended with each status in `OUTCOMES`."""
        seen = Counter(row.outcome for row in self.rows)
        return {status: seen[status] for status in OUTCOMES}

    def counts(self) -> dict[Severity, int]:
        """Return all findings by severity, worst first; documented severities are always there."""
        total: Counter[Severity] = Counter(dict.fromkeys(SEVERITIES, 0))
        for row in self.rows:
            total.update(row.counts())
        return dict(sorted(total.items(), key=lambda item: (-item[0].rank, item[0])))


def target_text(target: object) -> str:
    """Return the text of a target, given as text or as an object with `text`."""
    return target if isinstance(target, str) else str(getattr(target, "text", target))


def problem_of(error: BaseException) -> Problem:
    """Return an error as it stands in outputs."""
    return Problem(str(getattr(error, "kind", type(error).__name__)), str(error))


def finite(value: object) -> float | None:
    """Return `value` as a float when it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
