"""Reports, schedules and networks as commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Ended
    from tests.support.inside import Inside

JSONL = ("--format", "jsonl")


@pytest.fixture
def command(inside: Inside, served: SandboxProcess) -> Callable[..., Ended]:
    """Return the command, pointed to the sandbox of the module."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        return inside(*arguments, env={**served.env, **(env or {})})

    return run


def test_reports_are_listed_paged_and_shown(
    command: Callable[..., Ended], names: list[str]
) -> None:
    """The latest first, with what they are about."""
    for name in names[:3]:
        assert command("scan", name, "-q").code == 0
    listed = command("reports", "list", "--limit", "3", *JSONL)
    page = command("reports", "list", "--after", listed.events[0]["report_id"], *JSONL)
    table = command("reports", "list", "--limit", "1")
    shown = command("reports", "show", listed.events[0]["report_id"], "--format", "json")

    assert [event["hostname"] for event in listed.events] == names[2::-1]
    assert [event["hostname"] for event in page.events[:2]] == names[1::-1]
    assert names[2] in table.out
    assert "  security  " in table.out
    (report,) = json.loads(shown.out)["reports"]
    assert report["hostname"] == names[2]
    assert report["is_completed"] is True
    assert isinstance(report["security_id"], int)
    assert report["created_at"].endswith("+00:00")


def test_a_schedule_is_created_listed_and_deleted(
    command: Callable[..., Ended], names: list[str]
) -> None:
    """For a host name or an id, with everything it was given."""
    options = ["--type", "security,dns", "--intensity", "standard", "--test-user", "anna"]
    options += ["--mode", "AI", "--test", "api", "--every", "Weekly", "--on", "Sun", "--at", "3:30"]
    made = command("schedules", "create", names[0].upper(), *options, *JSONL)
    table = command("schedules", "list")
    listed = command("schedules", "list", *JSONL)
    deleted = command("schedules", "delete", made.events[0]["id"])
    again = command("schedules", "delete", made.events[0]["id"])
    empty = command("schedules", "list")

    assert made.code == 0, made.err
    (schedule,) = made.events
    assert schedule["hostname"] == names[0]
    assert (schedule["types"], schedule["test_users"]) == (["security", "dns"], ["anna"])
    assert (schedule["cadence"], schedule["intensity"]) == ("weekly", "standard")
    assert (schedule["mode"], schedule["testing_type"]) == ("ai", "api")
    when = [schedule[name] for name in ("day", "time", "timezone")]
    assert when == ["sunday", "03:30", "UTC"]
    assert "  weekly on sunday at 03:30 UTC  " in table.out
    assert listed.events == made.events
    assert (deleted.code, deleted.out, again.code) == (0, "", 2)
    assert (empty.code, empty.out) == (0, "")
    assert "no schedules" in empty.err


def test_a_network_is_scanned_followed_and_read(command: Callable[..., Ended]) -> None:
    """Through a jump box; the counts go to stderr."""
    started = command(
        "network", "start", "10.0.0.0/24", "db.internal", "--jump-box", "b", "-y", *JSONL
    )
    (scan,) = started.events
    waited = command("network", "wait", scan["scan_id"], "--timeout", "60s", *JSONL)
    shown = command("network", "show", scan["scan_id"], *JSONL)
    found = command("network", "findings", scan["scan_id"], "--min-severity", "low", *JSONL)

    assert (scan["targets"], scan["jump_box"]) == (["10.0.0.0/24", "db.internal"], "b")
    assert waited.events[0]["is_completed"] is True
    assert (shown.code, shown.events[0]["is_completed"]) == (0, True)
    assert found.code == 0, found.err
    assert f"scan {scan['scan_id']}: " in found.err
    assert all(event["severity"] != "informational" for event in found.events)


def test_a_network_scan_that_is_not_over_in_time_is_3(command: Callable[..., Ended]) -> None:
    """It goes on at the server."""
    targets = [f"10.0.{n}.0/24" for n in range(250)]
    started = command("network", "start", *targets, "--intensity", "thorough", "-y", *JSONL)

    ended = command("network", "wait", started.events[0]["scan_id"], "--timeout", "0.1s")

    assert ended.code == 3
    assert "not complete" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("reports", "list"),
        ("schedules", "list"),
        ("schedules", "delete", "s"),
        ("remediation", "list"),
        ("remediation", "trigger", "r", "--finding", "f", "-y"),
        ("network", "start", "10.0.0.1"),
        ("network", "show", "n"),
    ],
)
def test_a_guessed_path_is_refused_with_what_to_do(
    command: Callable[..., Ended], arguments: tuple[str, ...]
) -> None:
    """A token that is not the sandbox's makes any host a real one; 2, for it is a setting."""
    ended = command(*arguments, env={"BD_API_TOKEN": "real-token"})

    assert ended.code == 2
    assert "bestdefense spec adopt" in ended.err
    assert ended.out == ""


def test_a_report_is_shown_also_where_only_the_documented_paths_are_known(
    command: Callable[..., Ended], served: SandboxProcess
) -> None:
    """Progress and overview are documented; what the list would tell is left out."""
    ended = command("reports", "show", "r", env={"BD_API_TOKEN": "real-token"})

    assert ended.code == 4
    assert served.count("reports.progress") >= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("schedules", "create", "x.example", "--every", "hourly"),
        ("schedules", "create", "x.example"),
        ("schedules", "create", "nowhere.example", "--every", "daily"),
        ("schedules", "create", "x.example", "--every", "weekly", "--on", "s"),
        ("schedules", "create", "x.example", "--every", "weekly", "--at", "24:00"),
        ("network", "start"),
        ("network", "start", ""),
        ("reports", "list", "--limit", "0"),
        ("reports", "list", "--after", "absent"),
        ("remediation", "show", "../x"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    command: Callable[..., Ended], arguments: tuple[str, ...]
) -> None:
    """And 2."""
    ended = command(*arguments)

    assert ended.code == 2
    assert ended.err.startswith("bestdefense: ")
    assert ended.err.count("\n") == 1


def test_a_site_is_shown_after_one_listing(
    command: Callable[..., Ended], served: SandboxProcess, names: list[str]
) -> None:
    """By its name or its id."""
    before = served.ledger()["counts"].get("sites.list", 0)
    by_name = command("sites", "show", names[0], *JSONL).events[0]
    by_id = command("sites", "show", by_name["id"], *JSONL).events[0]
    assert by_id == by_name
    assert served.ledger()["counts"]["sites.list"] == before + 2
