"""When may the next call leave? Limits kept under every way a server may count.

A server allows N calls per P seconds and does not say how it counts: a fixed window (from the
first hit or on the clock), a log of the last P seconds, a token bucket, or the weighted estimate
`hits of the previous window x what remains of it + hits of this one`. Nor do we know where its
windows begin. So a call leaves at t only if the weighted estimate stays below N for *every*
beginning S of a window in [t - P, t]:

    A(S) * (1 - (t - S) / P) + C(S)  <  N        A(S) = stamps in [S - P, S),  C(S) = stamps >= S

With S = t - P this says "fewer than N in the last P", which is the log, and that implies the fixed
window and the bucket with a burst of N. After a full burst it means: nothing for P, then one call
per P/N until the burst is 2P old. Without knowing the phase that cannot be had cheaper.

Three choices make it hold on a real network:

* A stamp is the moment the *answer* was seen. The server counted the call before that, so it can
  only have left the window earlier than we think, however long the way. A call in flight counts
  as "now" at every moment, so it belongs to C for every S.
* Each stamp is moved `STAMP_MARGIN` into the future (clocks of a server's machines disagree) and
  the period is stretched by `CLOCK_RATE` (so do the rates of clocks).
* Sums are compared with sums. `(e + P) - P` is not e in floating point, hence no term t - P here.

For given stamps, each S forbids one interval [S, T(S)] of t. It is empty unless S lies at or below
the *edge*: P after the N-th newest call, until when the log is full anyway. So the earliest
legal t is the largest of the edge and all T(S). Between stamps the estimate grows with S, so only
S = e and S = e + P for a stamp e can be tight: two passes over the stamps of 2P, kept until one
of them changes.

`Paced` spends the same limit evenly instead: a leaky bucket of `burst` that leaks (N - burst + 1)
calls per P. It holds burst + N - burst calls in any period, so it too keeps all the policies above,
and others that count more; the price is that the calls of an idle hour cannot be made at once.
"""

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Final

from bestdefense_async.core.limiting.limit import Limit

STAMP_MARGIN: Final = 0.1
"""Seconds added to each stamp: the machines behind one address do not share a clock."""

CLOCK_RATE: Final = 1 + 1e-4
"""Our second against the server's, at worst."""

JUST_AFTER: Final = 1e-6
"""Forbidden intervals are closed; this much later is outside."""

PACED_JITTER: Final = 0.5
"""Seconds by which calls that left evenly may arrive closer together, over a whole period."""


