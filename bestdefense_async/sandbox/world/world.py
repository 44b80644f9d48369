"""Everything a sandbox knows, in one place, and the call a handler is given.

Handlers are plain functions from world and call to reply. They never wait, so every change of
state is whole, also when the client has gone away meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from attrs import define, field

from bestdefense_async.sandbox.replies import not_found, refuse
from bestdefense_async.sandbox.world.agents import AgentFiles
from bestdefense_async.sandbox.world.clock import Clock
from bestdefense_async.sandbox.world.faults import Fault, FaultPlan, Faults
from bestdefense_async.sandbox.world.findings import ALERT_FORMATS, AlertAnswers
from bestdefense_async.sandbox.world.fleet import MAIN, Fleet, Site
from bestdefense_async.sandbox.world.ledger import Ledger
from bestdefense_async.sandbox.world.limits import Limits
from bestdefense_async.sandbox.world.records import NetworkScan, Records, Remediation, Schedule
from bestdefense_async.sandbox.world.routes import Operation
from bestdefense_async.sandbox.world.scans import CapacityReached, Scan, Scans
from bestdefense_async.sandbox.world.tokens import Token, Tokens

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.settings import Settings
    from bestdefense_async.sandbox.world.specs import OrganizationSpec


@define
class Organization:
    """What an organization has besides its sites."""

    plan: str
    """`starter` has quick scans only and no schedules, `growth` has all. (partly inferred)"""

    credits: int
    """AI remediation credits left."""


class World:
    """The state of one sandbox, as its settings make it; it lives on the running loop.

    Raises:
        LookupError: A fault of the settings is about a site that is not there.
        ValueError: Two organizations of the settings have one name.
    """

    def __init__(self, settings: Settings) -> None:
        seed, scenario = settings.seed, settings.behaviour
        self.settings = settings
        self.seed = seed
        self.scenario = scenario
        self.clock: Clock = Clock.started(speed=settings.speed, epoch=settings.epoch)
        self.fleet: Fleet = Fleet(seed, drift=scenario.drift)
        self.scans: Scans = Scans(seed, scale=scenario.scale, numeric_ids=scenario.drift)
        self.alerts: AlertAnswers = AlertAnswers(seed, ALERT_FORMATS[scenario.findings])
        self.agents: AgentFiles = AgentFiles.of(seed, settings.agent_sizes)
        self.tokens: Tokens = Tokens(seed)
        self.limits: Limits = Limits(
            settings.rules, settings.policy, settings.retry_after, settings.rate_headers
        )
        self.faults: Faults = Faults(seed)
        self.ledger: Ledger = Ledger()
        self.organizations: dict[str, Organization] = {}
        self.schedules: Records[Schedule] = Records()
        self.remediations: Records[Remediation] = Records()
        self.network_scans: Records[NetworkScan] = Records()
        self._due: list[tuple[float, int, Schedule]] = []
        """When each schedule runs next, as a heap."""

        self.url: str = ""
        """Scheme, host and port it is reached at."""

        self.origins: frozenset[str] = frozenset()
        """Values of an Origin header that are the sandbox's own page."""

        self.control_token: str | None = None
        self.methods: Mapping[str, Callable[..., object]] = {}
        """What can be called by whoever has the control token, by name."""

        self.fleet.add(MAIN, settings.sites)
        self.fleet.arrange(MAIN, scenario)
        for organization in settings.organizations:
            self.add_organization(organization)
        for plan in (*scenario.faults, *settings.faults):
            self.add_fault(plan)

    def organization(self, name: str) -> Organization:
        """Return what the organization has; one that is new has the usual."""
        usual = Organization(self.settings.plan, self.settings.credits)
        return self.organizations.setdefault(name, usual)

    def add_organization(self, spec: OrganizationSpec) -> None:
        """Add an organization with its sites.

        Raises:
            ValueError: There is one of that name.
        """
        if self.fleet.has(spec.name):
            message = f"there is an organization {spec.name!r} already"
            raise ValueError(message)
        self.fleet.add(spec.name, spec.sites)
        organization = self.organization(spec.name)
        if spec.plan is not None:
            organization.plan = spec.plan
        if spec.credits is not None:
            organization.credits = spec.credits

    def add_schedule(self, schedule: Schedule) -> None:
        """Add a schedule, which runs from now on.

        Raises:
            CapacityReached: There is no room.
        """
        self.schedules.add(schedule)
        heappush(self._due, (schedule.next_run, self.schedules.made, schedule))

    def catch_up(self) -> None:
        """Start the scans that schedules have come to since this was called last.

        Nobody sees the world in between, so it is as if each had begun in its own time.
        """
        today = self.clock.today()
        while self._due and self._due[0][0] <= today:
            moment, number, schedule = heappop(self._due)
            if self.schedules.find(schedule.id, schedule.organization) is None:
                continue
            started = self.clock.reading(moment)
            visible = started + self.delay_of(schedule.site) * self.clock.speed
            try:
                self.scans.create(
                    schedule.site, schedule.options, now=started, visible=visible, is_scheduled=True
                )
            except CapacityReached:
                # What there is no room for is not counted day by day.
                moment = today
            schedule.pass_by(moment)
            heappush(self._due, (schedule.next_run, number, schedule))

    def delay_of(self, site: Site) -> float:
        """Return the seconds of the loop in which a new report of the site answers 404."""
        return self.settings.visible_after if site.visible_after is None else site.visible_after

    def add_fault(self, plan: FaultPlan) -> Fault:
        """Set a fault.

        Raises:
            LookupError: There is no such site.
        """
        if plan.site is not None:
            # A fault of an unknown site would never happen, and nobody would see why.
            self.fleet.named(plan.site)
        return self.faults.add(plan)


@define(kw_only=True)
class Call:
    """One request, as it arrived, and as handlers see it."""

    operation: Operation | None
    """None for what the API does not have."""

    token: Token
    """`NOBODY` without one that this sandbox made."""

    key: str
    """The path's parameter, or empty."""

    path: str
    query: str
    """The query as it came, undecoded."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = b""
    json: Mapping[str, Any] = field(factory=dict, repr=False)
    """The body, as the document wants it, of an operation that takes one."""


NOBODY = Token(organization="", permissions=frozenset(), key="")


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


def check_scannable(site: Site) -> None:
    """End the handler when the site may not be scanned."""
    if not site.permitted:
        refuse(403, "Your organization is not permitted to create reports for this site.")
    if not site.verified:
        refuse(422, "Ownership of the site has not been verified.")


def check_plan(world: World, call: Call, intensity: str) -> None:
    """End the handler when the organization's plan has no such intensity.

    Source: quick is on every plan, higher ones generally need Growth or above. (documented)
    """
    if intensity != "quick" and world.organization(call.token.organization).plan == "starter":
        refuse(403, "Your plan does not include this scan intensity.")
