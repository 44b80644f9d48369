"""The root of the command: a table of what there is, loaded when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_COMMANDS: Mapping[str, str] = {
    "scan": "scan",
    "gate": "gate",
    "report": "report",
    "runs": "runs",
    "sites": "sites",
    "reports": "reports",
    "schedules": "schedules",
    "remediation": "remediation",
    "network": "network",
    "agent": "agent",
    "sandbox": "sandbox",
    "demo": "demo",
    "auth": "auth",
    "spec": "spec",
    "completion": "completion",
}
"""Name of each command, and the module of `commands` that holds it under the name `command`."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, None when there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"bestdefense_async.cli.commands.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings=CONTEXT, no_args_is_help=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
def root() -> None:
    """Scan many sites with BestDefense, wait for the results, and judge them.

    \b
    First steps:
      bestdefense demo                        try it all, nothing to configure
      export BD_API_TOKEN=...                 a token from the app, under API access
      bestdefense scan www.example.com        scan one site
      bestdefense scan -l hosts.txt           scan all sites of a list

    \b
    Exit codes: 0 all clear, 1 gate failed, 2 usage or configuration, 3 incomplete,
    4 token missing or refused, 130 interrupted, 70 a bug of this program.
    """  # noqa: D301  # \b is click's mark for text it must not fill
