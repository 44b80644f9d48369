"""`bestdefense scan`: submit, wait, judge, report. The bulk job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.verdict import judged
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    from bestdefense_async.cli.jobs.bulk_run import RunOptions
    from bestdefense_async.cli.jobs.prepared_run import NewRun, ResumedRun
    from bestdefense_async.cli.jobs.report_options import ReportOptions
    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions
    from bestdefense_async.cli.terminal.signals import Interruption


class ScanFlags(NamedTuple):
    """What to scan for, how fast, and what to do before anything is started."""

    types: tuple[str, ...]
    intensity: str | None
    mode: str | None
    max_active: int
    timeout: float | None
    run_timeout: float | None
    resume: str | None
    dry_run: bool
    confirm_over: int | None
    yes: bool
    quiet: bool


_flags = params.options_as(
    "flags",
    ScanFlags,
    (
        params.TYPES,
        params.INTENSITY,
        click.option("--mode", type=click.Choice(vendor.MODES), help="The scan engine."),
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
            "--resume", metavar="RUN", help="Go on with a run that was left before its end."
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
        click.option(
            "-q", "--quiet", is_flag=True, help="No progress, only warnings and the verdict."
        ),
    ),
)


@click.command("scan", cls=ApiCommand)
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option(
    "-l",
    "--list",
    "listing",
    metavar="FILE",
    help="Targets, one a line; # starts a comment, - is stdin.",
)
@_flags
@judged
@connected
def command(
    targets: tuple[str, ...],
    listing: str | None,
    *,
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
      bestdefense scan --resume last
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.cli.jobs.prepared_run import dry_run, plan_of, sentence_of
    from bestdefense_async.cli.jobs.report_options import ReportOptions

    streams.require_stdout()
    if flags.resume is not None and gate.baseline == "last":
        gate = gate._replace(baseline=_run_before(flags.resume))
    report_options = ReportOptions.of(gate, output, usual="none", is_exit_zero=exit_zero)
    connection.check()
    run: NewRun | ResumedRun = (
        _new_run(targets, listing, flags)
        if flags.resume is None
        else _resumed_run(targets, listing, flags.resume)
    )
    run_options = _run_options(connection, run, flags)
    if flags.dry_run:
        return dry_run(connection, run, run_options, output.format_)
    plan = plan_of(run, run_options)
    plan.check(run_timeout=run_options.run_timeout, scan_timeout=run_options.scan_timeout)
    _confirm(plan.creations, flags.confirm_over, is_agreed=flags.yes)
    return _scan(connection, run, run_options, report_options, plan=sentence_of(plan))


def _new_run(targets: tuple[str, ...], listing: str | None, flags: ScanFlags) -> NewRun:
    from bestdefense_async.cli.jobs.prepared_run import NewRun
    from bestdefense_async.cli.options.targets import collect
    from bestdefense_async.models import ScanOptions
    from bestdefense_async.report.text import counted

    options = ScanOptions(types=flags.types, intensity=flags.intensity, mode=flags.mode)
    if "security" not in options.types and (options.intensity or options.mode):
        raise ConfigError("--intensity and --mode belong to a security scan: add it to --type.")
    found = collect(targets, listing)
    if found.repeated:
        verb = "is" if found.repeated == 1 else "are"
        streams.say(
            f"bestdefense: {counted(found.repeated, 'repeated target')} {verb} scanned once"
        )
    return NewRun(found.unique, options)


def _resumed_run(targets: tuple[str, ...], listing: str | None, name: str) -> ResumedRun:
    """Return the run to go on with; what it scans and how was decided when it began.

    Raises:
        ConfigError: An option contradicts what the run has decided.
        JournalError: There is no such run, or it cannot be read.
    """
    from bestdefense_async.cli.jobs.prepared_run import ResumedRun

    source = click.get_current_context().get_parameter_source
    given = [
        f"--{option.removesuffix('s')}"
        for option in ("types", "intensity", "mode")
        if source(option) is click.core.ParameterSource.COMMANDLINE
    ]
    given += ["targets"] if targets else []
    given += ["--list"] if listing is not None else []
    if given:
        raise ConfigError(
            f"--resume goes on with the targets and the options of the run: "
            f"leave out {' and '.join(given)}."
        )
    return ResumedRun.find(name)


def _run_before(name: str) -> str:
    """Return the run that `last` means beside a run that is resumed: the newest when it began.

    By now `last` may be the run itself, which would approve whatever it has found.

    Raises:
        ConfigError: There was none.
        JournalError: There is no such run, or it cannot be read.
    """
    from bestdefense_async.cli.jobs.prepared_run import ResumedRun

    info = ResumedRun.find(name).info
    if info.previous is None:
        raise ConfigError(f"There is no run before {info.name}: --baseline last means none.")
    return info.previous


def _run_options(connection: Connection, run: NewRun | ResumedRun, flags: ScanFlags) -> RunOptions:
    from bestdefense_async.cli.jobs.bulk_run import RunOptions
    from bestdefense_async.cli.jobs.one_call import poll_policy
    from bestdefense_async.cli.jobs.prepared_run import earlier_scans

    samples = earlier_scans(connection, run.options)
    return RunOptions(
        options=run.options,
        max_active=flags.max_active,
        scan_timeout=flags.timeout,
        run_timeout=flags.run_timeout,
        polling=poll_policy(connection, samples),
        samples=samples,
        verbosity=-1 if flags.quiet else connection.verbosity,
    )


def _scan(
    connection: Connection,
    run: NewRun | ResumedRun,
    run_options: RunOptions,
    report_options: ReportOptions,
    *,
    plan: str,
) -> int:
    from bestdefense_async.cli.jobs.bulk_run import BulkRun
    from bestdefense_async.cli.jobs.results import Results
    from bestdefense_async.cli.terminal.tally import Throttling

    async def work(interruption: Interruption) -> int:
        throttling = Throttling()
        with Results(report_options) as results:
            if run_options.verbosity >= 0:
                streams.say(f"bestdefense: {plan}")
            async with connection.client(hooks=(throttling,)) as bd:
                bulk = BulkRun(bd, run_options, results, throttling, run.total)
                ended = await bulk.run(run.opened, interruption)
            code = results.conclude(
                ended, is_interrupted=bool(interruption.count), resume=ended.name
            )
            if bulk.lost is not None:  # told last: the results are out
                raise bulk.lost
            return code

    return run_async(work)


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
