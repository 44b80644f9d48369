"""How likely a running scan is to end now, learned from how long earlier ones took.

The hazard at an age is the chance per second that a scan that has come so far ends there: scans
that ended at that age, divided by the seconds that all scans were watched at that age. A scan that
still runs, or was aborted, was watched too and says that it did not end: left out, it would make
scans look shorter than they are.

Ages are binned by powers of two, for a minute more says much about a quick scan and nothing about
a long one; finer bins follow the noise of a few dozen scans. Every bin holds half a scan more than
was seen, from a law that knows no scale: a scan of age t lasts about as long again. It fills empty
bins and takes over beyond the longest scan seen, and a few dozen scans outweigh it elsewhere.
"""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST: Final = 30
"""Finished scans below which nothing is learned."""
SHORTEST: Final = 1e-3
LONGEST: Final = 1e9
PRIOR: Final = 0.5
"""Scans that a bin holds before any was seen."""


@frozen(kw_only=True)
class Hazard:
    """The chance per second that a scan ends, by its age."""

    edges: tuple[float, ...]
    """Ages in seconds between two bins, ascending."""
    rates: tuple[float, ...]
    """Of each bin, one more than there are edges. The last is for the age of the last edge and
    falls in proportion to the age beyond."""

    def at(self, age: float) -> float:
        """Return the chance per second at an age in seconds, above zero."""
        place = bisect.bisect_right(self.edges, age)
        if place == len(self.edges):
            return self.rates[-1] * self.edges[-1] / age
        return self.rates[place]


def learn(samples: Sequence[tuple[float, bool]]) -> Hazard | None:
    """Return the hazard of scans of one kind, None when fewer than 30 of them have finished.

    Args:
        samples: Of each scan the seconds it was watched from its creation, and whether it had
            finished then. Less than a millisecond and more than thirty years are left out.
    """
    known = [(age, is_finished) for age, is_finished in samples if SHORTEST <= age <= LONGEST]
    ends = sorted(age for age, is_finished in known if is_finished)
    if len(ends) < FEWEST:
        return None
    edges = tuple(
        math.ldexp(1.0, power)
        for power in range(math.frexp(ends[0])[1] - 1, math.frexp(ends[-1])[1] + 1)
    )
    ages = sorted(age for age, _ in known)
    rates = []
    for low, high in zip((0.0, *edges), (*edges, math.inf), strict=True):
        ended = bisect.bisect_left(ends, high) - bisect.bisect_left(ends, low)
        entered = ages[bisect.bisect_left(ages, low) :]
        watched = sum(min(age, high) - low for age in entered)
        rates.append((ended + PRIOR) / (watched + PRIOR * (low or high)))
    return Hazard(edges=edges, rates=tuple(rates))
