"""`bestdefense report`: render a saved run again, without a scan and without a token."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.connection import ApiCommand
from bestdefense_async.cli.options.runs import RUN, SHARED_RUNS, load_run, waive_options
from bestdefense_async.cli.options.verdict import rendered, report_options
from bestdefense_async.cli.terminal import streams

if TYPE_CHECKING:
    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions


@click.command("report", cls=ApiCommand)
@click.argument("run_name", metavar="RUN", type=RUN)
@click.option(
    "--compare",
    type=RUN,
    metavar="OLDER",
    help="Also say what is fixed, new and unchanged since this run.",
)
@SHARED_RUNS
@click.option("--open", "is_opened", is_flag=True, help="Open the HTML report in a browser.")
@rendered
def command(
    run_name: str,
    *,
    gate: GateOptions,
    output: OutputOptions,
    compare: str | None,
    is_opened: bool,
) -> int:
    """Render a saved run again, in any format.

    RUN is a .json, .jsonl or .db file, - for stdin, a run by its name or the beginning of it,
    or last.
    It is judged by the rules that it began with, unless there are others. The exit code is 0
    whatever it holds: `gate --run` is what judges it.

    \b
      bestdefense report last --open
      bestdefense report last -o report.html -o report.md
      bestdefense report today.json --compare last-week.json --format md
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from attrs import evolve

    from bestdefense_async.cli.terminal.results import judge_and_write

    if is_opened:
        output = _with_page(output)
    run = load_run(run_name)
    recorded = run.policy
    if recorded is None and run.judged_by is not None:
        recorded = {"fail_on": run.judged_by}
    options = report_options(
        gate,
        output,
        recorded=recorded,
        is_exit_zero=True,
        older=compare,
        run=run,
        inputs=(run_name,),
        waive_with=waive_options(run_name),
    )
    # A pipeline was told about the run when it ended.
    code = judge_and_write(run, evolve(options, step_summary=None, is_annotated=False))
    if is_opened and code == Exit.OK:
        _open(next(name for name in output.files if name.lower().endswith(".html")))
    return code


def _with_page(output: OutputOptions) -> OutputOptions:
    """Return what to write with an HTML report in it; one that nobody named is a private file."""
    import tempfile

    if any(name.lower().endswith(".html") for name in output.files):
        return output
    handle, path = tempfile.mkstemp(prefix="bestdefense-", suffix=".html")
    os.close(handle)
    return output._replace(files=(*output.files, path))


def _open(name: str) -> None:
    """Show a file in the browser, or say where it is."""
    import webbrowser
    from pathlib import Path

    path = Path(name).absolute()
    is_shown = webbrowser.open(path.as_uri())
    streams.note(f"The report is {path}." if is_shown else f"No browser opens: it is {path}.")
