"""Keeping a token, what holds of it, and what `doctor` and `config show` say."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.options.params import day
from bestdefense_async.cli.terminal.words import today
from tests.support.byte_server import ByteServer, reply
from tests.support.terminal import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command
    from tests.support.inside import Inside

TOKEN = "tok-0123456789abcdef"


def token_file(command: Command) -> Path:
    """Return where the command keeps its token."""
    return command.directory / "home" / ".config" / "bestdefense" / "token"


def test_a_token_from_a_pipe_is_kept_for_its_owner_alone(command: Command) -> None:
    """Whatever the umask; it is shown nowhere, and used from then on."""
    ended = command("auth", "set", "--expires", "30d", text=f"{TOKEN}\n")

    assert (ended.code, ended.out) == (0, "")
    assert TOKEN not in ended.err
    file = token_file(command)
    assert file.read_text() == f"{TOKEN}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    status = command("auth", "status")
    assert f"token from the file {file}" in status.out
    assert f"ends {(today() + timedelta(30)).isoformat()}" in status.out


def test_a_token_is_typed_unseen(command: Command) -> None:
    """A terminal is asked, and does not repeat what is typed."""
    ended = on_terminal(command, "auth", "set", env={}, asked="Token", answer=f"{TOKEN}\n")
    assert ended.code == 0, ended.err
    assert TOKEN not in ended.err
    assert token_file(command).read_text() == f"{TOKEN}\n"


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("", [], "is empty"),
        ("short\n", [], "shorter than 8"),
        ("Bearer abcdefghij\n", [], "without the word Bearer"),
        (f"{TOKEN}\n", ["--expires", "91d"], "90 days at most"),
        (f"{TOKEN}\n", ["--expires", "2020-01-01"], "a day from today on"),
        (f"{TOKEN}\n", ["--expires", "soon"], "a day from today on"),
    ],
)
def test_what_is_no_token_is_not_kept(
    command: Command, text: str, arguments: list[str], says: str
) -> None:
    """Nor a last day that no token has."""
    ended = command("auth", "set", *arguments, text=text)
    assert ended.code == 2
    assert says in ended.err
    assert not token_file(command).exists()


def test_a_token_that_ends_soon_is_warned_of(command: Command, served: SandboxProcess) -> None:
    """A week before, by every command that uses it; another token is not meant."""
    env = {"BD_BASE_URL": served.url}
    command("auth", "set", "--expires", "3d", text=f"{served.token}\n")

    assert "the token ends in 3 days" in command("sites", "list", env=env).err
    assert "the token ends" not in command("sites", "list", env=served.env).err
    command("auth", "set", "--expires", "30d", text=f"{served.token}\n")
    assert "the token ends" not in command("sites", "list", env=env).err


def test_a_forgotten_token_is_gone(command: Command) -> None:
    """With its last day; what a variable holds is said."""
    command("auth", "set", "--expires", "3d", text=f"{TOKEN}\n")
    ended = command("auth", "forget", env={"BD_API_TOKEN": TOKEN})
    assert ended.code == 0
    assert "as long as BD_API_TOKEN is set" in ended.err
    assert [*token_file(command).parent.iterdir()] == []
    assert command("auth", "status").code == 4


def test_status_can_ask_the_host(inside: Inside, served: SandboxProcess) -> None:
    """Nothing is sent without `--check`."""
    before = served.count("sites.list")
    assert "accepted" not in inside("auth", "status", env=served.env).out
    assert served.count("sites.list") == before
    assert "accepted: 200 sites" in inside("auth", "status", "--check", env=served.env).out
    env = {**served.env, "BD_API_TOKEN": served.add_token(expired=True)}
    refused = inside("auth", "status", "--check", env=env)
    assert refused.code == 4
    assert "A token lives 1 to 90 days" in refused.err


def test_the_doctor_finds_nothing_where_a_scan_could_start(
    inside: Inside, served: SandboxProcess
) -> None:
    """One harmless request, and each thing by itself."""
    before = served.ledger()["counts"]
    ended = inside("doctor", "--format", "jsonl", env=served.env)

    found = {each["check"]: each["result"] for each in ended.events}
    assert ended.code == 0
    assert {*found.values()} == {"ok"}
    assert {"token", "host", "clock", "proxy", "certificates", "state", "access"} <= found.keys()
    assert {"limits", "adopted paths", "settings"} <= found.keys()
    counts = served.ledger()["counts"]
    assert {k: n - before.get(k, 0) for k, n in counts.items() if n != before.get(k)} == {
        "sites.list": 1
    }


@pytest.mark.parametrize(
    ("env", "code", "check"),
    [
        ({"BD_API_TOKEN": ""}, 4, "token"),
        ({"BD_API_TOKEN": "bd_sandbox_nobody_knows_it"}, 4, "access"),
        ({"BD_BASE_URL": "http://127.0.0.1:9"}, 3, "access"),
        ({"BD_CA_FILE": "nowhere.pem"}, 2, "certificates"),
        ({"BD_STATE_DIR": "/proc/nowhere"}, 2, "state"),
    ],
    ids=["no token", "a refused token", "no host", "no certificates", "no directory"],
)
def test_the_doctor_names_what_is_wrong(
    inside: Inside, served: SandboxProcess, env: dict[str, str], code: int, check: str
) -> None:
    """With the exit code that a scan would have."""
    ended = inside("doctor", "--format", "jsonl", env={**served.env, **env})
    assert ended.code == code, ended.out
    assert [e["check"] for e in ended.events if e["result"] == "failed"] == [check]


async def test_the_doctor_compares_the_clocks(command: Command) -> None:
    """Dates in answers, and the last days of waivers, are read by ours."""
    import asyncio

    body = b'{"success": true, "data": {"sites": []}}'
    answer = reply(body, headers=["Date: Tue, 24 Nov 2020 10:00:00 GMT"])
    async with ByteServer([[answer]]) as server:
        env = {"BD_API_TOKEN": TOKEN, "BD_BASE_URL": server.url}
        ended = await asyncio.to_thread(lambda: command("doctor", "-f", "jsonl", env=env))

    [clock] = [each for each in ended.events if each["check"] == "clock"]
    assert (ended.code, clock["result"]) == (0, "warning")
    assert "s ahead of the host's" in clock["detail"]


def test_every_setting_says_where_it_comes_from(inside: Inside) -> None:
    """A variable, a file with its name, or the default; a proxy without its login."""
    (inside.directory / "bestdefense.toml").write_text('fail_on = "low"\nmax_active = 7\n')
    env = {"BD_MAX_ACTIVE": "9", "BD_PROXY": "http://me:pass-word@proxy.example:1"}
    ended = inside("config", "show", "--format", "jsonl", env=env)

    found = {each["setting"]: (each["value"], each["origin"]) for each in ended.events}
    assert found["fail_on"] == ("low", "bestdefense.toml")
    assert found["max_active"] == (9, "BD_MAX_ACTIVE")
    assert found["base_url"] == ("https://app.bestdefense.io", "default")
    assert found["allow_incomplete"] == ("0", "default")
    assert found["proxy"] == ("http://proxy.example:1", "BD_PROXY")
    assert "pass-word" not in ended.out


@pytest.mark.parametrize("text", ["31d2", "2027-13-01", "d", "-1d", "99999999d", ""])
def test_what_is_no_day_is_refused(text: str) -> None:
    """In the words of the option."""
    with pytest.raises(ValueError, match="2027-01-31"):
        day(text)


def test_the_sandbox_tells_a_person_what_to_type(command: Command) -> None:
    """On a terminal; a program gets its line of JSON."""
    import pty
    import signal

    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as side:
        process = command.start("sandbox", "--sites", "3", stdout=side)
    with process, os.fdopen(ours, "rb", buffering=0) as screen:
        shown = b""
        while b"bestdefense scan" not in shown:
            shown += screen.read(65_536)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    lines = shown.decode().splitlines()
    assert lines[1].startswith("  export BD_BASE_URL=http://127.0.0.1:")
    assert lines[2].startswith("  export BD_API_TOKEN=bd_sandbox_")
