"""What callers hand to a resource, checked before anything is sent.

A thing is named by its object or by its id. What cannot be meant gets a sentence that says what is
wanted here and which call returns it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import frozen

from bestdefense_async.core.check import check_seconds, check_text
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.models import (
    Finding,
    NetworkScan,
    Overview,
    Remediation,
    Report,
    ReportSummary,
    ScanOptions,
    Schedule,
    Site,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

LARGEST_NUMBER: Final = 2**63 - 1
"""The largest id that a database counts to."""

_HOST: Final = re.compile(
    r"\w[\w+.-]*://.*"  # a URL
    r"|(?:[\w-]+\.)+[^\W\d_][\w-]*\.?(?::\d+)?(?:/.*)?"  # a name with dots, perhaps a path
    r"|\d+\.\d+\.\d+\.\d+(?::\d+)?(?:/.*)?"  # an address
)


@frozen
class Noun:
    """A thing that has an id."""

    name: str
    models: tuple[type[Report | ReportSummary | Site | Schedule | Remediation | NetworkScan], ...]
    """What carries its id."""
    source: str
    """The call that returns it, as the end of a sentence."""
    by_host: str | None = None
    """The same for who has a host name, which stands for {}; None when it is no other."""


SITE: Final = Noun("site", (Site,), "sites.list() returns the sites", "sites.find({}) returns it")
REPORT: Final = Noun(
    "report",
    (Report, ReportSummary),
    "reports.create(site) returns one",
    "sites.find({}) returns the site, and reports.create(site) starts a report of it",
)
SCHEDULE: Final = Noun("schedule", (Schedule,), "schedules.list() returns them")
REMEDIATION: Final = Noun("remediation", (Remediation,), "remediation.list() returns them")
NETWORK_SCAN: Final = Noun(
    "network scan",
    (NetworkScan,),
    "network.start(targets) returns one",
    "network.start([{}]) starts one and returns it",
)


def id_of(noun: Noun, given: object) -> str:
    """Return the id of a thing, given as its object or as its id.

    Whether the id can stand in a path is for `build_request` to say.

    Raises:
        ConfigError: It is neither: the object of another thing, a number, a host name, nothing.
    """
    wanted = given.id if isinstance(given, noun.models) else given
    if not isinstance(wanted, str):
        raise ConfigError(f"A {noun.name} or its id is wanted, not {_told(noun, wanted)}.")
    if not wanted:
        raise ConfigError(f"The id of a {noun.name} is empty: {noun.source}.")
    if ("." in wanted or "/" in wanted) and _HOST.fullmatch(wanted):
        shown = repr(clean_text(wanted, longest=120))
        source = noun.source if noun.by_host is None else noun.by_host.format(shown)
        raise ConfigError(f"{shown} is a host name, not the id of a {noun.name}: {source}.")
    return wanted


def _told(noun: Noun, given: object) -> str:
    """Return what was given instead, and what to do, as the rest of a sentence."""
    if noun is REPORT and isinstance(given, Overview):
        return "an overview: vortex.alerts(overview) reads what its security report found"
    if noun is REPORT and type(given) is int:
        return "a number, which is the id of a security report: vortex.alerts(number) reads it"
    return f"{_kind(given)}: {noun.source}"


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def security_id_of(given: Overview | int) -> int | None:
    """Return the number of a security report; None when the overview has none (yet).

    Raises:
        ConfigError: It is neither an overview nor such a number: the two id spaces must not be
            mixed up.
    """
    if isinstance(given, Overview):
        return given.security_id
    if type(given) is not int or not 0 <= given <= LARGEST_NUMBER:
        raise ConfigError(
            "A security report is named by the number in an overview (`Overview.security_id`), not "
            f"by {'such a one' if type(given) is int else _kind(given)}: "
            "reports.findings(report) goes through the overview by itself."
        )
    return given


def finding_id_of(given: Finding | str) -> str:
    """Return the id of a finding, given as its object or as its id.

    Raises:
        ConfigError: It is neither, or the finding came without an id.
    """
    if not isinstance(given, Finding):
        return check_text("finding", given)
    if given.id is None:
        raise ConfigError("This finding came without an id: give its weakness instead.")
    return given.id


def security_choices(options: ScanOptions) -> dict[str, str]:
    """Return how a security scan is to be, in the API's names; what is left to the server is not.

    Raises:
        ConfigError: Something is chosen, and no security scan is wanted.
    """
    words = {
        "vortexType": options.mode,
        "testingType": options.testing_type,
        "scanIntensity": options.intensity,
    }
    chosen = {name: word for name, word in words.items() if word is not None}
    if chosen and "security" not in options.types:
        raise ConfigError("Mode, intensity and testing type belong to a security scan.")
    return chosen


def texts(name: str, values: object, *, like: str) -> list[str]:
    """Return the members of a list of texts.

    Raises:
        ConfigError: It is one text instead of a list, no list, or a member is no text.
    """
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ConfigError(f"{name} must be a list, such as {like}.")
    members: Iterable[object] = values
    return [check_text(f"{name}[{index}]", member) for index, member in enumerate(members)]


def instance(name: str, value: object, kind: type[T]) -> T:
    """Return `value` when it is a `kind`.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{name} must be a {kind.__name__}, not {_kind(value)}.")
    return value


def optional_seconds(name: str, value: object, *, or_zero: bool = False) -> float | None:
    """Return a time that may be left out: None, or a finite number of seconds above zero.

    Raises:
        ConfigError: It is neither.
    """
    return None if value is None else check_seconds(name, value, or_zero=or_zero)
