"""The queue of one class of calls: who leaves when. The only owner of that class's state.

Everything that changes the state is a plain method that runs to its end: a call asks, is settled,
was not sent, is cancelled, or the timer fires. Each of them ends in `_advance`, which hands out
as many permits as are due and sets the timer for the next.

A waiting task holds nothing. It sleeps on a future that only the queue resolves, and the permit
is booked in the same step that resolves it. So a cancelled waiter is merely a dead entry in the
queue, skipped when its turn comes and swept out when most entries are dead; and one that is
cancelled between being granted and waking up gives its permit back. Waking is O(1), and cancelling
costs O(1) on average.

Two details keep the order of arrival exact. Nobody passes while others wait *or are just waking*.
And a task that wakes into a pause set in the meantime goes back to the front.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.limiting.state import LimitState
from bestdefense_async.errors import LimitWaitTooLong, WrongLoop
from bestdefense_async.transport.observe import QueueStats, WaitReason
from bestdefense_async.transport.throttle.permit import HELD_FOR, SharedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.transport.throttle.permit import Permit

SWEEP_FROM: Final = 64
"""Dead entries a queue may hold beyond half of it before they are swept out."""

LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at calls of other processes that are in flight."""


class LimitWaiter(asyncio.Future["LimitWaitTooLong | None"]):
    """What one waiting task sleeps on; None is its permit."""

    __slots__ = ("deadline", "expiry", "since")

    def __init__(self, *, since: float, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.since: float = since
        """Loop time at which the wait began."""
        self.deadline: float = deadline
        """Loop time at which it is given up, inf for never."""
        self.expiry: asyncio.TimerHandle | None = None


class LimitQueue:
    """All calls of one class with one token.

    Args:
        name: The limit class, for errors.
        limits: All of them are kept at once.
        loop: Its clock is the only one used.
        known_since: From when on this process would know of every call of the class.
        uniform: Chance between two bounds.
        wall_clock: Unix time, for dates in headers.
    """

    __slots__ = (
        "_alive",
        "_first",
        "_hasty",
        "_loop",
        "_name",
        "_queue",
        "_state",
        "_store",
        "_timer",
        "_timer_at",
        "_uniform",
        "_waking",
        "_wall_clock",
    )

    def __init__(
        self,
        name: str,
        limits: tuple[Limit, ...],
        *,
        loop: asyncio.AbstractEventLoop,
        known_since: float,
        uniform: Callable[[float, float], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._loop = loop
        self._state = LimitState(limits, now=loop.time(), known_since=known_since)
        self._uniform = uniform
        self._wall_clock = wall_clock
        self._store: SharedStore | None = None
        self._queue: deque[LimitWaiter] = deque()
        self._first: deque[LimitWaiter] = deque()  # calls that had their turn before
        self._alive = 0  # tasks waiting; the queues may hold more entries, dead ones
        self._waking = 0  # tasks granted that have not run since
        self._hasty: set[LimitWaiter] = set()  # those with a deadline
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def try_enter(self, permit: Permit) -> bool:
        """Let the permit begin now, if nobody waits and its turn is there.

        Raises:
            WrongLoop: The queue belongs to another event loop.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise WrongLoop("These limits belong to another event loop; use one client per loop.")
        if self._queue or self._first or self._waking:
            return False
        now = self._loop.time()
        if self._store is not None or not self._state.take_freely():
            if self._opens(now) > now:
                return False
            self._state.take(now)
            self._note()
        permit.begin(now)
        return True

    def wait(self, permit: Permit) -> Coroutine[Any, Any, None]:
        """Return what to await until the permit's turn has come and is booked.

        Raises:
            LimitWaitTooLong: The turn cannot come before the permit's deadline.
        """
        return self._wait(permit, self._queue_up(permit, again=permit.again))

    async def _wait(self, permit: Permit, waiter: LimitWaiter | None) -> None:
        # As many of these frames exist as calls wait: few locals.
        while waiter is not None:
            try:
                await waiter
            except BaseException:  # cancelled, or closed from outside
                self._abandon(waiter)
                raise
            waiter = self._woken(permit, waiter)

    def _woken(self, permit: Permit, waiter: LimitWaiter) -> LimitWaiter | None:
        """Return None when the permit begins, or what to await when a pause came between."""
        self._stop_expiry(waiter)
        refusal = waiter.result()
        if refusal is not None:
            self._bury()
            raise refusal
        self._waking -= 1
        now = self._loop.time()
        if self._state.is_paused(now):
            self.unsent()
            return self._queue_up(permit, again=True)
        permit.begin(now)
        return None

    def _queue_up(self, permit: Permit, *, again: bool) -> LimitWaiter:
        now = self._loop.time()
        deadline = math.inf if permit.deadline is None else permit.deadline
        waiter = LimitWaiter(since=now, deadline=deadline, loop=self._loop)
        queue = self._first if again else self._queue
        if deadline < math.inf:
            self._check(deadline, ahead=self._ahead(again=again))
            waiter.expiry = self._call_at(deadline, self._expire, waiter)
            self._hasty.add(waiter)
        queue.append(waiter)
        self._alive += 1
        if self._timer is None and self._waking:
            # Granted right here it would not even yield, and so pass those that are waking.
            self._wake_at(now)
        elif self._timer is None:
            self._advance()
        return waiter

    def _call_at(
        self, when: float, callback: Callable[..., object], *arguments: object
    ) -> asyncio.TimerHandle:
        """Set a timer in a context of its own: it works for everybody who waits."""
        return self._loop.call_at(when, callback, *arguments, context=contextvars.Context())

    def _abandon(self, waiter: LimitWaiter) -> None:
        """Leave nothing of a waiter whose task goes away."""
        self._stop_expiry(waiter)
        if not waiter.done():
            waiter.cancel()
        if waiter.cancelled() or waiter.result() is not None:
            self._bury()
        else:
            self._waking -= 1
            self.unsent()

    def _bury(self) -> None:
        """Record that a waiter left without a permit; sweep when most entries are dead."""
        self._alive -= 1
        if len(self._first) + len(self._queue) > 2 * self._alive + SWEEP_FROM:
            for queue in (self._first, self._queue):
                alive = [waiter for waiter in queue if not waiter.done()]
                queue.clear()
                queue.extend(alive)
            self._advance()

    def _check(self, deadline: float, *, ahead: int) -> None:
        now = self._loop.time()
        opens = self._state.opens_at_last(now, ahead=ahead)
        if opens > deadline:
            raise self._too_long(opens - now, deadline - now)

    def _expire(self, waiter: LimitWaiter) -> None:
        if not waiter.done():
            now = self._loop.time()
            wait = max(0.0, self._state.opens_at_last(now, ahead=0) - now)
            waiter.set_result(self._too_long(wait, 0.0))

    def _end_hopeless(self, now: float) -> None:
        """Tell those at once whose time other processes have taken."""
        if self._store is not None and self._hasty and not self._store.look():
            self._end_before(self._state.opens_at_last(now, ahead=0), now)

    def _end_before(self, moment: float, now: float) -> None:
        """End the waits whose deadline is earlier than a moment before which none can leave."""
        for waiter in self._hasty:
            if waiter.deadline < moment and not waiter.done():
                waiter.set_result(self._too_long(moment - now, waiter.deadline - now))

    def _stop_expiry(self, waiter: LimitWaiter) -> None:
        if waiter.expiry is not None:
            waiter.expiry.cancel()
            waiter.expiry = None
            self._hasty.discard(waiter)

    def _too_long(self, wait: float, allowed: float) -> LimitWaitTooLong:
        return LimitWaitTooLong(limit_class=self._name, wait=wait, allowed=allowed)

    def _advance(self) -> None:
        """Hand out every permit that is due, in order; see that the next one is not forgotten."""
        if not self._queue and not self._first and self._timer is None:
            return
        now = self._loop.time()
        for queue in (self._first, self._queue):
            while queue:
                if queue[0].done():
                    queue.popleft()
                    continue
                opens = self._opens(now)
                if opens > now:
                    self._wake_at(opens)
                    self._end_hopeless(now)
                    return
                self._state.take(now)
                self._note()
                self._alive -= 1
                self._waking += 1
                queue.popleft().set_result(None)
        self._wake_at(math.inf)

    def _wake_at(self, when: float) -> None:
        """Set the timer; one that fires too early only asks again."""
        if self._timer is not None:
            if self._timer_at <= when < math.inf:
                return
            self._timer.cancel()
            self._timer = None
        if when < math.inf:
            self._timer, self._timer_at = self._call_at(when, self._on_timer), when

    def _on_timer(self) -> None:
        self._timer = None
        self._advance()

    def answered(self, permit: Permit, headers: Mapping[str, str]) -> None:
        """Settle a call whose answer's headers were seen just now."""
        if not self._state.answered_freely(headers):
            self._state.answered(
                self._loop.time(), sent=permit.sent, headers=headers, wall_clock=self._wall_clock()
            )
        self._note()
        self._advance()

    def refused(self, permit: Permit, headers: Mapping[str, str], *, is_settled: bool) -> float:
        """Pause the class; return how many seconds the pause lasts from now."""
        now = self._loop.time()
        paused_until = self._state.refused(
            now,
            sent=permit.sent,
            headers=headers,
            wall_clock=self._wall_clock(),
            uniform=self._uniform,
            is_settled=is_settled,
        )
        self._end_before(paused_until, now)
        self._note()
        self._advance()
        return max(0.0, paused_until - now)

    def unsent(self) -> None:
        """Take a permit back whose call certainly never left."""
        self._state.returned()
        self._note()
        self._advance()

    def lost(self) -> None:
        """Settle a call that may have been sent and whose answer nobody saw."""
        self._state.lost(self._loop.time())
        self._note()
        self._advance()

    def is_stale(self, sent: float) -> bool:
        """Return whether a call admitted at `sent` should ask again: a pause came since."""
        return self._state.was_paused_since(sent) or self._state.is_paused(self._loop.time())

    def opens_in(self) -> float | None:
        """Return the seconds until the next call may leave, None while nobody can tell."""
        now = self._loop.time()
        opens = self._state.opens(now)
        is_open_end = opens == math.inf or self.reason() is WaitReason.HISTORY
        return None if is_open_end else max(0.0, opens - now)

    def expected_wait(self, *, again: bool) -> float | None:
        """Return for how long a call that asks now waits at least, None while nobody can tell."""
        opens_in = self.opens_in()
        if opens_in is None:
            return None
        now = self._loop.time()
        return max(opens_in, self._state.opens_at_last(now, ahead=self._ahead(again=again)) - now)

    def _ahead(self, *, again: bool) -> int:
        """Return how many wait before a call that asks now."""
        return min(self._alive, len(self._first)) if again else self._alive

    def reason(self) -> WaitReason:
        """Return why a call that asks now has to wait."""
        now = self._loop.time()
        if self._state.is_paused(now):
            return WaitReason.PAUSE
        return WaitReason.HISTORY if self._state.is_history_unknown(now) else WaitReason.LIMIT

    def stats(self) -> QueueStats | None:
        """Return who waits for what, None when nobody does."""
        for queue in (self._first, self._queue):
            while queue and queue[0].done():
                queue.popleft()
        ahead = [queue[0].since for queue in (self._first, self._queue) if queue]
        since = min(ahead, default=None)
        if since is None:
            return None
        now = self._loop.time()
        return QueueStats(
            waiting=self._alive,
            oldest=now - since,
            opens_in=self.opens_in(),
            reason=self.reason(),
        )

    @property
    def is_idle(self) -> bool:
        """Whether forgetting the queue would change nothing."""
        waits = self._alive or self._waking or self._queue or self._first
        return not waits and self._state.is_empty(self._loop.time())

    @property
    def longest_window(self) -> float:
        """The longest period of a window in seconds, 0.0 without a window."""
        return self._state.longest_window

    def others(self, stamps: Sequence[float], *, pause: float = 0.0) -> None:
        """Book what other processes did, in place of what they had done the last time."""
        self._state.others(self._loop.time(), stamps=stamps, pause=pause)

    def own(self) -> tuple[list[float], int, float]:
        """Return what other processes should know: our stamps, calls in flight, end of a pause."""
        return self._state.own(self._loop.time())

    def look_again(self) -> None:
        """Hand out what is due by what is known by now."""
        self._advance()

    def share(self, store: SharedStore) -> None:
        """Ask a book that other processes write in too, from now on."""
        self._store = store

    def _opens(self, now: float) -> float:
        """Return when the next call may leave, by all that is known anywhere.

        Whoever gets "now" for an answer must take it in this turn of the loop.
        """
        if self._store is None:
            return self._state.opens(now)
        is_anyone_flying = self._store.look()
        opens = self._state.opens(now)
        if opens <= now:
            return self._state.opens(now) if self._store.is_ours() else now + HELD_FOR
        return min(opens, now + LOOK_AGAIN) if is_anyone_flying else opens

    def _note(self) -> None:
        if self._store is not None:
            self._store.changed()
