"""What a sandbox is told to hold: sites with the findings planted on them, and organizations.

Every one of them can also be written as a table of a scenario file or as plain values: a site as
its host name, a finding as its severity. Mistakes are `ValueError`s that name the field.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from bestdefense_async.sandbox.world.findings import SEVERITIES, Finding, planted

PLANS = ("starter", "growth")
FOREIGN_SITES = 3
"""Sites of an organization that nothing else is said about."""

MAX_SITES = 200_000

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9-]{1,63}")
_ORGANIZATION = re.compile(r"[A-Za-z0-9._ -]{1,64}")
_MAX_CWE = 99_999

Spec = TypeVar("Spec")


def one_of(name: str, value: object, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of the known words."""
    words = tuple(known)
    if value not in words:
        message = f"{name} must be one of {', '.join(words)}, not {value!r}"
        raise ValueError(message)


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


def _seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # noqa: ANN401
    if value is not None and not (isinstance(value, int | float) and value >= 0):
        message = f"{attribute.name} must be seconds, zero or more, not {value!r}"
        raise ValueError(message)


@frozen
class FindingSpec:
    """One finding to plant. What is left out is taken from a usual weakness of the severity."""

    severity: str
    """critical, high, medium, low or informational."""

    title: str | None = field(default=None, kw_only=True)
    path: str | None = field(default=None, kw_only=True)
    """Where on the site: a path such as `/search`, with its query."""

    cwe: int | None = field(default=None, kw_only=True)
    """Number of the weakness in MITRE's list; 79 for CWE-79."""

    weakness: str | None = field(default=None, kw_only=True)
    """Name of the weakness."""

    evidence: str | None = field(default=None, kw_only=True)
    guidance: str | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        one_of("severity", self.severity, SEVERITIES)
        for name in ("title", "path", "weakness", "evidence", "guidance"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                message = f"{name} of a finding must be a text, not {value!r}"
                raise ValueError(message)
        if self.path is not None and not self.path.startswith("/"):
            message = f"path of a finding begins with a slash, unlike {self.path!r}"
            raise ValueError(message)
        if self.cwe is not None and not (type(self.cwe) is int and 0 < self.cwe <= _MAX_CWE):
            message = f"cwe must be a number such as 79, not {self.cwe!r}"
            raise ValueError(message)


def read_findings(value: object) -> tuple[FindingSpec, ...] | None:
    """Return findings from specs, tables or severities, the worst first; None stays None."""
    if value is None:
        return None
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        message = f"findings must be a list, not {value!r}"
        raise ValueError(message)
    specs = (_read(FindingSpec, each, "severity") for each in value)
    return tuple(sorted(specs, key=lambda spec: SEVERITIES.index(spec.severity)))


def plant(hostname: str, specs: tuple[FindingSpec, ...] | None) -> tuple[Finding, ...] | None:
    """Return the findings of a host as they were asked for; None for the seeded ones."""
    if specs is None:
        return None
    return tuple(planted(hostname, index, **attrs.asdict(spec)) for index, spec in enumerate(specs))


@frozen
class SiteSpec:
    """One site of a fleet, by its host name."""

    hostname: str
    findings: tuple[FindingSpec, ...] | None = field(
        default=None, kw_only=True, converter=read_findings
    )
    """`FindingSpec`s, tables of their fields, or bare severities; None for the seeded ones."""

    duration: float | None = field(default=None, kw_only=True, validator=_seconds)
    """Scan seconds of each scan; inf never ends; None takes the seeded time."""

    visible_after: float | None = field(default=None, kw_only=True, validator=_seconds)
    """Seconds after creation in which a report answers 404; None takes the sandbox's own."""

    backwards: bool = field(default=False, kw_only=True)
    """Let progress, and once completion, take a step back."""

    verified: bool = field(default=True, kw_only=True)
    """Whether ownership is proven; a site that is pending cannot be scanned."""

    permitted: bool = field(default=True, kw_only=True)
    """Whether its organization may scan it."""

    def __attrs_post_init__(self) -> None:
        name: Any = self.hostname
        if not isinstance(name, str) or _HOSTNAME.fullmatch(name) is None:
            message = f"a site is a host name in small letters, not {self.hostname!r}"
            raise ValueError(message)


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

    name: str
    sites: int | tuple[SiteSpec, ...] = field(
        default=FOREIGN_SITES, kw_only=True, converter=read_sites
    )
    plan: str | None = field(default=None, kw_only=True)
    """`starter` permits quick scans and no schedules; None takes the sandbox's own plan."""

    credits: int | None = field(default=None, kw_only=True)
    """AI remediation credits; None for as many as every organization begins with."""

    def __attrs_post_init__(self) -> None:
        name: Any = self.name
        if not isinstance(name, str) or _ORGANIZATION.fullmatch(name) is None:
            message = f"an organization's name is 1 to 64 letters and digits, not {self.name!r}"
            raise ValueError(message)
        if self.plan is not None:
            one_of("plan", self.plan, PLANS)
        if self.credits is not None and not (type(self.credits) is int and self.credits >= 0):
            message = f"credits must be zero or more, not {self.credits!r}"
            raise ValueError(message)


def read_organizations(value: Iterable[object]) -> tuple[OrganizationSpec, ...]:
    """Return organizations from specs, tables or names."""
    return tuple(_read(OrganizationSpec, each, "name") for each in value)
