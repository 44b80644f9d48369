"""From arguments to an exit code, whatever happens in between.

click's own standalone mode turns Ctrl-C and crashes into 1, which is our "gate failed"; so it is
off, and this is the one place that maps.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

import click

from bestdefense_async.cli import exits, streams
from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.root import root


def run(arguments: list[str]) -> int:
    """Run the command and return its exit code; never raises."""
    streams.prepare()
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
    streams.say(f"bestdefense: {error.format_message().rstrip('.')}.{hint}")
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
    try:
        handle, path = tempfile.mkstemp(prefix="bestdefense-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return None
    return path
