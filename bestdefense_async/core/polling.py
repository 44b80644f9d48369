"""When to ask again whether a scan is complete: arithmetic, without clock, chance or sleep.

A scan takes minutes or hours, and only a poll shows when it ends. Waiting a tenth of the time it
has already taken keeps the lag in proportion to the scan: a quick one is noticed soon, a long one
costs few polls. Where the server says how far it is, the time that remains is the better measure.
Chance keeps scans that were started together from asking together.

Where earlier scans of the kind are known, the wait follows from two prices. Asking every w seconds
costs 1/w polls a second, and one poll is worth `price` seconds of lag; a scan that ends with the
chance h a second ends in a given wait with the chance h w and is then noticed w/2 late on average.
The sum is least at w = sqrt(2 price / h).

`Hazard`: how likely a running scan is to end now, learned from how long earlier ones took.

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

from attrs import field, frozen

from bestdefense_async.core.check import check_number, check_seconds, validated
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
        index = bisect.bisect_right(self.edges, age)
        if index == len(self.edges):
            return self.rates[-1] * self.edges[-1] / age
        return self.rates[index]


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


JITTER = 0.2
"""A wait is multiplied by chance between one less and one more than this."""
GROWTH = 0.5
"""Most wait as a share of the time taken, whatever earlier scans say: this one may differ."""
NEAR_END = 0.4
"""With a percentage, the least wait as a share of what earlier scans alone would say."""


_NUMBER: Final = validated(check_number)
_SECONDS: Final = validated(check_seconds)


@frozen(kw_only=True)
class PollPolicy:
    """How often to ask for the progress of a scan. All times are seconds of the scan.

    Raises:
        ConfigError: A value is not a number above zero, or the shortest wait exceeds the longest.
    """

    share: float = field(default=0.1, validator=_NUMBER)
    """The wait as a share of the time the scan has already taken."""
    shortest: float = field(default=6.0, validator=_SECONDS)
    """Least wait without a percentage."""
    longest: float = field(default=40.0, validator=_SECONDS)
    """Most wait, with a percentage too; not with `learned`."""
    remaining_share: float = field(default=0.3, validator=_NUMBER)
    """The wait as a share of the time that a percentage says remains."""
    remaining_shortest: float = field(default=5.0, validator=_SECONDS)
    """Least wait with a percentage; 1 % of the time taken when that is more."""
    patience: float = field(default=300.0, validator=_SECONDS)
    """A report whose every poll fails for this long is given up. A 429 does not count."""
    speed: float = field(default=1.0, validator=_NUMBER)
    """Seconds of a scan that pass in a second: 1, but more in a sandbox that is sped up."""
    learned: Hazard | None = field(default=None)
    """How long earlier scans of the kind took, from `core.polling.learn`; None when unknown."""
    price: float = field(default=0.11, validator=_NUMBER)
    """With `learned`: how many seconds of lag one poll is worth. 0.11 asks about as often as the
    policy without it and is half as late; four times as much asks half as often."""

    @learned.validator
    def _check_learned(self, _: object, value: object) -> None:
        if value is not None and not isinstance(value, Hazard):
            raise ConfigError("learned must be a Hazard, as `learn` returns it, or None.")

    def __attrs_post_init__(self) -> None:
        if max(self.shortest, self.remaining_shortest) > self.longest:
            raise ConfigError("The shortest wait between two polls exceeds the longest.")


DEFAULT_POLICY: Final = PollPolicy()


def first_wait(policy: PollPolicy, *, uniform: Callable[[float, float], float]) -> float:
    """Return the seconds from the creation of a scan to its first poll: 0 to twice the shortest."""
    return policy.shortest * uniform(0.0, 2.0) / policy.speed


def next_wait(
    policy: PollPolicy,
    *,
    elapsed: float,
    percentage: float | None = None,
    uniform: Callable[[float, float], float],
) -> float:
    """Return the seconds to wait before the next poll, counted from the one just answered.

    `elapsed` is the time since the creation; below zero counts as zero. `percentage` is what the
    server said last, 0 to 100; None, zero and what lies outside are no help and count as absent.
    """
    taken = max(elapsed, 0.0) * policy.speed
    remaining = _remaining(taken, percentage)
    if policy.learned is not None:
        wait = _learned_wait(policy, policy.learned, taken, remaining)
    elif remaining is not None:
        least = max(policy.remaining_shortest, 0.01 * taken)
        wait = min(max(policy.remaining_share * remaining, least), policy.longest)
    else:
        wait = min(max(policy.share * taken, policy.shortest), policy.longest)
    return wait * uniform(1.0 - JITTER, 1.0 + JITTER) / policy.speed


def urgency(
    policy: PollPolicy, *, gap: float, elapsed: float, percentage: float | None = None
) -> float:
    """Return what asking now is worth, to be compared with other scans: gap^2 x hazard.

    `gap` is the time since the last poll. Without better knowledge a scan is taken to last as
    long again as it has taken, or as long as its percentage says.
    """
    taken = max(elapsed * policy.speed, policy.shortest)
    remaining = _remaining(taken, percentage)
    if remaining is not None:
        hazard = 1.0 / max(remaining, policy.remaining_shortest)
    elif policy.learned is not None:
        hazard = policy.learned.at(taken)
    else:
        hazard = 1.0 / taken
    return (gap * policy.speed) ** 2 * hazard


def _remaining(taken: float, percentage: float | None) -> float | None:
    """Return the seconds that a percentage says remain, None when it says nothing."""
    if percentage is None or not 0.0 < percentage <= 100.0:  # noqa: PLR2004 - per cent
        return None
    return taken * (100.0 - percentage) / percentage


def _learned_wait(
    policy: PollPolicy, learned: Hazard, taken: float, remaining: float | None
) -> float:
    wait = math.sqrt(2.0 * policy.price / learned.at(taken))
    least = policy.shortest
    if remaining is not None:
        # The percentage says when to poll; near the end, where it would poll all the time, earlier
        # scans say how often that is worth it.
        wait = max(policy.remaining_share * remaining, NEAR_END * wait)
        least = policy.remaining_shortest
    return max(min(wait, GROWTH * taken), least)
