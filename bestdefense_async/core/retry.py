"""Whether to try again: decided from the error alone, without clock, chance or sleep.

The rule that matters most: a request that may not arrive twice is repeated only when the server
certainly did no work, which is when nothing was sent or when it answered 429.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from bestdefense_async.core.check import check_seconds, check_whole, validated
from bestdefense_async.errors import (
    AttemptTimeout,
    BestDefenseError,
    ClientError,
    ConnectError,
    ConnectionLost,
    IntegrityError,
    ProtocolError,
    ProxyError,
    RateLimited,
    RedirectRefused,
    Sent,
    ServerError,
    TLSError,
    Truncated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_PASSING_CLIENT_STATUSES: Final = {408, 425}
_LASTING_SERVER_STATUSES: Final = {501, 505}


LONGEST_WAIT: Final = 120.0
"""Seconds that a server may ask for, unless a policy says otherwise."""
_A_TIME: Final = validated(check_seconds, or_zero=True)


@frozen(kw_only=True)
class RetryPolicy:
    """How hard to try. All times are seconds.

    Raises:
        ConfigError: A value is of another type, negative, or not finite.
    """

    attempts: int = field(default=4, validator=validated(check_whole))
    """Most requests sent for one call, the first included."""
    base: float = field(default=0.25, validator=_A_TIME)
    """Ceiling of the first random wait; it doubles with each attempt."""
    longest_backoff: float = field(default=20.0, validator=_A_TIME)
    """No random wait is longer."""
    longest_wait: float = field(default=LONGEST_WAIT, validator=_A_TIME)
    """A Retry-After above this ends the call instead of parking it."""


@frozen
class Again:
    """Try again."""

    after: float
    """Seconds to wait first."""


@frozen
class Stop:
    """Raise the error to the caller."""


@define
class RetryBudget:
    """What all calls of a client may spend on retries together.

    Each retry costs, each success earns a little back. In an outage the budget is empty after
    some tens of retries and every further call is sent once: 10,000 calls make about 10,035
    requests, not 30,000.
    """

    units: float = 500.0
    full: float = 500.0

    def spend(self, error: BestDefenseError) -> bool:
        """Take the price of a retry; return False when it cannot be paid."""
        price = 5.0 if isinstance(error, RateLimited) else 14.0
        if self.units < price:
            return False
        self.units -= price
        return True

    def earn(self, units: float = 1.0) -> None:
        """Record a success, or a time without calls that is worth as much as so many."""
        self.units = min(self.full, self.units + units)


def decide(
    error: BestDefenseError,
    *,
    attempt: int,
    may_repeat: bool,
    pause: float | None,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float],
) -> Again | Stop:
    """Return what to do after `attempt` (1-based) failed with `error`.

    A 429 is retried for every method: the server did no work. Other failures are retried only
    when the request may arrive twice, or when it certainly was not sent.

    Args:
        error: What the attempt met.
        attempt: Which one it was, from 1.
        may_repeat: Whether the request may arrive twice.
        policy: How hard to try.
        uniform: Chance between two bounds.
        pause: Seconds for which a 429 paused the limit. That is the wait then: only one place
            decides how long a pause is.
    """
    if attempt >= policy.attempts or not _is_passing(error, attempt):
        return Stop()
    if not (may_repeat or error.sent is Sent.NO or isinstance(error, RateLimited)):
        return Stop()
    hint = getattr(error, "retry_after", None) or 0.0
    if max(hint, pause or 0.0) > policy.longest_wait:
        return Stop()
    if pause is not None:
        return Again(pause)
    ceiling = min(policy.longest_backoff, policy.base * 2 ** (attempt - 1))
    return Again(hint + uniform(0.0, ceiling))


def _is_passing(error: BestDefenseError, attempt: int) -> bool:
    """Return whether the same request could succeed a moment later."""
    match error:
        case TLSError() | RedirectRefused():
            return False
        case ConnectError(is_unknown_host=True) | IntegrityError():
            return attempt == 1
        case ServerError(status=status):
            return status not in _LASTING_SERVER_STATUSES
        case ClientError(status=status):
            return status in _PASSING_CLIENT_STATUSES
        case ProtocolError():
            return False
    return isinstance(
        error,
        ConnectError | ProxyError | ConnectionLost | AttemptTimeout | Truncated | RateLimited,
    )


def asked_wait(error: BestDefenseError, *, longest: float = LONGEST_WAIT) -> float:
    """Return the seconds that a failing server asks to wait, at most `longest`; 0.0 when none.

    For whoever asks again in any case, like a poll: a hint lengthens the wait, and cannot park it.
    """
    hint = error.retry_after if isinstance(error, RateLimited | ServerError) else None
    return min(hint or 0.0, longest)


def is_fate_unknown(error: BestDefenseError) -> bool:
    """Return whether a creation that ended with `error` may have been carried out.

    It may when something was sent and the answer is not a plain refusal: a broken answer, a
    5xx, a time-out, a redirect, a success that cannot be read, or success and error at once.
    """
    if error.sent is Sent.NO:
        return False
    status = getattr(error, "status", None)
    if status is None or error.sent is Sent.MAYBE:
        return True
    return isinstance(error, ServerError) or status in _PASSING_CLIENT_STATUSES
