"""Who waits for what, and what the answer to a poll means for them.

There may be a hundred thousand of them, so an entry is one object. The first to wait for a report
carries the state of the report too; those who join it have an entry of their own in its list.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define, field, frozen

from bestdefense_async.core.polling import DEFAULT_POLICY, PollPolicy
from bestdefense_async.core.retry import LONGEST_WAIT
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ClientClosed,
    DeadlineExceeded,
    EnvelopeError,
    NotFound,
    PollTimeout,
    RateLimited,
    Sent,
    ServerError,
    TLSError,
    TransportError,
)
from bestdefense_async.models import Progress

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable


PollResult: TypeAlias = Progress | BestDefenseError
"""What a wait ends with: the completed progress, or why there is none."""


@frozen(kw_only=True, eq=False)
class WaitOptions:
    """On which terms somebody waits: one object for all reports of a group."""

    notify: Callable[[Any, PollResult], object]
    """Called once per wait, with its tag and the verdict."""
    policy: PollPolicy = DEFAULT_POLICY
    """How often to ask."""
    timeout: float | None = None
    """Seconds one wait may take. None is for ever: a scan that failed may never be complete."""


@define(eq=False, weakref_slot=False)
class Subscription:
    """One wait for a report: what `follow` returns and `cancel` takes."""

    report_id: str
    tag: Any
    options: WaitOptions | None
    """None once the wait is over."""
    since: float

    def end(self) -> None:
        """Record that the wait is over, and let go of who waited: he may hold this."""
        self.options = self.tag = None

    @property
    def deadline(self) -> float:
        """Loop time at which the wait is given up, inf for never."""
        if self.options is None or self.options.timeout is None:
            return math.inf
        return self.since + self.options.timeout


@define(eq=False)
class Bucket:
    """Reports that are due at one moment."""

    due: float
    """Loop time."""
    reports: list[PolledReport] = field(factory=list)
    """Those that were put here; one that has left since has another `bucket`."""


@define(eq=False, weakref_slot=False)
class PolledReport(Subscription):
    """A report somebody waits for, and the first wait for it."""

    created: float
    """Loop time at which the scan began, as far as known."""
    asked: float
    """Loop time of the last poll, to a second; of the first wait, before there was one."""
    bucket: Bucket | None = None
    """When it is due; None while a poll is wanted or under way."""
    percentage: float | None = None
    failing_since: float | None = None
    was_seen: bool = False
    """Whether the server has ever known it."""
    misshapen: int = 0
    """How many answers in a row were of another shape than the API's."""
    others: list[Subscription] | None = None

    def subscriptions(self) -> list[Subscription]:
        """Return the waits that are not over, in the order in which they began."""
        alive: list[Subscription] = [] if self.options is None else [self]
        if self.others is not None:
            self.others = [
                subscription for subscription in self.others if subscription.options is not None
            ] or None
            alive += self.others or ()
        return alive

    def join(self, subscription: Subscription) -> None:
        """Add another wait for the same report."""
        if self.others is None:
            self.others = []
        self.others.append(subscription)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits any more. Costs O(1) on average, however many have joined."""
        if self.options is not None:
            return False
        while self.others and self.others[-1].options is None:
            self.others.pop()
        return not self.others

    def has_just_met(self, policy: PollPolicy) -> bool:
        """Return whether the first or the last to join has this policy: mostly all have the same.

        Unlike `policies` it does not look at all of them.
        """
        ends = (self, self.others[-1]) if self.others else (self,)
        return any(end.options is not None and end.options.policy == policy for end in ends)

    def policies(self) -> Iterable[PollPolicy]:
        """Return the policies of those who wait, each once."""
        if self.others is None:
            return () if self.options is None else (self.options.policy,)
        return {
            subscription.options.policy
            for subscription in self.subscriptions()
            if subscription.options is not None
        }

    def first_deadline(self) -> float:
        """Return the loop time at which the first of those who wait gives up, inf for never."""
        if self.others is None:
            return self.deadline
        return min(
            (subscription.deadline for subscription in self.subscriptions()), default=math.inf
        )


@frozen(kw_only=True)
class PollStats:
    """What a scheduler has to do now."""

    waiting: int
    """Scans that are waited for."""
    due: int
    """Those among them whose poll is due and has not begun."""
    under_way: int
    """Polls that have begun; some may still wait for a slot or a limit."""
    unasked: float
    """Seconds since the last poll of the scan whose turn it is next, 0.0 when none is due."""


log: Final = logging.getLogger("bestdefense_async.polling")

GRACE: Final = 30.0
"""Seconds after its creation in which a report may still be unknown to the server (404)."""

MOST_MISSHAPEN: Final = 3
"""Answers of another shape in a row after which a wait ends: a host that has changed stays so."""

_PASSING: Final = (RateLimited, ServerError, TransportError, DeadlineExceeded)


def is_final(error: BestDefenseError, report: PolledReport, now: float) -> bool:
    """Return whether asking again cannot help."""
    if isinstance(error, NotFound):
        return report.was_seen or now - report.created > GRACE
    if isinstance(error, EnvelopeError):
        return report.misshapen >= MOST_MISSHAPEN
    return isinstance(error, TLSError) or not isinstance(error, _PASSING)


def tell(subscription: Subscription, result: PollResult) -> None:
    """End a wait, unless it is over: exactly one of all calls for a wait reaches who waits."""
    options, tag = subscription.options, subscription.tag
    if options is None:
        return
    subscription.end()
    try:
        options.notify(tag, result)
    except Exception:
        log.exception("Who waited for report %s failed; the others go on.", subscription.report_id)


def tell_late(report: PolledReport, *, limit: float, now: float) -> None:
    """End the waits whose deadline is not after `limit`."""
    if report.first_deadline() <= limit:
        for subscription in report.subscriptions():
            if subscription.deadline <= limit:
                tell(subscription, PollTimeout(report.report_id, waited=now - subscription.since))


def tell_impatient(report: PolledReport, error: BestDefenseError, now: float) -> None:
    """End the waits that have seen polls fail for too long.

    A 404 is no failure, nor is a 429 unless it asks for more time than is waited at once.
    """
    is_short = isinstance(error, RateLimited) and (error.retry_after or 0.0) <= LONGEST_WAIT
    if is_short or isinstance(error, NotFound):
        return
    if report.failing_since is None:
        report.failing_since = now
    for subscription in report.subscriptions():
        policy = None if subscription.options is None else subscription.options.policy
        if policy and (now - report.failing_since) * policy.speed > policy.patience:
            tell(subscription, about(error, report.report_id))


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


def resolve(future: asyncio.Future[PollResult], result: PollResult) -> None:
    """Hand the end of a wait to the task that awaits it."""
    if not future.done():  # whoever waited may have been cancelled in this very tick
        future.set_result(result)


def closed_under_wait() -> ClientClosed:
    """Return what a wait ends with when the client is closed."""
    return ClientClosed("The client was closed while a report was waited for.", sent=Sent.YES)
