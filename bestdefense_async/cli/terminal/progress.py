"""Progress on stderr: a live view on a terminal, heartbeat lines anywhere else.

A line is due each 30 s or 10 %, whichever comes first, never more than one in a second; the last
one always comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.words import status_text
from bestdefense_async.report.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from bestdefense_async.cli.terminal.tally import Tally

INTERVAL: Final = 30.0
"""Seconds after which a line is due."""
STEP: Final = 0.1
"""Share of the targets after which a line is due."""
SHORTEST: Final = 1.0
"""Least seconds between two lines: a short run is no flood."""

_UNSUCCESSFUL: Final = ("running", "failed", "unknown", "not_started")
_CHECK: Final = 0.2
"""Seconds between two checks whether a heartbeat is due."""


class Heartbeat:
    """Decides when a line is due, and what it says."""

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
    parts = [f"{tally.finished} of {tally.total} finished"]
    parts += [
        f"{tally.outcomes[status]} {status_text(status)}"
        for status in _UNSUCCESSFUL
        if tally.outcomes[status]
    ]
    if tally.active:
        parts.append(f"{tally.active} scanning")
    if tally.waiting:
        parts.append(f"{tally.waiting} waiting")
    if tally.pauses:
        parts.append(f"rate limited {counted(tally.pauses, 'time')}")
    parts.append(duration(now - tally.started))
    away, left = tally.away(now), tally.left(now)
    if away is not None:
        parts.append(away)
    elif left and tally.ended < tally.total:
        parts.append(f"about {duration(left)} left")
    return "scan: " + ", ".join(parts)


def is_live(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether stderr is a terminal that a person watches and that can redraw."""
    if streams.is_ci(environ) or environ.get("TERM", "") in {"dumb", ""}:
        return False
    return sys.stderr is not None and streams.is_terminal(sys.stderr)


@contextlib.asynccontextmanager
async def show_progress(
    tally: Tally, *, title: str, quiet: bool, keep: bool
) -> AsyncIterator[None]:
    """Show the tally while the body runs; not at all when `quiet`.

    With `keep` the last picture of the live view stays on the terminal.
    """
    if quiet:
        yield
        return
    if is_live():
        from rich.console import Console

        from bestdefense_async.cli.terminal.live import LiveView

        work = LiveView(Console(file=sys.stderr), tally, title=title).run(keep=keep)
    else:
        streams.say(title)
        work = _write_heartbeats(tally)
    async with drawing(work):
        yield


@contextlib.asynccontextmanager
async def drawing(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `work` draw until the body has ended. Its own errors are dropped."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        # A terminal that goes away must not take the body with it.
        with contextlib.suppress(asyncio.CancelledError, OSError, ValueError):
            await task


async def _write_heartbeats(tally: Tally) -> None:
    heartbeat = Heartbeat(tally)
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(_CHECK)
            line = heartbeat.line(loop.time())
            if line is not None:
                streams.say(line)
    finally:
        streams.say(describe(tally, loop.time()))
