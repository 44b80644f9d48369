"""What a sandbox is told: sites with their findings, organizations, and what kind of day it has.

Every one of them can also be written as a table of a scenario file or as plain values: a site as
its host name, a finding as its severity. Mistakes are `ValueError`s that name the field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs
from attrs import evolve, field, frozen

from bestdefense_async.sandbox.checks import (
    COUNT,
    IS_TEXT,
    SECONDS_OR_NEVER,
    must_be,
    one_of,
)
from bestdefense_async.sandbox.data import read_table
from bestdefense_async.sandbox.world.chance import digest
from bestdefense_async.sandbox.world.faults import FaultPlan
from bestdefense_async.sandbox.world.findings import (
    HOSTILE_MESSAGE,
    OF_SITES,
    SEVERITIES,
    Finding,
)

PLANS = ("starter", "growth")
FOREIGN_SITES = 3
"""Sites of an organization that nothing else is said about."""

MAX_SITES = 200_000

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9-]{1,63}")
_ORGANIZATION = re.compile(r"[A-Za-z0-9._ -]{1,64}")
_MAX_CWE = 99_999

Spec = TypeVar("Spec")


def _read(cls: type[Spec], value: object, first: str) -> Spec:
    """Return a spec from itself, from its first field alone, or from a table of its fields."""
    if isinstance(value, cls):
        return value
    row: Any = {first: value} if isinstance(value, str) else value
    noun = cls.__name__.removesuffix("Spec").lower()
    if not isinstance(row, Mapping):
        message = f"a {noun} is a text or a table, not {value!r}"
        raise ValueError(message)
    names = {attribute.name for attribute in attrs.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(row.keys() - names):
        message = f"a {noun} has no {', '.join(unknown)}; it has {', '.join(sorted(names))}"
        raise ValueError(message)
    if first not in row:
        message = f"a {noun} needs its {first}"
        raise ValueError(message)
    return cls(**row)


@frozen
class FindingSpec:
    """One finding to plant. What is left out is taken from a usual weakness of the severity."""

    severity: str = field(validator=one_of(*SEVERITIES))
    """critical, high, medium, low or informational."""

    title: str | None = field(default=None, kw_only=True, validator=IS_TEXT)
    path: str | None = field(
        default=None,
        kw_only=True,
        validator=must_be("a text that begins with a slash", lambda path: path[:1] == "/"),
    )
    """Where on the site: a path such as `/search`, with its query."""

    cwe: int | None = field(
        default=None,
        kw_only=True,
        validator=must_be(
            "a number such as 79", lambda cwe: type(cwe) is int and 0 < cwe <= _MAX_CWE
        ),
    )
    """Number of the weakness in MITRE's list; 79 for CWE-79."""

    weakness: str | None = field(default=None, kw_only=True, validator=IS_TEXT)
    """Name of the weakness."""

    evidence: str | None = field(default=None, kw_only=True, validator=IS_TEXT)
    guidance: str | None = field(default=None, kw_only=True, validator=IS_TEXT)

    def planted(self, host: str, index: int) -> Finding:
        """Return the finding, the `index`-th of its host.

        What is None comes from the usual weakness with that CWE, else from one of that severity.
        """
        known = [each for group in OF_SITES.values() for each in group if each.cwe == self.cwe]
        of_severity = OF_SITES[self.severity]
        usual = known[0] if known else of_severity[index % len(of_severity)]
        changes: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("title", "cwe", "evidence", "guidance")
            if getattr(self, name) is not None
        }
        if self.weakness is not None or (self.cwe is not None and not known):
            changes["name"] = self.weakness or f"CWE-{self.cwe}"
        path = usual.paths[index % len(usual.paths)] if self.path is None else self.path
        kind = evolve(usual, severity=self.severity, paths=(path,), **changes)
        identity = digest("planted", host, kind.cwe, path, kind.title, size=8).hex()
        return Finding(identity, kind, path)


def read_findings(value: object) -> tuple[FindingSpec, ...] | None:
    """Return findings from specs, tables or severities, the worst first; None stays None."""
    if value is None:
        return None
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        message = f"findings must be a list, not {value!r}"
        raise ValueError(message)
    specs = (_read(FindingSpec, each, "severity") for each in value)
    return tuple(sorted(specs, key=lambda spec: SEVERITIES.index(spec.severity)))


