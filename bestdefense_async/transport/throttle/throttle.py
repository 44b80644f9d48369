"""The one place that waits before a call is sent: limits and pauses, per token and limit class.

    async with throttle.admit("agents.manifest", deadline=deadline) as permit:
        reply = ...                     # permit.answered(headers) or permit.refused(headers)

`Throttles` holds a `Throttle` per token, that one a `LimitQueue` per limit class, and the queue
decides.

`Pacer`: a global politeness rate: so many requests per second to one host, whatever the
limits allow.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from aiolimiter import AsyncLimiter

from bestdefense_async.errors import ConfigError, WrongLoop
from bestdefense_async.transport.throttle.permit import Permit
from bestdefense_async.transport.throttle.queue import LimitQueue
from bestdefense_async.transport.throttle.shared_store import SavedState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bestdefense_async.core.limiting.limit import Limit


EVICT_FROM = 64
"""Tokens a registry holds before it looks for idle ones."""


class Throttle:
    """All limits and pauses of one token.

    Args:
        limits: The limits of each class, all of them kept at once. A class that is not named has
            none; it can still be paused by a 429.
        known_since: Loop time from which on this process knows of every call with the token; None
            is now. While older calls may count, a class starts with few calls in flight.
        saved: Where the state of limits is kept with other processes, or None.
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
        uniform: Callable[[float, float], float] = random.uniform,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._known_since = known_since
        self._uniform = uniform
        self._wall_clock = wall_clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: dict[str, LimitQueue] = {}
        self._saved = None if saved is None else SavedState(saved, wall_clock=wall_clock)

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

    @property
    def is_idle(self) -> bool:
        """Whether forgetting this object would change nothing."""
        return all(queue.is_idle for queue in self._queues.values())


class Throttles:
    """One `Throttle` per token; those that are idle are forgotten.

    Args:
        limits: Shared by all tokens.
        state_dir: A directory in which limits of a minute and longer are kept together with other
            processes, and from one to the next: one small file per token, named by a hash. None
            keeps everything in memory.
        uniform: Chance between two bounds.
        wall_clock: Unix time.
    """

    def __init__(
        self,
        limits: Mapping[str, tuple[Limit, ...]],
        *,
        state_dir: Path | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._limits = dict(limits)
        self._state_dir = state_dir
        self._uniform = uniform
        self._wall_clock = wall_clock
        self._born: float | None = None
        self._active: dict[str, Throttle] = {}
        self._forgotten: WeakValueDictionary[str, Throttle] = WeakValueDictionary()
        self._sweep_at = EVICT_FROM

    def __len__(self) -> int:
        """Return how many tokens have state at present."""
        return len(self._active)

    def of(self, token_key: str) -> Throttle:
        """Return the limits of the token with this key, a hash and never the token.

        Call it inside the event loop and for every call: a kept `Throttle` is still the right one
        later, but hinders forgetting.
        """
        throttle = self._active.get(token_key)
        if throttle is None:
            self._sweep()
            # Somebody may still hold one that was idle and forgotten: two would not add up.
            throttle = self._forgotten.pop(token_key, None) or self._new(token_key)
            self._active[token_key] = throttle
        return throttle

    def _new(self, token_key: str) -> Throttle:
        if self._born is None:
            self._born = asyncio.get_running_loop().time()
        return Throttle(
            self._limits,
            known_since=self._born,
            saved=None if self._state_dir is None else SavedState.file(self._state_dir, token_key),
            uniform=self._uniform,
            wall_clock=self._wall_clock,
        )

    def _sweep(self) -> None:
        """Forget idle tokens whenever twice as many have state as after the last sweep."""
        if len(self._active) < self._sweep_at:
            return
        idle = {key: one for key, one in self._active.items() if one.is_idle}
        for key, throttle in idle.items():
            del self._active[key]
            self._forgotten[key] = throttle
        self._sweep_at = max(EVICT_FROM, 2 * len(self._active))


class Pacer:
    """Let requests pass one by one, evenly spread, in order of arrival.

    A bucket of one: aiolimiter with a larger one starts almost twice the rate in the first second.
    It is asked by one task at a time, because among several it does not keep their order.

    Args:
        requests_per_second: Above 0 and finite; below 1 is one request every few seconds.

    Raises:
        ConfigError: The rate is zero, negative, not finite or not a number.
    """

    def __init__(self, requests_per_second: float) -> None:
        rate = requests_per_second
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise ConfigError(f"requests_per_second is a number, not {rate!r}")
        if not (math.isfinite(rate) and rate > 0 and math.isfinite(1 / rate)):
            raise ConfigError(f"requests_per_second is above 0 and finite, not {rate!r}")
        self._limiter = AsyncLimiter(1, 1 / rate)
        self._turns = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def turn(self) -> None:
        """Wait until the next request may leave.

        Raises:
            WrongLoop: The pacer is in use in another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop("This pacer belongs to another event loop; use one client per loop.")
        async with self._turns:
            await self._limiter.acquire()
