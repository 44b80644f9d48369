"""How a target ended, and the events on the way there.

Every target has one `Outcome`, the same in a program, in the record of a run, in the event log and
in every report.

| status | a scan was started | its result is here |
|---|---|---|
| `done` | yes | yes |
| `running` | yes: it goes on at the server, and can be followed by its `report_id` | no |
| `failed` | the server refused, or the scan ended without a result | no |
| `unknown` | perhaps: look before you start it again | no |
| `not_started` | no | no |
"""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

from attrs import field, frozen

from bestdefense_async.errors import (
    ApiError,
    AuthError,
    BestDefenseError,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    ScanFailed,
    Sent,
    ServerError,
)
from bestdefense_async.models.finding import (
    SEVERITIES,
    Finding,
    RiskSummary,
    Severity,
    findings_table,
    ranked,
)
from bestdefense_async.models.plain import html_table


class OutcomeStatus(enum.StrEnum):
    """How a target ended, as one word."""

    DONE = "done"
    """The scan is complete and its result is here."""
    RUNNING = "running"
    """The scan exists and its result is not here: it can be followed on."""
    FAILED = "failed"
    """The server refused the target, or the scan ended without a result."""
    UNKNOWN = "unknown"
    """The creation was sent and its answer is lost: a scan may exist. It is not sent again."""
    NOT_STARTED = "not_started"
    """No scan was started."""


_PASSING = (AuthError, QuotaExceeded, RateLimited, ServerError)
"""Refusals that are no verdict on a target or a scan: they may be over later."""


def status_of(error: BestDefenseError | None, *, report_id: str | None) -> OutcomeStatus:
    """Return the status of a target that ended with `error`, None for a result that is here.

    Args:
        error: Why there is no result. A creation whose answer is lost ends with an
            `OutcomeUnknown`.
        report_id: The scan; None when none is known to exist.
    """
    if error is None:
        return OutcomeStatus.DONE
    is_final = isinstance(error, ApiError) and not isinstance(error, _PASSING)
    if report_id is not None:
        has_ended = is_final or isinstance(error, ScanFailed)
        return OutcomeStatus.FAILED if has_ended else OutcomeStatus.RUNNING
    if isinstance(error, OutcomeUnknown):
        return OutcomeStatus.UNKNOWN
    return OutcomeStatus.NOT_STARTED if _is_elsewhere(error) else OutcomeStatus.FAILED


def _is_elsewhere(error: BestDefenseError) -> bool:
    """Return whether a creation was not done for a reason that is not its target's."""
    return error.sent is Sent.NO or isinstance(error, AuthError | QuotaExceeded | RateLimited)


def _finite(moment: float | None) -> float | None:
    return moment if moment is not None and abs(moment) < float("inf") else None


def _told(error: BestDefenseError | None) -> tuple[str, str] | None:
    """Return what two errors are compared by: a record gives an equal one back, not the same."""
    return None if error is None else (error.kind, str(error))


