"""What refusals, successes and rate headers teach, without a clock."""

import math

import pytest

from bestdefense_async.core.limiting.backoff import Backoff, ServerQuota
from bestdefense_async.core.limiting.hints import RateHint
from bestdefense_async.core.limiting.limit import Limit

MINUTE = (Limit(60, per=60.0),)
LONG_AGO = -1e9


def longest(low: float, high: float) -> float:
    """Chance at its slowest."""
    return high


def refuse(
    backoff: Backoff, now: float, *, sent: float | None = None, hint: float | None = None
) -> float:
    """Refuse one of ten calls in flight; return how long the pause is."""
    backoff.refused(
        now,
        sent=now - 0.1 if sent is None else sent,
        hint=hint,
        in_flight=10,
        part_got=0.5,
        uniform=longest,
    )
    return backoff.paused_until - now


@pytest.mark.parametrize(
    ("hint", "pause"),
    [
        pytest.param(None, 1.0, id="without a hint it is one call's share of the period"),
        pytest.param(5.0, 6.0, id="a hint is floored, so a second is added"),
        pytest.param(0.3, 1.3, id="a hint of less than a second"),
        pytest.param(1e9, 86_400.0, id="a hint of thirty years is believed for a day"),
    ],
)
def test_a_first_refusal_pauses(hint: float | None, pause: float) -> None:
    """The pause is the later of the hint plus a second and our own backoff."""
    assert refuse(Backoff(MINUTE, unknown_until=LONG_AGO), 100.0, hint=hint) == pytest.approx(pause)


def test_the_own_backoff_doubles_up_to_half_the_period() -> None:
    """A hint that is always too short cannot keep us knocking."""
    backoff, now, pauses = Backoff(MINUTE, unknown_until=LONG_AGO), 100.0, []
    for _ in range(8):
        pauses.append(refuse(backoff, now, hint=0.1))
        now = backoff.paused_until + 0.5
    assert pauses == pytest.approx([1.1, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])


def test_a_server_that_keeps_asking_for_a_second_is_believed() -> None:
    """Without a limit of its own nothing is known of a class but the hint."""
    backoff, now, pauses = Backoff((), unknown_until=LONG_AGO), 100.0, []
    for _ in range(8):
        pauses.append(refuse(backoff, now, hint=1.0))
        now = backoff.paused_until
    assert pauses == pytest.approx([2.0] * 8)
    assert refuse(backoff, now) == pytest.approx(4.0)


