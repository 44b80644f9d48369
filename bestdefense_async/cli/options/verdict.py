"""The options of commands with a verdict: what to judge by, what to show, where to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.completing import RUN

if TYPE_CHECKING:
    from bestdefense_async.cli.options.params import Command

FORMATS: Final = ("table", "json", "jsonl", "sarif", "xml", "md", "html", "csv", "gitlab")
"""What stdout can hold: the table, or what a file with that suffix would."""


class GateOptions(NamedTuple):
    """What to judge a run by."""

    fail_on: str | None
    max_critical: int | None
    max_high: int | None
    max_medium: int | None
    max_low: int | None
    max_informational: int | None
    baseline: str | None
    waivers: str | None
    allow_incomplete: str

    @property
    def max_counts(self) -> dict[str, int]:
        """The limits that were given, by severity."""
        limits = {severity: getattr(self, f"max_{severity}") for severity in vendor.SEVERITIES}
        return {severity: limit for severity, limit in limits.items() if limit is not None}


class OutputOptions(NamedTuple):
    """What to show of a run, and where to write it."""

    min_severity: str
    format_: str
    files: tuple[str, ...]


def judged(function: Command) -> Command:
    """Give a command the options of the verdict it ends with: `gate`, `output`, `exit_zero`."""
    return _gate(_EXIT_ZERO(_output(function)))


def rendered(function: Command) -> Command:
    """Give a command the options of a verdict that it only shows: `gate` and `output`."""
    return _gate(_output(function))


_gate = params.options_as(
    "gate",
    GateOptions,
    (
        click.option(
            "--fail-on",
            type=params.Word(*vendor.FAIL_ON),
            help="Fail on findings of this severity or worse. [default: high in gate and CI, else "
            "none]",
        ),
        *(
            click.option(
                f"--max-{severity}",
                type=params.count(),
                help=f"Fail on more than this many findings rated {severity}.",
            )
            for severity in vendor.SEVERITIES
        ),
        click.option(
            "--baseline",
            type=RUN,
            metavar="RUN",
            help="Findings that this earlier run has too do not fail: a file, -, or a run by its "
            "name.",
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
    ),
)

_EXIT_ZERO: Final = click.option(
    "--exit-zero", is_flag=True, help="Exit 0 whatever the verdict says."
)

_output = params.options_as(
    "output",
    OutputOptions,
    (
        click.option(
            "--min-severity",
            type=params.Word(*vendor.SEVERITIES),
            default="informational",
            show_default=True,
            help="Least severity that the table shows; the gate looks at all.",
        ),
        click.option(
            "-f",
            "--format",
            "format_",
            type=params.Word(*FORMATS),
            default="table",
            show_default=True,
            help="What to write to stdout; xml is JUnit, gitlab a DAST report.",
        ),
        click.option(
            "-o",
            "--output",
            "files",
            multiple=True,
            metavar="FILE",
            help="Also write this file; its suffix says how: .json, .jsonl, .sarif, .xml (JUnit), "
            ".md, .html, .csv or .gitlab.json. Repeatable.",
        ),
    ),
)
