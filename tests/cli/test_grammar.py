"""Habits of other programs that work here too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.options.params import seconds

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.command import Command
    from tests.support.inside import Inside

FULL = Path("/dev/full")


def test_help_is_a_command_too(inside: Inside) -> None:
    """As with gh, git and go."""
    assert inside("help").out == inside("--help").out
    assert inside("help", "runs", "list").out == inside("runs", "list", "--help").out


def test_the_line_of_a_command_in_the_help_is_never_cut(inside: Inside) -> None:
    """It is wrapped: who chooses among commands reads to the end."""
    shown = " ".join(inside("runs").err.split())
    assert "Watch a run that workers carry out, and judge it when it has ended." in shown


def test_the_version_has_a_short_option(inside: Inside) -> None:
    """`-V`, as -v tells more."""
    assert inside("-V").out == inside("--version").out


@pytest.mark.parametrize(
    ("words", "meant"),
    [("scna", "scan"), ("repots", "reports"), ("sites lst", "list"), ("remed", "remediation")],
)
def test_a_misspelt_command_names_the_nearest(inside: Inside, words: str, meant: str) -> None:
    """Also below a group, and by its beginning."""
    ended = inside(*words.split())
    assert ended.code == 2
    assert f"Did you mean {meant!r}?" in ended.err


def test_a_word_that_is_near_nothing_is_refused_alone(inside: Inside) -> None:
    """A wild guess helps nobody."""
    assert "Did you mean" not in inside("xyzzy").err


@pytest.mark.parametrize("words", ["-q reports list", "reports -q list", "reports list -q"])
def test_quiet_stands_anywhere(inside: Inside, served: SandboxProcess, words: str) -> None:
    """In front of the command as behind it; notes are left out, data and errors are not."""
    assert inside(*words.split(), env=served.env).err == ""
    assert "There are no reports." in inside("reports", "list", env=served.env).err
    assert "There is no token" in inside(*words.split()).err


def test_quiet_leaves_out_the_progress_of_the_demo(inside: Inside) -> None:
    """The verdict and the next command stay."""
    assert "Scanning 1 site" in inside("demo", "--sites", "1").err
    quiet = inside("demo", "--sites", "1", "-q").err
    assert "Scanning" not in quiet
    assert "gate: " in quiet


def test_verbose_adds_up_wherever_it_stands(inside: Inside, served: SandboxProcess) -> None:
    """-v before and -v behind are -vv, which shows each request once."""
    ended = inside("-v", "sites", "list", "-v", env=served.env)
    assert ended.err.count("sites.list") == 1, ended.err


@pytest.mark.parametrize("word", ["HIGH", "High", "info", "INFO", "Informational"])
def test_words_of_the_api_are_taken_in_any_case(
    inside: Inside, served: SandboxProcess, word: str
) -> None:
    """And `info`, as people say for informational."""
    ended = inside("scan", "nothing.example", "--min-severity", word, "--dry-run", env=served.env)
    assert "No site of this organization" in ended.err


@pytest.mark.parametrize(
    ("text", "expected"), [("1h30m", 5400.0), ("1d12h", 129_600.0), ("1m0.5s", 60.5)]
)
def test_a_time_may_have_several_parts(text: str, expected: float) -> None:
    """As people write it."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["1h30", "m30", "1h-3m", "h"])
def test_a_time_with_a_part_without_unit_is_refused(text: str) -> None:
    """Nobody knows whether 30 is minutes or seconds."""
    with pytest.raises(ValueError, match="1h30m"):
        seconds(text)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["--version", "--help", "scan --help", "completion bash"])
def test_a_full_disk_is_no_bug_of_ours(command: Command, words: str) -> None:
    """What could not be written is said, with 3."""
    with FULL.open("w") as full, command.start(*words.split(), stdout=full) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "No space left on device" in err


def test_a_help_that_nobody_reads_is_no_failed_gate(command: Command) -> None:
    """`--help | head -1`: a script must not take its end for code 1."""
    with command.start("--help") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(60)
    assert process.returncode == 141
