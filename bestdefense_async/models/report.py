"""A site, its reports, and those that are made of networks or again and again."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from bestdefense_async.models.plain import PlainData


@frozen(kw_only=True)
class Report(PlainData):
    """The answer to a creation: the scan has been started.

    Source: api-facts, "create a report". (documented)
    """

    id: str
    """The report's id, kept as text: a UUID, or a number in the vendor's own action."""
    message: str | None = None
    """What the API says about it, or None."""
    status: int | None = None
    """The `status` member of the answer, or None."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


_ENDS_IN_FAILURE: Final = frozenset({"failed", "cancelled", "canceled", "error"})
"""Statuses after which a scan goes no further. (inferred)"""


@frozen(kw_only=True)
class Progress(PlainData):
    """How far a scan is.

    Source: api-facts, "progress". (documented; percentage, status and message are inferred)
    """

    is_completed: bool
    """Whether the report is complete. A failed scan may never become complete."""
    percentage: float | None = None
    """0 to 100 where the server says so, else None."""
    status: str | None = None
    """The server's word for how the scan is, like `running` or `failed`; None without one."""
    message: str | None = None
    """What the server says about it, such as why it failed; None when it says nothing."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""

    @property
    def has_failed(self) -> bool:
        """Whether the status says that the scan has ended without a result.

        This outweighs `is_completed`: a gate must not take a failed scan for a clean site.
        """
        return self.status is not None and self.status.strip().lower() in _ENDS_IN_FAILURE


@frozen(kw_only=True)
class Overview(PlainData):
    """What a report consists of.

    Source: api-facts, "overview". (documented; that it may be null early on is inferred)
    """

    security_id: int | None
    """Id of the security report, an id space of its own; None before the scan is far enough."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class ReportSummary(PlainData):
    """A report as lists show it.

    That reports can be listed is described; the members are inferred, so all but the id may be
    missing.
    """

    id: str
    site_id: str | None = None
    hostname: str | None = None
    types: tuple[str, ...] = ()
    """What was scanned: security, seo, dns, whois."""
    intensity: str | None = None
    is_completed: bool | None = None
    created_at: datetime | None = None
    """With its time zone."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class Site(PlainData):
    """A web application or API that can be scanned.

    Source: api-facts, "list sites". (documented)
    """

    id: str
    """The site's UUID, kept as text."""
    hostname: str
    """Its host name, as the API writes it."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class NetworkScan(PlainData):
    """A network scan that has been started.

    That there are network scans is described; the members are inferred.
    """

    id: str
    targets: tuple[str, ...] = ()
    """Host names, addresses or networks, as the server took them."""
    jump_box: str | None = None
    """The machine inside the network it goes through; None for a direct scan."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""


@frozen(kw_only=True)
class Schedule(PlainData):
    """A scheduled report.

    That reports can be scheduled is described; the members are inferred, so all but the id may
    be missing.
    """

    id: str
    site_id: str | None = None
    hostname: str | None = None
    types: tuple[str, ...] = ()
    intensity: str | None = None
    mode: str | None = None
    """The engine: analog or ai."""
    testing_type: str | None = None
    """What the site is tested as: web or api."""
    cadence: str | None = None
    """daily, weekly or monthly, or another word of the server's."""
    day_of_week: str | None = None
    """The day of a weekly schedule, like `monday`."""
    day_of_month: int | None = None
    """The day of a monthly schedule."""
    time: str | None = None
    """When it scans on these days, like `03:00`."""
    timezone: str | None = None
    """Where it is that time, like `Europe/Zurich`."""
    cron: str | None = None
    """All of this as cron writes it, on a host that has it so."""
    test_users: tuple[str, ...] = ()
    """The accounts the scan signs in with."""
    created_at: datetime | None = None
    """With its time zone."""
    next_run_at: datetime | None = None
    """With its time zone."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""

    @property
    def when(self) -> str:
        """When it scans, as a person says it: `weekly on monday at 03:00 UTC`."""
        day = self.day_of_week or (self.day_of_month and f"day {self.day_of_month}")
        at = f"at {self.time}" if self.time else None
        said = [self.cadence or self.cron or "-", f"on {day}" if day else None, at]
        return " ".join(each for each in (*said, self.timezone if at else None) if each)
