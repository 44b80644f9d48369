"""The settings of a sandbox, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from typing import TypedDict

from attrs import Attribute, field, frozen

from bestdefense_async.sandbox.world.clock import EPOCH, LAST_SECOND
from bestdefense_async.sandbox.world.limits import COUNTERS, DOCUMENTED, Policy, RetryAfter
from bestdefense_async.sandbox.world.routes import NAMES, is_id
from bestdefense_async.sandbox.world.scenarios import SCENARIOS, Scenario

_HINTS = ("none", "seconds", "http-date", "epoch")
_PLANS = ("starter", "growth")
MAX_SITES = 200_000
MAX_PORT = 65_535


class Options(TypedDict, total=False):
    """The keyword arguments of `Sandbox`: those of `Settings`."""

    seed: int
    sites: int
    speed: float
    epoch: float
    scenario: str
    host: str
    port: int
    allow_remote: bool
    control: bool
    limits: Mapping[str, tuple[int, float] | None]
    policy: Policy
    retry_after: RetryAfter
    rate_headers: bool
    percentage: bool
    visible_after: float
    plan: str
    credits: int
    agent_sizes: Mapping[str, int]
    read_deadline: float


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        message = f"{name} must be one of {', '.join(known)}, not {value!r}"
        raise ValueError(message)


def _seconds(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        message = f"{attribute.name} must be zero or more, not {value!r}"
        raise ValueError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        message = f"host must be an IP address, not {host!r}"
        raise ValueError(message) from None


@frozen(kw_only=True)
class Settings:
    """How one sandbox behaves. Times are seconds of the loop unless said otherwise."""

    seed: int = 1
    """Decides names, ids, findings, durations and chance."""

    sites: int = 200
    """Sites of the main organization, 0 to 200,000."""

    speed: float = 60.0
    """Scan seconds that pass in a second."""

    epoch: float = EPOCH
    """When the calendar begins, in seconds since 1970."""

    scenario: str = "clean"
    """A name of `SCENARIOS`."""

    host: str = "127.0.0.1"
    """An IP address of this machine."""

    port: int = 0
    """0 takes any free one."""

    allow_remote: bool = False
    """Permit a host that others can reach."""

    control: bool = False
    """Serve the control routes below `/_sandbox`, to whoever has the control token."""

    limits: Mapping[str, tuple[int, float] | None] = field(factory=dict)
    """Calls and seconds per token, by operation, beside the documented ones; None lifts one."""

    policy: Policy = "fixed"
    """How every limit counts."""

    retry_after: RetryAfter = "seconds"
    """How a 429 says when to come back."""

    rate_headers: bool = False
    """Send X-RateLimit-Limit and -Remaining on limited operations."""

    percentage: bool = True
    """Send the inferred key `percentage` with progress."""

    visible_after: float = field(default=0.0, validator=_seconds)
    """Time after its creation in which a report answers 404."""

    plan: str = "growth"
    """`starter` permits quick scans only."""

    credits: int = 25
    """AI remediation credits every organization begins with."""

    agent_sizes: Mapping[str, int] = field(factory=dict)
    """Bytes by file name: other sizes for the agent's files, or further files."""

    read_deadline: float = 10.0
    """Longest time for the rest of a request head, and for a request body."""

    def __attrs_post_init__(self) -> None:
        _one_of("scenario", self.scenario, tuple(SCENARIOS))
        _one_of("policy", self.policy, tuple(COUNTERS))
        _one_of("retry_after", self.retry_after, _HINTS)
        _one_of("plan", self.plan, _PLANS)
        for name, value in (("speed", self.speed), ("read_deadline", self.read_deadline)):
            if not 0 < value < math.inf:
                message = f"{name} must be above zero, not {value!r}"
                raise ValueError(message)
        if not 0 <= self.epoch < LAST_SECOND:
            message = f"epoch must be a time of the years 1970 to 9998, not {self.epoch!r}"
            raise ValueError(message)
        if not 0 <= self.sites <= MAX_SITES:
            message = f"sites must be 0 to {MAX_SITES}, not {self.sites!r}"
            raise ValueError(message)
        if not 0 <= self.port <= MAX_PORT:
            message = f"port must be 0 to {MAX_PORT}, not {self.port!r}"
            raise ValueError(message)
        if self.credits < 0:
            message = f"credits must be zero or more, not {self.credits!r}"
            raise ValueError(message)
        for name, size in self.agent_sizes.items():
            if not is_id(name) or size < 0:
                message = f"agent_sizes maps file names to bytes, not {name!r} to {size!r}"
                raise ValueError(message)
        self._check_address()
        self._check_limits()

    def _check_address(self) -> None:
        is_local = _is_loopback(self.host)
        if not is_local and not self.allow_remote:
            message = (
                f"{self.host} can be reached from other machines, and the sandbox is no server "
                "for them: choose a loopback address, or allow it explicitly with allow_remote"
            )
            raise ValueError(message)
        if self.control and not is_local:
            message = "the control routes are served on a loopback address only"
            raise ValueError(message)

    def _check_limits(self) -> None:
        for name, rule in self.limits.items():
            _one_of("an operation of limits", name, tuple(sorted(NAMES)))
            if rule is not None and not (rule[0] >= 1 and 0 < rule[1] < math.inf):
                message = f"the limit of {name} must be (calls >= 1, seconds > 0), not {rule!r}"
                raise ValueError(message)

    @property
    def behaviour(self) -> Scenario:
        """What the scenario changes."""
        return SCENARIOS[self.scenario]

    @property
    def rules(self) -> dict[str, tuple[int, float]]:
        """The limits in force: documented, then the scenario's, then those asked for."""
        merged = {**DOCUMENTED, **self.behaviour.limits, **self.limits}
        return {name: rule for name, rule in merged.items() if rule is not None}
