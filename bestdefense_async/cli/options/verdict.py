"""The options of commands with a verdict: what to judge by, what to show, where to write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.runs import RUN, load_run, named_again, runs_name, runs_store
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import onto_stdout
from bestdefense_async.cli.terminal.words import today

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bestdefense_async.cli.options.params import Command
    from bestdefense_async.cli.terminal.results import ReportOptions
    from bestdefense_async.report.gate.policy import GatePolicy
    from bestdefense_async.report.result import RunResult

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
    allow_incomplete: str | None

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
            help="Fail on findings of this severity or worse. [default: high in gate; elsewhere as "
            "the run began, else high in CI, else none]",
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
            type=click.Path(),
            metavar="FILE",
            help="Findings that this file waives, each with a reason and a last day, do not fail.",
        ),
        click.option(
            "--allow-incomplete",
            type=params.ALLOWANCE,
            help="Sites that may stay without a verdict, like 3 or 5%.  [default: 0]",
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
            callback=onto_stdout,
            help="What to write to stdout; xml is JUnit, gitlab a DAST report.",
        ),
        click.option(
            "-o",
            "--output",
            "files",
            multiple=True,
            type=click.Path(),
            metavar="FILE",
            help="Also write this file; its suffix says how: .json, .jsonl, .sarif, .xml (JUnit), "
            ".md, .html, .csv or .gitlab.json. Repeatable.",
        ),
    ),
)


def report_options(
    gate: GateOptions,
    output: OutputOptions,
    *,
    usual: str = "none",
    recorded: Mapping[str, Any] | None = None,
    is_exit_zero: bool = False,
    older: str | None = None,
    run: RunResult | None = None,
    inputs: Iterable[str | None] = (),
    waive_with: str | None = "",
) -> ReportOptions:
    """Return what the options of a command say.

    Args:
        gate: What to judge by.
        output: What to show and write.
        usual: The threshold without `--fail-on`; in CI it is `high` for every command.
        recorded: The rules that the run began with: they go before what is usual.
        is_exit_zero: Return 0 whatever the verdict says.
        older: A run to compare with, by name; None takes the baseline.
        run: The run itself, where it has begun.
        inputs: Other files that the command reads: a list, a saved run.
        waive_with: The options by which `waive` finds the run; None where it cannot.

    Raises:
        ConfigError: A suffix of a file names no format, the baseline or the waivers cannot
            be read or is the run itself, or the policy makes no sense.
        JournalError: There is no such baseline.
    """
    from bestdefense_async.cli.terminal.results import ReportOptions
    from bestdefense_async.report.gate.identity import refuse_same_scans
    from bestdefense_async.report.gate.waivers import read_waivers

    baseline = None if gate.baseline is None else _older(gate.baseline, run)
    if run is not None and baseline is not None:  # said before anything is sent
        refuse_same_scans(run.outcomes, baseline.outcomes)
    return ReportOptions(
        policy=_policy(gate, usual="high" if streams.is_ci() else usual, recorded=recorded),
        format_=output.format_,
        files=output.files,
        min_severity=output.min_severity,
        is_exit_zero=is_exit_zero,
        baseline=baseline,
        waivers=None if gate.waivers is None else read_waivers(gate.waivers, today=today()),
        older=baseline if older is None else _older(older, run),
        step_summary=os.environ.get("GITHUB_STEP_SUMMARY") or None,
        inputs=tuple(filter(None, (gate.baseline, gate.waivers, older, str(runs_name()), *inputs))),
        is_annotated=os.environ.get("GITHUB_ACTIONS") == "true",
        waive_with=waive_with,
        named=named_again("{}"),
    )


def _policy(gate: GateOptions, *, usual: str, recorded: Mapping[str, Any] | None) -> GatePolicy:
    """Return the rules. A limit somebody gave replaces the usual threshold for its severity."""
    from attrs import evolve

    from bestdefense_async.models import SEVERITIES, Severity
    from bestdefense_async.report.gate.policy import GatePolicy, policy_from

    allowed = gate.allow_incomplete
    if recorded is not None and gate.fail_on is None and not gate.max_counts:
        policy = policy_from(recorded)
        # A run without any rule says nothing about what a pipeline wants.
        if policy.fail_on is not None or policy.max_counts:
            return policy if allowed is None else evolve(policy, allow_incomplete=allowed)
    fail_on, limits = gate.fail_on or usual, gate.max_counts
    if gate.fail_on is None and usual != "none":
        least = Severity(usual).rank
        above = {str(severity): 0 for severity in SEVERITIES if severity.rank >= least}
        if above.keys() & limits.keys():
            fail_on, limits = "none", above | limits
    return GatePolicy(fail_on=Severity(fail_on), max_counts=limits, allow_incomplete=allowed or "0")


def _older(name: str, run: RunResult | None) -> RunResult:
    from bestdefense_async.runs.store.doors import load_older

    return load_run(name) if run is None else load_older(name, run, store=runs_store())
