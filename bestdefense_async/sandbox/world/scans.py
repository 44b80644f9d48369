"""Scans: started once, over after a seeded time, read by two kinds of id.

Reports have UUIDs, security reports integers of a series of their own, as documented. A scan's
state is a function of the clock: nothing runs while it "runs", so a hundred thousand of them cost
memory and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import define, field, frozen

from bestdefense_async.sandbox.replies import refuse
from bestdefense_async.sandbox.world.chance import bell, identifier, number
from bestdefense_async.sandbox.world.findings import Finding
from bestdefense_async.sandbox.world.fleet import Site

MEDIANS: Mapping[str, float] = {"quick": 180.0, "standard": 1200.0, "thorough": 7200.0}
"""Median scan seconds by intensity (intensities documented, times ours)."""

_SPREAD = 0.45
_SHORTEST, _LONGEST = 1 / 3, 8 / 3
"""A scan takes a third to eight thirds of its median, log-normally in between."""

_SECURITY_AFTER = 0.05
"""Share of a scan after which its security report has an id. (inferred: null early on)"""

_RETREATS = ((0.5, 0.7), (1.1, 1.3))
_STEP_BACK = 0.3
"""Where the progress of a site that goes backwards does so, and by how much; both are shares."""

_WHOLE = 100

CAPACITY = 250_000
"""Most scans one sandbox keeps; then creating one fails, so that memory is bounded."""


@frozen
class ScanOptions:
    """What to scan for, as far as the sandbox cares."""

    types: tuple[str, ...]
    intensity: str = "quick"
    body: Mapping[str, Any] = field(factory=dict, repr=False)
    """The options as sent, without secrets."""

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> ScanOptions:
        """Return the options of a creation; of types nobody has documented those that are enabled.

        Raises:
            Refused: No type is enabled.
        """
        kept = {name: value for name, value in sent.items() if name != "callback"}
        types = tuple(
            name
            for name, value in kept.items()
            if isinstance(value, dict) and value.get("enabled") is True
        )
        if not types:
            refuse(400, "At least one scan type must be enabled.")
        nested = kept.get("security", {}).get("options", {})
        # Which intensity is the server's own choice is inferred.
        return _shared(types, nested.get("scanIntensity", "quick"), json.dumps(kept))


@lru_cache(maxsize=1024)
def _shared(types: tuple[str, ...], intensity: str, sent: str) -> ScanOptions:
    """Return one object for all scans with the same options: most scans of a run share them."""
    return ScanOptions(types, intensity, json.loads(sent))


@define(eq=False)
class Scan:
    """One report."""

    id: str
    security_id: int
    site: Site
    options: ScanOptions
    started: float
    """The clock's reading at creation."""

    visible: float
    """The clock's reading before which it answers 404."""

    duration: float
    """Scan seconds; inf for a scan that never ends."""

    findings: tuple[Finding, ...] | None
    """What was planted on the site when it began; None for the seeded findings."""

    def share(self, now: float) -> float:
        """Return how far it has come as it is shown, 0 to 1."""
        if math.isinf(self.duration):
            # Ever closer to done, and never there.
            age = now - self.started
            return 0.99 * age / (age + MEDIANS[self.options.intensity])
        share = (now - self.started) / self.duration if self.duration else 1.0
        if self.site.backwards and any(low <= share < high for low, high in _RETREATS):
            return share - _STEP_BACK
        return min(1.0, share)

    def percentage(self, now: float) -> int:
        """Return how far it has come, 0 to 100; 100 only when it is over."""
        share = self.share(now)
        return _WHOLE if share >= 1 else min(_WHOLE - 1, int(share * _WHOLE))

    def is_over(self, now: float) -> bool:
        """Return whether it is complete."""
        return self.share(now) >= 1

    def security(self, now: float) -> int | None:
        """Return the security report's id once there is one."""
        if "security" not in self.options.types or self.share(now) < _SECURITY_AFTER:
            return None
        return self.security_id


class CapacityReached(Exception):
    """The sandbox keeps as many as it can."""


@define
class Scans:
    """All scans of one sandbox."""

    seed: int
    scale: float = 1.0
    """Factor on every duration."""

    numeric_ids: bool = False
    """Give reports numbers for ids."""

    by_id: dict[str, Scan] = field(factory=dict, repr=False)
    _in_order: list[Scan] = field(factory=list, repr=False)
    _per_site: dict[str, int] = field(factory=dict, repr=False)
    _first_security_id: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._first_security_id = 40_000 + number("security", self.seed) % 10_000

    def duration(self, site: Site, intensity: str) -> float:
        """Return the scan seconds that scans of the site take."""
        if site.duration is not None:
            return site.duration
        factor = math.exp(_SPREAD * bell("duration", self.seed, site.hostname, intensity))
        return MEDIANS[intensity] * min(max(factor, _SHORTEST), _LONGEST) * self.scale

    def create(
        self,
        site: Site,
        options: ScanOptions,
        *,
        now: float,
        visible: float,
        is_scheduled: bool = False,
    ) -> Scan:
        """Start a scan. One that a schedule starts is nobody's duplicate, so it is not counted.

        Raises:
            CapacityReached: There are `CAPACITY` scans already.
        """
        index = len(self._in_order)
        if index >= CAPACITY:
            raise CapacityReached
        scan = Scan(
            id=str(7_000_001 + index) if self.numeric_ids else identifier("scan", self.seed, index),
            security_id=self._first_security_id + index,
            site=site,
            options=options,
            started=now,
            visible=visible,
            duration=self.duration(site, options.intensity),
            findings=site.findings,
        )
        self._in_order.append(scan)
        self.by_id[scan.id] = scan
        if not is_scheduled:
            self._per_site[site.id] = self._per_site.get(site.id, 0) + 1
        return scan

    def by_security_id(self, security_id: str) -> Scan | None:
        """Return the scan whose security report has this id."""
        if not (security_id.isascii() and security_id.isdigit()):
            return None
        index = int(security_id) - self._first_security_id
        return self._in_order[index] if 0 <= index < len(self._in_order) else None

    def per_site(self) -> dict[str, int]:
        """Return how many scans were asked for one by one, for the sites that have any."""
        return dict(self._per_site)

    def newest_first(self) -> Iterator[Scan]:
        """Yield every scan, the latest first."""
        return reversed(self._in_order)
