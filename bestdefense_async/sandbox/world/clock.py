"""The sandbox's time: the running loop's clock, sped up, and the calendar that belongs to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from attrs import define, field

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

    _jumps: list[tuple[float, float]] = field(factory=list, repr=False)
    """What was skipped: the reading before each jump, and its length."""

    _skipped: float = 0.0

    @classmethod
    def started(cls, *, speed: float, epoch: float) -> Clock:
        """Return a clock of the running loop that shows zero now."""
        loop = asyncio.get_running_loop()
        return cls(speed=speed, loop=loop, origin=loop.time(), epoch=epoch)

    def skip(self, seconds: float) -> None:
        """Let scans, calendar and limits be `seconds` further at once.

        Raises:
            ValueError: It is negative or not a number, or the calendar ends.
        """
        if not 0 <= seconds < LAST_SECOND - self.today():
            message = f"time goes forward by zero or more seconds, not {seconds!r}"
            raise ValueError(message)
        self._jumps.append((self.now(), seconds))
        self._skipped += seconds

    def now(self) -> float:
        """Return the scan seconds since the start."""
        return (self.loop.time() - self.origin) * self.speed + self._skipped

    def loop_time(self) -> float:
        """Return the loop's own time, in which delays and the ledger are kept."""
        return self.loop.time()

    def limit_time(self) -> float:
        """Return the time in which limits are kept: the loop's, and what was skipped."""
        return self.loop.time() + self._skipped

    def today(self) -> float:
        """Return what the calendar shows, in seconds since 1970: at the pace of the loop."""
        return self.epoch + self.loop.time() - self.origin + self._skipped

    def after(self, seconds: float) -> float:
        """Return the clock's reading `seconds` of the loop from now."""
        return self.now() + seconds * self.speed

    def reading(self, moment: float) -> float:
        """Return what this clock shows when the calendar shows `moment`: `calendar`, backwards."""
        left, reading = moment - self.epoch, 0.0
        for at, length in self._jumps:
            until = (at - reading) / self.speed
            if left < until:
                break
            left, reading = left - until, at
            if left < length:
                return reading + left
            left, reading = left - length, reading + length
        return reading + left * self.speed

    def calendar(self, scan_seconds: float) -> str:
        """Return when this clock showed or will show that many scan seconds: ISO 8601 in UTC.

        However fast scans are, the calendar goes at the pace of the loop.
        """
        skipped = sum(min(length, max(0.0, scan_seconds - at)) for at, length in self._jumps)
        return date(self.epoch + skipped + (scan_seconds - skipped) / self.speed)


def date(moment: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 in UTC."""
    shown = datetime.fromtimestamp(min(moment, LAST_SECOND), UTC)
    return shown.isoformat(timespec="seconds").replace("+00:00", "Z")
