"""Shows a running tally on stderr: live on a terminal, as heartbeat lines anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from bestdefense_async.cli import streams
from bestdefense_async.cli.heartbeat import Heartbeat, describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from bestdefense_async.cli.tally import Tally

_LOOK = 0.2
"""Seconds between two looks at whether a heartbeat is due."""


def is_live(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr is a terminal that a person watches and that can redraw."""
    if environ.get("CI") or environ.get("TERM", "") in {"dumb", ""}:
        return False
    with contextlib.suppress(OSError, ValueError):
        return sys.stderr is not None and sys.stderr.isatty()
    return False


@contextlib.asynccontextmanager
async def shown(tally: Tally, *, title: str, quiet: bool, keep: bool) -> AsyncIterator[None]:
    """Show the tally while the body runs; not at all when `quiet`.

    With `keep` the last picture of the live view stays on the terminal.
    """
    if quiet:
        yield
        return
    if is_live():
        from rich.console import Console

        from bestdefense_async.cli.live import LiveView

        work = LiveView(Console(file=sys.stderr), tally, title=title).run(keep=keep)
    else:
        streams.say(title)
        work = _beat(tally)
    async with drawing(work):
        yield


@contextlib.asynccontextmanager
async def drawing(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let `work` draw until the body has ended. What goes wrong in it is not told."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        # A terminal that goes away must not take the body with it.
        with contextlib.suppress(asyncio.CancelledError, OSError, ValueError):
            await task


async def _beat(tally: Tally) -> None:
    heartbeat = Heartbeat(tally)
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(_LOOK)
            line = heartbeat.line(loop.time())
            if line is not None:
                streams.say(line)
    finally:
        streams.say(describe(tally, loop.time()))
