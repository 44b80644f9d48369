"""What a start of the command costs: help and version import what they show, and nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.app import COMMANDS, root
from bestdefense_async.sandbox.world.specs import SCENARIOS
from tests.support.command import LONGEST

if TYPE_CHECKING:
    from tests.support.command import Command

SLOW = (
    *("aiohttp", "asyncio", "attr", "cattrs", "concurrent", "idna", "jinja2", "json", "logging"),
    *("platformdirs", "rich", "socket", "ssl", "tempfile", "tomlkit", "tomllib"),
    "yaml",
    *(
        f"bestdefense_async.{room}"
        for room in ("client", "config", "core", "models", "openapi", "polling", "report")
    ),
    *(f"bestdefense_async.{room}" for room in ("resources", "runs", "sandbox", "transport")),
)
"""Modules that a help text does not wait for: attrs alone takes half as long as click."""

PROGRAM = """
import contextlib, io, sys
from bestdefense_async.cli import main

def shown(arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(arguments)
    return int(code), bool(out.getvalue()), [name for name in slow if name in sys.modules]

slow = sys.argv[1].split()
answers = {call: shown(call.split()) for call in sys.argv[2:]}
print(answers)
"""


def paths(group: click.Group = root, *above: str) -> list[list[str]]:
    """Return the words of every group and every command."""
    found = [list(above)]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += paths(command, *above, name)
        else:
            found.append([*above, name])
    return found


def test_help_version_and_completion_import_nothing_slow(command: Command) -> None:
    """Of no command: whoever asks how to call one does not wait for what it would need."""
    # Those that import least come first, so that each is blamed for what it imports itself.
    calls = ["--version", "completion bash", *(" ".join([*path, "--help"]) for path in paths())]

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, " ".join(SLOW), *calls],
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=True,
    )

    answers = ast.literal_eval(ended.stdout)
    assert len(answers) > 40
    for call, (code, is_shown, imported) in answers.items():
        assert (code, imported) == (0, []), call
        assert is_shown, call


def test_the_help_says_of_each_command_what_the_command_says_itself() -> None:
    """The help has lines of its own, because it imports none of the commands."""
    context = click.Context(root)
    for name, line in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == line


def test_the_command_offers_every_scenario_of_the_sandbox() -> None:
    """It names them itself, because the sandbox takes long to import."""
    command = root.get_command(click.Context(root), "sandbox")
    assert command is not None
    [option] = [each for each in command.params if each.name == "scenario"]
    assert isinstance(option.type, click.Choice)

    assert list(option.type.choices) == list(SCENARIOS)
