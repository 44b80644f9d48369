"""What the answer to a poll means for those who wait, and how they are told."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    DeadlineExceeded,
    NotFound,
    PollTimeout,
    RateLimited,
    ServerError,
    TLSError,
    TransportError,
)

if TYPE_CHECKING:
    from bestdefense_async.polling.watch import Report, Verdict, Watch

log: Final = logging.getLogger("bestdefense_async.polling")

GRACE: Final = 30.0
"""Seconds after its creation in which a report may still be unknown to the server (404)."""

_PASSING: Final = (RateLimited, ServerError, TransportError, DeadlineExceeded)


def is_final(error: BestDefenseError, report: Report, now: float) -> bool:
    """Return whether asking again cannot help."""
    if isinstance(error, NotFound):
        return report.was_seen or now - report.created > GRACE
    return isinstance(error, TLSError) or not isinstance(error, _PASSING)


def tell(watch: Watch, verdict: Verdict) -> None:
    """End a wait, unless it is over: exactly one of all calls for a wait reaches who waits."""
    terms, tag = watch.terms, watch.tag
    if terms is None:
        return
    watch.end()
    try:
        terms.notify(tag, verdict)
    except Exception:
        log.exception("Who waited for report %s failed; the others go on.", watch.report_id)


def tell_late(report: Report, *, limit: float, now: float) -> None:
    """End the waits whose deadline is not after `limit`."""
    if report.first_deadline() <= limit:
        for watch in report.watches():
            if watch.deadline <= limit:
                tell(watch, PollTimeout(report.report_id, waited=now - watch.since))


def tell_impatient(report: Report, error: BestDefenseError, now: float) -> None:
    """End the waits that have seen polls fail for too long; a 429 or a 404 is no failure."""
    if isinstance(error, NotFound | RateLimited):
        return
    if report.failing_since is None:
        report.failing_since = now
    for watch in report.watches():
        policy = None if watch.terms is None else watch.terms.policy
        if policy and (now - report.failing_since) * policy.speed > policy.patience:
            tell(watch, about(error, report.report_id))


def surprised(error: Exception) -> BestDefenseError:
    """Log a fault of the program with its traceback; return an error that names only its kind."""
    log.error("Unexpected error in a poll; the others go on.", exc_info=error)
    return BestDefenseError(f"Unexpected {type(error).__name__}: see the log.")


def about(error: BestDefenseError, report_id: str) -> BestDefenseError:
    """Return a copy of `error` that names the report it concerns."""
    one = copy.copy(error)
    if isinstance(one, AuthError):
        one.report_id = report_id
    return one
