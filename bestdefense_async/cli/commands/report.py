"""`bestdefense report`: render a saved run again, without a scan and without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.options.connection import ApiCommand
from bestdefense_async.cli.options.database import SHARED_RUNS
from bestdefense_async.cli.options.verdict import rendered
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions


@click.command("report", cls=ApiCommand)
@click.argument("run_name", metavar="RUN")
@click.option(
    "--compare",
    metavar="OLDER",
    help="Also say what is fixed, new and unchanged since this run.",
)
@SHARED_RUNS
@rendered
def command(run_name: str, *, gate: GateOptions, output: OutputOptions, compare: str | None) -> int:
    """Render a saved run again, in any format.

    RUN is a .json, .jsonl or .db file, - for stdin, a run by its name or the beginning of it,
    or last.
    The exit code is 0 whatever the run holds: `gate --run` is what judges it.

    \b
      bestdefense report last -o report.html -o report.md
      bestdefense report today.json --compare last-week.json --format md
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from attrs import evolve

    from bestdefense_async.cli.jobs.report_options import ReportOptions, load_run
    from bestdefense_async.cli.jobs.results import judge_and_write

    streams.require_stdout()
    run = load_run(run_name)
    report_options = ReportOptions.of(
        gate, output, is_exit_zero=True, older=compare, run=run, inputs=(run_name,)
    )
    # A pipeline was told about the run when it ended.
    return judge_and_write(run, evolve(report_options, step_summary=None, is_annotated=False))
