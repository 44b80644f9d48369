"""What answers teach about a limit: when to pause, how to come back, whom we share it with.

The window rule alone is enough while we are the only user of a token and know what happened before
we started. `Backoff` covers the rest:

* **Unknown history** (a new process): a few calls in flight at first, one more for each success.
* **A refusal** (429) pauses the class until the later of the server's hint plus a second (servers
  floor it, and Symfony's is a lower bound only) and our own backoff, which starts at P/N and
  doubles up to P/2, or, where no limit is known, up to twice the hint. Then one call probes; each
  success allows one more in flight, up to half of what flew at the refusal. A refusal also says
  that the server's window is full, so for two periods calls leave P/N apart, as places become
  free. A pause only ever moves later. Calls that had left before the pause belong to it: their
  refusals count once, their successes prove nothing.
* **Repeated refusals** although the rule was kept over a known history mean that somebody else
  spends the same limit. Then our share of it is what we got in the last period, a quarter at least,
  and it grows again by a quarter per period. Two such clients settle without knowing of each other.

`ServerQuota` is what the server itself states in its rate headers: never more than that, and up to
that many at once even where the rule, which must assume the worst phase, would pace.
"""

import math
from collections.abc import Callable
from typing import Final

from bestdefense_async.core.limiting.hints import RateHint
from bestdefense_async.core.limiting.limit import Limit

FIRST_IN_FLIGHT: Final = 3
"""Calls in flight at first while the history of the limit is unknown."""

HINT_MARGIN: Final = 1.0
"""Seconds added to a server's hint: it is floored to whole seconds."""

TRUST: Final = 2.0
"""A class without a limit of its own backs off for at most so many times what the server asks:
nothing but its hint is known, so a server that keeps asking for a second is believed."""

LONGEST_PAUSE: Final = 86_400.0
"""Seconds; a longer hint is not believed beyond a day: then one call probes again."""

REGROWTH: Final = 1.25
"""A share grows by this factor per period."""

LEAST_SHARE: Final = 0.25
"""Below this a client that came second would learn that nothing is left for it, and stay there."""

PACE_WITHOUT_LIMIT: Final = 1.0
"""Seconds: the first backoff of a class that has no limit of its own."""

PERIOD_WITHOUT_LIMIT: Final = 60.0
"""Seconds: the period a class without a limit is given for backing off."""


