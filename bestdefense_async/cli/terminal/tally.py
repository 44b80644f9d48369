"""What live view and heartbeat show of a run: counts, the few worst targets, and pauses.

The size of a tally does not grow with the run.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome

SHOWN_WORST: Final = 5
"""How many of the worst targets are kept."""

_STEADY: Final = 10
"""Finished targets before which a rate says nothing."""


@define
class Tally:
    """Counts of one run. Times are readings of one clock, in seconds."""

    total: int
    """Targets of the run."""
    started: float
    """When the run began."""
    outcomes: Counter[str] = field(factory=Counter)
    """Targets by the status of their outcome: done, running, failed, unknown, not_started."""
    findings: Counter[str] = field(factory=Counter)
    """Findings by severity."""
    ended_before: int = 0
    """Targets that had their outcome when this part of the run began."""
    pauses: int = 0
    """How often a rate limit paused us."""
    away_since: float | None = None
    """When the host began to take no scan; None while it does."""
    away_because: str = ""
    """What the last creation met."""
    _active: set[int] = field(factory=set, repr=False)
    _worst: list[tuple[tuple[int, ...], int, str, dict[str, int]]] = field(factory=list, repr=False)

    def begin(self, index: int) -> None:
        """Count a scan that was started."""
        self._active.add(index)

    def follow(self, indexes: set[int]) -> None:
        """Count these scans as the ones that run."""
        self._active = indexes

    def restore(self, outcome: Outcome) -> None:
        """Count a target that had its outcome before this part of the run began."""
        self.ended_before += 1
        self.end(outcome)

    def end(self, outcome: Outcome) -> None:
        """Count a target that has an outcome."""
        self._active.discard(outcome.index)
        self.outcomes[outcome.status] += 1
        risk = outcome.risk
        if risk is None:
            return
        counts = {name: count for name, count in risk.as_dict().items() if count}
        self.findings.update(counts)
        if counts:
            # Unknown severities rank above critical, as in the gate.
            known = (risk.critical, risk.high, risk.medium, risk.low, risk.informational)
            entry = ((sum(risk.other.values()), *known), -outcome.index, outcome.target, counts)
            keep = heapq.heappush if len(self._worst) < SHOWN_WORST else heapq.heappushpop
            keep(self._worst, entry)

    @property
    def active(self) -> int:
        """Scans being followed."""
        return len(self._active)

    @property
    def ended(self) -> int:
        """Targets that have an outcome."""
        return self.outcomes.total()

    @property
    def finished(self) -> int:
        """Targets whose scan has ended or was refused: those that run or never began are not."""
        return self.ended - self.outcomes["running"] - self.outcomes["not_started"]

    @property
    def waiting(self) -> int:
        """Targets that have not been started."""
        return max(self.total - self.ended - self.active, 0)

    @property
    def worst(self) -> list[tuple[str, dict[str, int]]]:
        """The worst targets so far with their counts, the worst first."""
        return [(target, counts) for _, _, target, counts in sorted(self._worst, reverse=True)]

    def away(self, now: float) -> str | None:
        """Return that the host is away, on one line; None while it is there."""
        if self.away_since is None:
            return None
        seconds = int(now - self.away_since)
        return (
            f"host away for {seconds // 60}:{seconds % 60:02} ({self.away_because}): nothing is "
            f"started, {self.waiting:,} wait, {self.active:,} are followed"
        )

    def rate(self, now: float) -> float | None:
        """Return targets ended per second so far, None while it would mean nothing.

        Of scans that began together the first to end are the short ones: the rate means something
        once as many have ended as are under way.
        """
        elapsed, ended = now - self.started, self.ended - self.ended_before
        is_steady = ended >= max(_STEADY, self.active)
        return ended / elapsed if is_steady and elapsed > 0 else None

    def left(self, now: float) -> float | None:
        """Return about how many seconds are left, None before there is a rate."""
        rate = self.rate(now)
        return None if rate is None else (self.total - self.ended) / rate
