"""Reports that are due and wait for their poll, in the order in which asking gains most.

While the polls keep up it is a plain queue. Once they have fallen behind, because a budget or a
slow server holds them up, who is asked first decides how late the ends are noticed: the report
with the largest gap^2 x hazard, which is about half the lag of taking turns. Never the one that is
expected to end soonest: those that are overdue would starve the rest.

Every such rank changes with time, and each differently, so no heap keeps them. All are ranked
afresh whenever a quarter of them has been asked: by then the rest has grown older by a fraction of
what it has waited, and ranking costs four evaluations per poll, however many there are.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from bestdefense_async.core.polling import urgency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bestdefense_async.polling.watch import Report

BEHIND: Final = 1.0
"""Seconds for which something has to have waited before the order matters."""
SHARE: Final = 4
"""One part in so many is asked between two rankings."""


class Backlog:
    """A queue of reports that becomes a ranking when it is not worked off."""

    def __init__(self) -> None:
        self._queue: deque[Report] = deque()
        self._ranked: list[Report] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._queue) + len(self._ranked)

    def __iter__(self) -> Iterator[Report]:
        yield from self._queue
        yield from self._ranked

    def add(self, reports: Iterable[Report], now: float) -> None:
        """Add reports that have become due."""
        if not self:
            self._since = now
        self._queue.extend(reports)

    def take(self, now: float) -> Report | None:
        """Remove and return the report to ask for now, None when there is none."""
        is_behind = now - self._since >= BEHIND
        while self:
            if is_behind and not self._ranked:
                self._rank(now)
                continue
            report = self._ranked.pop() if self._ranked else self._queue.popleft()
            if not report.is_over:
                # One number for all that became due together: there may be very many.
                report.asked = now if is_behind else self._since
                return report
        return None

    def clear(self) -> None:
        """Forget them all."""
        self._queue.clear()
        self._ranked.clear()

    def _rank(self, now: float) -> None:
        """Move the most urgent part from the queue to the ranking, the first one last."""
        weighed = [
            (_urgency(report, now), -place, report)
            for place, report in enumerate(self._queue)
            if not report.is_over
        ]
        weighed.sort(reverse=True)
        cut = -(-len(weighed) // SHARE)
        self._ranked = [report for _, _, report in reversed(weighed[:cut])]
        self._queue = deque(report for _, _, report in weighed[cut:])


def _urgency(report: Report, now: float) -> float:
    return max(
        urgency(
            policy,
            gap=now - report.asked,
            elapsed=now - report.created,
            percentage=report.percentage,
        )
        for policy in report.policies()
    )
