"""The options of commands with a verdict: what to judge by, what to show, where to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bestdefense_async.cli.options import params

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

FORMATS: Final = ("table", "json", "jsonl", "sarif", "xml", "md", "html")
"""What stdout can hold: the table, or what a file with that suffix would."""


def judged(function: F) -> F:
    """Give a command the options of the verdict it ends with; `Judging.from_words` reads them."""
    return _with(function, (*_RULES, _EXIT_ZERO, *_OUTPUTS))


def rendered(function: F) -> F:
    """Give a command the options of a verdict that it only shows."""
    return _with(function, (*_RULES, *_OUTPUTS))


def _with(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


_RULES: Final = (
    click.option(
        "--fail-on",
        type=click.Choice(params.FAIL_ON_WORDS),
        help="Fail on findings of this severity or worse. [default: high in gate and CI, else "
        "none]",
    ),
    *(
        click.option(
            f"--max-{word}",
            type=params.count(),
            help=f"Fail on more than this many findings rated {word}.",
        )
        for word in params.SEVERITY_WORDS
    ),
    click.option(
        "--baseline",
        metavar="RUN",
        help="Findings that this earlier run has too do not fail: a file, or a run by its name.",
    ),
    click.option(
        "--waivers",
        metavar="FILE",
        help="Findings that this file waives, each with a reason and a last day, do not fail.",
    ),
    click.option(
        "--allow-incomplete",
        type=params.ALLOWANCE,
        default="0",
        show_default=True,
        help="Sites that may stay without a verdict, like 3 or 5%.",
    ),
)

_EXIT_ZERO: Final = click.option(
    "--exit-zero", is_flag=True, help="Exit 0 whatever the verdict says."
)

_OUTPUTS: Final = (
    click.option(
        "--min-severity",
        type=click.Choice(params.SEVERITY_WORDS),
        default="informational",
        show_default=True,
        help="Least severity that the table shows; the gate looks at all.",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="What stdout is to hold; xml is JUnit.",
    ),
    click.option(
        "-o",
        "--output",
        "files",
        multiple=True,
        metavar="FILE",
        help="Also write this file; its suffix says how: .json, .jsonl, .sarif, .xml (JUnit), "
        ".md or .html. Repeatable.",
    ),
)
