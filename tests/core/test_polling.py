"""When to ask again: the policy's arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.polling import PollPolicy, first_wait, next_wait
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


@pytest.mark.parametrize(
    "words",
    [
        {"share": 0.0},
        {"longest": float("inf")},
        {"speed": -1.0},
        {"patience": float("nan")},
        {"shortest": True},
        {"shortest": 50.0},
        {"remaining_shortest": 41.0},
    ],
    ids=str,
)
def test_an_impossible_policy_is_refused(words: dict[str, float]) -> None:
    """A policy that would poll in a hot loop or never is a mistake of the settings."""
    with pytest.raises(ConfigError):
        PollPolicy(**words)