def plant(host: str, specs: tuple[FindingSpec, ...] | None) -> tuple[Finding, ...] | None:
    """Return the findings of a host as they were asked for; None for the seeded ones."""
    if specs is None:
        return None
    return tuple(spec.planted(host, index) for index, spec in enumerate(specs))


@frozen
class SiteSpec:
    """One site of a fleet, by its host name."""

    hostname: str = field(validator=must_be("a host name in small letters", _HOSTNAME.fullmatch))
    findings: tuple[FindingSpec, ...] | None = field(
        default=None, kw_only=True, converter=read_findings
    )
    """`FindingSpec`s, tables of their fields, or bare severities; None for the seeded ones."""

    duration: float | None = field(default=None, kw_only=True, validator=SECONDS_OR_NEVER)
    """Scan seconds of each scan; inf never ends; None takes the seeded time."""

    visible_after: float | None = field(default=None, kw_only=True, validator=SECONDS_OR_NEVER)
    """Seconds after creation in which a report answers 404; None takes the sandbox's own."""

    backwards: bool = field(default=False, kw_only=True)
    """Let progress, and once completion, take a step back."""

    verified: bool = field(default=True, kw_only=True)
    """Whether ownership is proven; a site that is pending cannot be scanned."""

    permitted: bool = field(default=True, kw_only=True)
    """Whether its organization may scan it."""


def read_sites(value: object) -> int | tuple[SiteSpec, ...]:
    """Return a number of seeded sites, or the sites of a list.

    Raises:
        ValueError: It is neither, too many, or a host name stands there twice.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= MAX_SITES:
            message = f"sites must be 0 to {MAX_SITES}, not {value!r}"
            raise ValueError(message)
        return value
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        message = f"sites must be a number or a list of sites, not {value!r}"
        raise ValueError(message)
    specs = tuple(_read(SiteSpec, each, "hostname") for each in value)
    counted = Counter(spec.hostname for spec in specs)
    if twice := sorted(name for name, count in counted.items() if count > 1):
        message = f"a site stands in the list twice: {', '.join(twice)}"
        raise ValueError(message)
    return specs


@frozen
class OrganizationSpec:
    """One more organization, besides the main one."""

    name: str = field(
        validator=must_be(
            "an organization's name: 1 to 64 letters and digits", _ORGANIZATION.fullmatch
        )
    )
    sites: int | tuple[SiteSpec, ...] = field(
        default=FOREIGN_SITES, kw_only=True, converter=read_sites
    )
    plan: str | None = field(default=None, kw_only=True, validator=one_of(*PLANS))
    """`starter` permits quick scans and no schedules; None takes the sandbox's own plan."""

    credits: int | None = field(default=None, kw_only=True, validator=COUNT)
    """AI remediation credits; None for as many as every organization begins with."""


def read_organizations(value: Iterable[object]) -> tuple[OrganizationSpec, ...]:
    """Return organizations from specs, tables or names."""
    return tuple(_read(OrganizationSpec, each, "name") for each in value)


@frozen(kw_only=True)
class Scenario:
    """What a scenario changes; `docs/reference/sandbox.md` describes each."""

    scale: float = 1.0
    """Factor on the duration of scans."""

    faults: tuple[FaultPlan, ...] = ()
    limits: Mapping[str, tuple[int, float]] = field(factory=dict)
    """Calls and seconds per token, by operation."""

    pending_site: bool = False
    """One site's ownership is not verified."""

    forbidden_site: bool = False
    """One site may not be scanned."""

    endless_site: bool = False
    """One site's scans never end."""

    findings: str = "documented"
    """How findings are written: a name of `ALERT_FORMATS`."""

    drift: bool = False
    """Answers hold what nobody has documented."""

    @property
    def message(self) -> str:
        """The envelope's message on success, and the end of it on failure."""
        return HOSTILE_MESSAGE if self.findings == "hostile" else "OK"


def _scenario(row: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a table describes."""
    limits = {name: (calls, period) for name, (calls, period) in row.get("limits", {}).items()}
    faults = tuple(FaultPlan(**plan) for plan in row.get("faults", ()))
    return Scenario(**{**row, "limits": limits, "faults": faults})


SCENARIOS: Mapping[str, Scenario] = {
    name: _scenario(row) for name, row in read_table("scenarios.toml").items()
}
