"""How likely a scan is to end now, learned from earlier ones."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.polling import FEWEST, learn


def lognormal(median: float, spread: float, count: int, *, seed: int = 1) -> list[float]:
    """Return durations."""
    chance = random.Random(seed)
    return [median * math.exp(chance.gauss(0.0, spread)) for _ in range(count)]


def test_too_few_finished_scans_teach_nothing() -> None:
    """Running ones do not count towards the thirty."""
    finished = [(float(number), True) for number in range(1, FEWEST)]

    assert learn([*finished, *[(50.0, False)] * 100]) is None
    assert learn([*finished, (50.0, True)]) is not None


@pytest.mark.parametrize(
    ("age", "counts"), [(9e-4, False), (1e-3, True), (1e9, True), (2e9, False)]
)
def test_ages_from_a_millisecond_to_thirty_years_count(age: float, *, counts: bool) -> None:
    """Whatever lies outside comes from a clock that was set."""
    assert (learn([(age, True)] * FEWEST) is not None) is counts


def test_bins_end_at_the_powers_of_two_around_what_was_seen() -> None:
    """A bin below and one beyond hold half a scan each."""
    hazard = learn([*[(3.0, True)] * 29, (9.0, True)])

    assert hazard is not None
    assert hazard.edges == (2.0, 4.0, 8.0, 16.0)
    assert hazard.rates == pytest.approx((0.5 / 61, 29.5 / 32, 0.5 / 6, 1.5 / 5, 0.5 / 8))


def test_a_constant_hazard_is_found() -> None:
    """Scans that end by chance alone end as likely at every age."""
    chance = random.Random(1)
    hazard = learn([(chance.expovariate(1 / 600), True) for _ in range(20_000)])

    assert hazard is not None
    for age in (50.0, 200.0, 900.0, 2_000.0):
        assert hazard.at(age) == pytest.approx(1 / 600, rel=0.15)


def test_the_hazard_is_low_before_the_first_ends_and_peaks_where_most_end() -> None:
    """Scans of two hours are left alone in their first minutes."""
    hazard = learn([(age, True) for age in lognormal(7_200.0, 0.3, 60)])

    assert hazard is not None
    assert hazard.at(60.0) < hazard.at(5_000.0) < hazard.at(9_000.0)
    assert hazard.at(600.0) < 1e-4


def test_running_and_aborted_scans_make_scans_longer_not_shorter() -> None:
    """Half of the scans are still running at 1,000 s: left out, they would double the hazard."""
    ages = lognormal(1_000.0, 0.5, 4_000)
    cut = [(min(age, 1_000.0), age <= 1_000.0) for age in ages]
    known, censored = learn([(age, True) for age in ages]), learn(cut)
    naive = learn([(age, True) for age, is_finished in cut if is_finished])

    assert known is not None
    assert censored is not None
    assert naive is not None
    assert censored.at(700.0) == pytest.approx(known.at(700.0), rel=0.1)
    assert naive.at(700.0) > 1.5 * known.at(700.0)


def test_beyond_the_longest_scan_it_falls_with_the_age() -> None:
    """A scan that is older than all before is expected to last about as long again."""
    hazard = learn([(age, True) for age in lognormal(600.0, 0.3, 200)])

    assert hazard is not None
    for age in (10_000.0, 100_000.0):
        assert hazard.at(age) == pytest.approx(1.0 / age, rel=0.01)


@given(
    samples=st.lists(st.tuples(st.floats(allow_nan=True), st.booleans()), max_size=20),
    ends=st.lists(st.floats(1e-3, 1e7), min_size=FEWEST, max_size=60),
    age=st.floats(0.0, 1e9),
)
def test_every_history_gives_a_hazard_above_zero_at_every_age(
    samples: list[tuple[float, bool]], ends: list[float], age: float
) -> None:
    """Whatever stands in the journals; what is no duration is left out."""
    hazard = learn([*samples, *[(end, True) for end in ends]])

    assert hazard is not None
    assert 0.0 < hazard.at(age) < math.inf
    assert list(hazard.edges) == sorted(set(hazard.edges))
    assert len(hazard.rates) == len(hazard.edges) + 1
