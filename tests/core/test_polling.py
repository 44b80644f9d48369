"""When to ask again: the policy's arithmetic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.polling import (
    GROWTH,
    Hazard,
    PollPolicy,
    first_wait,
    learn,
    next_wait,
    urgency,
)
from bestdefense_async.errors import ConfigError

POLICY = PollPolicy()


def middle(low: float, high: float) -> float:
    """Return the mean instead of chance."""
    return (low + high) / 2


@pytest.mark.parametrize(
    ("elapsed", "percentage", "wait"),
    [
        pytest.param(0.0, None, 6.0, id="a new scan is asked for after the shortest wait"),
        pytest.param(-5.0, None, 6.0, id="a clock that went back counts as zero"),
        pytest.param(200.0, None, 20.0, id="a tenth of the time taken"),
        pytest.param(7200.0, None, 40.0, id="never longer than the longest wait"),
        pytest.param(200.0, 0.0, 20.0, id="zero per cent says nothing"),
        pytest.param(200.0, 101.0, 20.0, id="more than all says nothing"),
        pytest.param(200.0, float("nan"), 20.0, id="no number says nothing"),
        pytest.param(60.0, 50.0, 18.0, id="a share of the time that remains"),
        pytest.param(60.0, 90.0, 5.0, id="near the end the shortest wait of the percentage rule"),
        pytest.param(1000.0, 99.0, 10.0, id="near the end of a long scan a hundredth of its time"),
        pytest.param(60.0, 1.0, 40.0, id="at the start of a long scan the longest wait"),
        pytest.param(9000.0, 100.0, 40.0, id="the longest wait bounds the hundredth too"),
    ],
)
def test_the_wait_follows_the_scan(elapsed: float, percentage: float | None, wait: float) -> None:
    """The wait is the policy's share of time taken or left, within its bounds."""
    assert next_wait(
        POLICY, elapsed=elapsed, percentage=percentage, uniform=middle
    ) == pytest.approx(wait)


def test_a_report_that_cannot_be_polled_is_given_up_after_five_minutes() -> None:
    """Unless a policy says otherwise."""
    assert POLICY.patience == 300.0


def test_the_first_wait_is_spread_from_nothing_to_twice_the_shortest() -> None:
    """Scans created together do not poll together."""
    assert first_wait(POLICY, uniform=lambda low, _: low) == 0.0
    assert first_wait(POLICY, uniform=lambda _, high: high) == 12.0


@given(
    elapsed=st.floats(0.0, 1e6),
    percentage=st.none() | st.floats(allow_nan=True),
    chance=st.floats(0.0, 1.0),
)
def test_every_wait_lies_within_the_bounds(
    elapsed: float, percentage: float | None, chance: float
) -> None:
    """Whatever the server says, a wait is at least 4 s and at most 48 s."""
    wait = next_wait(
        POLICY,
        elapsed=elapsed,
        percentage=percentage,
        uniform=lambda low, high: low + (high - low) * chance,
    )

    assert 3.99 <= wait <= 48.01


def test_a_sped_up_server_is_asked_as_much_more_often() -> None:
    """All times are the scan's: sixty times the speed makes a sixtieth of the waits."""
    fast = PollPolicy(speed=60.0)

    assert next_wait(fast, elapsed=10.0, uniform=middle) == pytest.approx(40.0 / 60.0)
    assert first_wait(fast, uniform=middle) == pytest.approx(6.0 / 60.0)


CONSTANT = Hazard(edges=(1e9,), rates=(1 / 2000.0, 1 / 2000.0))
LEARNED = PollPolicy(learned=CONSTANT, price=0.1)


@pytest.mark.parametrize(
    ("elapsed", "percentage", "wait"),
    [
        pytest.param(0.0, None, 6.0, id="a new scan is asked for after the shortest wait"),
        pytest.param(30.0, None, 15.0, id="half of the time taken is the most"),
        pytest.param(1000.0, None, 20.0, id="the root of twice the price by the hazard"),
        pytest.param(1e5, None, 20.0, id="a constant hazard makes a constant wait"),
        pytest.param(1000.0, 50.0, 300.0, id="a percentage says when to look"),
        pytest.param(1000.0, 1.0, 500.0, id="and half of the time taken stays the most"),
        pytest.param(1000.0, 99.0, 8.0, id="near the end a share of what is learned"),
        pytest.param(8.0, 99.0, 5.0, id="never less than the shortest wait of the percentage"),
    ],
)
def test_a_learned_wait(elapsed: float, percentage: float | None, wait: float) -> None:
    """sqrt(2 price / hazard), with growth capped, and with a percentage where there is one."""
    assert next_wait(
        LEARNED, elapsed=elapsed, percentage=percentage, uniform=middle
    ) == pytest.approx(wait)


@given(
    ends=st.lists(st.floats(1.0, 1e5), min_size=30, max_size=60),
    elapsed=st.floats(0.0, 1e6),
    percentage=st.none() | st.floats(allow_nan=True),
)
def test_whatever_was_learned_a_wait_grows_no_faster_than_half_of_the_age(
    ends: list[float], elapsed: float, percentage: float | None
) -> None:
    """A scan unlike all before is noticed too."""
    policy = PollPolicy(learned=learn([(end, True) for end in ends]))
    wait = next_wait(policy, elapsed=elapsed, percentage=percentage, uniform=middle)

    assert 5.0 <= wait <= max(GROWTH * elapsed, 6.0)


def test_a_policy_with_a_hazard_can_be_told_apart_from_others() -> None:
    """Those who wait on equal terms share one draw of chance."""
    assert PollPolicy(learned=CONSTANT) == PollPolicy(learned=CONSTANT)
    assert len({PollPolicy(), PollPolicy(learned=CONSTANT), PollPolicy()}) == 2


def test_urgency_is_gap_squared_times_hazard() -> None:
    """The hazard is learned, or what a percentage says, or one over the age."""
    assert urgency(POLICY, gap=20.0, elapsed=100.0) == pytest.approx(4.0)
    assert urgency(POLICY, gap=20.0, elapsed=100.0, percentage=80.0) == pytest.approx(16.0)
    assert urgency(LEARNED, gap=20.0, elapsed=100.0) == pytest.approx(0.2)
    assert urgency(LEARNED, gap=20.0, elapsed=100.0, percentage=80.0) == pytest.approx(16.0)
    assert urgency(POLICY, gap=20.0, elapsed=100.0, percentage=100.0) == pytest.approx(80.0)


@pytest.mark.parametrize(
    "words",
    [
        {"share": 0.0},
        {"price": 0.0},
        {"longest": float("inf")},
        {"speed": -1.0},
        {"patience": float("nan")},
        {"shortest": True},
        {"shortest": "6"},
        {"price": None},
        {"learned": 0.5},
        {"shortest": 50.0},
        {"remaining_shortest": 41.0},
    ],
    ids=str,
)
def test_an_impossible_policy_is_refused(words: dict[str, Any]) -> None:
    """A policy that would poll in a hot loop or never is a mistake of the settings."""
    with pytest.raises(ConfigError):
        PollPolicy(**words)