class Backoff:
    """What we learned about one class of calls. All times are seconds on one clock."""

    __slots__ = (
        "_backoff",
        "_calm_at",
        "_ceiling",
        "_has_limits",
        "_refused_at",
        "_share",
        "_share_at",
        "_unknown_until",
        "in_flight_allowed",
        "not_before",
        "pace",
        "paused_until",
        "period",
        "since",
    )

    not_before: float
    """No call may leave before this moment: the end of the pause, or the next one at the pace."""

    paused_until: float
    """When the last pause ends or ended."""

    since: float
    """When the last pause was set: calls sent earlier (or just then) belong to it."""

    in_flight_allowed: float
    """How many calls may be unanswered at a time."""

    pace: float
    """Seconds per call in the long run, P/N."""

    period: float
    """P in seconds."""

    def __init__(self, limits: tuple[Limit, ...], *, unknown_until: float) -> None:
        """Start with a history that is unknown until that moment (in the past: known)."""
        self.pace = min((limit.per / limit.calls for limit in limits), default=PACE_WITHOUT_LIMIT)
        self.period = min((limit.per for limit in limits), default=PERIOD_WITHOUT_LIMIT)
        self.paused_until = self.since = self._refused_at = self.not_before = -math.inf
        self._has_limits = bool(limits)
        self.in_flight_allowed = FIRST_IN_FLIGHT if limits else math.inf
        self._ceiling: float = min((limit.calls for limit in limits), default=math.inf)
        self._calm_at = self._unknown_until = unknown_until
        self._backoff = 0.0
        self._share, self._share_at = 1.0, 0.0

    def taken(self, now: float) -> None:
        """Record that a call leaves; after a refusal the next one follows at the pace."""
        if self._has_limits and self.since > -math.inf and now < self._calm_at:
            self.not_before = max(self.not_before, now + self.pace)

    def calm(self, now: float) -> float:
        """Return when the bound on calls in flight ends; lift it if that is now or past."""
        if now >= self._calm_at:
            self.in_flight_allowed = math.inf
        return self._calm_at

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been refused so far."""
        return self.since == -math.inf

    def history_is_known(self) -> None:
        """End a slow start: the server itself stated what is left."""
        if self.since == -math.inf:
            self.in_flight_allowed = math.inf

    def is_empty(self, now: float) -> bool:
        """Return whether nothing learned so far matters any more."""
        self.calm(now)
        return (
            self.in_flight_allowed == math.inf
            and self.paused_until <= now
            and self.share(now) == 1.0
        )

    def share(self, now: float) -> float:
        """Return which part of the limit is ours, above 0 and at most 1."""
        if self._share == 1.0:
            return 1.0
        share: float = self._share * REGROWTH ** ((now - self._share_at) / self.period)
        if share < 1.0:
            return share
        self._share = 1.0
        return 1.0

    def succeeded(self, sent: float) -> None:
        """Record that a call sent at that moment was answered by anything but a refusal."""
        if self.in_flight_allowed >= self._ceiling or sent <= self.since:
            return
        self.in_flight_allowed += 1
        if self.in_flight_allowed >= self._ceiling and self.since == -math.inf:
            self.in_flight_allowed = math.inf

    def refused(
        self,
        now: float,
        *,
        sent: float,
        hint: float | None,
        in_flight: int,
        part_got: float,
        uniform: Callable[[float, float], float],
    ) -> None:
        """Record that a call sent at `sent` was refused; `paused_until` says what follows.

        Args:
            now: When the refusal was seen.
            sent: When the call left.
            hint: Seconds the server asks to wait, if any.
            in_flight: Calls unanswered at this moment, this one included.
            part_got: Which part of the limit was granted to us in the last period.
            uniform: Chance, so that clients that do not know each other come back apart.
        """
        asked = 0.0 if hint is None else min(hint + HINT_MARGIN, LONGEST_PAUSE)
        if sent <= self.since:
            self.pause(now + asked)
            return
        repeated = now <= self._refused_at + 2 * self.period
        if repeated and now > self._unknown_until:
            self._share = min(max(LEAST_SHARE, part_got), self.share(now))
            self._share_at = now
        longest = max(self.pace, self.period / 2)
        if hint is not None and not self._has_limits:
            longest = min(longest, TRUST * hint)
        self._backoff = min(2 * self._backoff, longest) if repeated else self.pace
        own = uniform(self._backoff / 2, self._backoff)
        self.pause(now + max(asked, own))
        self.since = self._refused_at = now
        self._ceiling = max(1, in_flight // 2)
        self.in_flight_allowed = 1
        self._calm_at = self.paused_until + 2 * self.period

    def pause(self, until: float) -> None:
        """Pause at least until that moment."""
        self.paused_until = max(self.paused_until, until)
        self.not_before = max(self.not_before, until)


class ServerQuota:
    """What the server's rate headers leave us at present."""

    __slots__ = (
        "_credit",
        "_lowest",
        "_opens",
        "_pace",
        "_sent",
        "_stragglers",
        "_straggling_until",
        "_updated_at",
        "limit",
    )

    limit: int | None
    """The server's own number of calls per period, None while it has not stated one."""

    def __init__(self, pace: float) -> None:
        """Know nothing yet; `pace` is how many seconds one more call takes to become free."""
        self._pace = pace
        self.limit = None
        self._stragglers = 0
        self._straggling_until = -math.inf
        self.forget()

    def forget(self) -> None:
        """Drop what the server stated: a refusal proved it wrong."""
        self._credit = math.inf
        self._lowest = 0
        self._updated_at = self._sent = self._opens = -math.inf

    def update(self, hint: RateHint, *, now: float, sent: float, in_flight: int) -> None:
        """Record the rate headers of an answer, with `in_flight` other calls unanswered.

        `sent` is when the answered call left.

        Answers overtake each other. Among calls that overlapped, the answer with the least was
        written last; one with more was written before it and is out of date.
        """
        if hint.remaining is None:
            return
        overlapped, self._updated_at = sent < self._updated_at, now
        if overlapped and hint.remaining > self._lowest:
            return
        if sent >= self._straggling_until:
            self._stragglers = 0
        self._credit = hint.remaining - in_flight - self._stragglers
        self._lowest, self._sent = hint.remaining, sent
        self._opens = now
        if hint.remaining == 0 and hint.reset is not None:
            self._opens += min(hint.reset + HINT_MARGIN, LONGEST_PAUSE)

    def taken(self) -> None:
        """Record that a call leaves."""
        self._credit -= 1

    def returned(self) -> None:
        """Record that a call was certainly not sent."""
        self._credit += 1

    def lost(self, until: float) -> None:
        """Record that a call may still reach the server until then; nobody waits for its answer."""
        self._stragglers += 1
        self._straggling_until = until

    @property
    def is_known(self) -> bool:
        """Whether the server stated anything that still counts."""
        return self._credit < math.inf

    @property
    def is_welcome(self) -> bool:
        """Whether the server stated that it would take one more call."""
        return 0 < self._credit < math.inf

    def not_before(self) -> float:
        """Return when one more call keeps to what the server stated: one more per pace."""
        if self._credit > 0:
            return -math.inf
        return max(self._opens, self._sent + (1 - self._credit) * self._pace)
