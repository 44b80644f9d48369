"""Fleets: the sites of an organization, named as a real one would name them.

All names end in `.example`, which nobody can own.
"""

from __future__ import annotations

import attrs
from attrs import define, field

from bestdefense_async.sandbox.data import read_table
from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.chance import identifier, number
from bestdefense_async.sandbox.world.findings import Finding
from bestdefense_async.sandbox.world.specs import Scenario, SiteSpec, plant

MAIN = "main"
"""The organization that owns the fleet."""

_NAMES = read_table("fleet.toml")
_BRANDS, _SERVICES = _NAMES["brands"], _NAMES["services"]
_REGIONS, _STAGES = _NAMES["regions"], _NAMES["stages"]


@define(eq=False)
class Site:
    """One site of an organization, and what is special about it."""

    id: str
    hostname: str
    organization: str
    verified: bool = True
    """Whether ownership has been proven; a pending site cannot be scanned."""

    permitted: bool = True
    """Whether its organization may scan it."""

    duration: float | None = None
    """Scan seconds every scan of it takes, instead of a seeded draw; inf for never."""

    visible_after: float | None = None
    """Seconds of the loop after creation in which a report answers 404; None for the default."""

    backwards: bool = False
    """Whether progress and completion take a step back once."""

    findings: tuple[Finding, ...] | None = None
    """What its scans find from now on; None for the seeded findings."""

    names: tuple[str, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.names = (self.id, self.hostname)

    def script(
        self, *, duration: float | None, visible_after: float | None, backwards: bool
    ) -> None:
        """Decide how its scans run from now on.

        Raises:
            ValueError: A time is negative or not a number.
        """
        for seconds in (duration, visible_after):
            if seconds is not None and not seconds >= 0:
                message = f"a time must be zero or more, not {seconds!r}"
                raise ValueError(message)
        self.duration = duration
        self.visible_after = visible_after
        self.backwards = backwards


def hostname(seed: int, organization: str, index: int) -> str:
    """Return the host name of the index-th site; different for every index."""
    order = number("order", seed, organization)
    many = len(_SERVICES)
    service = _SERVICES[(index + order) % many]
    lap = index // many
    brand = _BRANDS[(lap + order // many) % len(_BRANDS)]
    lap //= len(_BRANDS)
    stage = _STAGES[lap % len(_STAGES)]
    lap //= len(_STAGES)
    region = _REGIONS[lap % len(_REGIONS)]
    lap //= len(_REGIONS)
    label = "-".join(part for part in (service, stage, str(lap + 1) if lap else "") if part)
    prefix = "" if organization == MAIN else f"{organization}."
    return ".".join(part for part in (label, region, f"{prefix}{brand}", "example") if part)


@define
class Fleet:
    """The sites of all organizations of one sandbox."""

    seed: int
    drift: bool = False
    """Answer with fields nobody has documented."""

    by_id: dict[str, Site] = field(factory=dict, repr=False)
    _by_organization: dict[str, list[Site]] = field(factory=dict, repr=False)
    _lists: dict[str, Reply] = field(factory=dict, repr=False)

    def add(self, organization: str, sites: int | tuple[SiteSpec, ...]) -> None:
        """Give the organization its sites, once; a second call changes nothing."""
        if organization in self._by_organization:
            return
        count = sites if isinstance(sites, int) else len(sites)
        made = []
        for index in range(count):
            key = identifier("site", self.seed, organization, index)
            if isinstance(sites, int):
                made.append(Site(key, hostname(self.seed, organization, index), organization))
            else:
                spec = sites[index]
                given = {
                    **attrs.asdict(spec, recurse=False),
                    "findings": plant(spec.hostname, spec.findings),
                }
                made.append(Site(key, organization=organization, **given))
        self._by_organization[organization] = made
        self.by_id.update((site.id, site) for site in made)

    def arrange(self, organization: str, scenario: Scenario) -> None:
        """Mark the special sites of a scenario, spread out; a single site stays usual."""
        sites = self.of(organization)
        last = len(sites) - 1
        if last < 1:
            return
        if scenario.pending_site:
            sites[last // 3].verified = False
        if scenario.forbidden_site:
            sites[last].permitted = False
        if scenario.endless_site:
            sites[last // 2].duration = float("inf")

    def has(self, organization: str) -> bool:
        """Return whether there is an organization of that name."""
        return organization in self._by_organization

    def of(self, organization: str) -> list[Site]:
        """Return the organization's sites, in a fixed order."""
        return self._by_organization.get(organization, [])

    def named(self, site: str) -> list[Site]:
        """Return the sites with this id or host name: organizations may have one each.

        Raises:
            LookupError: There is none.
        """
        found = self.by_id.get(site)
        if found is not None:
            return [found]
        named = [each for each in self.by_id.values() if each.hostname == site]
        if not named:
            message = f"the sandbox has no site {site!r}"
            raise LookupError(message)
        return named

    def find(self, site: str) -> Site:
        """Return the one site with this id or host name.

        Raises:
            LookupError: There is none, or more than one organization has one of that name.
        """
        first, *others = self.named(site)
        if others:
            message = f"{len(others) + 1} organizations have a site {site!r}: name it by its id"
            raise LookupError(message)
        return first

    def listing(self, organization: str) -> Reply:
        """Return the answer that lists the organization's sites; made once, it may be large."""
        reply = self._lists.get(organization)
        if reply is None:
            describe = _drifted if self.drift else _documented
            reply = success({"sites": [describe(site) for site in self.of(organization)]})
            self._lists[organization] = reply
        return reply


def _documented(site: Site) -> dict[str, object]:
    return {"id": site.id, "hostname": site.hostname}


def _drifted(site: Site) -> dict[str, object]:
    return {
        "id": site.id,
        "hostname": site.hostname,
        "uuid": site.id,
        "kind": "web_application_v2",
        "verification": {"method": "dns-txt", "state": "VERIFIED_BY_PROXY"},
        "labels": [{"key": "tier", "value": None}],
    }
