"""What is due when: reports in buckets of time, and a heap of the buckets.

A wait is rounded up to a grid of about a hundredth of itself. Nobody notices that, and what is due
together shares one bucket: a report costs a place in a list, being due costs it no comparison with
others, and the loop needs one timer for all of a bucket.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final

from bestdefense_async.polling.watch import Bucket

if TYPE_CHECKING:
    from bestdefense_async.polling.watch import Report

FINEST: Final = 2.0**-10
"""The finest grid in seconds."""
SWEEP_FROM: Final = 64
"""Entries that do not count which an agenda may hold beyond half of it."""


def round_up(now: float, wait: float) -> float:
    """Return the first moment on the grid that is at least `wait` seconds after `now`."""
    grid = max(math.ldexp(1.0, math.frexp(max(wait, FINEST))[1] - 7), FINEST)
    return math.ceil((now + wait) / grid) * grid


class Agenda:
    """Reports by the moment they are due."""

    def __init__(self) -> None:
        self._buckets: dict[float, Bucket] = {}
        self._times: list[float] = []
        self._size = 0

    def __len__(self) -> int:
        """Return how many entries there are, those that do not count included."""
        return self._size

    @property
    def next_due(self) -> float:
        """The moment of the earliest bucket, inf when there is none."""
        return self._times[0] if self._times else math.inf

    def put(self, report: Report, due: float) -> None:
        """Enter a report, or move it: where it was before it no longer counts."""
        bucket = self._buckets.get(due)
        if bucket is None:
            bucket = self._buckets[due] = Bucket(due)
            heapq.heappush(self._times, due)
        report.place = bucket
        bucket.reports.append(report)
        self._size += 1

    def take(self, now: float) -> list[Report]:
        """Remove and return what is due, in order; one whose `place` was taken away is not."""
        taken: list[Report] = []
        while self._times and self._times[0] <= now:
            bucket = self._buckets.pop(heapq.heappop(self._times))
            self._size -= len(bucket.reports)
            for report in bucket.reports:
                if report.place is bucket:
                    report.place = None
                    taken.append(report)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._times.clear()
        self._size = 0

    def shrink(self, wanted: int) -> None:
        """Forget what does not count when that is most of it; `wanted` is how many may count."""
        if self._size <= 2 * wanted + SWEEP_FROM:
            return
        for bucket in self._buckets.values():
            bucket.reports = [one for one in bucket.reports if one.place is bucket]
        self._buckets = {due: one for due, one in self._buckets.items() if one.reports}
        self._times = sorted(self._buckets)
        self._size = sum(len(one.reports) for one in self._buckets.values())
