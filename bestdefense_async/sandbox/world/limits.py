"""Rate limits per token and operation, under any of the policies a server may have.

| policy | counts |
|---|---|
| `fixed` | calls since the window began; it begins with its first call |
| `clock` | the same, with windows cut by the clock |
| `sliding-log` | calls in the last period |
| `weighted` | previous window's calls x what is left of it + calls of this window |
| `bucket` | permits; all of them at first, refilled one by one |

Refused calls are not counted. Times are seconds of the loop, never sped up: the client's waiting is
not sped up either.

Source: "API access & tokens" (documented): manifest 60 per minute, download 20 per hour, 429 with
Retry-After. Policy and unit of Retry-After are unknown, hence the choice.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Literal

from attrs import define, field

from bestdefense_async.sandbox.replies import Reply, failure
from bestdefense_async.sandbox.world.tokens import Token

Policy = Literal["fixed", "clock", "sliding-log", "weighted", "bucket"]
RetryAfter = Literal["none", "seconds", "http-date", "epoch"]

DOCUMENTED: Mapping[str, tuple[int, float]] = {
    "agents.manifest": (60, 60.0),
    "agents.download": (20, 3600.0),
}

_ROUNDING = 1e-9
"""Tolerance in calls: one that comes exactly on time must not be refused for a sum's last digit."""


@define
class Counter(ABC):
    """One token's use of one operation."""

    limit: int
    period: float

    @abstractmethod
    def used(self, now: float) -> float:
        """Return how much of the limit is used up."""

    @abstractmethod
    def wait(self, now: float) -> float:
        """Return the seconds until a call would be admitted; `used` has just said: not now."""

    @abstractmethod
    def count(self, now: float) -> None:
        """Count a call."""

    def admit(self, now: float) -> float:
        """Count a call and return 0, or return the seconds until one would be admitted."""
        if self.used(now) + 1 - self.limit > _ROUNDING:
            return self.wait(now)
        self.count(now)
        return 0.0

    def remaining(self, now: float) -> int:
        """Return how many calls would be admitted now."""
        return max(0, math.floor(self.limit - self.used(now) + _ROUNDING))


@define
class _Windowed(Counter):
    """Fixed windows: begun by a call, or cut by the clock."""

    aligned: bool
    _began: float = -math.inf
    _count: int = 0

    def used(self, now: float) -> float:
        return 0 if now - self._began >= self.period else self._count

    def wait(self, now: float) -> float:
        return self._began + self.period - now

    def count(self, now: float) -> None:
        if now - self._began >= self.period:
            self._began, self._count = now - now % self.period if self.aligned else now, 0
        self._count += 1


@define
class _Log(Counter):
    """Every call of the last period."""

    _calls: deque[float] = field(factory=deque)

    def used(self, now: float) -> float:
        while self._calls and self._calls[0] <= now - self.period:
            self._calls.popleft()
        return len(self._calls)

    def wait(self, now: float) -> float:
        return self._calls[0] + self.period - now

    def count(self, now: float) -> None:
        self._calls.append(now)


@define
class _Weighted(Counter):
    """Two counters: the previous window fades out while the current one fills.

    A call is let in while their estimate is below the limit, as Symfony does: it rounds the
    estimate down and asks for room for one more.
    """

    _began: float = -math.inf
    _previous: int = 0
    _current: int = 0

    def _estimate(self, now: float) -> float:
        age = now - self._began
        if age >= 2 * self.period:
            self._began, self._previous, self._current = now, 0, 0
        elif age >= self.period:
            self._began += self.period
            self._previous, self._current = self._current, 0
        return self._previous * (1 - (now - self._began) / self.period) + self._current

    def used(self, now: float) -> float:
        return math.floor(self._estimate(now) + _ROUNDING)

    def wait(self, now: float) -> float:
        over = self._estimate(now) - self.limit
        wait = self._began + self.period - now
        if self._previous and self._current < self.limit:
            wait = min(over * self.period / self._previous, wait)
        return wait + 2 * _ROUNDING * self.period  # below the limit, not at it

    def count(self, now: float) -> None:  # noqa: ARG002 -- it belongs to the current window
        self._current += 1


@define
class _Bucket(Counter):
    """Permits that come back one by one."""

    _taken: float = 0.0
    _at: float = -math.inf

    def used(self, now: float) -> float:
        if self._at > -math.inf:
            gained = (now - self._at) * self.limit / self.period
            self._taken = max(0.0, self._taken - gained)
        self._at = now
        return self._taken

    def wait(self, now: float) -> float:
        return (self.used(now) + 1 - self.limit) * self.period / self.limit

    def count(self, now: float) -> None:  # noqa: ARG002 -- `used` has just been asked
        self._taken += 1


COUNTERS: Mapping[str, Callable[[int, float], Counter]] = {
    "fixed": lambda limit, period: _Windowed(limit, period, aligned=False),
    "clock": lambda limit, period: _Windowed(limit, period, aligned=True),
    "sliding-log": _Log,
    "weighted": _Weighted,
    "bucket": _Bucket,
}


def _hint(style: RetryAfter, wait: float) -> dict[str, str]:
    """Return the headers of a 429 that say when to come back."""
    seconds = max(1, math.ceil(wait))
    if style == "seconds":
        return {"Retry-After": str(seconds)}
    if style == "http-date":
        return {"Retry-After": formatdate(math.ceil(time.time() + wait), usegmt=True)}
    if style == "epoch":
        return {"X-RateLimit-Retry-After": str(math.ceil(time.time() + wait))}
    return {}


@define
class Limits:
    """Every counter of one sandbox; a token has its own for each limited operation."""

    rules: Mapping[str, tuple[int, float]]
    """Calls and seconds, by operation."""

    policy: Policy
    retry_after: RetryAfter
    sends_headers: bool
    """Tell limit and remaining calls on every answer of a limited operation."""

    _counters: dict[tuple[Token, str], Counter] = field(factory=dict, repr=False)

    def _counter(self, token: Token, operation: str) -> Counter:
        counter = self._counters.get((token, operation))
        if counter is None:
            counter = COUNTERS[self.policy](*self.rules[operation])
            self._counters[token, operation] = counter
        return counter

    def refusal(self, token: Token, operation: str, now: float) -> Reply | None:
        """Count a call of a limited operation; return the 429 when it is one too many."""
        wait = self._counter(token, operation).admit(now)
        if wait <= 0:
            return None
        headers = {**_hint(self.retry_after, wait), **self.rate_headers(token, operation, now)}
        return failure(429, "Too many requests. Please slow down.", headers=headers)

    def rate_headers(self, token: Token, operation: str, now: float) -> dict[str, str]:
        """Return the headers that tell limit and remaining calls; none unless they are wanted."""
        if not self.sends_headers:
            return {}
        return {
            "X-RateLimit-Limit": str(self.rules[operation][0]),
            "X-RateLimit-Remaining": str(self._counter(token, operation).remaining(now)),
        }
