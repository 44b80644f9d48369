"""What a shell completes: the names of runs, and PowerShell, which click does not know."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any, Any]
else:
    # It takes type arguments only in newer versions of click.
    _ParamType = click.ParamType

_MOST: Final = 50
"""Runs that are offered."""

_POWERSHELL: Final = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $env:%(complete_var)s = "powershell_complete"
    $env:COMP_WORDS = $commandAst.ToString()
    $env:COMP_CWORD = $wordToComplete
    try {
        %(prog_name)s | ForEach-Object {
            $type, $value, $help = $_ -split "\\t", 3
            if ($type -eq "plain") {
                $tip = if ($help) { $help } else { $value }
                [System.Management.Automation.CompletionResult]::new(
                    $value, $value, "ParameterValue", $tip)
            }
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""


class PowerShell(ShellComplete):
    """PowerShell: of a command line it tells all words, and the one that is being written."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being written, and that one."""
        words = split_arg_string(os.environ.get("COMP_WORDS", ""))
        incomplete = os.environ.get("COMP_CWORD", "")
        before = words[1:]
        if incomplete and before and before[-1] == incomplete:
            before.pop()
        return before, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line of three fields: what it is, the word, and what it does."""
        return f"{item.type}\t{item.value}\t{item.help or ''}"


add_completion_class(PowerShell)


def run_names() -> list[str]:
    """Return the names of this user's newest runs; none where they cannot be read."""
    import asyncio

    from bestdefense_async.cli.options.settings import runs_path
    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.runs.store.sqlite import SqliteStore

    path = runs_path()
    if not path.exists():
        return []

    async def names() -> list[str]:
        async with SqliteStore(path) as store:
            return [info.name for info in await store.list(with_counts=False)][:_MOST]

    try:
        return asyncio.run(names())
    except (BestDefenseError, OSError):
        return []


class _Run(_ParamType):
    """The name of a recorded run, the beginning of it, `last`, or a file."""

    name = "RUN"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return `last` and the runs on this machine, the newest first, else files."""
        fitting = [name for name in ("last", *run_names()) if name.startswith(incomplete)]
        return [CompletionItem(name) for name in fitting] or [
            CompletionItem(incomplete, type="file")
        ]


RUN: Final = _Run()
