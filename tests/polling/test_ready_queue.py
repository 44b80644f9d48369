"""Who is asked next when polls fall behind, and how a budget is spent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.polling import DEFAULT_POLICY, urgency
from bestdefense_async.polling.queues import BEHIND, CATCH_UP, Rate, ReadyQueue
from bestdefense_async.polling.subscription import PolledReport, WaitOptions

TERMS = WaitOptions(notify=lambda _, __: None)


def report(
    name: str, *, age: float = 100.0, gap: float = 10.0, now: float = 1_000.0
) -> PolledReport:
    """Return a report of that age, asked that long ago."""
    return PolledReport(name, None, TERMS, now - age, now - age, now - gap)


def names(backlog: ReadyQueue, now: float) -> list[str]:
    """Take everything."""
    taken = []
    while (one := backlog.take(now)) is not None:
        taken.append(one.report_id)
    return taken


def test_while_polls_keep_up_reports_are_asked_in_turn() -> None:
    """Ranking costs time, and then gains nothing."""
    backlog = ReadyQueue()
    backlog.add([report("a", gap=1.0), report("b", gap=100.0), report("c", gap=50.0)], 1_000.0)

    assert names(backlog, 1_000.0 + BEHIND / 2) == ["a", "b", "c"]


def test_when_polls_fall_behind_the_largest_gap_squared_times_hazard_comes_first() -> None:
    """A young scan ends more likely now than an old one; a long gap outweighs that."""
    backlog = ReadyQueue()
    reports = [
        report("old", age=7_200.0, gap=40.0),
        report("overdue", age=7_200.0, gap=900.0),
        report("young", age=60.0, gap=10.0),
        report("middle", age=600.0, gap=40.0),
    ]
    backlog.add(reports, 1_000.0)

    assert names(backlog, 1_000.0 + BEHIND) == ["overdue", "middle", "young", "old"]


def test_a_percentage_says_who_ends_soon_and_the_overdue_still_come_first() -> None:
    """Expected ends alone would let those that are overdue starve."""
    backlog = ReadyQueue()
    soon, late = report("soon"), report("late")
    soon.percentage, late.percentage = 95.0, 5.0
    backlog.add([late, soon, report("starved", gap=500.0)], 1_000.0)

    assert names(backlog, 1_000.0 + BEHIND) == ["starved", "soon", "late"]


def test_who_was_asked_has_the_smallest_gap() -> None:
    """To a second: those that became due together and were asked at once share one time."""
    backlog = ReadyQueue()
    reports = [report(str(number), gap=500.0) for number in range(3)]
    backlog.add(reports[:2], 1_000.0)
    assert names(backlog, 1_000.5) == ["0", "1"]
    backlog.add(reports[2:], 1_010.0)
    assert names(backlog, 1_020.0) == ["2"]

    assert [one.asked for one in reports] == [1_000.0, 1_000.0, 1_020.0]


def test_those_who_join_a_backlog_compete_with_those_who_are_in_it() -> None:
    """A ranking is renewed after a quarter, so nobody waits behind all of an old one."""
    backlog = ReadyQueue()
    backlog.add([report(str(number), gap=20.0) for number in range(40)], 1_000.0)
    assert backlog.take(1_000.0 + BEHIND) is not None
    backlog.add([report("urgent", gap=800.0)], 1_001.0)

    assert names(backlog, 1_000.0 + BEHIND).index("urgent") < 10


@given(
    ages=st.lists(st.tuples(st.floats(1.0, 1e4), st.floats(0.1, 1e3), st.booleans()), max_size=40)
)
def test_everybody_who_still_waits_is_asked_once(ages: list[tuple[float, float, bool]]) -> None:
    """And the first of a ranking is the most urgent of all."""
    backlog = ReadyQueue()
    reports = [report(str(place), age=age, gap=gap) for place, (age, gap, _) in enumerate(ages)]
    backlog.add(reports, 1_000.0)
    for one, (_, _, is_over) in zip(reports, ages, strict=True):
        if is_over:
            one.end()
    worth = {
        one.report_id: urgency(
            DEFAULT_POLICY, gap=1_005.0 - one.asked, elapsed=1_005.0 - one.created
        )
        for one in reports
        if not one.is_over
    }

    taken = names(backlog, 1_005.0)

    assert sorted(taken) == sorted(worth)
    assert not taken or worth[taken[0]] == max(worth.values())


@pytest.mark.parametrize("rate", [0.2, 3.0, 1_000.0])
def test_a_budget_is_spent_evenly(rate: float) -> None:
    """So many a second from the first one on, however long nothing was spent before."""
    pace, now, sent = Rate(rate), 5_000.0, 0
    end = now + 100 / rate
    while (now := now + pace.wait(now)) < end - 0.01 / rate:
        pace.spend(now)
        sent += 1

    assert 100 <= sent <= 101 + CATCH_UP * rate


def test_a_timer_that_comes_late_costs_no_budget() -> None:
    """A tenth of a second is made up for, and no more."""
    pace = Rate(100.0)
    pace.spend(0.0)
    now, sent = 0.0, 0
    while now < 10.0:
        now += max(pace.wait(now), 0.0) + 0.005  # every timer is late
        while pace.wait(now) == 0.0:
            pace.spend(now)
            sent += 1

    assert sent == pytest.approx(1_000, abs=12)
