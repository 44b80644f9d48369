"""What an organization keeps besides scans: schedules, remediations and network scans.

Their fields are inferred from the vendor's prose; no wire form is published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from attrs import define, field, frozen

from bestdefense_async.sandbox.world.chance import fraction
from bestdefense_async.sandbox.world.fleet import Site
from bestdefense_async.sandbox.world.scans import CapacityReached

if TYPE_CHECKING:
    from collections.abc import Iterator

CADENCES = {"daily": 86_400.0, "weekly": 604_800.0, "monthly": 2_592_000.0}
"""Scan seconds between two runs of a schedule. (names and meaning inferred)"""

MOST_RECORDS = 50_000


class Owned(Protocol):
    """Anything with an id and an owner."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def organization(self) -> str:
        """Whose it is."""
        ...


Item = TypeVar("Item", bound=Owned)


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


@frozen
class Schedule:
    """A report that is to be made again and again."""

    id: str
    site: Site
    types: tuple[str, ...]
    intensity: str
    cadence: str
    test_users: tuple[str, ...]
    created: float
    """The clock's reading."""

    @property
    def organization(self) -> str:
        """Whose it is."""
        return self.site.organization

    def next_run(self, now: float) -> float:
        """Return the clock's reading at the next run."""
        period = CADENCES[self.cadence]
        return self.created + period * (1 + (now - self.created) // period)


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