class Window:
    """The phase-safe window over the stamps of the last two periods.

    All times are seconds on one clock, passed in.
    """

    __slots__ = ("_not_before", "_others", "_period", "_room", "_stamps", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit: Limit = limit
        self._period = limit.per * CLOCK_RATE
        self._stamps = array("d")  # ascending; eight bytes each
        self._others: Sequence[float] = ()  # those of the stamps that are of other processes
        self._room: int | None = None  # what the cached answer below is for
        self._not_before = -math.inf

    def taken(self, now: float) -> None:
        """Forget what is two periods old; the call itself counts as in flight."""
        self.forget(now)

    def returned(self) -> None:
        """Do nothing: a call in flight leaves no stamp before it is answered."""

    def stamped(self, when: float) -> None:
        """Record a call that the server counted at `when` or before."""
        stamps = self._stamps
        if not stamps or stamps[-1] <= when:
            stamps.append(when)
        else:
            insort(stamps, when)
        self._room = None

    def others(self, stamps: Sequence[float]) -> None:
        """Count these calls of other processes, in place of those named the last time."""
        if stamps == self._others:
            return
        self._stamps = self._own()
        for stamp in stamps:
            insort(self._stamps, stamp)
        self._others = stamps
        self._room = None

    def _own(self) -> "array[float]":
        own = array("d", self._stamps)
        for stamp in self._others:
            at = bisect_left(own, stamp)
            if at < len(own) and own[at] == stamp:  # else it was forgotten
                del own[at]
        return own

    def not_before(self, in_flight: int, calls: int) -> float:
        """Return the earliest moment for one more call beside `in_flight` unanswered ones.

        `calls` is how many calls of the limit are ours at present. Infinity means: not before one
        of the calls in flight has been answered.
        """
        room = calls - in_flight
        if room > len(self._stamps):
            return -math.inf
        if room <= 0:
            return math.inf
        if room != self._room:
            self._room, self._not_before = room, self._earliest(room)
        return self._not_before

    def _earliest(self, room: int) -> float:
        stamps, period = self._stamps, self._period
        count = len(stamps)
        nth = count - room
        edge = stamps[nth] + period
        latest = edge
        first = 0  # the first stamp e with e + P >= S, for S = stamps[at]
        for at in range(nth + 1, bisect_right(stamps, edge)):
            start = stamps[at]
            if start == stamps[at - 1]:
                continue
            while stamps[first] + period < start:
                first += 1
            latest = max(latest, _free_from(start, period, at - first, room - count + at))
        beyond = 0  # the first stamp e with e >= S, for S = stamps[at] + P
        for at in range(nth + 1):
            if at and stamps[at] == stamps[at - 1]:
                continue
            start = stamps[at] + period
            while beyond < count and stamps[beyond] < start:
                beyond += 1
            latest = max(latest, _free_from(start, period, beyond - at, room - count + beyond))
        return latest + JUST_AFTER

    def queued(self, ahead: int, in_flight: int, now: float) -> float:
        """Return a lower bound from the log alone: at most N calls in any period."""
        periods, place = divmod(ahead, self.limit.calls)
        index = len(self._stamps) + in_flight + place - self.limit.calls
        if index < 0:
            first = now
        elif index < len(self._stamps):
            first = max(now, self._stamps[index] + self._period)
        else:
            first = now + self._period
        return first + periods * self._period

    def part_used(self, now: float) -> float:
        """Return which part of the limit was counted in the period before `now`."""
        counted = len(self._stamps) - bisect_left(self._stamps, now - self._period)
        return counted / self.limit.calls

    def own_stamps(self, now: float) -> "array[float]":
        """Return the stamps of our own calls that still matter at `now`, oldest first."""
        self.forget(now)
        return self._own()

    def is_empty(self, now: float) -> bool:
        """Return whether the last stamp is two periods old."""
        self.forget(now)
        return not self._stamps

    def forget(self, now: float) -> None:
        """Drop stamps that are two periods old."""
        stamps, age = self._stamps, 2 * self._period
        if stamps and stamps[0] + age < now:
            keep = 0
            while keep < len(stamps) and stamps[keep] + age < now:
                keep += 1
            del stamps[:keep]
            self._room = None


def _free_from(start: float, period: float, before: int, room: int) -> float:
    """Return T(S): until when the estimate for a window that began at `start` is full.

    `before` is A(S), `room` is N - C(S). Without any room S lies at or below the N-th newest
    stamp, and the edge is later than S + P.
    """
    return start + period * (1 - room / before) if 0 < room <= before else -math.inf


class Paced:
    """A leaky bucket that spreads a limit evenly over its period."""

    __slots__ = ("_gap", "_slack", "_theoretical", "limit")

    def __init__(self, limit: Limit) -> None:
        burst = 1 if limit.burst is None else limit.burst
        self.limit: Limit = limit
        self._gap = (limit.per * CLOCK_RATE + PACED_JITTER) / (limit.calls - burst + 1)
        self._slack = (burst - 1) * self._gap + JUST_AFTER  # sums of gaps round either way
        self._theoretical = -math.inf  # when the bucket will have leaked out

    def taken(self, now: float) -> None:
        """Pour one call into the bucket."""
        self._theoretical = max(self._theoretical, now) + self._gap

    def returned(self) -> None:
        """Take one call out again."""
        self._theoretical -= self._gap

    def stamped(self, when: float) -> None:
        """Do nothing: the bucket was filled when the call left."""

    def not_before(self, in_flight: int, calls: int) -> float:  # noqa: ARG002 - the bucket knows
        """Return when the bucket has room for one more call, slower while `calls` is a share."""
        opens = self._theoretical - self._slack
        return opens + self._gap * (self.limit.calls / calls - 1)

    def queued(self, ahead: int, in_flight: int, now: float) -> float:  # noqa: ARG002
        """Return when the bucket will have leaked enough for this place in the queue."""
        return max(self._theoretical, now) - self._slack + ahead * self._gap

    def part_used(self, now: float) -> float:  # noqa: ARG002 - pacing keeps no log
        """Return half: what a paced limit falls back to when it is refused again and again."""
        return 0.5

    def is_empty(self, now: float) -> bool:
        """Return whether the bucket has leaked out."""
        return self._theoretical <= now


Rule = Window | Paced


def rule(limit: Limit) -> Rule:
    """Return a fresh rule that keeps `limit`."""
    return Window(limit) if limit.policy == "window" else Paced(limit)
