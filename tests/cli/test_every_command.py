"""Every command there is: its JSON can be parsed, however much is told beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from bestdefense_async.cli.app import root
from bestdefense_async.testing.process import SandboxProcess
from tests.support.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.inside import Inside

CALLS = {
    "scan": "{host}",
    "gate": "{report}",
    "report": "last",
    "runs list": "",
    "runs prune": "--keep 99",
    "runs reconcile": "last",
    "runs show": "last",
    "sites list": "",
    "sites show": "{host}",
    "reports alerts": "{report}",
    "reports list": "",
    "reports show": "{report}",
    "reports wait": "{report} --timeout 0.1",
    "schedules create": "{host} --every weekly",
    "schedules list": "",
    "remediation list": "",
    "remediation show": "{remediation}",
    "remediation trigger": "{report} --finding {finding} -y",
    "network findings": "{network}",
    "network show": "{network}",
    "network start": "10.0.0.1",
    "network wait": "{network} --timeout 0.1",
    "config show": "",
    "doctor": "",
    "agent manifest": "",
    "agent download": "{file}",
    "spec adopt": "-y",
    "spec check": "",
    "spec drift": "last",
    "spec show": "",
}
"""How each command that can write JSON is called."""

WITHOUT_JSON = {
    "auth status": "one sentence about the token, for a person",
    "auth set": "a note that the token is kept",
    "auth forget": "a note that it is deleted",
    "waive": "a note, and the next command",
    "completion": "a script for a shell",
    "database init": "a note that the tables are there",
    "database upgrade": "a note of which version they are",
    "runs cancel": "a note that the run is cancelled",
    "runs repeat": "a note of when it is begun again",
    "worker": "works until it is stopped, and tells on stderr",
    "demo": "writes files, and nothing to stdout",
    "sandbox": "one line of JSON when it is ready, then it serves; has a test of its own",
    "schedules delete": "nothing to tell but that it is done",
}
"""Why a command has no `--format json`."""

SHARED = {"database status", "runs watch"}
"""What needs a database: it is called in `test_shared_runs`."""


def commands(group: click.Group = root, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)
        else:
            yield " ".join((*path, name)), found


def option(command: click.Command, name: str) -> click.Parameter | None:
    """Return an option of a command, None when it has none of that name."""
    return next((each for each in command.params if each.name == name), None)


COMMANDS = dict(commands())


def test_no_command_is_forgotten() -> None:
    """A new command is called here, or it is said why it has no JSON."""
    assert COMMANDS.keys() == CALLS.keys() | WITHOUT_JSON.keys() | SHARED
    with_format = {name for name, command in COMMANDS.items() if option(command, "format_")}
    assert with_format == CALLS.keys() | SHARED


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return what commands can be asked about, and where: a run, a report and so on."""
    command = Command(tmp_path_factory.mktemp("things"))
    with SandboxProcess(speed=6000.0, scenario="hostile") as sandbox:
        env = {**sandbox.env, "BD_STATE_DIR": str(command.directory / "state")}

        def told(*arguments: str) -> list[dict[str, Any]]:
            return command(*arguments, "--format", "jsonl", env=env).events

        hosts = [site["hostname"] for site in told("sites", "list")]
        scanned = next(event for event in told("scan", *hosts[:9], "-q") if event.get("findings"))
        finding = scanned["findings"][0]["id"]
        trigger = ("remediation", "trigger", scanned["report_id"], "--finding", finding, "-y")
        remediation = told(*trigger)
        network = told("network", "start", "10.0.0.1")
        yield {
            **env,
            "host": scanned["target"],
            "report": scanned["report_id"],
            "finding": finding,
            "remediation": remediation[0]["remediation_id"],
            "network": network[0]["scan_id"],
            "file": told("agent", "manifest")[0]["filename"],
        }


@pytest.mark.parametrize("format_", ["json", "jsonl"])
@pytest.mark.parametrize("name", CALLS)
def test_stdout_is_json_and_nothing_else(
    inside: Inside, things: dict[str, str], tmp_path: Path, name: str, format_: str
) -> None:
    """Also with -vv, which tells every request, on stderr and without the token."""
    arguments = [*name.split(), *CALLS[name].format(**things).split(), "--format", format_]
    is_told = option(COMMANDS[name], "verbose") is not None
    env = {key: value for key, value in things.items() if key.startswith("BD_")}

    ended = inside(*arguments, *(["-vv"] if is_told else []), env=env)

    assert ended.code in {0, 1, 3}, ended.err
    documents = [ended.out] if format_ == "json" else ended.out.splitlines()
    parsed = [json.loads(text) for text in documents]
    assert all(value["schema_version"] == 1 for value in parsed)
    assert format_ == "jsonl" or parsed
    assert things["BD_API_TOKEN"] not in ended.out + ended.err
    # A specification is no operation of the API, of this run nothing has to be looked up, and what
    # the doctor sends is no call of a client.
    is_asking = option(COMMANDS[name], "base_url") is not None
    is_asking = is_asking and not name.startswith(("spec", "runs reconcile", "doctor"))
    assert not is_asking or " ms " in ended.err
