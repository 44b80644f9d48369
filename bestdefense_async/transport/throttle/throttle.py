"""The one place that waits before a call is sent: limits and pauses, per token and limit class.

    async with throttle.admit("agents.manifest", deadline=deadline) as permit:
        reply = ...                     # permit.answered(headers) or permit.refused(headers)

A `Throttle` belongs to one token and holds a `LimitQueue` per limit class; the queue decides.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from bestdefense_async.errors import WrongLoop
from bestdefense_async.transport.throttle.permit import Permit
from bestdefense_async.transport.throttle.queue import LimitQueue
from bestdefense_async.transport.throttle.shared_store import SavedState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.transport.observe import QueueStats
    from bestdefense_async.transport.throttle.shared_store import LimitsOfToken


class Throttle:
    """All limits and pauses of one token.

    Args:
        limits: The limits of each class, all of them kept at once. A class that is not named has
            none; it can still be paused by a 429.
        known_since: Loop time from which on this process knows of every call with the token; None
            is now. While older calls may count, a class starts with few calls in flight.
        saved: Where the state of limits is kept with other processes: a file, or None.
        shared: What keeps it in place of a file.
        uniform: Chance between two bounds.
        wall_clock: Unix time, used for dates in headers and for saved state only.
    """

    __slots__ = (
        "__weakref__",
        "_known_since",
        "_limits",
        "_loop",
        "_queues",
        "_saved",
        "_uniform",
        "_wall_clock",
    )

    def __init__(
        self,
        limits: Mapping[str, tuple[Limit, ...]],
        *,
        known_since: float | None = None,
        saved: Path | None = None,
        shared: LimitsOfToken | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._known_since = known_since
        self._uniform = uniform
        self._wall_clock = wall_clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[str, LimitQueue] = {}
        self._saved = shared
        if saved is not None:
            self._saved = SavedState(saved, wall_clock=wall_clock)

    def admit(
        self, limit_class: str, *, deadline: float | None = None, again: bool = False
    ) -> Permit:
        """Return the permit to enter: it waits for its turn, in order of arrival.

        Args:
            limit_class: The name of the operation.
            deadline: Loop time; never waits beyond it.
            again: The call had been admitted before and was refused or not sent: it goes to the
                front of the queue.

        Raises:
            LimitWaitTooLong: On entering, at once, when the earliest possible turn is later than
                `deadline`; while waiting, as soon as a pause makes it so. Nothing was sent.
            WrongLoop: On entering, when the limits are in use in another event loop.
        """
        queue = self._queues.get(limit_class)
        if queue is None:
            queue = self._queues[limit_class] = self._open(limit_class)
        return Permit(queue, deadline=deadline, again=again)

    def latest_for_poll(self, limit_class: str, longest_pause: float) -> float:
        """Return the loop time up to which a poll waits for its turn.

        That is as long as our own limits may take, and no pause that is longer than so many
        seconds: who waits for a report is told that it is not heard of, and has a patience.
        """
        own = max((limit.per for limit in self._limits.get(limit_class, ())), default=0.0)
        return asyncio.get_running_loop().time() + longest_pause + 2 * own

    def _open(self, limit_class: str) -> LimitQueue:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop("These limits belong to another event loop; use one client per loop.")
        if self._known_since is None:
            self._known_since = loop.time()
        queue = LimitQueue(
            limit_class,
            self._limits.get(limit_class, ()),
            loop=loop,
            known_since=self._known_since,
            uniform=self._uniform,
            wall_clock=self._wall_clock,
        )
        if self._saved is not None:
            self._saved.adopt(limit_class, queue)
        return queue

    def stats(self) -> dict[str, QueueStats]:
        """Return who waits for what, by limit class; classes without a waiter are left out."""
        found = {name: queue.stats() for name, queue in self._queues.items()}
        return {name: stats for name, stats in found.items() if stats is not None}

    @property
    def is_idle(self) -> bool:
        """Whether forgetting this object would change nothing."""
        return all(queue.is_idle for queue in self._queues.values())
