"""The plan of a run: counts, time, what binds, and which deadlines it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import ConfigError
from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.plan import Plan, expected_polls, make_plan

QUICK = ScanOptions(intensity="quick")
KNOWN = [(100.0, True)] * 4 + [(50.0, True), (900.0, False)]


def plan_of(creations: int, **options: Any) -> Plan:
    """Return the plan of that many quick scans, a hundred at a time."""
    usual: dict[str, Any] = {
        "targets": creations,
        "creations": creations,
        "options": QUICK,
        "max_active": 100,
    }
    return make_plan(**usual | options)


def test_a_run_that_fits_at_once_takes_one_scan() -> None:
    """All scans run at once, so the time is that of one."""
    plan = plan_of(100)
    assert (plan.seconds, plan.binding) == (180.0, "all scans at once")
    assert plan.reason == "all scans at once, each about 3 min by our assumption"


def test_more_scans_than_places_take_their_share_of_time() -> None:
    """2,000 scans of three minutes, a hundred at a time, take an hour."""
    plan = plan_of(2000)
    assert (plan.seconds, plan.binding) == (3600.0, "100 scans at a time")


def test_a_limit_on_creations_binds_where_it_is_slower() -> None:
    """2,000 creations at 60 a minute take more than half an hour even when all run at once."""
    plan = plan_of(2000, max_active=5000, limits={"reports.create": (Limit(60, per=60.0),)})
    assert plan.seconds == pytest.approx(1940.0 + 180.0)
    assert plan.binding == "the limit of reports.create, 60 in 60 s"
    assert plan.least_seconds == pytest.approx(1940.0)


def test_a_politeness_rate_binds_where_it_is_slower() -> None:
    """Every request counts for the politeness rate."""
    plan = plan_of(2000, requests_per_second=1.0)
    assert plan.seconds == plan.calls
    assert plan.binding == "1 requests per second"


def test_durations_are_learned_from_enough_finished_scans() -> None:
    """Scans that did not finish say nothing about how long one takes here."""
    plan = plan_of(1000, samples=KNOWN)
    assert plan.learned_from == 5
    assert plan.duration == pytest.approx(90.0)
    assert plan.seconds == pytest.approx(900.0)
    assert plan.least_seconds == pytest.approx(500.0)
    assert plan.reason == "100 scans at a time, each about 2 min as 5 earlier ones took"
    assert plan_of(1000, samples=KNOWN[1:]).learned_from == 0


def test_requests_are_counted_by_what_a_scan_takes() -> None:
    """One listing; per scan a creation, its polls, the overview and the alerts."""
    polls = expected_polls(PollPolicy(), 180.0)
    assert plan_of(10).calls == 1 + 10 + round(10 * polls) + 20
    without = plan_of(10, options=ScanOptions(types=("dns",)))
    assert without.calls == 1 + 10 + round(10 * polls)
    following = plan_of(0, follows=10, targets=10)
    assert (following.creations, following.calls) == (0, 1 + round(10 * polls) + 20)


def test_a_scan_is_polled_less_than_every_thirty_seconds_when_it_is_long() -> None:
    """The expectation is that of the policy: two hours at most 40 s apart."""
    assert 150 < expected_polls(PollPolicy(), 7200.0) < 240
    assert expected_polls(PollPolicy(), 1e9) == 100_000


def test_nothing_to_scan_takes_nothing() -> None:
    """A run that is complete, or whose targets are all unknown, costs one request."""
    plan = plan_of(0, targets=3)
    assert (plan.calls, plan.seconds, plan.least_seconds) == (1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "run_timeout", "scan_timeout"),
    [
        ({"samples": KNOWN}, 499.0, None),
        ({"samples": KNOWN}, None, 49.0),
        ({"limits": {"reports.create": (Limit(60, per=60.0),)}}, 939.0, None),
    ],
    ids=["shorter than the shortest scans known", "no scan was that fast", "shorter than a limit"],
)
def test_a_deadline_that_cannot_be_kept_is_refused(
    options: dict[str, Any], run_timeout: float | None, scan_timeout: float | None
) -> None:
    """The refusal rests on limits and on what was seen."""
    plan = plan_of(1000, **options)
    with pytest.raises(ConfigError, match="were given"):
        plan.check(run_timeout=run_timeout, scan_timeout=scan_timeout)


def test_an_assumption_refuses_nothing() -> None:
    """Without a finished scan it is unknown that a deadline is too short."""
    plan_of(1000).check(run_timeout=1.0, scan_timeout=1.0)
