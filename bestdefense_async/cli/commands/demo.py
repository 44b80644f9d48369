"""`bestdefense demo`: the whole thing in ten seconds, with nothing to configure."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.exits import told_as
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import SANDBOX_SPEED
from bestdefense_async.cli.options.grammar import Command
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.results import ReportOptions
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.sandbox import Sandbox

FOLDER: Final = Path("bestdefense-demo")
"""Where the demo leaves its files."""

_PATIENCE: Final = 5.0
"""Seconds after which a scan is given up: one is planted that never ends."""


@click.command("demo", cls=Command)
@click.option(
    "--sites", type=params.count(1, 2000), default=200, show_default=True, help="Sites to scan."
)
def command(sites: int) -> int:
    """Scan 200 sites of a built-in sandbox, live, and write a report.

    Nothing leaves this machine. Some things go wrong on purpose: rate limits, a scan that never
    ends, a site that may not be scanned.
    """
    report_options = _report_options()

    async def work(interruption: Interruption) -> int:
        from bestdefense_async.sandbox import Sandbox

        async with Sandbox(sites=sites, scenario="mixed") as sandbox:
            code = await _scan(sandbox, report_options, interruption)
        if not interruption.count:
            _say_next()
        return code

    return run_async(work)


def _report_options() -> ReportOptions:
    """Make the folder, and return options that write the results to it."""
    from bestdefense_async.cli.terminal.results import ReportOptions
    from bestdefense_async.report.gate.policy import GatePolicy

    with told_as(f"The folder {FOLDER} cannot be made here"):
        FOLDER.mkdir(exist_ok=True)
    return ReportOptions(
        policy=GatePolicy(),
        format_=None,
        files=(str(FOLDER / "report.html"), str(FOLDER / "run.jsonl")),
        # The failures are part of the demo, which has worked.
        is_exit_zero=True,
    )


async def _scan(sandbox: Sandbox, report_options: ReportOptions, interruption: Interruption) -> int:
    from bestdefense_async import BestDefense, ScanOptions
    from bestdefense_async.cli.terminal.run_view import RunView
    from bestdefense_async.core.polling import PollPolicy

    names = sandbox.hostnames
    if len(names) > 1:
        sandbox.script(names[len(names) // 2], duration=float("inf"))
    async with BestDefense(sandbox.token, sandbox.url) as bd:
        view = RunView(options=report_options, host=bd.base_url, is_demo=True)
        run = bd.scan_many(
            names,
            options=ScanOptions(intensity="quick"),
            max_active=len(names),
            scan_timeout=_PATIENCE,
            polling=PollPolicy(speed=SANDBOX_SPEED),
            on_event=view.record,
        )
        return await view.carry_out(run, await run.plan(), interruption)


def _say_next() -> None:
    streams.say_block(
        f"\nThese failures are part of the demo. The report is {FOLDER / 'report.html'}: open it "
        "in a browser.\n"
        "With a token from the app (Profile, API tokens) in BD_API_TOKEN, the same program scans "
        "your sites.\n"
        "Next, the run as a table:\n"
        f"  {_program()} report {FOLDER / 'run.jsonl'}"
    )


def _program() -> str:
    """Return what to type, where the person stands, to start this program."""
    import shlex
    import shutil

    folder = Path(sys.executable).parent
    found = shutil.which("bestdefense")
    # `run.py` puts this folder on the path of the demo, not on the person's own.
    is_theirs = found is not None and Path(found).parent != folder
    if is_theirs or (found is not None and os.environ.get("VIRTUAL_ENV") == sys.prefix):
        return "bestdefense"
    script = shutil.which("bestdefense", path=str(folder))
    if script is None:
        return shlex.join([sys.executable, "-m", "bestdefense_async"])
    here = Path.cwd()
    is_below = folder.is_relative_to(here) and folder != here
    return shlex.quote(str(Path(script).relative_to(here)) if is_below else script)
