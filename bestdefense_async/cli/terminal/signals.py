"""Run asynchronous work under signals: the first one ends it in order, the second at once.

Help imports this module too, so asyncio is imported when a command runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator

_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # a terminal that was closed, a connection that was dropped
    _ENDING.append(signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Whether somebody wants us to stop."""

    def __init__(self, requested: asyncio.Event) -> None:
        self.count = 0
        """Signals so far."""
        self.requested = requested
        """Set by the first signal."""
        self.is_handled = False
        """The work watches `requested` and ends by itself; else it is cancelled."""

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Let a signal end a question to a person, which blocks the loop, as it always did."""
        usual: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL}
        usual[signal.SIGINT] = signal.default_int_handler
        before = {number: signal.signal(number, handler) for number, handler in usual.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_async(work: Callable[[Interruption], Coroutine[Any, Any, int]]) -> int:
    """Run `work` and return its exit code, 130 when a signal ended it."""
    import asyncio

    with asyncio.Runner() as runner:
        return runner.run(_guarded(work))


async def _guarded(work: Callable[[Interruption], Coroutine[Any, Any, int]]) -> int:
    import asyncio

    interruption = Interruption(asyncio.Event())
    task = asyncio.ensure_future(work(interruption))
    loop = asyncio.get_running_loop()

    def begin() -> None:
        interruption.requested.set()
        if not interruption.is_handled:
            task.cancel()

    def stop(*_: object) -> None:
        interruption.count += 1
        if interruption.count > 1:
            _leave_now()
        loop.call_soon_threadsafe(begin)

    # The loop's own handlers would not run while a write to a full pipe blocks; these do. What is
    # ignored stays ignored: SIGHUP under nohup, Ctrl-C for what runs behind a script.
    before = {
        number: signal.signal(number, stop)
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        return await task
    except asyncio.CancelledError:
        if not interruption.count:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    streams.say("bestdefense: interrupted")
    return Exit.INTERRUPTED


def _leave_now() -> None:
    """End the process; the live view may have hidden the cursor."""
    if sys.stderr is not None and sys.stderr.isatty():
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    os._exit(Exit.INTERRUPTED)
