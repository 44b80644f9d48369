"""The phase-safe rule against its own definition, and the paced rule."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.limiting.window import CLOCK_RATE, Paced, Window, rule

PER = 10.0
PERIOD = PER * CLOCK_RATE


def window_of(stamps: Iterable[float], calls: int) -> Window:
    """Return a window that saw these stamps, in this order."""
    window = Window(Limit(calls, per=PER))
    for stamp in stamps:
        window.stamped(stamp)
    return window


def worst_estimate(stamps: list[float], in_flight: int, t: float) -> float:
    """Return the largest weighted estimate at t over all beginnings of a server's window.

    Written from the definition. Between stamps and stamps + P it grows with S, so its least upper
    bound lies at one of them, at t, or at t - P.
    """
    starts = {t, t - PERIOD, *stamps, *(stamp + PERIOD for stamp in stamps)}
    worst = 0.0
    for start in starts:
        if not t - PERIOD <= start <= t:
            continue
        before = sum(1 for stamp in stamps if stamp < start <= stamp + PERIOD)
        since = sum(1 for stamp in stamps if stamp >= start) + in_flight
        worst = max(worst, before * (1 - (t - start) / PERIOD) + since)
    return worst


moments = st.lists(st.floats(0, 3 * PER).map(lambda moment: round(moment, 2)), max_size=25)


@given(moments, st.integers(1, 8), st.integers(0, 8))
def test_the_closed_form_is_the_definition(stamps: list[float], calls: int, in_flight: int) -> None:
    """At the earliest moment every estimate has room, and just before it some has none."""
    opens = window_of(stamps, calls).not_before(in_flight, calls)
    if in_flight >= calls and stamps:
        assert opens == math.inf
        return
    after = max(opens, max(stamps, default=0.0)) + 1e-5
    if in_flight < calls:
        assert worst_estimate(stamps, in_flight, after) < calls
    if math.isfinite(opens):
        assert worst_estimate(stamps, in_flight, opens - 1e-5) >= calls - 1e-5


@given(moments, st.integers(1, 8), st.floats(1e-5, 30))
def test_once_open_it_stays_open(stamps: list[float], calls: int, late: float) -> None:
    """Waiting longer never makes a call illegal: a timer that fires late does no harm."""
    opens = window_of(stamps, calls).not_before(0, calls)
    if math.isfinite(opens):
        assert worst_estimate(stamps, 0, max(opens, *stamps) + late) < calls


@given(st.permutations([1.0, 2.0, 2.0, 3.0, 7.5]))
def test_answers_may_be_stamped_in_any_order(stamps: list[float]) -> None:
    """A call left behind is stamped in the future, so stamps do not arrive sorted."""
    assert window_of(stamps, 3).not_before(0, 3) == window_of(sorted(stamps), 3).not_before(0, 3)


def test_an_empty_window_admits_all_its_calls_at_once() -> None:
    """Nothing counted, nothing to wait for: in flight are 0 to N - 1."""
    window = Window(Limit(60, per=60.0))
    assert all(window.not_before(in_flight, 60) == -math.inf for in_flight in range(60))
    assert window.not_before(60, 60) == math.inf


def test_after_a_full_burst_nothing_for_a_period_then_one_per_pace() -> None:
    """The price of not knowing the phase, exactly as the theory says."""
    window = window_of([0.0] * 10, 10)
    for call in range(10):
        opens = window.not_before(0, 10)
        # The burst counts PERIOD - S of itself, each later call one in full.
        assert opens == pytest.approx(PERIOD + call * PERIOD / 10, abs=1e-4)
        window.stamped(opens)


def test_the_first_stamp_after_the_edge_s_may_be_the_tight_one() -> None:
    """Two calls long ago and two of one moment: the older two weigh one until half a period on."""
    opens = window_of([0.1, 1.0, 10.0, 10.0], 3).not_before(0, 3)
    assert opens == pytest.approx(10.0 + PERIOD / 2, abs=1e-4)


def test_calls_of_others_count_and_stay_theirs() -> None:
    """What is named anew takes the place of what was named before, and is never taken for ours."""
    window = window_of([1.0, 2.0, 3.0], 5)
    window.others([2.0, 2.5])
    assert window.not_before(0, 5) == pytest.approx(1.0 + PERIOD, abs=1e-4)
    assert list(window.own_stamps(3.0)) == [1.0, 2.0, 3.0]
    window.others([2.5])
    assert window.not_before(0, 5) == -math.inf
    assert window.part_used(3.0) == 0.8
    assert list(window.own_stamps(2.0 + 2 * PERIOD)) == [2.0, 3.0]


def test_a_call_in_flight_takes_a_place_until_it_is_answered() -> None:
    """It counts as now at every moment, so waiting alone does not help."""
    window = window_of([0.0, 0.0], 3)
    assert window.not_before(1, 3) == pytest.approx(PERIOD, abs=1e-4)
    assert window.not_before(3, 3) == math.inf


def test_a_share_of_the_limit_is_a_smaller_limit() -> None:
    """With half of the calls ours, a window that is half full is full."""
    window = window_of([0.0] * 5, 10)
    assert window.not_before(0, 10) == -math.inf
    assert window.not_before(0, 5) == pytest.approx(PERIOD, abs=1e-4)


def test_a_period_is_stretched_by_a_ten_thousandth() -> None:
    """So much may the server's clock be slower than ours."""
    assert window_of([0.0], 1).not_before(0, 1) == pytest.approx(10.001, abs=1e-5)


