"""`bestdefense scan`: submit, wait, judge, report. The bulk job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import (
    ApiCommand,
    Connection,
    connected,
    connection,
    verbosity,
)
from bestdefense_async.cli.options.verdict import judged
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import Interruption, run_async
from bestdefense_async.errors import ConfigError
from bestdefense_async.report.text import counted

if TYPE_CHECKING:
    from bestdefense_async.cli.jobs.bulk import RunOptions
    from bestdefense_async.cli.jobs.judging import ReportOptions
    from bestdefense_async.cli.jobs.recording import NewRun, ResumedRun
    from bestdefense_async.models import ScanOptions


@click.command("scan", cls=ApiCommand)
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option(
    "-l",
    "--list",
    "listing",
    metavar="FILE",
    help="Targets, one a line; # starts a comment, - is stdin.",
)
@params.TYPES
@params.INTENSITY
@click.option("--mode", type=click.Choice(params.MODE_WORDS), help="The scan engine.")
@click.option(
    "--max-active",
    type=params.count(1, 100_000),
    default=100,
    show_default=True,
    help="Scans under way at the same time.",
)
@click.option("--timeout", type=params.SECONDS, help="Longest time for one scan, like 2h.")
@click.option("--run-timeout", type=params.SECONDS, help="Longest time for the whole run.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was left before its end.")
@click.option("--dry-run", is_flag=True, help="Show what would be started, and start nothing.")
@click.option(
    "--confirm-over",
    type=params.count(),
    help="Ask before more than this many scans are started.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@judged
@connected
@click.option("-q", "--quiet", is_flag=True, help="No progress, only warnings and the verdict.")
def command(targets: tuple[str, ...], listing: str | None, **words: Any) -> int:  # noqa: ANN401
    """Scan sites and wait for the results.

    A TARGET is a host name, a URL or a site id. Results go to stdout, everything else to stderr.
    Each run is recorded as it happens: after Ctrl-C, a reboot or a crash it can be resumed, and no
    scan is started twice.

    \b
      bestdefense scan www.example.com --fail-on high
      bestdefense scan -l hosts.txt -o report.html -o run.jsonl
      bestdefense scan --resume last
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.cli.jobs.judging import ReportOptions

    streams.require_stdout()
    asked = connection()
    report_options = ReportOptions.from_words(words)
    asked.check()
    if words["resume"] is None:
        run: NewRun | ResumedRun = _new_run(targets, listing, words)
    else:
        run = _resumed_run(targets, listing, words)
    run_options = _manner(asked, run.options, words)
    if words["dry_run"]:
        from bestdefense_async.cli.jobs.planning import dry_run

        return dry_run(asked, run, run_options, words["format_"])
    from bestdefense_async.cli.jobs.planning import plan_of, sentence_of

    plan = plan_of(run, run_options)
    plan.check(run_timeout=run_options.run_timeout, scan_timeout=run_options.scan_timeout)
    _confirm(plan.creations, words["confirm_over"], is_agreed=words["yes"])
    return _scan(asked, run, run_options, report_options, plan=sentence_of(plan))


def _new_run(targets: tuple[str, ...], listing: str | None, words: dict[str, Any]) -> NewRun:
    from bestdefense_async.cli.jobs.recording import NewRun
    from bestdefense_async.cli.options.targets import collect
    from bestdefense_async.models import ScanOptions

    options = ScanOptions(types=words["types"], intensity=words["intensity"], mode=words["mode"])
    if "security" not in options.types and (options.intensity or options.mode):
        raise ConfigError("--intensity and --mode belong to a security scan: add it to --type.")
    found = collect(targets, listing)
    if found.repeated:
        verb = "is" if found.repeated == 1 else "are"
        streams.say(
            f"bestdefense: {counted(found.repeated, 'repeated target')} {verb} scanned once"
        )
    return NewRun(found.unique, options)


def _resumed_run(
    targets: tuple[str, ...], listing: str | None, words: dict[str, Any]
) -> ResumedRun:
    """Return the run to go on with; what it scans and how was decided when it began.

    Raises:
        ConfigError: Something is asked for that the run has decided.
        JournalError: There is no such run, or it cannot be read.
    """
    from bestdefense_async.cli.jobs.recording import ResumedRun

    context = click.get_current_context()
    given = [
        f"--{name.removesuffix('s')}"
        for name in ("types", "intensity", "mode")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    given += ["targets"] if targets else []
    given += ["--list"] if listing is not None else []
    if given:
        raise ConfigError(
            f"--resume goes on with the targets and the options of the run: "
            f"leave out {' and '.join(given)}."
        )
    return ResumedRun.find(words["resume"])


def _manner(asked: Connection, options: ScanOptions, words: dict[str, Any]) -> RunOptions:
    from bestdefense_async.cli.jobs.bulk import RunOptions
    from bestdefense_async.cli.jobs.calling import poll_policy
    from bestdefense_async.cli.jobs.planning import earlier_scans

    samples = earlier_scans(asked, options)
    return RunOptions(
        options=options,
        max_active=words["max_active"],
        scan_timeout=words["timeout"],
        run_timeout=words["run_timeout"],
        polling=poll_policy(asked, samples),
        samples=samples,
        verbosity=-1 if words["quiet"] else verbosity(),
    )


def _scan(
    asked: Connection,
    run: NewRun | ResumedRun,
    run_options: RunOptions,
    report_options: ReportOptions,
    *,
    plan: str,
) -> int:
    from bestdefense_async.cli.jobs.results import Results

    async def work(interruption: Interruption) -> int:
        from bestdefense_async.cli.jobs.bulk import Bulk
        from bestdefense_async.cli.terminal.tally import Throttling

        throttling = Throttling()
        with Results(report_options) as results:
            if run_options.verbosity >= 0:
                streams.say(f"bestdefense: {plan}")
            async with (
                asked.client(hooks=(throttling,)) as bd,
                run.opened(asked, bd) as workload,
            ):
                bulk = Bulk(bd, run_options, results, throttling)
                ended = await bulk.run(workload, interruption)
                # Before the journal is closed: should that fail, the results are out.
                return results.conclude(
                    ended, is_interrupted=bool(interruption.count), resume=workload.name
                )

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
            f"{count} scans would be started, more than --confirm-over {most}: add -y to agree."
        )
    click.confirm(f"Start {count} scans?", abort=True, err=True)
