"""What an organization keeps besides scans: schedules, remediations and network scans.

Their fields are inferred from the vendor's prose; no wire form is published.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Generic, TypeVar
from zoneinfo import ZoneInfo

from attrs import define, field, frozen

from bestdefense_async.sandbox.world.chance import fraction
from bestdefense_async.sandbox.world.fleet import Site
from bestdefense_async.sandbox.world.scans import CapacityReached, ScanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

CADENCES = ("daily", "weekly", "monthly")
"""How often a schedule runs. (names and meaning inferred)"""

MOST_RECORDS = 50_000


WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name in the IANA database.

    Raises:
        LookupError: This machine knows none of that name.
    """
    if name == "UTC":
        # There also where a system comes without the database.
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        message = f"there is no time zone {name!r}"
        raise LookupError(message) from None


@define(eq=False, kw_only=True)
class Schedule:
    """A report that is made again and again, by the calendar."""

    id: str
    site: Site
    options: ScanOptions
    cadence: str
    """One of `CADENCES`."""

    day: int
    """Of the week from 0, or of the month from 1; a shorter month has its last day instead."""

    time: time
    """When on these days, in the schedule's own zone."""

    timezone: str
    test_users: tuple[str, ...]
    created: float
    """What the calendar showed, in seconds since 1970."""

    next_run: float = field(init=False)
    """What the calendar will show."""

    def __attrs_post_init__(self) -> None:
        self.pass_by(self.created)

    @property
    def organization(self) -> str:
        """Whose it is."""
        return self.site.organization

    def pass_by(self, moment: float) -> None:
        """Let the next run be the first one after `moment`."""
        zone = zone_of(self.timezone)
        day = datetime.fromtimestamp(moment, zone).date()
        while True:
            if self._is_due_on(day):
                self.next_run = datetime.combine(day, self.time, zone).timestamp()
                if self.next_run > moment:
                    return
            day += timedelta(days=1)

    def _is_due_on(self, day: date) -> bool:
        if self.cadence == "weekly":
            return day.weekday() == self.day
        last = monthrange(day.year, day.month)[1]
        return self.cadence == "daily" or day.day == min(self.day, last)


_STAGES = ((0.7, "Approved"), (0.9, "Blocked"), (1.0, "Rejected"))
"""Upper edges of the shares in which reviews end. (stages documented, shares ours)"""


@frozen
class Remediation:
    """A remediation under review: of one finding, or of all findings of a weakness type."""

    id: str
    organization: str
    report_id: str
    finding_id: str | None
    weakness: str
    created: float
    """The clock's reading."""

    review: float
    """Scan seconds in review."""

    def stage(self, now: float) -> str:
        """Return Review, and once that is over how it ended."""
        if now < self.created + self.review:
            return "Review"
        share = fraction("stage", self.id)
        return next(name for edge, name in _STAGES if share < edge)


@frozen
class NetworkScan:
    """A scan of addresses, direct or through a jump box."""

    id: str
    organization: str
    targets: tuple[str, ...]
    jump_box: str | None
    started: float
    """The clock's reading."""

    duration: float
    """Scan seconds."""

    def percentage(self, now: float) -> int:
        """Return how far it has come, 0 to 100."""
        return min(100, int((now - self.started) / self.duration * 100))

    def is_over(self, now: float) -> bool:
        """Return whether it is complete."""
        return now - self.started >= self.duration


Item = TypeVar("Item", Schedule, Remediation, NetworkScan)


@define
class Records(Generic[Item]):
    """Records of one kind by id, in the order they came, at most 50,000."""

    made: int = 0
    """How many were ever added, to number the next one."""

    _items: dict[str, Item] = field(factory=dict, repr=False)

    def add(self, item: Item) -> Item:
        """Add the item and return it.

        Raises:
            CapacityReached: There is no room.
        """
        if len(self._items) >= MOST_RECORDS:
            raise CapacityReached
        self.made += 1
        self._items[item.id] = item
        return item

    def find(self, key: str, organization: str) -> Item | None:
        """Return the item if it exists and belongs to the organization."""
        item = self._items.get(key)
        return item if item is not None and item.organization == organization else None

    def of(self, organization: str) -> Iterator[Item]:
        """Yield the organization's items, oldest first."""
        return (item for item in self._items.values() if item.organization == organization)

    def remove(self, item: Item) -> None:
        """Remove the item."""
        del self._items[item.id]
