"""`bestdefense scan`: submit, wait, judge, report. The bulk job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import ask
from bestdefense_async.cli.options.runs import (
    RUN,
    SHARED_RUNS,
    SITE,
    recorded_policy,
    runs_name,
    runs_store,
    waive_options,
)
from bestdefense_async.cli.options.targets import Selection, TargetOptions, selected, sites_of
from bestdefense_async.cli.options.verdict import judged, report_options
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMATS, emit
from bestdefense_async.errors import ConfigError, TargetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.distributed.store import PostgresStore
    from bestdefense_async.models import ScanEvent, ScanOptions, Site
    from bestdefense_async.report.gate.policy import GatePolicy
    from bestdefense_async.runs import Target
    from bestdefense_async.runs.plan import Plan
    from bestdefense_async.runs.run import Run
    from bestdefense_async.runs.run_settings import RunSettings

_SHOWN: Final = 20
"""Targets that cannot be scanned and are named by a dry run; the rest is counted."""


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
            type=params.count(1, params.MOST_ACTIVE),
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
@click.argument("targets", nargs=-1, metavar="[TARGET...]", type=SITE)
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
    from bestdefense_async.cli.terminal.results import Results
    from bestdefense_async.cli.terminal.run_view import RunView, watch

    begun, resumed = None, flags.resume
    if resumed is not None:
        _check_resumption(targets, chosen, distributed)
    if gate.baseline is not None and resumed is not None:
        begun = runs_store().load(resumed)
    options = report_options(
        gate,
        output,
        recorded=None if resumed is None else recorded_policy(resumed),
        is_exit_zero=exit_zero,
        run=begun,
        inputs=(chosen.listing, chosen.exclude_from),
        waive_with=waive_options(resumed or "last", is_shared=distributed is not None),
    )
    connection.check()
    shared = None if distributed is None else _shared_store(distributed)
    selection = Selection(targets, chosen) if resumed is None else None

    async def work(interruption: Interruption) -> int:
        async with connection.client() as bd:
            found = () if selection is None else await selection.targets(bd)
            begin = partial(_run, bd, connection, flags, options.policy)
            if flags.dry_run:
                return await _dry_run(
                    bd,
                    found,
                    lambda them: _planned(begin(them), flags),
                    resumes=resumed,
                    format_=output.format_,
                )
            view = RunView(options=options, host=bd.base_url)
            run = begin(found, on_event=view.record)
            plan = await _planned(run, flags)
            with interruption.asking():
                _confirm(plan.creations, flags)
            if shared is not None:
                with Results(options) as results:
                    async with shared:
                        enqueued = partial(_enqueued, bd, found, shared, credential=credential)
                        name = await enqueued(options=_options(flags), policy=options.policy)
                        return await watch(shared, name, results, interruption)
            return await view.carry_out(run, plan, interruption)

    return run_async(work)


def _run(
    bd: BestDefense,
    connection: Connection,
    flags: ScanFlags,
    policy: GatePolicy,
    targets: Sequence[Target | Site],
    *,
    on_event: Callable[[ScanEvent], object] | None = None,
) -> Run:
    """Return the run that is asked for, not yet entered.

    Raises:
        ConfigError: The options contradict each other.
    """
    settings: RunSettings = {
        "max_active": flags.max_active,
        "scan_timeout": flags.timeout,
        "run_timeout": flags.run_timeout,
        "polling": connection.polling(),
        "on_event": on_event,
    }
    if flags.resume is not None:
        return bd.resume(flags.resume, store=runs_name(), **settings)
    settings["policy"] = policy
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


def _shared_store(database: str) -> PostgresStore:
    """Return the store of runs that workers carry out; nothing was opened yet.

    Raises:
        ConfigError: The database cannot be one.
    """
    from bestdefense_async.distributed.store import PostgresStore

    return PostgresStore(database)


async def _enqueued(
    bd: BestDefense,
    targets: Sequence[Target | Site],
    store: PostgresStore,
    *,
    credential: str,
    options: ScanOptions,
    policy: GatePolicy,
) -> str:
    """Begin a run for the workers of a database, say so, and return its name.

    Raises:
        BestDefenseError: The database cannot be used, or the sites cannot be listed.
    """
    from bestdefense_async.distributed.enqueue import enqueue
    from bestdefense_async.report.text import counted

    await store.waiting()  # what is wrong with it is said before anything is sent
    begun = await enqueue(
        bd, targets, store=store, credential=credential, options=options, policy=policy
    )
    streams.say(
        f"bestdefense: run {begun.name}: {counted(begun.targets, 'target')} for workers with the "
        f"credential {credential}" + (f", {begun.rejected} of no site" if begun.rejected else "")
    )
    return begun.name


async def _planned(run: Run, flags: ScanFlags) -> Plan:
    """Return the plan of a run.

    Raises:
        ConfigError: The run cannot end in the time that it is given.
    """
    plan = await run.plan()
    plan.check(run_timeout=flags.run_timeout, scan_timeout=flags.timeout)
    return plan


def _check_resumption(
    targets: tuple[str, ...], chosen: TargetOptions, distributed: str | None
) -> None:
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
    if distributed is not None:
        raise ConfigError("--distributed begins a run: leave out --resume.")


def _confirm(count: int, flags: ScanFlags) -> None:
    """Ask before more scans than agreed are started, each of which may cost money.

    Raises:
        ConfigError: Nobody can be asked.
        click.Abort: The answer is no.
    """
    if flags.confirm_over is not None and count > flags.confirm_over and not flags.yes:
        ask(
            f"Start {count} scans?",
            f"{count} scans would be started, more than --confirm-over {flags.confirm_over}.",
        )


async def _dry_run(
    bd: BestDefense,
    targets: Sequence[Target | Site],
    plan_of: Callable[[Sequence[Target | Site]], Awaitable[Plan]],
    *,
    resumes: str | None,
    format_: str,
) -> int:
    """Show what would be started; exit 0 when all targets can be, 3 when some, 2 when none.

    Args:
        bd: Knows the sites.
        targets: What is to be scanned, when the run is new.
        plan_of: Returns the plan of a run over targets; of one that is gone on with, whatever they
            are.
        resumes: The run that is gone on with.
        format_: How the targets are shown.
    """
    from bestdefense_async.report.text import counted
    from bestdefense_async.runs.source import text_of

    if format_ not in FORMATS:
        raise ConfigError(
            f"A dry run has no findings to show as {format_}: choose --format {', '.join(FORMATS)}."
        )
    if resumes is not None:
        plan = await plan_of(())
        emit("targets", await _left_of(resumes), format_)
        streams.say(f"dry run: {plan.sentence}; nothing was sent")
        return Exit.OK
    sites, refused = await _sites_of(bd, targets)
    records = [_record(text_of(target), site_id) for site_id, target in sites.items()]
    emit("targets", records, format_)
    plan = await plan_of(tuple(sites.values()))
    again = len(targets) - len(sites) - refused
    rest = f"; {counted(again, 'repeated target')} left out" if again else ""
    rest += f"; {counted(refused, 'target')} cannot be scanned" if refused else ""
    only = "nothing was sent but one request for the list of sites"
    streams.say(f"dry run: {plan.sentence}{rest}; {only}")
    return Exit.OK if not refused else Exit.INCOMPLETE if sites else Exit.USAGE


async def _left_of(name: str) -> list[dict[str, Any]]:
    """Return what is left to do of a run."""
    from bestdefense_async.runs.inputs import scan_of

    async with runs_store() as store:
        left = await (await store.record(name)).remaining()
    scans = [scan_of(each.item, index=each.index, priority=0) for each in left]
    return [
        _record(scan.text, scan.site_id if scan.target is None else scan.target.site_id)
        for scan in scans
    ]


async def _sites_of(
    bd: BestDefense, targets: Sequence[Target | Site]
) -> tuple[dict[str, Target | Site], int]:
    """Return the sites of targets, and how many targets have none; say why."""
    found: dict[str, Target | Site] = {}
    problems: list[str] = []
    async for target, site in sites_of(bd, targets):
        if isinstance(site, TargetError):
            problems.append(str(site))
        else:
            found.setdefault(site.id.lower(), target)
    for problem in problems[:_SHOWN]:
        streams.say(f"bestdefense: {problem}")
    if len(problems) > _SHOWN:
        streams.say(f"bestdefense: and {len(problems) - _SHOWN:,} more")
    return found, len(problems)


def _record(target: str, site_id: str | None) -> dict[str, Any]:
    return {"target": target, "site_id": site_id}
