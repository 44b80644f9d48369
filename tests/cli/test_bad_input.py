"""Bad input: one sentence, the right exit code, and nothing sent."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import LONGEST, Command, Ended, wait_for

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

TOKEN = "bd_sandbox_0123456789abcdef"
LOCAL = {"BD_API_TOKEN": TOKEN, "BD_BASE_URL": "http://127.0.0.1:9"}


def assert_one_sentence(ended: Ended, code: int, says: str) -> None:
    """Check exit code and message: one line that repeats no token, and nothing on stdout."""
    assert ended.code == code, ended.err
    assert says in ended.err
    assert ended.err.count("\n") == 1
    assert TOKEN not in ended.err
    assert ended.out == ""


def test_a_scan_without_a_token_says_what_to_do(command: Command) -> None:
    """The first thing a new user meets."""
    ended = command("scan", "www.example.com")
    assert_one_sentence(ended, 4, "set BD_API_TOKEN")


@pytest.mark.parametrize("command_line", ["sites list", "gate x", "auth status", "reports wait x"])
def test_every_command_without_a_token_ends_with_4(command: Command, command_line: str) -> None:
    """Not only the scan needs one."""
    assert_one_sentence(command(*command_line.split()), 4, "There is no token")


ENVIRONMENTS = {
    "a token with a line break": ({"BD_API_TOKEN": f"{TOKEN}\nx"}, "The token contains"),
    "a token with Bearer": ({"BD_API_TOKEN": f"Bearer {TOKEN}"}, "without the word Bearer"),
    "user info": ({"BD_BASE_URL": f"https://me:{TOKEN}@host.invalid"}, "a user name"),
    "plain http": ({"BD_BASE_URL": "http://host.invalid"}, "use https"),
    "no URL": ({"BD_BASE_URL": "host.invalid"}, "must look like https://"),
}


@pytest.mark.parametrize(("env", "says"), ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_a_wrong_environment_is_refused(command: Command, env: dict[str, str], says: str) -> None:
    """Host and token are looked at before anything is sent."""
    assert_one_sentence(command("scan", "a.example", env={**LOCAL, **env}), 2, says)


LISTS = {
    "an empty list": (b"", "holds no target"),
    "only comments": (b"# nothing\n\n", "holds no target"),
    "a malformed line": (b"a.example\n\nnot a host\n", "line 3: 'not a host' contains a space"),
    "a NUL": (b"a.example\nb\x00.example\n", "line 2:"),
    "many malformed lines": (b"a b\n" * 9, "And 6 more."),
    "an option": (b"--fail-on\n", "line 1: '--fail-on' begins with a hyphen"),
    "a password": (b"https://me:hunter2@a.example\n", "user information"),
}


@pytest.mark.parametrize(("content", "says"), LISTS.values(), ids=LISTS.keys())
def test_a_wrong_list_is_refused_as_a_whole(command: Command, content: bytes, says: str) -> None:
    """Nothing is started when one line cannot be meant as it stands."""
    (command.directory / "hosts.txt").write_bytes(content)
    ended = command("scan", "-l", "hosts.txt", env=LOCAL)
    assert_one_sentence(ended, 2, says)
    assert "hunter2" not in ended.err


@pytest.mark.parametrize("name", ["missing.txt", ".", "caf\udce9.txt"])
def test_a_list_that_cannot_be_read_is_said(command: Command, name: str) -> None:
    """Also when its name is no text in this encoding."""
    assert_one_sentence(command("scan", "-l", name, env=LOCAL), 2, "cannot be read")


def test_a_closed_stdin_is_said(command: Command) -> None:
    """`-l -` without a stdin is a mistake of the script."""
    with command.start("scan", "-l", "-", env=LOCAL, preexec_fn=_close_stdin) as process:
        out, err = process.communicate(timeout=60)
    assert_one_sentence(Ended(process.returncode, out, err), 2, "stdin is closed")


def _close_stdin() -> None:
    import os

    os.close(0)


ARGUMENTS = {
    "no target": (["scan"], "Nothing to scan"),
    "an underscore in a number": (["scan", "a.example", "--max-active", "1_0"], "whole number"),
    "an arabic number": (["scan", "a.example", "--max-active", "\u0661"], "whole number"),
    "a time that is none": (["scan", "a.example", "--timeout", "nan"], "a time above 0"),
    "an unknown severity": (["scan", "a.example", "--fail-on", "severe"], "severe"),
    "an intensity of nothing": (
        ["scan", "a.example", "--type", "dns", "--intensity", "quick"],
        "belong to a security scan",
    ),
    "an unknown option": (["scan", "a.example", "--token", "x"], "No such option"),
    "an unknown command": (["scam"], "No such command"),
    "an unknown suffix": (["scan", "a.example", "-o", "report.doc"], "suffix"),
    "a dry run in a format of results": (
        ["scan", "a.example", "--dry-run", "--format", "sarif"],
        "A dry run has no findings to show as sarif",
    ),
    "a missing folder": (["scan", "a.example", "-o", "no/report.html"], "no directory"),
}


@pytest.mark.parametrize(("arguments", "says"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_wrong_arguments_are_refused(command: Command, arguments: list[str], says: str) -> None:
    """Before anything is sent, with exit code 2."""
    assert_one_sentence(command(*arguments, env=LOCAL), 2, says)


def test_a_broken_settings_file_names_the_line(command: Command) -> None:
    """And never the value; help and version do not look at it."""
    (command.directory / "bestdefense.toml").write_text(f'# mine\nmax_active = "{TOKEN}"\n')
    ended = command("scan", "a.example", env=LOCAL)
    assert_one_sentence(ended, 2, "bestdefense.toml, line 2: max_active must be a whole number")
    for arguments in (["--help"], ["--version"], ["scan", "--help"]):
        assert command(*arguments).code == 0


def test_an_unknown_host_is_not_scanned(command: Command, served: SandboxProcess) -> None:
    """When no target names a site it is bad input, and nothing was created."""
    before = served.count("reports.create")
    ended = command("scan", "typo.example", env=served.env)
    assert ended.code == 2
    assert "No site of this organization is called typo.example." in ended.err
    assert served.count("reports.create") == before


def test_a_refused_token_is_4(command: Command, served: SandboxProcess) -> None:
    """Expired and revoked tokens look the same from here."""
    env = {**served.env, "BD_API_TOKEN": served.add_token(expired=True)}
    for arguments in (["sites", "list"], ["scan", "a.example", "-q"]):
        ended = command(*arguments, env=env)
        assert ended.code == 4, ended.err
        assert env["BD_API_TOKEN"] not in ended.err + ended.out


def test_a_server_that_is_not_there_is_3(command: Command) -> None:
    """No connection is no verdict."""
    ended = command("sites", "list", env=LOCAL)
    assert_one_sentence(ended, 3, "127.0.0.1")


def test_more_scans_than_agreed_are_refused_where_nobody_can_be_asked(
    command: Command, served: SandboxProcess
) -> None:
    """A script agrees with -y."""
    before = served.ledger()["counts"]
    arguments = ["scan", "a.example", "b.example", "--confirm-over", "1"]
    assert_one_sentence(command(*arguments, env=served.env), 2, "Add -y")
    assert served.ledger()["counts"] == before


def test_a_token_file_is_used_when_the_environment_has_none(command: Command) -> None:
    """Its place is said, its content never."""
    folder = Path(command.environment["HOME"]) / ".config" / "bestdefense"
    folder.mkdir(parents=True)
    (folder / "token").write_text(TOKEN + "\n")
    ended = command("auth", "status")
    assert ended.code == 0
    assert str(folder / "token") in ended.out
    assert TOKEN not in ended.out + ended.err


def test_a_token_file_that_others_can_read_is_said_once(
    command: Command, bd_sandbox_process: SandboxProcess
) -> None:
    """However often a scan needs the token."""
    file = command.directory / "token"
    file.write_text(bd_sandbox_process.env["BD_API_TOKEN"])
    file.chmod(0o644)
    env = bd_sandbox_process.env | {"BD_API_TOKEN": ""}
    sites = command("sites", "list", "--format", "jsonl", "--token-file", "token", env=env)
    host = sites.events[0]["hostname"]

    ended = command("scan", host, "--token-file", "token", env=env)

    assert ended.code in {0, 1}
    assert sites.err.count("chmod 600") == ended.err.count("chmod 600") == 1


def test_a_report_that_is_not_complete_in_time_is_3(
    command: Command, bd_sandbox_process: SandboxProcess
) -> None:
    """Waiting has an end, and says that the scan goes on."""
    env = bd_sandbox_process.env
    site = command("sites", "list", "--format", "jsonl", env=env).events[0]
    bd_sandbox_process.script(site["id"], duration=float("inf"))
    scan = ["scan", site["hostname"], "--timeout", "0.2s", "--format", "jsonl", "-q"]
    report_id = command(*scan, env=env).events[-2]["report_id"]

    ended = command("reports", "wait", report_id, "--timeout", "0.2s", env=env)

    assert ended.code == 3
    assert "The scan goes on at the server" in ended.err
    gate = command("gate", report_id, "--format", "json", env=env)
    assert gate.code == 3
    assert "not complete" in gate.err


def test_an_impossible_report_id_is_refused(command: Command) -> None:
    """Before anything is sent."""
    named = "is not the id of a report: `bestdefense reports list` shows them."
    for arguments in (
        *(["reports", "show", ".."], ["gate", "a/b"], ["reports", "alerts", "a?b"]),
        *(["gate", "www.example.com"], ["reports", "wait", ""], ["remediation", "trigger", "a b"]),
    ):
        assert_one_sentence(command(*arguments, env=LOCAL), 2, named)


def test_a_missing_choice_is_said_on_one_line(command: Command) -> None:
    """Which words there are is part of the sentence."""
    ended = command("schedules", "create", "a.example", env=LOCAL)
    assert_one_sentence(ended, 2, "'--every'. Choose from: daily, weekly, monthly.")


def test_a_token_that_is_revoked_in_mid_run_is_4(
    command: Command, bd_sandbox_process: SandboxProcess
) -> None:
    """Nothing more is started, nothing is polled on, and every target has its outcome."""
    env = bd_sandbox_process.env
    sites = command("sites", "list", "--format", "jsonl", env=env).events[:30]
    for site in sites:
        bd_sandbox_process.script(site["id"], duration=float("inf"))
    names = [site["hostname"] for site in sites]
    arguments = ["scan", *names, "--max-active", "10", "--format", "json"]
    with command.start(*arguments, env=env) as process:
        wait_for(lambda: bd_sandbox_process.count("reports.create") >= 10)
        bd_sandbox_process.revoke(bd_sandbox_process.token)
        out, err = process.communicate(timeout=LONGEST)

    assert process.returncode == 4, err
    assert len(json.loads(out)["outcomes"]) == 30
    assert bd_sandbox_process.token not in out + err


def test_the_sandbox_says_where_it_is_and_ends_with_a_signal(command: Command) -> None:
    """One line of JSON, and then service."""
    with command.start("sandbox", "--sites", "3") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        env = {"BD_BASE_URL": said["url"], "BD_API_TOKEN": said["token"]}
        listed = command("sites", "list", "--format", "jsonl", env=env)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert sorted(said) == ["token", "url"]
    assert len(listed.events) == 3
    assert process.returncode == 0
