"""The options that `scan` and `gate` share: what to judge by, what to show, where to write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from bestdefense_async.cli import params
from bestdefense_async.output.gate import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

F = TypeVar("F", bound="Callable[..., Any]")


@frozen(kw_only=True)
class Judging:
    """What is to be made of a run."""

    policy: Policy
    form: str | None
    """What stdout holds: table, json or jsonl; None for nothing."""
    files: tuple[str, ...]
    """Where else to write; the suffix says in which format."""
    min_severity: str
    """Least severity to show; no matter for the gate."""
    is_exit_zero: bool
    """Return 0 also when the gate fails or the run is incomplete."""

    @classmethod
    def from_words(cls, words: Mapping[str, Any], *, gate: bool = False) -> Judging:
        """Return what the options say; without `--fail-on`, gates and CI fail on high.

        Raises:
            ConfigError: A file has a suffix nobody can write, or the policy makes no sense.
        """
        usual = "high" if gate or os.environ.get("CI") else "none"
        return cls(
            policy=Policy(
                fail_on=words["fail_on"] or usual, allow_incomplete=words["allow_incomplete"]
            ),
            form=words["form"],
            files=words["files"],
            min_severity=words["min_severity"],
            is_exit_zero=words["exit_zero"],
        )


def judged(function: F) -> F:
    """Give a command the options of a verdict; `Judging.from_words` reads them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option(
        "--fail-on",
        type=click.Choice(params.FAIL_ON_WORDS),
        help="Exit 1 on findings of this severity or worse. [default: high in gate and CI, "
        "else none]",
    ),
    click.option(
        "--min-severity",
        type=click.Choice(params.SEVERITY_WORDS),
        default="informational",
        show_default=True,
        help="Least severity to show; the gate looks at all.",
    ),
    click.option(
        "--allow-incomplete",
        type=params.ALLOWANCE,
        default="0",
        show_default=True,
        help="Sites that may stay without a verdict, like 3 or 5%.",
    ),
    click.option("--exit-zero", is_flag=True, help="Exit 0 whatever the verdict says."),
    click.option(
        "--format",
        "form",
        type=click.Choice(("table", "json", "jsonl")),
        default="table",
        show_default=True,
        help="What stdout is to hold.",
    ),
    click.option(
        "-o",
        "--output",
        "files",
        multiple=True,
        metavar="FILE",
        help="Also write this file; the suffix says how (.html, .jsonl, .json ...). Repeatable.",
    ),
)
