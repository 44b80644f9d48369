"""How a target ended, and the events on the way there. Every input ends in exactly one of four.

| outcome | a scan was started | its result is known |
|---|---|---|
| `Done` | yes | yes |
| `Failed` | yes when `report_id` is set; else the server refused | no |
| `Unknown` | perhaps: check before you start it again | no |
| `NotStarted` | no | no |
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from attrs import field, frozen

from bestdefense_async.errors import AuthError, BestDefenseError, QuotaExceeded, Sent
from bestdefense_async.models import Finding, RiskSummary


@frozen(kw_only=True)
class _OutcomeFields:
    """What all outcomes have."""

    status: ClassVar[str]
    """The outcome in outputs: done, failed, unknown or not_started."""

    index: int
    """Index of the input, from 0, in the order in which the group took it."""
    target: str
    """The target as it was written; empty when it must not be repeated."""
    site_id: str | None = None
    report_id: str | None = None
    """The scan, once it is known: it can be followed by this id later."""
    started_at: float | None = None
    """When the creation was sent, in seconds since the epoch; None when nothing was sent."""
    finished_at: float | None = None
    """When the outcome became known, in seconds since the epoch."""


@frozen(kw_only=True)
class Done(_OutcomeFields):
    """The scan is complete and its result is here."""

    status: ClassVar[str] = "done"

    risk: RiskSummary | None
    """Counts by severity. None when no security scan was asked for: there is nothing to judge,
    and a gate must not take that for a clean site."""
    findings: tuple[Finding, ...] = ()
    """Empty when the answer carries only counts."""


@frozen(kw_only=True)
class Failed(_OutcomeFields):
    """There is no result: the server refused, or the scan could not be followed to its end."""

    status: ClassVar[str] = "failed"

    error: BestDefenseError = field()


@frozen(kw_only=True)
class Unknown(_OutcomeFields):
    """The creation was sent and its answer is lost: a scan may exist. It is not sent again."""

    status: ClassVar[str] = "unknown"

    error: BestDefenseError = field()


@frozen(kw_only=True)
class NotStarted(_OutcomeFields):
    """No scan was started for this target."""

    status: ClassVar[str] = "not_started"

    error: BestDefenseError = field()


Outcome: TypeAlias = Done | Failed | Unknown | NotStarted


def is_about_target(error: BestDefenseError) -> bool:
    """Return whether the refusal of a creation is a verdict on its target: `Failed`.

    Else nothing was sent, or the token or the quota is at fault: the target was `NotStarted`.
    """
    return error.sent is not Sent.NO and not isinstance(error, AuthError | QuotaExceeded)


@frozen(kw_only=True)
class TargetAccepted:
    """A target names a site; its scan will be created when its turn comes."""

    index: int
    target: str
    site_id: str


@frozen(kw_only=True)
class TargetRejected:
    """A target cannot be scanned. Its outcome is `NotStarted`."""

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


ScanEvent: TypeAlias = TargetAccepted | TargetRejected | ScanStarted | ScanFinished
