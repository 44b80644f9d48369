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
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Literal, Protocol

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


class Counter(Protocol):
    """One token's use of one operation."""

    def admit(self, now: float) -> float:
        """Count a call and return 0, or return the seconds until one would be admitted."""
        ...

    def remaining(self, now: float) -> int:
        """Return how many calls would be admitted now."""
        ...


@define
class _Windowed:
    """Fixed windows: begun by a call, or cut by the clock."""

    limit: int
    period: float
    aligned: bool
    _began: float = -math.inf
    _count: int = 0

    def _turn(self, now: float) -> None:
        if now - self._began >= self.period:
            self._began = now - now % self.period if self.aligned else now
            self._count = 0

    def admit(self, now: float) -> float:
        self._turn(now)
        if self._count >= self.limit:
            return self._began + self.period - now
        self._count += 1
        return 0.0

    def remaining(self, now: float) -> int:
        if now - self._began >= self.period:
            return self.limit
        return self.limit - self._count


@define
class _Log:
    """Every call of the last period."""

    limit: int
    period: float
    _calls: deque[float] = field(factory=deque)

    def _forget(self, now: float) -> None:
        while self._calls and self._calls[0] <= now - self.period:
            self._calls.popleft()

    def admit(self, now: float) -> float:
        self._forget(now)
        if len(self._calls) >= self.limit:
            return self._calls[0] + self.period - now
        self._calls.append(now)
        return 0.0

    def remaining(self, now: float) -> int:
        self._forget(now)
        return self.limit - len(self._calls)


@define
class _Weighted:
    """Two counters: the previous window fades out while the current one fills.

    A call is let in while their estimate is below the limit, as Symfony does: it rounds the
    estimate down and asks for room for one more.
    """

    limit: int
    period: float
    _began: float = -math.inf
    _previous: int = 0
    _current: int = 0

    def _turn(self, now: float) -> None:
        age = now - self._began
        if age >= 2 * self.period:
            self._began, self._previous, self._current = now, 0, 0
        elif age >= self.period:
            self._began += self.period
            self._previous, self._current = self._current, 0

    def _estimate(self, now: float) -> float:
        return self._previous * (1 - (now - self._began) / self.period) + self._current

    def admit(self, now: float) -> float:
        self._turn(now)
        over = self._estimate(now) - self.limit
        if over > -_ROUNDING:
            wait = self._began + self.period - now
            if self._previous and self._current < self.limit:
                wait = min(over * self.period / self._previous, wait)
            return wait + 2 * _ROUNDING * self.period  # below the limit, not at it
        self._current += 1
        return 0.0

    def remaining(self, now: float) -> int:
        self._turn(now)
        return max(0, self.limit - math.floor(self._estimate(now) + _ROUNDING))


@define
class _Bucket:
    """Permits that come back one by one."""

    limit: int
    period: float
    _level: float = field(init=False)
    _at: float = field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self._level = float(self.limit)

    def _refill(self, now: float) -> None:
        if self._at > -math.inf:
            gained = (now - self._at) * self.limit / self.period
            self._level = min(float(self.limit), self._level + gained)
        self._at = now

    def admit(self, now: float) -> float:
        self._refill(now)
        if self._level < 1 - _ROUNDING:
            return (1 - self._level) * self.period / self.limit
        self._level -= 1
        return 0.0

    def remaining(self, now: float) -> int:
        self._refill(now)
        return math.floor(self._level + _ROUNDING)


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
