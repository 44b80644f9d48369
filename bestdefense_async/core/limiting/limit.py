"""A limit as data: so many calls in so many seconds, and how to spend them."""

from typing import Final, Literal

from attrs import field, frozen

from bestdefense_async.core.check import check_seconds, check_whole, validated
from bestdefense_async.errors import ConfigError, clean_text

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

    calls: int = field(validator=validated(check_whole))
    """Most calls in one period, at least 1."""

    per: float = field(kw_only=True, validator=validated(check_seconds))
    """The period in seconds."""

    policy: LimitPolicy = field(default="window", kw_only=True)
    """`window`: everything at once while the window is empty, then only as fast as every known
    counting policy of a server allows. `paced`: evenly spread from the first call on, for servers
    that count refused calls too or whose bucket is smaller than `calls`."""

    burst: int | None = field(default=None, kw_only=True)
    """For `paced` alone: how many calls may leave together, 1 to `calls`. None means 1."""

    @policy.validator
    def _check_policy(self, _: object, value: object) -> None:
        if value not in POLICIES:
            shown = clean_text(value, longest=40)
            raise ConfigError(f"The policy of a limit is window or paced, not {shown}.")

    def __attrs_post_init__(self) -> None:
        if self.burst is None:
            return
        if self.policy != "paced":
            raise ConfigError("Only a paced limit has a burst: a window allows all its calls.")
        check_whole("burst", self.burst, most=self.calls)