@pytest.mark.parametrize("base", [0.0, 1e6, 1.7e9], ids=["from zero", "after days", "an epoch"])
def test_it_is_exact_wherever_the_clock_stands(base: float) -> None:
    """A loop's clock may have any origin; sums are compared with sums."""
    window = window_of([base + moment / 10 for moment in range(10)], 10)
    opens = window.not_before(0, 10)
    assert opens > base + PERIOD
    assert opens == pytest.approx(base + PERIOD, abs=1e-3)


def test_old_stamps_are_forgotten() -> None:
    """Two periods later nothing is left, neither in the answer nor in memory."""
    window = window_of([0.0] * 9 + [1.0], 10)
    assert not window.is_empty(1.0 + 2 * PERIOD)
    assert window.is_empty(1.0 + 2 * PERIOD + 0.001)
    assert window.not_before(9, 10) == -math.inf


@pytest.mark.parametrize(
    ("ahead", "bound"),
    [
        pytest.param(0, PERIOD, id="the next one waits for the oldest"),
        pytest.param(9, PERIOD + 9, id="the tenth for the youngest"),
        pytest.param(10, 2 * PERIOD, id="the eleventh for the first of them"),
        pytest.param(35, 4 * PERIOD + 5, id="and so on"),
    ],
)
def test_a_place_in_the_queue_has_a_lower_bound(ahead: int, bound: float) -> None:
    """At most N calls in any period, so many ahead take at least so long."""
    window = window_of([float(moment) for moment in range(10)], 10)
    assert window.queued(ahead, 0, 9.0) == pytest.approx(bound)


@given(moments, st.integers(1, 8), st.integers(0, 20))
def test_the_bound_of_a_place_is_never_too_high(
    stamps: list[float], calls: int, ahead: int
) -> None:
    """Served as fast as the rule allows and answered at once, the call leaves no earlier."""
    window, now = window_of(stamps, calls), max(stamps, default=0.0)
    bound = window.queued(ahead, 0, now)
    for _ in range(ahead + 1):
        now = max(now, window.not_before(0, calls))
        window.taken(now)
        window.stamped(now)
    assert bound <= now + 1e-9


def test_a_paced_limit_spreads_its_calls_evenly() -> None:
    """One call, then a gap of slightly more than P/N before each next one."""
    paced = Paced(Limit(10, per=PER, policy="paced"))
    now = 0.0
    for _ in range(5):
        assert paced.not_before(0, 10) <= now
        paced.taken(now)
        gap = paced.not_before(0, 10) - now
        assert PER / 10 < gap < 1.1 * PER / 10
        now += gap


@given(st.integers(1, 30), st.data())
def test_a_paced_limit_keeps_its_calls_in_any_period(calls: int, data: st.DataObject) -> None:
    """The burst at the start and the leak together stay below N in every window of P."""
    burst = data.draw(st.integers(1, calls))
    paced = Paced(Limit(calls, per=PER, policy="paced", burst=burst))
    now, left = 0.0, []
    for _ in range(3 * calls):
        now = max(now, paced.not_before(0, calls))
        paced.taken(now)
        left.append(now)
    assert sum(1 for moment in left if moment == 0.0) == burst
    for first in left:
        assert sum(1 for moment in left if first <= moment <= first + PER) <= calls


def test_a_paced_call_that_was_not_sent_leaves_no_gap() -> None:
    """What was poured into the bucket is taken out again."""
    paced = Paced(Limit(10, per=PER, policy="paced"))
    paced.taken(5.0)
    paced.returned()
    assert paced.not_before(0, 10) <= 5.0
    assert paced.is_empty(5.0)


def test_the_policy_chooses_the_rule() -> None:
    """A window by default, a bucket where the limit says so."""
    assert isinstance(rule(Limit(1, per=1.0)), Window)
    assert isinstance(rule(Limit(1, per=1.0, policy="paced")), Paced)