@frozen(kw_only=True)
class Outcome:
    """How one target of a run ended. Whatever there is none of is None."""

    index: int = 0
    """Index of the input, from 0, in the order in which the run took it."""
    target: str
    """The target as it was written; empty when it must not be repeated."""
    status: OutcomeStatus = field(converter=OutcomeStatus)
    site_id: str | None = None
    report_id: str | None = None
    """The scan, once it is known: it can be followed by this id later."""
    risk: RiskSummary | None = None
    """Counts by severity. None when no security scan was asked for: there is nothing to judge,
    and a gate must not take that for a clean site."""
    findings: tuple[Finding, ...] = ()
    """In the order of the answer; empty when it carries only counts."""
    error: BestDefenseError | None = field(default=None, eq=_told)
    """Why there is no result."""
    started_at: float | None = field(default=None, converter=_finite)
    """When the creation was sent, in seconds since the epoch; None when nothing was sent."""
    finished_at: float | None = field(default=None, converter=_finite)
    """When the outcome became known, in seconds since the epoch."""

    @property
    def has_verdict(self) -> bool:
        """Whether this target was scanned to the end and its risk is known."""
        return self.status is OutcomeStatus.DONE and self.risk is not None

    def counts(self) -> dict[Severity, int]:
        """Return the findings by severity, zeros left out, worst first.

        Where the summary and the list disagree, the larger number counts: a gate must not pass
        because an answer contradicts itself.
        """
        most = {} if self.risk is None else _as_severities(self.risk.as_dict())
        for severity, listed in _listed(self.findings).items():
            most[severity] = max(most.get(severity, 0), listed)
        return {severity: most[severity] for severity in ranked(most) if most[severity] > 0}

    def reported(self) -> tuple[Finding, ...]:
        """Return the findings, and for those that are only counted one that says how many.

        A format that lists findings would otherwise show a site as clean whose answer carried
        nothing but counts.
        """
        listed = _listed(self.findings)
        missing = {
            severity: count - listed.get(severity, 0) for severity, count in self.counts().items()
        }
        return self.findings + tuple(
            Finding(
                severity=severity, weakness="Not listed", title=f"{count} not listed one by one"
            )
            for severity, count in missing.items()
            if count > 0
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that any writer of JSON takes.

        An error has `kind`, `message` and, where it carries more, `attributes`. A finding has its
        severity, what else is known of it, and in `extra` the members nobody has documented.
        """
        return {
            "index": self.index,
            "target": self.target,
            "status": str(self.status),
            "site_id": self.site_id,
            "report_id": self.report_id,
            "risk": None if self.risk is None else self.risk.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
            "error": None if self.error is None else error_as_dict(self.error),
            "started_at": self.started_at,
            "finished_at": self.finished_at,
        }

    def _repr_html_(self) -> str:
        """Return it as a table, for notebooks."""
        row = (self.target, self.status, self.report_id, self.error)
        about = html_table("", ("target", "status", "report", "error"), [row])
        found = findings_table(self.risk, self.findings)
        return about + found if self.status is OutcomeStatus.DONE else about


def error_as_dict(error: BestDefenseError) -> dict[str, Any]:
    """Return the kind, the message and, where there are any, the other plain attributes."""
    plain = {name: value for name, value in vars(error).items() if _is_plain(value)}
    attributes = {"attributes": plain} if plain else {}
    return {"kind": error.kind, "message": str(error), **attributes}


def _is_plain(value: object) -> bool:
    is_finite = not isinstance(value, float) or abs(value) < float("inf")
    return value is None or (isinstance(value, str | int | float) and is_finite)


def _as_severities(counts: dict[str, int]) -> dict[Severity, int]:
    return {Severity(word): count for word, count in counts.items()}


def _listed(findings: tuple[Finding, ...]) -> dict[Severity, int]:
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.severity] = counts.get(finding.severity, 0) + 1
    return counts


@frozen(kw_only=True)
class TargetAccepted:
    """A target names a site; its scan will be created when its turn comes."""

    index: int
    target: str
    site_id: str


@frozen(kw_only=True)
class TargetRejected:
    """A target cannot be scanned. Its outcome is `not_started`."""

    index: int
    target: str
    reason: str
    """malformed, unknown_site or duplicate."""
    error: BestDefenseError


@frozen(kw_only=True)
class ScanStarted:
    """The server has created the scan."""

    index: int
    target: str
    site_id: str
    report_id: str
    started_at: float
    """Seconds since the epoch."""


@frozen(kw_only=True)
class ScanFinished:
    """An input has its outcome. There is exactly one of these per input."""

    outcome: Outcome


@frozen(kw_only=True)
class StartingPaused:
    """The host takes no creation: nothing starts until it does. What runs is followed on."""

    error: BestDefenseError
    """What the last creation met."""
    since: float
    """Seconds since the epoch."""


@frozen(kw_only=True)
class StartingResumed:
    """The pause of starting has ended."""

    paused_for: float
    """Seconds since starting was paused."""
    is_back: bool
    """Whether the host has taken a creation again. If not, nothing is going to start any more."""


ScanEvent: TypeAlias = (
    TargetAccepted | TargetRejected | ScanStarted | ScanFinished | StartingPaused | StartingResumed
)
