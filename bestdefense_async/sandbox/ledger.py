"""The ledger: what arrived, in order, and how it was answered.

Counts are exact for ever; details are kept for the last arrivals only, so that a long run stays
small.
"""

from __future__ import annotations

from collections import Counter, deque

from attrs import define, field


@define(eq=False)
class Arrival:
    """One request that reached the sandbox."""

    operation: str
    """Its name, or `unknown` where no route matched."""

    site_id: str | None
    report_id: str | None
    at: float
    """The loop's time, seconds."""

    token: str | None
    """Eight hex digits of a hash for the sandbox's own tokens, None for anything else."""

    status: int | None = None
    """The status answered, or None while or because nothing was answered."""


@define
class Ledger:
    """Everything that arrived at one sandbox."""

    kept: int = 100_000
    """How many arrivals keep their details."""

    _arrivals: deque[Arrival] = field(init=False, repr=False)
    _counts: Counter[str] = field(factory=Counter, repr=False)

    def __attrs_post_init__(self) -> None:
        self._arrivals = deque(maxlen=self.kept)

    def note(self, arrival: Arrival) -> None:
        """Write down that a request has arrived."""
        self._counts[arrival.operation] += 1
        self._arrivals.append(arrival)

    def count(self, operation: str) -> int:
        """Return how many requests arrived for the operation."""
        return self._counts[operation]

    def counts(self) -> dict[str, int]:
        """Return the number of arrivals by operation."""
        return dict(self._counts)

    def arrivals(self) -> list[Arrival]:
        """Return the last arrivals, oldest first."""
        return list(self._arrivals)
