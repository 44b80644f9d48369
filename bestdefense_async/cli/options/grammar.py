"""What every command takes: `-q` and `-v` wherever they stand, and a near miss of its name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async._version import __version__
from bestdefense_async.cli.terminal import streams
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST: Final = 60
"""Characters of a misspelt name that are looked for among the real ones."""
_UNCUT: Final = 1000
"""Characters of a line of help that is not cut: it is wrapped."""


def _quiet(_context: click.Context, _option: click.Parameter, is_given: object) -> None:
    streams.set_verbosity(quiet=int(bool(is_given)))


def _verbose(_context: click.Context, _option: click.Parameter, times: int) -> None:
    streams.set_verbosity(verbose=times)


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ("-v", "--verbose"),
            count=True,
            expose_value=False,
            callback=_verbose,
            help="Tell more on stderr, like each outcome; -vv each request.",
        ),
        click.Option(
            ("-q", "--quiet"),
            is_flag=True,
            expose_value=False,
            callback=_quiet,
            help="No progress and no notes on stderr, only warnings and the verdict.",
        ),
    ]


def _show_help(context: click.Context, _option: click.Parameter, is_given: object) -> None:
    """Write the help through our own streams: a full disk is told, and is no bug."""
    if is_given and not context.resilient_parsing:
        streams.put(context.get_help() + "\n")
        context.exit()


def _show_version(context: click.Context, _option: click.Parameter, is_given: object) -> None:
    if is_given and not context.resilient_parsing:
        streams.put(f"bestdefense {__version__}\n")
        context.exit()


version_option: Callable[[Callable[[], None]], Callable[[], None]] = click.option(
    *("-V", "--version"),
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)


class Command(click.Command):
    """A command that takes `-q` and `-v`."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401  # click's arguments
        super().__init__(*args, **settings)
        self.params.extend(_options())

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that shows the help."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option


class Group(Command, click.Group):
    """A group that takes `-q` and `-v` in front of its commands, and knows what may be meant."""

    command_class: type[click.Command] | None = Command
    group_class: type[click.Group | type] | None = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named.

        Raises:
            UsageError: There is none of that name; it says which is nearest.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError as error:
            message = error.message
        raise click.UsageError(f"{message.rstrip('.')}.{self._hint(ctx, args[0])}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of each command; click would cut it to one line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        lines = [(name, each.get_short_help_str(_UNCUT)) for name, each in commands if each]
        with formatter.section("Commands"):
            formatter.write_dl(lines)

    def _hint(self, ctx: click.Context, name: str) -> str:
        near = nearest(name, self.list_commands(ctx))
        return f" Did you mean {near!r}?" if near else ""


def ask(question: str, unasked: str) -> None:
    """Ask before something that costs, or that may be a mistake.

    Args:
        question: Answered with yes or no, on stderr.
        unasked: What would be done, as the error says it where nobody can be asked.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(f"{unasked} Add -y to agree.")
    click.confirm(question, abort=True, err=True)


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return which of the known names may be meant, None when none is near."""
    import difflib

    near = difflib.get_close_matches(name[:_LONGEST].lower(), known, n=1)
    begun = [each for each in known if each.startswith(name.lower())]
    return near[0] if near else begun[0] if len(begun) == 1 else None
