"""`bestdefense gate`: judge finished reports or a saved run, without a scan."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, connected
from bestdefense_async.cli.options.runs import RUN, SHARED_RUNS, load_run, waive_options
from bestdefense_async.cli.options.verdict import judged, report_options
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.errors import ConfigError

if TYPE_CHECKING:
    import asyncio

    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions
    from bestdefense_async.cli.terminal.results import ReportOptions
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Outcome, ReportSummary

_AT_ONCE: Final = 20
"""Reports that are read at the same time."""


@click.command("gate", cls=ApiCommand)
@click.argument("report_ids", nargs=-1, metavar="[REPORT_ID...]", type=params.REPORT_ID)
@click.option(
    "--run",
    "run_name",
    type=RUN,
    metavar="RUN",
    help="Judge a saved run: a .json, .jsonl or .db file, -, a run by its name, or last.",
)
@SHARED_RUNS
@judged
@connected
def command(
    report_ids: tuple[str, ...],
    run_name: str | None,
    *,
    gate: GateOptions,
    output: OutputOptions,
    exit_zero: bool,
    connection: Connection,
) -> int:
    """Judge reports or a saved run: exit 1 when a rule is broken.

    What has no verdict leaves the gate incomplete: exit 3. With --run no token is needed.

    \b
      bestdefense gate 4f0c1c9e-7a55-4f0b-9a4e-0d6a6f7d1c11 --fail-on critical
      bestdefense gate --run last --max-critical 0 --max-high 5
      bestdefense gate --run run.json --baseline last-week.json --waivers waivers.toml
    """  # noqa: D301  # \b is click's mark for text it must not fill
    from bestdefense_async.cli.terminal.results import judge_and_write

    if report_ids and run_name is not None:
        raise ConfigError("Judge either reports or a run: leave out --run or the report ids.")
    if not report_ids and run_name is None:
        raise ConfigError("Nothing to judge: name reports by their ids, or a run with --run.")
    run = None if run_name is None else load_run(run_name)
    options = report_options(
        gate,
        output,
        usual="high",
        is_exit_zero=exit_zero,
        run=run,
        inputs=(run_name,),
        waive_with=waive_options(run_name),
    )
    if run is not None:
        return judge_and_write(run, options)
    return _judge_reports(connection, tuple(dict.fromkeys(report_ids)), options)


def _judge_reports(
    connection: Connection, report_ids: tuple[str, ...], options: ReportOptions
) -> int:
    import asyncio

    from bestdefense_async.cli.terminal.results import judge_and_write

    async def work(_: Interruption) -> int:
        from attrs import evolve

        from bestdefense_async.report.result import RunResult

        started = time.time()
        is_site_needed = options.baseline is not None
        async with connection.client() as bd:
            slots = asyncio.Semaphore(_AT_ONCE)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_outcome(bd, one, slots, is_site_needed=is_site_needed))
                    for one in report_ids
                ]
            run = RunResult(
                outcomes=tuple(
                    evolve(task.result(), index=index) for index, task in enumerate(tasks)
                ),
                name="gate",
                started_at=started,
                finished_at=time.time(),
                base_url=bd.base_url,
            )
        return judge_and_write(run, options)

    return run_async(work)


async def _outcome(
    bd: BestDefense, report_id: str, slots: asyncio.Semaphore, *, is_site_needed: bool
) -> Outcome:
    """Return the outcome of one report; it says what keeps it from being judged.

    Raises:
        ConfigError: That cannot be the id of a report, or its site cannot be found out.
    """
    from bestdefense_async.errors import BestDefenseError, RunStopped, ScanFailed
    from bestdefense_async.models import Outcome, OutcomeStatus, status_of

    async with slots:
        try:
            progress = await bd.reports.progress(report_id)
            if progress.has_failed:
                raise ScanFailed(report_id, status=progress.status or "", message=progress.message)
            if not progress.is_completed:
                raise RunStopped("The scan is not complete: wait for it first.")
            alerts = await bd.reports.findings(report_id)
            report = await _summary(bd, report_id, is_site_needed=is_site_needed)
        except ConfigError:
            raise
        except BestDefenseError as error:
            return Outcome(
                target=report_id,
                status=status_of(error, report_id=report_id),
                report_id=report_id,
                error=error.with_traceback(None),
            )
    return Outcome(
        target=report_id if report is None else report.hostname or report_id,
        status=OutcomeStatus.DONE,
        site_id=None if report is None else report.site_id,
        report_id=report_id,
        risk=alerts.risk,
        findings=alerts.findings,
    )


async def _summary(
    bd: BestDefense, report_id: str, *, is_site_needed: bool
) -> ReportSummary | None:
    """Return which site a report is of; None when the host has no confirmed way to ask.

    Raises:
        ConfigError: There is no way, and a baseline needs the site.
    """
    from bestdefense_async.errors import BestDefenseError, ProvisionalRoute

    try:
        return await bd.reports.get(report_id)
    except ProvisionalRoute:
        pass
    except BestDefenseError:
        return None
    if is_site_needed:
        raise ConfigError(
            "This host does not tell which site a report is of, so a baseline cannot be used: "
            "save the scan with -o run.json and judge it with --run run.json."
        )
    return None
