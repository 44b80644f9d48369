"""stdout is data, stderr is for people, and both may fail."""

from __future__ import annotations

import json
import os
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.terminal.streams import width
from tests.support.command import LONGEST, ROOT, Command
from tests.support.terminal import on_terminal

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess

FULL = Path("/dev/full")


def test_completing_words_imports_no_network_and_reads_no_settings(command: Command) -> None:
    """A shell asks at each press of Tab."""
    (command.directory / "bestdefense.toml").write_text("broken")
    env = {"_BESTDEFENSE_COMPLETE": "bash_complete", "COMP_WORDS": "bestdefense sca"}
    ended = command(env={**env, "COMP_CWORD": "1"})
    assert (ended.code, ended.out.strip()) == (0, "plain,scan")
    options = command(env={**env, "COMP_WORDS": "bestdefense scan --fail-on hi", "COMP_CWORD": "3"})
    assert (options.code, options.out.strip()) == (0, "plain,high")


def test_values_are_completed(command: Command) -> None:
    """Runs by name, `last`, and of types the one that is being written."""

    def completed(words: str, shell: str = "bash") -> list[str]:
        last = words.rpartition(" ")[2]
        env = {"_BESTDEFENSE_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
        number = str(len(words.split(" ")) - 1)
        return command(env={**env, "COMP_CWORD": last if shell != "bash" else number}).out.split()

    assert completed("bestdefense scan --type security,d") == ["plain,security,dns"]
    assert completed("bestdefense scan --baseline la") == ["plain,last"]
    assert completed("bestdefense gate --min-severity cr", "powershell") == ["plain", "critical"]


def test_without_click_one_sentence_says_what_to_install(command: Command) -> None:
    """The package works without the command line; the command says so."""
    blocker = command.directory / "click.py"
    blocker.write_text("raise ImportError('No module named click')\n")
    paths = f"{command.directory}{os.pathsep}{ROOT}"
    ended = command("--help", env={"PYTHONPATH": paths})
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "bestdefense-async[cli]" in ended.err


def test_ctrl_c_while_the_command_is_imported_is_no_traceback(command: Command) -> None:
    """It ends as at any other moment: with 130, and never with the code of a failed gate."""
    (command.directory / "click.py").write_text("raise KeyboardInterrupt\n")
    paths = f"{command.directory}{os.pathsep}{ROOT}"
    ended = command("sites", "list", env={"PYTHONPATH": paths})
    assert (ended.code, ended.err) == (130, "bestdefense: interrupted\n")


def test_a_reader_that_goes_away_ends_the_command_quietly(
    command: Command, served: SandboxProcess
) -> None:
    """`| head -1` is how people look at long lists."""
    with command.start("sites", "list", env=served.env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize("format_", ["table", "json", "jsonl"])
def test_a_closed_stdout_is_no_success(
    command: Command, served: SandboxProcess, format_: str
) -> None:
    """Nothing is even started when its results could not be written."""
    name = "fleet.northgate-clinic.example"
    before = served.count("reports.create")
    with command.start(
        *("scan", name, "--format", format_),
        env=served.env,
        preexec_fn=lambda: os.close(1),
    ) as process:
        _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 3
    assert "stdout is closed" in err
    assert served.count("reports.create") == before


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("format_", ["table", "json", "jsonl"])
def test_a_full_disk_is_no_success(command: Command, served: SandboxProcess, format_: str) -> None:
    """What could not be written is said in one sentence."""
    name = "fleet.northgate-clinic.example"
    with (
        FULL.open("w") as full,
        command.start(
            *("scan", name, "-q", "--format", format_), env=served.env, stdout=full
        ) as process,
    ):
        _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 3, err
    assert "No space left" in err
    assert "Traceback" not in err
    assert "Exception ignored" not in err


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_text_can_be_written_in_any_encoding(
    command: Command, served: SandboxProcess, encoding: str
) -> None:
    """LC_ALL=C has no letters but English ones; what is missing is escaped."""
    env = {
        **served.env,
        "LC_ALL": "C",
        "PYTHONIOENCODING": encoding,
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }
    ended = command("scan", "b\u00fccher.example", "-q", env=env)
    assert ended.code == 2, ended.err
    assert "cher.example" in ended.err


@pytest.mark.parametrize("verbosity", ["-q", "-v", "-vv"])
def test_stdout_is_only_data_at_any_verbosity(
    command: Command, served: SandboxProcess, verbosity: str
) -> None:
    """A program reads it; and no token is told however much is said."""
    name = "fleet.northgate-clinic.example"
    ended = command("scan", name, verbosity, "--format", "jsonl", env=served.env)
    assert ended.code == 0, ended.err
    assert ended.events[-1]["event"] == "run.summary"
    assert served.token not in ended.err + ended.out
    assert "\x1b" not in ended.err


def test_a_closed_stderr_disturbs_nothing(command: Command, served: SandboxProcess) -> None:
    """Results do not depend on anybody reading the progress."""
    name = "fleet.northgate-clinic.example"
    with command.start(
        *("scan", name, "--format", "json"),
        env=served.env,
        preexec_fn=lambda: os.close(2),
    ) as process:
        out, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0
    assert json.loads(out)["targets"] == 1


@pytest.mark.parametrize(
    ("env", "is_live"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm-256color", "CI": "true"}, False),
    ],
    ids=["a terminal", "a terminal without colour", "a dumb terminal", "a pipeline"],
)
def test_a_terminal_gets_a_live_view(
    command: Command, served: SandboxProcess, env: dict[str, str], *, is_live: bool
) -> None:
    """Elsewhere there are plain lines and no escapes."""
    name = "fleet.northgate-clinic.example"
    ended = on_terminal(*(command, "scan", name, "--fail-on", "none"), env={**served.env, **env})
    drawn = ended.err
    assert ended.code == 0, drawn
    assert ("\x1b[" in drawn) is is_live
    assert ("\x1b[3" in drawn) is (is_live and "NO_COLOR" not in env)
    assert "Scanning 1 site " in drawn
    assert "gate: PASSED" in drawn


def test_a_terminal_that_does_not_know_its_width_has_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new pseudo-terminal says 0 columns until somebody tells it how many."""
    monkeypatch.delenv("COLUMNS", raising=False)
    primary, secondary = os.openpty()
    with open(primary, "rb", buffering=0), open(secondary, "w", encoding="utf-8") as terminal:  # noqa: PTH123  # descriptors
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "stdout", terminal)
        assert width() == 80
        termios.tcsetwinsize(secondary, (24, 40))
        assert width() == 40
        termios.tcsetwinsize(secondary, (24, 5))
        assert width() == 20
