"""A budget in polls per second, spent evenly."""

from __future__ import annotations

import math
from typing import Final

CATCH_UP: Final = 0.1
"""Seconds of unspent budget that may be made up for: timers and workers come a little late."""


class Pace:
    """Says when the next poll may leave. Unlike a limit it never lets a burst through."""

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until the next poll may leave, 0.0 for now."""
        return max(self._next - now, 0.0)

    def spend(self, now: float) -> None:
        """Note that a poll leaves."""
        self._next = max(self._next, now - CATCH_UP) + self._interval
