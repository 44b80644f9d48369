"""An event loop on which nobody waits: when nothing is left to do now, the clock jumps ahead.

Cheaper than looptime where thousands of seconds with no sockets are simulated.
"""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


STANDSTILL = 20
"""Turns of the loop after which the clock ticks by itself, as a real one would."""


class _Jump(selectors.BaseSelector):
    """Reports what is ready and, instead of sleeping, moves the clock."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0
        self._turns = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits for something that will never happen")
        self._turns += 1
        if self._turns > STANDSTILL:
            # Some code waits for a moment that rounding puts a hair's breadth ahead.
            self.now += 1e-9
        if timeout > 0:
            self.now += timeout
            self._turns = 0
            return []
        return self._real.select(0)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time starts at `start` seconds and passes only by waiting."""

    def __init__(self, start: float = 0.0) -> None:
        self._jump = _Jump()
        self._jump.now = start
        super().__init__(self._jump)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._jump.now


def run_virtual(main: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """Run `main` like `asyncio.run`, in virtual time that starts at `start` seconds."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)


class _Hurry(selectors.DefaultSelector):
    """Waits a small part of the time it is asked to."""

    factor = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.factor)


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop on which a second takes a millisecond: for waits beside real threads and files."""

    def __init__(self) -> None:
        super().__init__(_Hurry())

    def time(self) -> float:
        """Return the time in seconds that pass a thousand times as fast."""
        return super().time() * _Hurry.factor


def run_hurried(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` like `asyncio.run`, in a thousandth of the time its waits would take."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(main)
