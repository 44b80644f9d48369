"""The agenda: nothing early, nothing lost, nothing twice."""

from __future__ import annotations

import itertools
import math
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.polling.queues import SWEEP_FROM, TimerQueue, round_up
from bestdefense_async.polling.subscription import PolledReport, WaitOptions

TERMS = WaitOptions(notify=lambda _, __: None)


def report(name: str = "r") -> PolledReport:
    """Return a report that somebody waits for."""
    return PolledReport(name, None, TERMS, 0.0, 0.0, 0.0)


@given(now=st.floats(0.0, 1e6), wait=st.floats(0.0, 1e5))
def test_a_wait_is_rounded_up_by_a_hundredth_at_most(now: float, wait: float) -> None:
    """Never sooner, and never by more than anybody would notice."""
    due = round_up(now, wait)

    assert now + wait <= due <= now + wait + max(wait / 60, 0.001) + 1e-9


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "end", "take"]), st.integers(0, 7), st.floats(0, 50)),
        max_size=60,
    )
)
def test_what_is_due_comes_once_and_in_order(steps: list[tuple[str, int, float]]) -> None:
    """Moved entries come at their last time alone; those taken away do not come."""
    agenda, now = TimerQueue(), 0.0
    reports = [report(str(number)) for number in range(8)]
    due: dict[int, float] = {}
    for step, number, amount in steps:
        if step == "put":
            due[number] = now + amount
            agenda.put(reports[number], due[number])
        elif step == "end":
            reports[number].bucket = None
            due.pop(number, None)
            agenda.shrink(len(due))
        elif step == "take":
            now += amount
            taken = [int(one.report_id) for one in agenda.take(now)]
            assert sorted(taken) == sorted(number for number, when in due.items() if when <= now)
            assert all(due[a] <= due[b] for a, b in itertools.pairwise(taken))
            for number_taken in taken:
                assert reports[number_taken].bucket is None
                del due[number_taken]
        assert agenda.next_due <= min(due.values(), default=math.inf)


def test_what_no_longer_counts_takes_no_memory() -> None:
    """However often entries are moved, an agenda holds little more than twice what counts."""
    agenda, one = TimerQueue(), report()
    for number in range(10_000):
        agenda.put(one, 1_000.0 - number / 100)
        agenda.shrink(1)

    assert len(agenda) <= SWEEP_FROM + 3
    assert agenda.take(2_000.0) == [one]


def test_reports_that_are_due_together_share_their_bucket() -> None:
    """That is what makes an entry cost a place in a list."""
    agenda, several = TimerQueue(), [report() for _ in range(100)]
    for one in several:
        agenda.put(one, round_up(5.0, 30.0))

    assert len({id(one.bucket) for one in several}) == 1


def test_a_wait_that_is_over_holds_nobody() -> None:
    """Who waited may hold the wait, and a cycle would live until the garbage collector comes."""
    one: Any = report()
    one.tag = object()
    one.end()

    assert one.tag is one.options is None
    assert one.is_over
    assert evolve(TERMS, timeout=1.0).policy is TERMS.policy
