"""The sandbox as a process: it writes one line of JSON and serves until a signal."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, TextIO, Unpack

from bestdefense_async.sandbox.server.sandbox import Sandbox

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.settings import Options


async def _serve(out: TextIO, options: Options) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:
            # Windows loops have no signal handlers; there KeyboardInterrupt ends asyncio.run.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    # A process lives in real time, and whoever uses it compares its times with their own.
    options.setdefault("epoch", time.time())
    async with Sandbox(**options) as sandbox:
        line = {"url": sandbox.url, "token": sandbox.token}
        if sandbox.control_token is not None:
            line["control_token"] = sandbox.control_token
        out.write(json.dumps(line) + "\n")
        out.flush()
        await stop.wait()


def serve(*, out: TextIO | None = None, **options: Unpack[Options]) -> int:
    """Serve until SIGINT or SIGTERM and return 0.

    The first and only line written is `{"url": ..., "token": ...}`, with `control_token` when the
    control routes are on.

    Args:
        out: Where the line goes; None for stdout.
        **options: Those of `Sandbox`.

    Raises:
        ValueError: A setting is impossible; nothing was opened.
        OSError: The address cannot be bound.
    """
    asyncio.run(_serve(sys.stdout if out is None else out, options))
    return 0
