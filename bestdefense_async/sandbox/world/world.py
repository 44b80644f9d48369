"""Everything a sandbox knows, in one place, and the call a handler is given.

Handlers are plain functions from world and call to reply. They never wait, so every change of
state is whole, also when the client has gone away meanwhile.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from attrs import define, field

from bestdefense_async.sandbox.world.agents import AgentFiles
from bestdefense_async.sandbox.world.clock import Clock
from bestdefense_async.sandbox.world.faults import Fault, FaultPlan, Faults
from bestdefense_async.sandbox.world.findings import AlertAnswers
from bestdefense_async.sandbox.world.fleet import Fleet, Site
from bestdefense_async.sandbox.world.limits import Limits
from bestdefense_async.sandbox.world.records import NetworkScan, Records, Remediation, Schedule
from bestdefense_async.sandbox.world.routes import NAMES
from bestdefense_async.sandbox.world.scans import Scan, Scans
from bestdefense_async.sandbox.world.scenarios import Scenario
from bestdefense_async.sandbox.world.tokens import PERMISSIONS, Token, Tokens


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
    """What arrived at one sandbox, in order, and how it was answered.

    Counts are exact for ever; details are kept for the last arrivals only, so that a long run
    stays small.
    """

    kept: int = 100_000
    """How many arrivals keep their details."""

    _arrivals: deque[Arrival] = field(init=False, repr=False)
    _counts: Counter[str] = field(factory=Counter, repr=False)

    def __attrs_post_init__(self) -> None:
        self._arrivals = deque(maxlen=self.kept)

    def record(self, arrival: Arrival) -> None:
        """Record that a request has arrived."""
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


FOREIGN_SITES = 3
"""Sites of every organization but the main one."""


@define(kw_only=True)
class World:
    """The state of one sandbox."""

    seed: int
    clock: Clock
    fleet: Fleet
    scans: Scans
    alerts: AlertAnswers
    tokens: Tokens
    limits: Limits
    faults: Faults
    ledger: Ledger
    plan: str
    """The plan of every organization: `starter` has quick scans only, `growth` has all."""

    percentage: bool
    """Whether progress answers carry the undocumented key `percentage`."""

    visible_after: float
    """Seconds of the loop after its creation in which a report answers 404."""

    scenario: Scenario
    agents: AgentFiles
    starting_credits: int
    """AI remediation credits an organization begins with."""

    credits: dict[str, int] = field(factory=dict)
    schedules: Records[Schedule] = field(factory=Records[Schedule])
    remediations: Records[Remediation] = field(factory=Records[Remediation])
    network_scans: Records[NetworkScan] = field(factory=Records[NetworkScan])
    control_token: str | None = field(default=None, repr=False)
    url: str = ""
    """Scheme, host and port it is reached at."""

    origins: frozenset[str] = frozenset()
    """Values of an Origin header that are the sandbox's own page."""

    def credits_of(self, organization: str) -> int:
        """Return how many AI remediation credits the organization has left."""
        return self.credits.get(organization, self.starting_credits)

    def plan_fault(self, operation: str, plan: Mapping[str, Any]) -> Fault:
        """Set a fault from the keyword arguments of `FaultPlan`.

        Raises:
            LookupError: There is no such site.
            ValueError: There is no such operation, or the plan is impossible.
        """
        checked = FaultPlan.of(operation, plan, known=NAMES)
        if checked.site is not None:
            # A fault of an unknown site would never happen, and nobody would see why.
            self.fleet.find(checked.site)
        return self.faults.add(checked)

    def issue(
        self,
        *,
        organization: str,
        permissions: Iterable[str] | None,
        expired: bool,
        revoked: bool,
    ) -> str:
        """Make a token, and for a new organization its sites.

        Raises:
            ValueError: A permission does not exist.
        """
        granted = PERMISSIONS if permissions is None else frozenset(permissions)
        if granted - PERMISSIONS:
            unknown = ", ".join(sorted(granted - PERMISSIONS))
            message = f"unknown permissions: {unknown}"
            raise ValueError(message)
        self.fleet.add(organization, FOREIGN_SITES)
        token = self.tokens.add(organization=organization, permissions=granted, expired=expired)
        if revoked:
            self.tokens.revoke(token)
        return token


@define
class Call:
    """One request, as handlers see it."""

    token: Token
    key: str
    """The path's parameter, or empty."""

    query: str
    """The query as it came, undecoded."""

    body: bytes
    headers: Mapping[str, str] = field(repr=False)


class Refused(Exception):
    """Ends a handler with a failure answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(status: int, message: str) -> NoReturn:
    """End the handler with a failure in the envelope."""
    raise Refused(status, message)


def not_found(what: str) -> NoReturn:
    """End the handler with the 404 that means absent or foreign, as documented."""
    refuse(404, f"{what} not found.")


def own_site(world: World, call: Call, site_id: str) -> Site:
    """Return the site if it exists and belongs to the caller's organization."""
    site = world.fleet.by_id.get(site_id)
    if site is None or site.organization != call.token.organization:
        not_found("Site")
    return site


def own_scan(world: World, call: Call, scan: Scan | None) -> Scan:
    """Return the scan if it exists, can be seen yet, and belongs to the caller's organization."""
    if (
        scan is None
        or scan.site.organization != call.token.organization
        or world.clock.now() < scan.visible
    ):
        not_found("Report")
    return scan