def test_after_two_quiet_periods_the_backoff_starts_over() -> None:
    """An old refusal is not held against the server."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    assert refuse(backoff, 110.0) == 2.0
    assert refuse(backoff, 231.0) == 1.0


def test_half_the_backoff_is_chance_and_half_is_certain() -> None:
    """Clients that do not know each other come back apart, and none at once."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    bounds = []

    def chance(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    backoff.refused(0.0, sent=-1.0, hint=None, in_flight=1, part_got=1.0, uniform=chance)
    assert bounds == [(0.5, 1.0)]
    assert backoff.paused_until == 0.5


def test_refusals_of_calls_sent_before_the_pause_count_once() -> None:
    """A thousand calls in flight that are all refused are one refusal."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    assert refuse(backoff, 100.0) == 1.0
    for late in range(20):
        refuse(backoff, 100.0 + late / 100, sent=99.0)
    assert backoff.paused_until == 101.0


def test_a_pause_only_moves_later() -> None:
    """A later answer may know of a longer wait; a shorter one changes nothing."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0, hint=20.0)
    refuse(backoff, 100.5, sent=99.0, hint=3.0)
    assert backoff.paused_until == 121.0
    refuse(backoff, 101.0, sent=99.0, hint=30.0)
    assert backoff.paused_until == 132.0
    backoff.pause(110.0)
    assert backoff.paused_until == 132.0


def test_after_a_pause_one_probes_and_each_success_allows_one_more() -> None:
    """Up to half of what was in flight when the refusal came."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    allowed = []
    for success in range(8):
        allowed.append(backoff.in_flight_allowed)
        backoff.succeeded(sent=102.0 + success)
    assert allowed == [1, 2, 3, 4, 5, 5, 5, 5]


def test_successes_of_calls_sent_before_the_pause_prove_nothing() -> None:
    """Another request's success must not end or soften a pause."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    backoff.succeeded(sent=99.5)
    assert backoff.in_flight_allowed == 1


def test_the_bound_in_flight_ends_two_quiet_periods_after_the_pause() -> None:
    """Then the window rule is alone again."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    assert backoff.calm(220.0) == 221.0
    assert backoff.in_flight_allowed == 1
    backoff.calm(221.0)
    assert backoff.in_flight_allowed == math.inf


def test_after_a_refusal_calls_follow_each_other_at_the_pace() -> None:
    """A full window frees its places one by one."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    backoff.taken(99.0)
    assert backoff.not_before == -math.inf
    refuse(backoff, 100.0)
    assert backoff.not_before == 101.0
    backoff.taken(101.0)
    assert backoff.not_before == 102.0
    backoff.taken(221.0)  # two periods after the pause
    assert backoff.not_before == 102.0


def test_a_class_without_a_limit_backs_off_from_a_second_and_is_not_paced() -> None:
    """Nothing is known of its pace; it comes back by its successes alone."""
    backoff = Backoff((), unknown_until=LONG_AGO)
    assert backoff.in_flight_allowed == math.inf
    assert refuse(backoff, 100.0) == 1.0
    backoff.taken(101.0)
    assert backoff.not_before == 101.0
    assert backoff.in_flight_allowed == 1


def test_an_unknown_history_starts_with_three_in_flight() -> None:
    """Each success allows one more, until the whole window may fly."""
    backoff = Backoff(MINUTE, unknown_until=120.0)
    assert backoff.in_flight_allowed == 3
    for _ in range(57):
        backoff.succeeded(sent=1.0)
    assert backoff.in_flight_allowed == math.inf


def test_of_several_limits_the_fastest_and_the_smallest_count() -> None:
    """A refusal does not say which limit it is about, so each of them bounds the way back."""
    backoff = Backoff((*MINUTE, Limit(100, per=3600.0)), unknown_until=7200.0)
    assert (backoff.pace, backoff.period) == (1.0, 60.0)
    for _ in range(57):
        backoff.succeeded(sent=1.0)
    assert backoff.in_flight_allowed == math.inf


def test_an_unknown_history_becomes_known_by_waiting() -> None:
    """Two periods after the start nothing older counts any more."""
    backoff = Backoff(MINUTE, unknown_until=120.0)
    backoff.calm(119.0)
    assert backoff.in_flight_allowed == 3
    backoff.calm(120.0)
    assert backoff.in_flight_allowed == math.inf


def test_the_first_of_repeated_refusals_leaves_the_share_alone() -> None:
    """Once may be chance; again, over a known history, means that somebody else is there."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    assert backoff.share(100.0) == 1.0
    refuse(backoff, 110.0)
    assert backoff.share(110.0) == 0.5


def test_an_unknown_history_explains_refusals_without_somebody_else() -> None:
    """What an earlier process spent is gone after two periods; nobody has to yield."""
    backoff = Backoff(MINUTE, unknown_until=120.0)
    refuse(backoff, 100.0)
    refuse(backoff, 110.0)
    assert backoff.share(110.0) == 1.0


def test_a_share_grows_by_a_quarter_per_period_until_it_is_all() -> None:
    """Whoever shared the token may be gone."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    refuse(backoff, 100.0)
    refuse(backoff, 110.0)
    assert backoff.share(170.0) == pytest.approx(0.625)
    assert backoff.share(230.0) == pytest.approx(0.78125)
    assert backoff.share(330.0) == 1.0


def test_without_a_refusal_the_share_is_all_wherever_the_clock_stands() -> None:
    """A clock may begin below zero."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    assert [backoff.share(now) for now in (-100.0, 0.0, 100.0)] == [1.0, 1.0, 1.0]


def test_a_share_never_falls_below_a_quarter() -> None:
    """A client that came second and got nothing still has a foot in the door."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    for now in (100.0, 110.0, 120.0):
        backoff.refused(now, sent=now - 0.1, hint=None, in_flight=1, part_got=0.0, uniform=longest)
        assert backoff.share(now) in {1.0, 0.25}


def test_it_is_empty_when_all_is_forgotten() -> None:
    """Only then may the state of a token be dropped."""
    backoff = Backoff(MINUTE, unknown_until=LONG_AGO)
    assert backoff.is_empty(0.0)
    refuse(backoff, 100.0)
    refuse(backoff, 110.0)
    assert not backoff.is_empty(232.0)
    assert backoff.is_empty(400.0)


def update(
    quota: ServerQuota,
    remaining: int,
    *,
    now: float = 10.0,
    sent: float = 9.0,
    reset: float | None = None,
    in_flight: int = 0,
) -> None:
    """Record how many calls an answer says are left."""
    hint = RateHint(remaining=remaining, limit=None, reset=reset)
    quota.update(hint, now=now, sent=sent, in_flight=in_flight)


def test_what_the_server_offers_is_spent_call_by_call() -> None:
    """Three left are three calls, less those in flight."""
    quota = ServerQuota(pace=1.0)
    update(quota, 3, in_flight=1)
    welcomed = 0
    while quota.is_welcome:
        quota.taken()
        welcomed += 1
    assert welcomed == 2


def test_a_call_that_was_not_sent_is_still_welcome() -> None:
    """It goes back to what the server offered."""
    quota = ServerQuota(pace=1.0)
    update(quota, 1)
    welcome = []
    for record in (quota.taken, quota.returned, quota.taken):
        record()
        welcome.append(quota.is_welcome)
    assert welcome == [False, True, False]


def test_nothing_left_means_one_more_call_per_pace() -> None:
    """Counted from when the call left: the server wrote its answer after that."""
    quota = ServerQuota(pace=1.0)
    update(quota, 0)
    assert quota.not_before() == 10.0
    quota.taken()
    assert quota.not_before() == 11.0


def test_nothing_left_with_a_reset_means_waiting_for_it() -> None:
    """Resets are floored to seconds, so one is added."""
    quota = ServerQuota(pace=1.0)
    update(quota, 0, reset=30.0)
    assert quota.not_before() == 41.0


def test_a_call_whose_answer_nobody_awaits_takes_a_place_until_it_has_arrived() -> None:
    """The server may count it after the answer that says how many are left."""
    for sent, welcome in ((10.9, 2), (11.0, 3)):
        quota = ServerQuota(pace=1.0)
        quota.lost(until=11.0)
        update(quota, 3, now=12.0, sent=sent)
        for _ in range(welcome):
            assert quota.is_welcome
            quota.taken()
        assert not quota.is_welcome


def test_among_overlapping_answers_the_lowest_counts() -> None:
    """An older answer that arrives later says more than is left."""
    quota = ServerQuota(pace=1.0)
    update(quota, 2, now=10.0, sent=9.0)
    update(quota, 5, now=10.1, sent=9.0)
    quota.taken()
    quota.taken()
    assert not quota.is_welcome


def test_a_later_call_may_be_told_more() -> None:
    """It left after the last answer was seen, so the server wrote its answer later."""
    quota = ServerQuota(pace=1.0)
    update(quota, 0, now=10.0, sent=9.0)
    update(quota, 5, now=12.0, sent=11.0)
    assert quota.is_welcome
    assert quota.not_before() == -math.inf


def test_a_refusal_proves_the_offer_wrong() -> None:
    """After it only the rule counts, until the server says something new."""
    quota = ServerQuota(pace=1.0)
    update(quota, 5)
    quota.forget()
    assert not quota.is_welcome
    assert not quota.is_known
    assert quota.not_before() == -math.inf
