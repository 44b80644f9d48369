"""A limit as data: so many calls in so many seconds, and how to spend them."""

import math
from typing import Final, Literal

from attrs import field, frozen

from bestdefense_async.errors import ConfigError

LimitPolicy = Literal["window", "paced"]

POLICIES: Final[tuple[LimitPolicy, ...]] = ("window", "paced")


@frozen
class Limit:
    """Allow `calls` calls in every `per` seconds.

    `Limit(60, per=60.0)` is the documented limit of the agent manifest, `Limit(20, per=3600.0)`
    that of the agent download.

    Raises:
        ConfigError: A number is zero, negative, not finite or not a number, the policy is
            unknown, or `burst` does not fit.
    """

    calls: int = field()
    """Most calls in one period, at least 1."""

    per: float = field(kw_only=True)
    """The period in seconds."""

    policy: LimitPolicy = field(default="window", kw_only=True)
    """`window`: everything at once while the window is empty, then only as fast as every known
    counting policy of a server allows. `paced`: evenly spread from the first call on, for servers
    that count refused calls too or whose bucket is smaller than `calls`."""

    burst: int | None = field(default=None, kw_only=True)
    """For `paced` alone: how many calls may leave together, 1 to `calls`. None means 1."""

    def __attrs_post_init__(self) -> None:
        if not _is_count(self.calls):
            raise ConfigError(f"a limit needs a whole number of calls above 0, not {self.calls!r}")
        if not _is_duration(self.per):
            raise ConfigError(f"a limit needs a period in seconds above 0, not {self.per!r}")
        if self.policy not in POLICIES:
            raise ConfigError(f"the policy of a limit is window or paced, not {self.policy!r}")
        if self.burst is None:
            return
        if self.policy != "paced":
            raise ConfigError("only a paced limit has a burst: a window allows all its calls")
        if not _is_count(self.burst) or self.burst > self.calls:
            raise ConfigError(f"a burst is 1 to {self.calls} calls, not {self.burst!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_duration(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value) and value > 0
    except OverflowError:
        return False
