"""`bestdefense completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click

from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.terminal import streams

_SHELLS = ("bash", "zsh", "fish", "powershell")


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
    from click.shell_completion import get_completion_class

    from bestdefense_async.cli.options import completing  # noqa: F401  # knows one shell more

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    root = click.get_current_context().find_root().command
    streams.put(kind(root, {}, "bestdefense", "_BESTDEFENSE_COMPLETE").source() + "\n")
