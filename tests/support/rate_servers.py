"""How servers count calls: every policy a limit may be kept with, at any phase.

Written from the policies' definitions, independent of the package. `hit` is one request arriving
at a time that never decreases; refused hits are not counted.
"""

import math
from collections import deque
from collections.abc import Callable


class FixedWindow:
    """N hits per window; the first hit begins the window, or the clock does."""

    def __init__(self, calls: int, per: float, phase: float | None = None) -> None:
        self.calls, self.per = calls, per
        self.begin = None if phase is None else phase - per
        self.aligned = phase is not None
        self.count = 0

    def _roll(self, now: float) -> None:
        if self.begin is not None and now >= self.begin + self.per:
            if self.aligned:
                self.begin += self.per * math.floor((now - self.begin) / self.per)
            else:
                self.begin = None
            self.count = 0

    def hit(self, now: float) -> bool:
        """Tell whether a hit at `now` is accepted, and count it if so."""
        self._roll(now)
        if self.begin is None:
            self.begin = now
        if self.count >= self.calls:
            return False
        self.count += 1
        return True

    def remaining(self, now: float) -> int:
        """Return how many more hits would be accepted at `now`."""
        self._roll(now)
        return self.calls - self.count

    def retry_after(self, now: float) -> float:
        """Return the wait the server would name at `now`."""
        return (self.begin or now) + self.per - now


class SlidingLog:
    """N hits in the last P seconds."""

    def __init__(self, calls: int, per: float) -> None:
        self.calls, self.per = calls, per
        self.log: deque[float] = deque()

    def _roll(self, now: float) -> None:
        while self.log and self.log[0] < now - self.per:
            self.log.popleft()

    def hit(self, now: float) -> bool:
        """Tell whether a hit at `now` is accepted, and count it if so."""
        self._roll(now)
        if len(self.log) >= self.calls:
            return False
        self.log.append(now)
        return True

    def remaining(self, now: float) -> int:
        """Return how many more hits would be accepted at `now`."""
        self._roll(now)
        return self.calls - len(self.log)

    def retry_after(self, now: float) -> float:
        """Return the wait the server would name at `now`."""
        return self.log[0] + self.per - now


class WeightedWindow:
    """`hits of the previous window x its remaining share + hits of this one` stays below N."""

    def __init__(self, calls: int, per: float, phase: float | None = None) -> None:
        self.calls, self.per = calls, per
        self.aligned = phase is not None
        self.begin = None if phase is None else phase - per
        self.before = self.count = 0

    def _roll(self, now: float) -> None:
        if self.begin is None:
            return
        windows = math.floor((now - self.begin) / self.per)
        if windows >= 1:
            self.before = self.count if windows == 1 else 0
            self.count = 0
            self.begin += windows * self.per
            if windows > 1 and not self.aligned:
                self.begin = None

    def _estimate(self, now: float) -> float:
        if self.begin is None:
            return 0.0
        return self.before * (1 - (now - self.begin) / self.per) + self.count

    def hit(self, now: float) -> bool:
        """Tell whether a hit at `now` is accepted, and count it if so."""
        self._roll(now)
        if self.begin is None:
            self.begin = now
        if self._estimate(now) >= self.calls:
            return False
        self.count += 1
        return True

    def remaining(self, now: float) -> int:
        """Return how many more hits would be accepted at `now`."""
        self._roll(now)
        return max(0, math.ceil(self.calls - self._estimate(now)))

    def retry_after(self, now: float) -> float:
        """Like Symfony's: the time to the end of the window, spread over its hits; too short."""
        assert self.begin is not None
        return (self.begin + self.per - now) / max(1, self.count + self.before)


class TokenBucket:
    """N tokens at most, refilled at N per P, one by one."""

    def __init__(self, calls: int, per: float) -> None:
        self.calls, self.per = calls, per
        self.tokens, self.at = float(calls), 0.0

    def _roll(self, now: float) -> None:
        self.tokens = min(self.calls, self.tokens + (now - self.at) * self.calls / self.per)
        self.at = now

    def hit(self, now: float) -> bool:
        """Tell whether a hit at `now` is accepted, and count it if so."""
        self._roll(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def remaining(self, now: float) -> int:
        """Return how many more hits would be accepted at `now`."""
        self._roll(now)
        return int(self.tokens)

    def retry_after(self, now: float) -> float:
        """Return the wait the server would name at `now`."""
        return (1 - self.tokens) * self.per / self.calls


Server = FixedWindow | SlidingLog | WeightedWindow | TokenBucket

# name -> server of (calls, per, phase), the phase in [0, per)
POLICIES: dict[str, Callable[[int, float, float], Server]] = {
    "fixed window from the first hit": lambda calls, per, _: FixedWindow(calls, per),
    "fixed window on the clock": FixedWindow,
    "sliding log": lambda calls, per, _: SlidingLog(calls, per),
    "weighted window from the first hit": lambda calls, per, _: WeightedWindow(calls, per),
    "weighted window on the clock": WeightedWindow,
    "token bucket": lambda calls, per, _: TokenBucket(calls, per),
}
