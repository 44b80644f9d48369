"""Progress as plain lines, for logs: one each 30 s or 10 %, whichever comes first.

Never more than one in a second, and always a last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bestdefense_async.output.text import duration, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.cli.tally import Tally

INTERVAL: Final = 30.0
"""Seconds after which a line is due."""
STEP: Final = 0.1
"""Share of the targets after which a line is due."""
SHORTEST: Final = 1.0
"""Least seconds between two lines: a short run is no flood."""

_WORDS: Final = {"failed": "failed", "unknown": "unknown", "not_started": "not started"}


class Heartbeat:
    """Decides when a line is due, and words it."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._last = tally.started
        self._step = 0

    def line(self, now: float) -> str | None:
        """Return a line when one is due, else None."""
        tally = self._tally
        step = int(tally.ended / tally.total / STEP + 1e-9) if tally.total else 0
        quiet = now - self._last
        if quiet < (SHORTEST if step > self._step else INTERVAL):
            return None
        self._step, self._last = max(step, self._step), now
        return describe(tally, now)


def describe(tally: Tally, now: float) -> str:
    """Return the state of a run on one line."""
    parts = [f"{tally.ended} of {tally.total} finished"]
    for word, shown in _WORDS.items():
        if tally.outcomes[word]:
            parts.append(f"{tally.outcomes[word]} {shown}")
    if tally.active:
        parts.append(f"{tally.active} scanning")
    if tally.waiting:
        parts.append(f"{tally.waiting} waiting")
    if tally.pauses:
        parts.append(f"rate limited {tally.pauses} x")
    parts.append(duration(now - tally.started))
    left = tally.left(now)
    if left and tally.ended < tally.total:
        parts.append(f"about {duration(left)} left")
    return "scan: " + ", ".join(parts)


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts by severity on one line, zeros left out."""
    parts = [f"{count} {visible(word, longest=20)}" for word, count in counts.items() if count]
    return ", ".join(parts) or "nothing found"
