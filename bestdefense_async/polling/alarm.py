"""One timer for many moments: it rings at the earliest of them."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Rings once, at the earliest time it was set to; set it again for the rest.

    It holds nothing but its timer, so that whoever owns it is free as soon as nothing is due.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float, ring: Callable[[float], None]) -> None:
        """Call `ring` at this loop time, unless it rings before; inf is never.

        It is given the present time, which is never before `when`: the loop fires a timer up to
        its clock's resolution early.
        """
        if when == math.inf or (self._timer is not None and self._timer.when() <= when):
            return
        self.stop()
        self._timer = self._loop.call_at(when, self._fire, when, ring)

    def stop(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, when: float, ring: Callable[[float], None]) -> None:
        self._timer = None
        ring(max(self._loop.time(), when))
