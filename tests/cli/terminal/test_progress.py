"""Counting a run, and telling its progress in lines and on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bestdefense_async.cli.terminal.live import LiveView
from bestdefense_async.cli.terminal.progress import Heartbeat, describe
from bestdefense_async.cli.terminal.tally import SHOWN_WORST, Tally
from bestdefense_async.models import Outcome, RiskSummary


def ended(index: int, status: str, target: str, risk: RiskSummary | None) -> Outcome:
    """Return how a target ended."""
    return Outcome(index=index, status=status, target=target, risk=risk)


def finish(tally: Tally, count: int, risk: RiskSummary | None = None) -> None:
    """Let the next `count` targets be scanned."""
    for index in range(tally.ended, tally.ended + count):
        tally.begin(index)
        tally.end(ended(index, "done", f"site{index}.example", risk or RiskSummary()))


def test_every_target_is_in_one_state() -> None:
    """Waiting, scanning and ended add up to all."""
    tally = Tally(10, 0.0)
    finish(tally, 3)
    tally.begin(3)
    tally.end(ended(4, "not_started", "x", None))

    assert (tally.waiting, tally.active, tally.ended) == (5, 1, 4)


def test_only_the_worst_targets_are_kept_worst_first() -> None:
    """A long run must not grow the view."""
    tally = Tally(100, 0.0)
    for index in range(50):
        tally.end(ended(index, "done", f"site{index}", RiskSummary(high=index)))
    tally.end(ended(50, "done", "strange", RiskSummary(other={"apocalyptic": 1})))

    worst = [name for name, _ in tally.worst]

    assert worst == ["strange", "site49", "site48", "site47", "site46"]
    assert len(worst) == SHOWN_WORST


def test_a_heartbeat_comes_each_tenth_and_each_half_minute() -> None:
    """A log of 200 sites has some ten lines, and a slow run still shows that it lives."""
    tally = Tally(200, 0.0)
    heartbeat = Heartbeat(tally)
    lines = []
    for second in range(200):
        finish(tally, 1)
        lines.append(heartbeat.line(second * 0.1))

    assert [bool(line) for line in lines].count(True) == 10
    assert heartbeat.line(40.0) is None
    assert heartbeat.line(49.8) is None
    assert heartbeat.line(50.0) is not None


def test_a_heartbeat_says_what_went_wrong() -> None:
    """Failures and throttling are not found out at the end only."""
    tally = Tally(10, 0.0)
    finish(tally, 4)
    tally.end(ended(5, "failed", "x", None))
    tally.begin(6)
    tally.pauses = 2

    assert describe(tally, 10.0) == (
        "scan: 5 of 10 finished, 1 failed, 1 scanning, 4 waiting, rate limited 2 times, 10.0 s"
    )


def test_what_runs_is_said_to_run_and_not_to_be_finished() -> None:
    """The word of the table, of `runs list` and of JSON, in heartbeats and in the live view."""
    tally = Tally(3, 0.0)
    finish(tally, 1)
    tally.end(ended(1, "running", "x", None))
    tally.end(ended(2, "not_started", "y", None))

    assert describe(tally, 10.0) == "scan: 1 of 3 finished, 1 running, 1 not started, 10.0 s"
    screen = io.StringIO()
    console = Console(file=screen, width=100, color_system=None)
    console.print(LiveView(console, tally, title="x").frame(10.0))
    assert "1 running   " in screen.getvalue()


def test_there_is_no_estimate_before_it_means_something() -> None:
    """The first scans to end are the short ones; what was done in an earlier part is no speed."""
    tally = Tally(1000, 0.0)
    for index in range(500):
        tally.restore(ended(index, "done", "x", None))
    for index in range(500, 600):
        tally.begin(index)
    assert tally.left(60.0) is None

    for index in range(500, 550):
        tally.end(ended(index, "done", "x", None))
        if index < 549:
            assert tally.left(60.0) is None
    assert (tally.active, tally.left(60.0)) == (50, 60.0 * 450 / 50)


def test_few_targets_have_no_estimate() -> None:
    """Of three scans the second says nothing about the third."""
    tally = Tally(3, 0.0)
    finish(tally, 2)
    assert tally.left(10.0) is None


@pytest.mark.parametrize("width", [20, 80, 200])
def test_the_live_view_has_a_bounded_height(width: int) -> None:
    """Whatever the width, it never scrolls a terminal of 24 lines."""
    tally = Tally(2000, 0.0)
    finish(tally, 1000, RiskSummary(critical=1, high=2, medium=3, low=4, other={"x" * 90: 1}))
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True)

    console.print(LiveView(console, tally, title="Scanning " + "x" * 300).frame(10.0))

    assert out.getvalue().count("\n") <= 12


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_the_live_view_cuts_no_count(width: int) -> None:
    """A narrow terminal shows the worst severities, and these whole."""
    tally = Tally(2000, 0.0)
    finish(tally, 10, RiskSummary(critical=10, high=20, medium=30, low=40, informational=50))
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)

    console.print(LiveView(console, tally, title="Scanning").frame(10.0))

    findings = out.getvalue().partition("findings so far")[2]
    assert "100 critical" in findings
    assert "…" not in findings


def test_the_live_view_draws_in_ascii_where_there_is_nothing_else() -> None:
    """LC_ALL=C has no bullets."""
    tally = Tally(10, 0.0)
    finish(tally, 4, RiskSummary(high=2))
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as out:
        console = Console(file=out, width=80, force_terminal=True)
        console.print(LiveView(console, tally, title="Scanning").frame(10.0))
        out.flush()

        assert b"4 done" in raw.getvalue()


def test_the_live_view_does_not_let_a_name_steer_the_terminal() -> None:
    """Names come from lists and servers."""
    tally = Tally(1, 0.0)
    tally.end(ended(0, "done", "\x1b[2Jevil", RiskSummary(high=1)))
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)

    console.print(LiveView(console, tally, title="\x1b[2J").frame(1.0))

    assert "\x1b" not in out.getvalue()


def test_a_host_that_is_away_is_said_in_place_of_the_time_left() -> None:
    """With how long, why, and what waits for it."""
    tally = Tally(2_000, 0.0)
    finish(tally, 300)
    tally.begin(300)
    tally.away_since, tally.away_because = 60.0, "ServerError"

    said = describe(tally, 102.0)

    assert (
        "host away for 0:42 (ServerError): nothing is started, 1,699 wait, 1 are followed" in said
    )
    assert "left" not in said
