"""The command `bestdefense`: the library for terminals and scripts, with exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (see `exits`).

    Args:
        arguments: Those of the command line; None takes them from `sys.argv`.
    """
    try:
        try:
            import click  # noqa: F401  # only asked whether it is there
        except ImportError:
            _say("the command line needs more packages: install bestdefense-async[cli].")
            return 2
        from bestdefense_async.cli.app import run

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:  # while it is imported: Python itself would end with a traceback
        _say("interrupted")
        return 130


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"bestdefense: {text}\n")
