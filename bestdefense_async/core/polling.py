"""When to ask again whether a scan is complete: arithmetic, without clock, chance or sleep.

A scan takes minutes or hours, and only asking tells. Waiting a tenth of the time it has already
taken keeps the lag in proportion to the scan: a quick one is noticed soon, a long one costs few
polls. Where the server says how far it is, the time that remains is the better measure. Chance
keeps scans that were started together from asking together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import Attribute, field, frozen

from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

JITTER = 0.2
"""A wait is multiplied by chance between one less and one more than this."""


def _above_zero(_: object, attribute: Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not 0 < value < math.inf:
        raise ConfigError(f"{attribute.name} must be a finite number above zero.")


@frozen(kw_only=True)
class PollPolicy:
    """How often to ask for the progress of a scan. All times are seconds of the scan.

    Raises:
        ConfigError: A value is not above zero, or the shortest wait exceeds the longest.
    """

    share: float = field(default=0.1, validator=_above_zero)
    """The wait as a share of the time the scan has already taken."""
    shortest: float = field(default=6.0, validator=_above_zero)
    """Least wait without a percentage."""
    longest: float = field(default=40.0, validator=_above_zero)
    """Most wait, with a percentage too."""
    remaining_share: float = field(default=0.3, validator=_above_zero)
    """The wait as a share of the time that a percentage says remains."""
    remaining_shortest: float = field(default=5.0, validator=_above_zero)
    """Least wait with a percentage; 1 % of the time taken when that is more."""
    patience: float = field(default=300.0, validator=_above_zero)
    """A report whose every poll fails for this long is given up. A 429 does not count."""
    speed: float = field(default=1.0, validator=_above_zero)
    """Seconds of a scan that pass in a second: 1, but more in a sandbox that is sped up."""

    def __attrs_post_init__(self) -> None:
        if max(self.shortest, self.remaining_shortest) > self.longest:
            raise ConfigError("The shortest wait between two polls exceeds the longest.")


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
    if percentage is not None and 0.0 < percentage <= 100.0:  # noqa: PLR2004 - per cent
        remaining = taken * (100.0 - percentage) / percentage
        least = max(policy.remaining_shortest, 0.01 * taken)
        wait = max(policy.remaining_share * remaining, least)
    else:
        wait = max(policy.share * taken, policy.shortest)
    return min(wait, policy.longest) * uniform(1.0 - JITTER, 1.0 + JITTER) / policy.speed
