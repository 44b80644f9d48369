"""Who may be active, and whether a creation may start now.

`PrioritySemaphore`: so many inputs at a time, the most urgent first. A slot that becomes free is
handed over at once, so a later request cannot take it in between. Waiting costs an entry and no
task: a callback is called when the slot is there.

`StartGate`: asks `core.admission` before each creation, and looks after a host that went away. It
has a task only while starting is stopped.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

from bestdefense_async.core.admission import FIRST_WAIT, Admission, Fate, fate_of, met_by
from bestdefense_async.errors import BestDefenseError, RunStopped

if TYPE_CHECKING:
    from collections.abc import Awaitable

LOOK_TIMEOUT: Final = 30.0
"""Seconds that a look at the host may take."""


@define(eq=False)
class Waiter:
    """An entry of the queue: what `request` returns and `withdraw` takes."""

    grant: Callable[[], object] | None
    """Called when the slot is there; None once it is, or once the entry is withdrawn."""
    has_slot: bool = False


class PrioritySemaphore:
    """At most `limit` slots are held. Higher priorities come first, equal ones in their order."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._queue: list[tuple[int, int, Waiter]] = []
        self._order = itertools.count()

    def request(self, grant: Callable[[], object], *, priority: int = 0) -> Waiter:
        """Request a slot. `grant` is called once, perhaps at once, and must not raise."""
        waiter = Waiter(grant)
        heapq.heappush(self._queue, (-priority, next(self._order), waiter))
        self._hand_out()
        return waiter

    async def acquire(self, *, priority: int = 0) -> None:
        """Wait for a slot. Cancelled, none is held."""
        granted = asyncio.Event()
        waiter = self.request(granted.set, priority=priority)
        try:
            await granted.wait()
        except BaseException:
            self.withdraw(waiter)
            raise

    def withdraw(self, waiter: Waiter) -> None:
        """Leave the queue, or give back the slot that came of it."""
        waiter.grant = None
        if waiter.has_slot:
            waiter.has_slot = False
            self.release()

    def release(self) -> None:
        """Give a slot back; the next in the queue has it when this returns."""
        self._free += 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and self._queue:
            _, _, waiter = heapq.heappop(self._queue)
            grant, waiter.grant = waiter.grant, None
            if grant is not None:
                self._free -= 1
                waiter.has_slot = True
                grant()


@frozen
class Outage:
    """A time in which the host took no creation."""

    since: float
    """Seconds since the epoch, as `until` is."""
    error: BestDefenseError
    """What the last creation met."""
    until: float | None = None
    """When it took one again; None while it does not."""


class StartGate:
    """Asked before each creation, told after each.

    While the host is away nothing starts. It is looked at, at growing waits, until it answers;
    then one creation is tried. A host that takes none for `patience` seconds ends the starting.

    Args:
        look: Sends a harmless request to the host.
        most: Creations under way at the same time.
        patience: Seconds without a creation that was taken, after which none is started any more.
        opened: Called when more may start than before.
        changed: Called with an outage when it begins, and again when it ends.
        given_up: Called with the reason when patience has run out.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[object]],
        *,
        most: int,
        patience: float,
        opened: Callable[[], object],
        changed: Callable[[Outage], object],
        given_up: Callable[[BestDefenseError], object],
    ) -> None:
        self._look = look
        self._admission = Admission(most)
        self._patience = patience
        self._opened = opened
        self._changed = changed
        self._given_up = given_up
        self._outage: Outage | None = None
        self._is_lifted = False
        self._patient_until = 0.0
        self._shut_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_there = asyncio.Event()
        self._is_there.set()
        self._was_polled = asyncio.Event()

    @property
    def is_away(self) -> bool:
        """Whether the host takes no creation, as far as is known."""
        return not self._is_there.is_set()

    def room(self) -> int:
        """Return how many more creations may start now."""
        return self._admission.most if self._is_lifted else self._admission.room()

    def pick(self, count: int) -> int:
        """Return which of `count` that wait starts next, 0 for the first.

        A trial takes any: twenty targets in a row that the host cannot scan would otherwise be
        twenty trials that say it is away.
        """
        is_any = self._admission.is_trial
        return random.randrange(count) if is_any else 0  # noqa: S311 - a fair choice, no secret

    def began(self) -> int:
        """Record that a creation starts. Returns what `ended` wants to know."""
        return self._admission.began()

    def ended(self, begun_in: int, fate: Fate, error: BestDefenseError | None = None) -> None:
        """Record how a creation ended: what it says about the host, and its error, if any."""
        is_current = begun_in == self._admission.round
        self._admission.ended(begun_in, fate)
        if is_current and not self._is_lifted:
            if fate is Fate.THERE and self._outage is not None:
                self._end_outage()
            elif self._admission.is_shut and error is not None:
                self._shut(met_by(error))
        self._opened()

    def polled(self) -> None:
        """Record that the host answered a poll: a look that cost nothing.

        Not in the moment after the stop, for the answer may be older than the outage; nor after a
        creation was tried and lost, for then the polls answer although creations fail.
        """
        if self._task is None or self._admission.trials > 0:
            return
        if asyncio.get_running_loop().time() - self._shut_at >= FIRST_WAIT:
            self._was_polled.set()

    async def there(self) -> None:
        """Wait until the host takes creations again, or none will start any more."""
        await self._is_there.wait()

    def lift(self) -> None:
        """Hold nobody back: what comes now is not started, but ends with its reason."""
        if self._is_lifted:
            return
        self._is_lifted = True
        if self._outage is not None:
            self._end_outage()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._opened()

    def cancel(self) -> set[asyncio.Task[None]]:
        """Stop looking; return the task that is still to be awaited."""
        task = self._task
        self.lift()
        return set() if task is None else {task}

    def _shut(self, error: BestDefenseError) -> None:
        loop = asyncio.get_running_loop()
        self._shut_at = loop.time()
        if self._outage is None:
            self._patient_until = self._shut_at + self._patience
            self._outage = Outage(time.time(), error)
            self._is_there.clear()
            self._changed(self._outage)
        else:
            self._outage = Outage(self._outage.since, error)
        if self._task is None:
            self._task = loop.create_task(self._watch())

    def _end_outage(self) -> None:
        outage, self._outage = self._outage, None
        self._is_there.set()
        if outage is not None:
            self._changed(Outage(outage.since, outage.error, time.time()))

    async def _watch(self) -> None:
        """Look at the host until it answers, or until patience has run out."""
        loop = asyncio.get_running_loop()
        try:
            while self._admission.is_shut:
                left = self._patient_until - loop.time()
                if left <= 0.0:
                    self._give_up()
                    return
                wait = min(self._admission.wait(random.uniform), left)
                self._admission.looked(is_there=await self._is_polled(wait) or await self._seen())
        finally:
            self._task = None
        self._opened()

    async def _is_polled(self, wait: float) -> bool:
        """Wait, and return whether a poll was answered meanwhile."""
        self._was_polled.clear()
        try:
            async with asyncio.timeout(wait):
                await self._was_polled.wait()
        except TimeoutError:
            return False
        return True

    async def _seen(self) -> bool:
        """Look at the host once; any answer of the API shows that it is there."""
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._look()
        except TimeoutError:
            return False
        except BestDefenseError as error:
            return fate_of(error) is Fate.THERE
        return True

    def _give_up(self) -> None:
        met = "" if self._outage is None else f" ({self._outage.error})"
        self._given_up(
            RunStopped(
                f"Nothing more was started: for {self._patience:.0f} s the host took no "
                f"creation{met}. The run can be resumed."
            )
        )
