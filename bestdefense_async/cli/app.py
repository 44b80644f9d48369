"""The command: from arguments to an exit code, whatever goes wrong in between.

click's own standalone mode turns Ctrl-C and crashes into 1, which is our "gate failed"; so it is
off, and this is the one place that maps.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli import exits
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.grammar import Group, version_option
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from collections.abc import Mapping


CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMMANDS: Mapping[str, str] = {
    "scan": "Scan sites and wait for the results.",
    "gate": "Judge reports or a saved run: exit 1 when a rule is broken.",
    "report": "Render a saved run again, in any format.",
    "waive": "Accept a finding until a day, for a reason.",
    "runs": "List, show, settle and prune recorded runs; watch and cancel shared ones.",
    "sites": "List the sites of the organization, or show one.",
    "reports": "List reports, show one, wait for it, or list what it found.",
    "schedules": "List, create or delete scheduled reports.",
    "remediation": "Trigger AI remediations, and see at which stage they are.",
    "network": "Scan a network, follow the scan, and list what it found.",
    "agent": "List the files of the device agent, or download them.",
    "worker": "Carry out runs from a database, on as many machines as you like.",
    "database": "Prepare a PostgreSQL database for runs that several machines share.",
    "sandbox": "Serve a stand-in for the API on this machine until Ctrl-C.",
    "demo": "Scan 200 sites of a built-in sandbox, live, and write a report.",
    "auth": "Say which token would be used, keep one, or forget it.",
    "config": "Show every setting and where it comes from.",
    "doctor": "Check token, host, clock, proxy and files, and say what is wrong.",
    "spec": "Compare the host's own specification with ours, and adopt it.",
    "completion": "Print the completion script of a shell.",
}
"""Each command and its line in the help.

The module of that name in `commands` holds it under the name `command`. The lines stand here so
that the help imports none of the modules.
"""


class LazyGroup(Group):
    """A group whose commands are imported when they are used, in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bestdefense_async.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the lines of the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings=CONTEXT, no_args_is_help=True)
@version_option
def root() -> None:
    """Scan many sites with BestDefense, wait for the results, and judge them.

    \b
    First steps:
      bestdefense demo                        try it all, nothing to configure
      export BD_API_TOKEN=...                 a token from the app: Profile, API tokens
      bestdefense scan www.example.com        scan one site
      bestdefense scan -l hosts.txt           scan all sites of a list

    \b
    Exit codes: 0 all clear, 1 gate failed, 2 usage or configuration, 3 incomplete,
    4 token missing or refused, 130 interrupted, 70 a bug of this program.
    """  # noqa: D301  # \b is click's mark for text it must not fill


def run(arguments: list[str]) -> int:
    """Run the command and return its exit code; never raises."""
    streams.prepare()
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if "_BESTDEFENSE_COMPLETE" in os.environ:
        from bestdefense_async.cli.commands import completion  # noqa: F401  # one shell more
    try:
        code = root.main(args=arguments, prog_name="bestdefense", standalone_mode=False)
        if sys.stdout is not None:
            streams.put("")
    except streams.ReaderGone:
        return Exit.NO_READER
    except click.exceptions.NoArgsIsHelpError as error:
        streams.say_block(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        return _say_usage(error)
    except (click.Abort, KeyboardInterrupt):
        streams.say("bestdefense: interrupted")
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last resort is here
        return _say_error(error)
    return code if isinstance(code, int) else Exit.OK


def _say_usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    hint = "" if context is None else f" Try '{context.command_path} --help'."
    message = " ".join(error.format_message().split())  # choices stand on lines of their own
    end = "" if message.endswith((".", ")", "?")) else "."
    streams.say(f"bestdefense: {message}{end}{hint}")
    return Exit.USAGE


def _say_error(error: Exception) -> int:
    code = exits.code_for(error)
    if code != Exit.BUG:
        streams.say(f"bestdefense: {exits.sentence_for(error)}")
        return code
    where = _store_traceback(error)
    streams.say(
        f"bestdefense: this is a bug in bestdefense-async ({exits.sentence_for(error)})."
        + (f" Details are in {where}; please report them." if where else "")
    )
    return code


def _store_traceback(error: Exception) -> str | None:
    """Write the traceback to a private file and return its path, None when that fails."""
    import tempfile
    import traceback

    try:
        handle, path = tempfile.mkstemp(prefix="bestdefense-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return None
    return path
