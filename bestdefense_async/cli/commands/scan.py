"""`bestdefense scan`: submit, wait, judge, report. The bulk job."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.completing import RUN
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.database import SHARED_RUNS, runs_name, runs_store, the_extra
from bestdefense_async.cli.options.targets import Selection, TargetOptions, selected
from bestdefense_async.cli.options.verdict import judged
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.cli.jobs.report_options import ReportOptions
    from bestdefense_async.cli.jobs.shared_run import BeginShared
    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import ScanEvent, ScanOptions, Site
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs import Target
    from bestdefense_async.runs.plan import Plan
    from bestdefense_async.runs.run import Run
    from bestdefense_async.runs.run_settings import RunSettings


class ScanFlags(NamedTuple):
    """What to scan for, how fast, and what to do before anything is started."""

    types: tuple[str, ...]
    intensity: str | None
    mode: str | None
    test: str | None
    max_active: int
    timeout: float | None
    run_timeout: float | None
    resume: str | None
    dry_run: bool
    confirm_over: int | None
    yes: bool


_flags = params.options_as(
    "flags",
    ScanFlags,
    (
        params.TYPES,
        params.INTENSITY,
        params.MODE,
        params.TEST,
        click.option(
            "--max-active",
            type=params.count(1, 100_000),
            default=100,
            show_default=True,
            help="Scans under way at the same time.",
        ),
        click.option("--timeout", type=params.SECONDS, help="Longest time for one scan, like 2h."),
        click.option("--run-timeout", type=params.SECONDS, help="Longest time for the whole run."),
        click.option(
            "--resume",
            type=RUN,
            metavar="RUN",
            help="Go on with a run that was left before its end.",
        ),
        click.option(
            "--dry-run", is_flag=True, help="Show what would be started, and start nothing."
        ),
        click.option(
            "--confirm-over",
            type=params.count(),
            help="Ask before more than this many scans are started.",
        ),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    ),
)


@click.command("scan", cls=ApiCommand)
@click.argument("targets", nargs=-1, metavar="TARGET...")
@selected
@click.option(
    "--distributed",
    metavar="URL",
    help="Let the workers of this database carry it out; Ctrl-C ends the watching, not the run.",
)
@click.option(
    "--credential",
    default="default",
    show_default=True,
    metavar="NAME",
    help="With --distributed: what the workers call this token.",
)
@SHARED_RUNS
@_flags
@judged
@connected
def command(
    targets: tuple[str, ...],
    distributed: str | None,
    credential: str,
    *,
    chosen: TargetOptions,
    flags: ScanFlags,
    gate: GateOptions,
    output: OutputOptions,
    exit_zero: bool,
    connection: Connection,
) -> int:
    """Scan sites and wait for the results.

    A TARGET is a host name, a URL or a site id. Results go to stdout, everything else to stderr.
    Each run is recorded as it happens: after Ctrl-C, a reboot or a crash it can be resumed, and no
    scan is started twice.

    \b
      bestdefense scan www.example.com --fail-on high
      bestdefense scan -l hosts.txt -o report.html -o run.jsonl
      bestdefense scan --all --exclude '*.staging.*'
      bestdefense scan --resume last
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.cli.jobs.dry_run import dry_run
    from bestdefense_async.cli.jobs.report_options import ReportOptions
    from bestdefense_async.cli.jobs.run_view import RunView

    streams.require_stdout()
    begun = None if gate.baseline is None else _begun(flags.resume)
    read = (chosen.listing, chosen.exclude_from)
    report_options = ReportOptions.of(
        gate, output, usual="none", is_exit_zero=exit_zero, run=begun, inputs=read
    )
    connection.check()
    selection: Selection | None = None
    if flags.resume is None:
        selection = Selection(targets, chosen)
    else:
        _check_resumption(targets, chosen)

    begin_shared = None
    if distributed is not None:
        begin_shared = _handed_over(flags, report_options, distributed, credential)

    async def work(interruption: Interruption) -> int:
        async with connection.client() as bd:
            found = () if selection is None else await selection.targets(bd)
            begin = partial(_run, bd, connection, flags)
            if flags.dry_run:
                return await dry_run(
                    bd,
                    found,
                    lambda them: _planned(begin(them), flags),
                    resumes=flags.resume,
                    format_=output.format_,
                )
            view = RunView(options=report_options, host=bd.base_url, verbosity=connection.verbosity)
            run = begin(found, on_event=view.record)
            plan = await _planned(run, flags)
            with interruption.asking():
                _confirm(plan.creations, flags.confirm_over, is_agreed=flags.yes)
            if begin_shared is not None:
                return await begin_shared(bd, found, _options(flags), interruption)
            return await view.carry_out(run, plan, interruption)

    return run_async(work)


