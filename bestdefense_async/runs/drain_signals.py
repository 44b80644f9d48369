"""Signals that end a run in order: the first one drains it, a second one ends it as ever."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

from bestdefense_async.errors import ConfigError, LifecycleError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


class DrainSignals:
    """Calls `drain` once when one of some signals comes."""

    def __init__(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain
        self._before: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
        self._is_ready = False
        self._is_requested = False

    def install(self, numbers: Iterable[signal.Signals]) -> None:
        """Listen. What is ignored stays ignored, as SIGHUP under nohup.

        Raises:
            ConfigError: This is not the main thread, or such a signal cannot be caught.
        """
        loop = asyncio.get_running_loop()

        def requested(*_: object) -> None:
            self.restore()
            loop.call_soon_threadsafe(self._begin)

        try:
            for number in numbers:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    # The loop's own handlers would not run while a write to a pipe blocks.
                    self._before[number] = signal.signal(number, requested)
        except (ValueError, OSError) as error:
            self.restore()
            raise ConfigError(f"drain_on cannot be kept: {error}.") from None

    def restore(self) -> None:
        """Give the signals back to who had them."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)

    async def aclose(self) -> None:
        """Give the signals back, and wait for a drain that has begun. Again is harmless."""
        self.restore()
        if self._draining is not None:
            await self._draining

    def ready(self) -> None:
        """Drain from now on when a signal comes, and at once when one came before."""
        self._is_ready = True
        if self._is_requested:
            self._begin()

    def _begin(self) -> None:
        self._is_requested = True
        if self._is_ready:
            self._draining = asyncio.ensure_future(self._drained())

    async def _drained(self) -> None:
        with contextlib.suppress(LifecycleError):  # it has ended meanwhile
            await self._drain()
