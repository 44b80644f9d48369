"""When the next call may leave, by all that is known of a class together, without a clock."""

import math

import pytest

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.limiting.state import LimitState

TEN = Limit(10, per=10.0)
HOURLY = Limit(100, per=3600.0)
NOW = 1000.0


def state_of(*limits: Limit, known_since: float = -1e9) -> LimitState:
    """Return the state of a class with these limits, whose history is known."""
    return LimitState(limits, now=NOW, known_since=known_since)


def answer(state: LimitState, now: float, **headers: str) -> None:
    """Let a call leave and be answered at once; headers are written with underscores."""
    state.take(now)
    state.answered(
        now,
        sent=now,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        wall_clock=now,
    )


def refuse(state: LimitState, sent: float) -> float:
    """Let a call leave and be refused without a hint; return when the pause ends."""
    state.take(sent)
    return state.refused(
        sent + 0.1,
        sent=sent,
        headers={},
        wall_clock=sent,
        uniform=lambda _, high: high,
        is_settled=False,
    )


def test_an_unknown_history_holds_the_fourth_call_until_one_is_settled() -> None:
    """Two periods after the start nothing older counts, so it waits for no longer than that."""
    state = state_of(TEN, known_since=NOW)
    for _ in range(3):
        assert state.opens(NOW) <= NOW
        assert not state.is_history_unknown(NOW)
        state.take(NOW)
    assert state.is_history_unknown(NOW)
    assert state.opens(NOW) == NOW + 20.0

    state.returned()

    assert state.opens(NOW) <= NOW
    state.take(NOW)
    assert state.opens(NOW) == NOW + 20.0
    assert state.opens(NOW + 20.0) <= NOW + 20.0


def test_an_unknown_history_lasts_two_of_the_longest_periods() -> None:
    """As long may older calls count at the server."""
    state = state_of(TEN, HOURLY, known_since=NOW)
    for _ in range(3):
        state.take(NOW)
    assert state.opens(NOW) == NOW + 7200.0


def test_other_processes_are_told_the_stamps_of_the_longest_window() -> None:
    """It forgets last, so they hold for the shorter ones too."""
    state = state_of(TEN, HOURLY)
    answer(state, NOW)
    state.take(NOW)
    stamps, in_flight, paused_until = state.own(NOW + 60.0)
    assert (stamps, in_flight, paused_until) == ([NOW + 0.1], 1, -math.inf)
    assert state.longest_window == 3600.0


def test_repeated_refusals_leave_the_part_of_the_limit_that_gave_least() -> None:
    """A refusal does not say which limit it is about, so the share is the smaller one."""
    state = state_of(TEN, HOURLY)
    for _ in range(5):
        answer(state, NOW)
    again = refuse(state, NOW + 1.0)
    refuse(state, again)
    alone = state_of(TEN)
    for _ in range(5):
        answer(alone, NOW)
    refuse(alone, refuse(alone, NOW + 1.0))

    late = NOW + 10.5  # the five calls are a period old
    assert alone.opens(late) <= late
    assert late < state.opens(late) <= late + 1.0


def test_it_is_empty_when_forgetting_it_would_change_nothing() -> None:
    """Neither in flight nor counted, and nothing learned that still matters."""
    state = state_of(TEN)
    assert state.is_empty(NOW) is True
    state.take(NOW)
    assert state.is_empty(NOW) is False
    state.returned()
    assert state.is_empty(NOW) is True
    answer(state, NOW)
    assert state.is_empty(NOW + 20.1) is False
    assert state.is_empty(NOW + 20.2) is True


@pytest.mark.parametrize(
    ("pause", "ends"),
    [
        pytest.param(0.0, NOW, id="none"),
        pytest.param(5.0, NOW + 5.0, id="five seconds"),
        pytest.param(1e9, NOW + 86_400.0, id="thirty years are believed for a day"),
    ],
)
def test_a_pause_of_others_is_kept(pause: float, ends: float) -> None:
    """What another process was told holds for the token, not for the process."""
    state = state_of(TEN)
    state.others(NOW, stamps=(), pause=pause)
    assert state.is_paused(ends - 0.1) is (pause > 0)
    assert not state.is_paused(ends)


@pytest.mark.parametrize(
    ("limits", "limit", "remaining", "is_heard"),
    [
        pytest.param((TEN,), "10", "0", True, id="about our limit"),
        pytest.param((TEN,), "11", "0", False, id="about a larger limit around ours"),
        pytest.param((TEN, HOURLY), "100", "0", True, id="about the largest of ours"),
        pytest.param((), "7", "0", True, id="any limit where we have none"),
    ],
)
def test_rate_headers_hold_a_call_only_when_they_can_be_about_our_limit(
    limits: tuple[Limit, ...], limit: str, remaining: str, *, is_heard: bool
) -> None:
    """A server may count several things, and name another one than we do."""
    state = state_of(*limits)
    answer(state, NOW, x_ratelimit_limit=limit, x_ratelimit_remaining=remaining)
    assert (state.opens(NOW) > NOW) is is_heard


def test_without_limit_refusal_and_rate_headers_nothing_is_counted_but_what_flies() -> None:
    """The shortest way is taken only while nothing is known that could hold a call up."""
    state = state_of()
    assert state.take_freely()
    assert not state.answered_freely({"x-ratelimit-remaining": "3"})
    assert state.answered_freely({})
    assert state.is_empty(NOW)
    refuse(state, NOW)
    assert not state.take_freely()
    assert not state_of(TEN).take_freely()
