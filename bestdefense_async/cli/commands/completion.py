"""`bestdefense completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import (
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SHELLS: Final = ("bash", "zsh", "fish", "powershell")

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


class _PowerShell(ShellComplete):
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


add_completion_class(_PowerShell)


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(bestdefense completion bash)"
    zsh:  eval "$(bestdefense completion zsh)"
    fish: bestdefense completion fish | source
    PowerShell: bestdefense completion powershell | Out-String | Invoke-Expression
    """  # noqa: D301  # \b is click's mark for text it must not fill
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    root = click.get_current_context().find_root().command
    streams.put(kind(root, {}, "bestdefense", "_BESTDEFENSE_COMPLETE").source() + "\n")
