"""The settings of a sandbox, checked before anything is opened."""

from __future__ import annotations

import ipaddress
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, get_args

from attrs import field, frozen

from bestdefense_async.sandbox.checks import ABOVE_ZERO, COUNT, SECONDS, must_be, one_of
from bestdefense_async.sandbox.world.clock import EPOCH, LAST_SECOND
from bestdefense_async.sandbox.world.faults import FaultPlan
from bestdefense_async.sandbox.world.limits import COUNTERS, DOCUMENTED, Policy, RetryAfter
from bestdefense_async.sandbox.world.routes import NAMES, is_id
from bestdefense_async.sandbox.world.specs import (
    PLANS,
    SCENARIOS,
    OrganizationSpec,
    Scenario,
    SiteSpec,
    read_organizations,
    read_sites,
)

_MAX_PORT = 65_535


class Options(TypedDict, total=False):
    """The keyword arguments of `Sandbox`: those of `Settings`."""

    seed: int
    sites: int | Iterable[SiteSpec | Mapping[str, Any] | str]
    organizations: Iterable[OrganizationSpec | Mapping[str, Any] | str]
    faults: Iterable[FaultPlan | Mapping[str, Any]]
    speed: float
    epoch: float
    scenario: str | os.PathLike[str]
    strict: bool
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


def _read_faults(value: Iterable[Any]) -> tuple[FaultPlan, ...]:
    """Return fault plans from themselves or from tables of their fields."""
    plans = []
    for each in value:
        if isinstance(each, FaultPlan):
            plans.append(each)
            continue
        if not isinstance(each, Mapping) or not isinstance(each.get("operation"), str):
            message = f"a fault is a table with the operation it hits, not {each!r}"
            raise ValueError(message)
        plan = {name: item for name, item in each.items() if name != "operation"}
        plans.append(FaultPlan.of(each["operation"], plan))
    return tuple(plans)


def _check_limits(_: object, __: object, limits: Mapping[str, tuple[int, float] | None]) -> None:
    for name, rule in limits.items():
        if name not in NAMES:
            message = f"limits has {name!r}, which is no operation"
            raise ValueError(message)
        if rule is not None and not (rule[0] >= 1 and 0 < rule[1] < math.inf):
            message = f"the limit of {name} must be (calls >= 1, seconds > 0), not {rule!r}"
            raise ValueError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        message = f"host must be an IP address, not {host!r}"
        raise ValueError(message) from None


def _without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}


def read_scenario(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a scenario file: a TOML file with settings of `Sandbox`.

    Raises:
        ValueError: It cannot be read or is not TOML; the message names file and place.
    """
    try:
        return tomllib.loads(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        message = f"the scenario file {path} cannot be read: {error.strerror}"
    except ValueError as error:
        message = f"the scenario file {path} is not TOML in UTF-8: {error}"
    raise ValueError(message)


@frozen(kw_only=True)
class Settings:
    """How one sandbox behaves. Times are seconds of the loop unless said otherwise."""

    seed: int = 1
    """Decides names, ids, findings, durations and chance."""

    sites: int | tuple[SiteSpec, ...] = field(default=200, converter=read_sites)
    """Sites of the main organization: how many seeded ones, 0 to 200,000; or a list of them, each
    a `SiteSpec`, a table of its fields or a bare host name."""

    organizations: tuple[OrganizationSpec, ...] = field(default=(), converter=read_organizations)
    """Further organizations: `OrganizationSpec`s, tables of their fields or names."""

    faults: tuple[FaultPlan, ...] = field(default=(), converter=_read_faults)
    """What goes wrong from the start, after what the scenario lets go wrong."""

    speed: float = field(default=60.0, validator=ABOVE_ZERO)
    """Scan seconds that pass in a second."""

    epoch: float = field(
        default=EPOCH,
        validator=must_be("a time of the years 1970 to 9998", lambda at: 0 <= at < LAST_SECOND),
    )
    """When the calendar begins, in seconds since 1970."""

    scenario: str = field(default="clean", validator=one_of(*SCENARIOS))
    """A name of `SCENARIOS`; for `Sandbox`, also the path of a scenario file."""

    strict: bool = False
    """Let the end of the `async with` block fail when a request came that the API does not have."""

    host: str = "127.0.0.1"
    """An IP address of this machine."""

    port: int = field(
        default=0, validator=must_be(f"0 to {_MAX_PORT}", lambda port: 0 <= port <= _MAX_PORT)
    )
    """0 takes any free one."""

    allow_remote: bool = False
    """Permit a host that others can reach."""

    control: bool = False
    """Serve the control routes below `/_sandbox`, to whoever has the control token."""

    limits: Mapping[str, tuple[int, float] | None] = field(factory=dict, validator=_check_limits)
    """Calls and seconds per token, by operation, beside the documented ones; None lifts one."""

    policy: Policy = field(default="fixed", validator=one_of(*COUNTERS))
    """How every limit counts."""

    retry_after: RetryAfter = field(default="seconds", validator=one_of(*get_args(RetryAfter)))
    """How a 429 says when to come back."""

    rate_headers: bool = False
    """Send X-RateLimit-Limit and -Remaining on limited operations."""

    percentage: bool = True
    """Send the inferred key `percentage` with progress."""

    visible_after: float = field(default=0.0, validator=SECONDS)
    """Time after its creation in which a report answers 404."""

    plan: str = field(default="growth", validator=one_of(*PLANS))
    """`starter` permits quick scans only."""

    credits: int = field(default=25, validator=COUNT)
    """AI remediation credits every organization begins with."""

    agent_sizes: Mapping[str, int] = field(
        factory=dict,
        validator=must_be(
            "file names with their bytes",
            lambda sizes: all(is_id(name) and size >= 0 for name, size in sizes.items()),
        ),
    )
    """Bytes by file name: other sizes for the agent's files, or further files."""

    read_deadline: float = field(default=10.0, validator=ABOVE_ZERO)
    """Longest time for the rest of a request head, and for a request body."""

    @classmethod
    def read(cls, **options: Any) -> Settings:  # noqa: ANN401 -- checked below
        """Return the settings that options ask for, with those of a scenario file below them.

        Raises:
            ValueError: There is no such setting, its value is impossible, or the file is no
                scenario file.
        """
        scenario = os.fspath(options.get("scenario", "clean"))
        if scenario.endswith(".toml"):
            below = read_scenario(scenario)
            options = {"scenario": "clean", **below, **_without(options, "scenario")}
        if unknown := sorted(options.keys() - Options.__annotations__.keys()):
            known = ", ".join(sorted(Options.__annotations__))
            message = f"there is no setting {', '.join(unknown)}; there are {known}"
            raise ValueError(message)
        try:
            return cls(**options)
        except TypeError as error:
            message = f"a setting has a value of the wrong kind: {error}"
            raise ValueError(message) from None

    def __attrs_post_init__(self) -> None:
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

    @property
    def behaviour(self) -> Scenario:
        """What the scenario changes."""
        return SCENARIOS[self.scenario]

    @property
    def rules(self) -> dict[str, tuple[int, float]]:
        """The limits in force: documented, then the scenario's, then those asked for."""
        merged = {**DOCUMENTED, **self.behaviour.limits, **self.limits}
        return {name: rule for name, rule in merged.items() if rule is not None}
