"""The state of one class of calls: what is in flight, what was counted, what answers taught.

It combines the window rule (`window`), the experience (`backoff`) and the server's rate headers
(`ServerQuota`) into one question: when may the next call leave? Several limits are kept at once:
a call counts in all of them or in none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bestdefense_async.core.limiting.backoff import LONGEST_PAUSE, Backoff, ServerQuota
from bestdefense_async.core.limiting.hints import (
    has_rate_headers,
    parse_rate_headers,
    parse_retry_after,
)
from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.limiting.window import STAMP_MARGIN, Window, rule

STRAGGLER_MARGIN: Final = 1.0
"""Seconds: a call whose answer nobody waited for may still reach the server this much later."""


class LimitState:
    """What is known of one class of calls. All times are seconds on one clock, passed in.

    Args:
        limits: All of them are kept at once; none is fine.
        now: The present.
        known_since: From when on every call of the class is counted here. Until two periods later
            older calls may count at the server, so the class starts with few in flight.
    """

    __slots__ = ("_backoff", "_in_flight", "_others_at", "_quota", "_rules")

    def __init__(self, limits: tuple[Limit, ...], *, now: float, known_since: float) -> None:
        longest = max((limit.per for limit in limits), default=0.0)
        self._rules = tuple(rule(limit) for limit in limits)
        self._backoff = Backoff(limits, unknown_until=known_since + 2 * longest)
        self._backoff.calm(now)
        self._quota = ServerQuota(self._backoff.pace)
        self._in_flight = 0
        self._others_at = -math.inf

    def opens(self, now: float) -> float:
        """Return when the next call may leave as things stand.

        At most `now` means at once. Infinity means: not before some call in flight is settled.
        """
        backoff, quota, opens = self._backoff, self._quota, -math.inf
        if backoff.not_before > now:
            return backoff.not_before
        if self._in_flight >= backoff.in_flight_allowed:
            calm = backoff.calm(now)
            if self._in_flight >= backoff.in_flight_allowed:
                return calm
        if quota.is_known:
            if self._is_welcome(now):
                return opens
            opens = quota.not_before()
        share = backoff.share(now)
        for kept in self._rules:
            opens = max(opens, kept.not_before(self._in_flight, self._calls(kept.limit, share)))
        # A share grows all the time, so ask again soon.
        return opens if share == 1.0 else min(opens, now + backoff.pace)

    def opens_at_last(self, now: float, *, ahead: int) -> float:
        """Return a moment before which a call with `ahead` others before it cannot leave."""
        bound = self._backoff.paused_until
        if self._is_welcome(now):
            return bound
        for kept in self._rules:
            bound = max(bound, kept.queued(ahead, self._in_flight, now))
            alone = kept.not_before(self._in_flight, kept.limit.calls)
            if alone < math.inf:
                bound = max(bound, alone)
        return bound

    def take_freely(self) -> bool:
        """Count a call that leaves now, if nothing at all is known that could hold it up."""
        is_free = not self._rules and self._backoff.is_fresh and not self._quota.is_known
        if is_free:
            self._in_flight += 1
        return is_free

    def answered_freely(self, headers: Mapping[str, str]) -> bool:
        """Settle a call whose answer teaches nothing; return False when it may teach something."""
        is_free = not self._rules and self._backoff.is_fresh and not has_rate_headers(headers)
        if is_free and not self._quota.is_known:
            self._in_flight -= 1
            return True
        return False

    def take(self, now: float) -> None:
        """Count a call that leaves at `now`."""
        self._in_flight += 1
        self._backoff.taken(now)
        self._quota.taken()
        for kept in self._rules:
            kept.taken(now)

    def returned(self) -> None:
        """Take back a call that certainly was not sent."""
        self._in_flight -= 1
        self._quota.returned()
        for kept in self._rules:
            kept.returned()

    def lost(self, now: float) -> None:
        """Settle a call that may have been sent and whose answer nobody saw."""
        self._quota.lost(now + STRAGGLER_MARGIN)
        self._settle(now + STRAGGLER_MARGIN)

    def answered(
        self, now: float, *, sent: float, headers: Mapping[str, str], wall_clock: float
    ) -> None:
        """Settle a call, sent at `sent`, whose answer's headers were seen at `now`."""
        self._backoff.succeeded(sent)
        self._settle(now + STAMP_MARGIN)
        hint = parse_rate_headers(headers, wall_clock=wall_clock)
        if hint is None or not self._is_about_us(hint.limit, hint.remaining):
            return
        if hint.limit is not None and len(self._rules) == 1:
            self._quota.limit = hint.limit
        if hint.remaining is not None and sent > max(self._backoff.since, self._others_at):
            self._quota.update(hint, now=now, sent=sent, in_flight=self._in_flight)
            self._backoff.history_is_known()

    def refused(
        self,
        now: float,
        *,
        sent: float,
        headers: Mapping[str, str],
        wall_clock: float,
        uniform: Callable[[float, float], float],
        is_settled: bool,
    ) -> float:
        """Pause the class after a refusal seen at `now`; return when the pause ends.

        The server did not count the call, so it leaves no stamp, unless it `is_settled` already.
        """
        hint = parse_retry_after(headers, wall_clock=wall_clock)
        if hint is None:
            rate = parse_rate_headers(headers, wall_clock=wall_clock)
            hint = None if rate is None or rate.remaining else rate.reset
        self._backoff.refused(
            now,
            sent=sent,
            hint=hint,
            in_flight=self._in_flight,
            part_got=min((kept.part_used(now) for kept in self._rules), default=1.0),
            uniform=uniform,
        )
        self._quota.forget()
        if not is_settled:
            self._in_flight -= 1
        return self._backoff.paused_until

    def is_paused(self, now: float) -> bool:
        """Return whether no call may leave at all."""
        return self._backoff.paused_until > now

    def is_history_unknown(self, now: float) -> bool:
        """Return whether calls wait for answers to others because older calls may count."""
        in_flight_allowed = self._backoff.in_flight_allowed
        return self._backoff.calm(now) > now and self._in_flight >= in_flight_allowed

    def was_paused_since(self, moment: float) -> bool:
        """Return whether a pause was set at that moment or later."""
        return self._backoff.since >= moment

    def is_empty(self, now: float) -> bool:
        """Return whether forgetting this state would change nothing."""
        return (
            not self._in_flight
            and self._backoff.is_empty(now)
            and all(kept.is_empty(now) for kept in self._rules)
        )

    @property
    def longest_window(self) -> float:
        """The longest period of a window in seconds, 0.0 without a window."""
        return max((kept.limit.per for kept in self._windows()), default=0.0)

    def others(self, now: float, *, stamps: Sequence[float], pause: float = 0.0) -> None:
        """Count what other processes did, in place of what they had done the last time.

        Args:
            now: The present.
            stamps: When their calls were counted; one that is in flight counts as now.
            pause: Seconds that are left of a pause.
        """
        # What the server sent, or is just sending, may not count these calls.
        self._quota.forget()
        self._others_at = now
        for kept in self._windows():
            kept.others(stamps)
        if pause > 0:
            self._backoff.pause(now + min(pause, LONGEST_PAUSE))
        self._backoff.history_is_known()

    def own(self, now: float) -> tuple[list[float], int, float]:
        """Return what other processes should know: our stamps, calls in flight, end of a pause."""
        longest = max(self._windows(), key=lambda kept: kept.limit.per)
        return list(longest.own_stamps(now)), self._in_flight, self._backoff.paused_until

    def _windows(self) -> list[Window]:
        return [kept for kept in self._rules if isinstance(kept, Window)]

    def _settle(self, stamp: float) -> None:
        self._in_flight -= 1
        for kept in self._rules:
            kept.stamped(stamp)

    def _calls(self, limit: Limit, share: float) -> int:
        """Return how many calls of a limit are ours: less when shared, or by the server's word."""
        theirs = self._quota.limit
        if share == 1.0 and theirs is None:
            return limit.calls
        return max(1, int(share * (limit.calls if theirs is None else min(limit.calls, theirs))))

    def _is_welcome(self, now: float) -> bool:
        """Return whether the server itself offered the next call of a single window."""
        return (
            self._quota.is_welcome
            and len(self._rules) == 1
            and self._rules[0].limit.policy == "window"
            and self._backoff.share(now) == 1.0
        )

    def _is_about_us(self, limit: int | None, remaining: int | None) -> bool:
        """Return whether rate headers can be about our limit, not about a larger one around it."""
        if not self._rules:
            return True
        most = max(kept.limit.calls for kept in self._rules)
        return (limit is None or limit <= most) and (remaining is None or remaining <= most)
