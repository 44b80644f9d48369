"""The sandbox's time: the running loop's clock, sped up, and the calendar that belongs to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from attrs import define

EPOCH = datetime(2026, 1, 5, 8, 0, tzinfo=UTC).timestamp()
"""When the calendar begins unless it is told: always the same, so that runs compare."""

LAST_SECOND = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


@define
class Clock:
    """Scan seconds since the sandbox was opened.

    Two sandboxes on one loop have a clock each. Under a loop with virtual time this is virtual
    too: nothing here reads the wall clock.
    """

    speed: float
    """Scan seconds that pass in one second of the loop."""

    loop: asyncio.AbstractEventLoop
    origin: float
    """The loop's time at which this clock showed zero."""
    epoch: float
    """What the calendar showed then, in seconds since 1970."""

    @classmethod
    def started(cls, *, speed: float, epoch: float) -> Clock:
        """Return a clock of the running loop that shows zero now."""
        loop = asyncio.get_running_loop()
        return cls(speed=speed, loop=loop, origin=loop.time(), epoch=epoch)

    def now(self) -> float:
        """Return the scan seconds since the start."""
        return (self.loop.time() - self.origin) * self.speed

    def loop_time(self) -> float:
        """Return the loop's own time, in which limits, delays and the ledger are kept."""
        return self.loop.time()

    def after(self, seconds: float) -> float:
        """Return the clock's reading `seconds` of the loop from now."""
        return self.now() + seconds * self.speed

    def calendar(self, scan_seconds: float) -> str:
        """Return when this clock showed or will show that many scan seconds: ISO 8601 in UTC.

        However fast scans are, the calendar goes at the pace of the loop.
        """
        moment = datetime.fromtimestamp(self.epoch, UTC)
        moment += timedelta(seconds=scan_seconds / self.speed)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