def _run(
    bd: BestDefense,
    connection: Connection,
    flags: ScanFlags,
    targets: Sequence[Target | Site],
    *,
    on_event: Callable[[ScanEvent], object] | None = None,
) -> Run:
    """Return the run that is asked for, not yet entered.

    Raises:
        ConfigError: The options contradict each other.
    """
    from bestdefense_async.cli.jobs.one_call import poll_policy

    settings: RunSettings = {
        "max_active": flags.max_active,
        "scan_timeout": flags.timeout,
        "run_timeout": flags.run_timeout,
        "polling": poll_policy(connection),
        "on_event": on_event,
    }
    if flags.resume is not None:
        return bd.resume(flags.resume, store=runs_name(), **settings)
    return bd.scan_many(targets, options=_options(flags), store=runs_name(), **settings)


def _options(flags: ScanFlags) -> ScanOptions:
    """Return what to scan for.

    Raises:
        ConfigError: The options contradict each other.
    """
    from bestdefense_async.models import ScanOptions

    options = ScanOptions(
        types=flags.types, intensity=flags.intensity, mode=flags.mode, testing_type=flags.test
    )
    of_security = (flags.intensity, flags.mode, flags.test)
    if "security" not in options.types and any(each is not None for each in of_security):
        raise ConfigError(
            "--intensity, --mode and --test belong to a security scan: add it to --type."
        )
    return options


def _handed_over(
    flags: ScanFlags, report_options: ReportOptions, database: str, credential: str
) -> BeginShared:
    """Return what begins a run for the workers of a database, and watches it."""
    if flags.resume is not None:
        raise ConfigError("--distributed begins a run: leave out --resume.")
    with the_extra():
        from bestdefense_async.cli.jobs.shared_run import BeginShared
    return BeginShared(report_options, database, credential)


async def _planned(run: Run, flags: ScanFlags) -> Plan:
    """Return the plan of a run.

    Raises:
        ConfigError: The run cannot end in the time that it is given.
    """
    plan = await run.plan()
    plan.check(run_timeout=flags.run_timeout, scan_timeout=flags.timeout)
    return plan


def _begun(name: str | None) -> RunResult | None:
    """Return the run that is to be gone on with; None when it is new."""
    return None if name is None else runs_store().load(name)


def _check_resumption(targets: tuple[str, ...], chosen: TargetOptions) -> None:
    """Refuse what a run has decided when it began: what it scans and how.

    Raises:
        ConfigError: An option contradicts it.
    """
    source = click.get_current_context().get_parameter_source
    given = [
        f"--{option.removesuffix('s')}"
        for option in ("types", "intensity", "mode", "test")
        if source(option) is click.core.ParameterSource.COMMANDLINE
    ]
    given += [*(["targets"] if targets else []), *chosen.given]
    if given:
        raise ConfigError(
            f"--resume goes on with the targets and the options of the run: "
            f"leave out {' and '.join(given)}."
        )


def _confirm(count: int, most: int | None, *, is_agreed: bool) -> None:
    """Ask before more scans than agreed are started, each of which may cost money.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if most is None or count <= most or is_agreed:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError(
            f"{count} scans would be started, more than --confirm-over {most}. Add -y to agree."
        )
    click.confirm(f"Start {count} scans?", abort=True, err=True)
