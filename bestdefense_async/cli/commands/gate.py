"""`bestdefense gate`: judge reports that are finished, without a new scan."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import click

from bestdefense_async.cli import streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.running import Interruption, run_async
from bestdefense_async.cli.verdict_options import Judging, judged

if TYPE_CHECKING:
    from bestdefense_async.client import BestDefense
    from bestdefense_async.output.run import Row

_AT_ONCE: Final = 20
"""Reports that are read at the same time."""


@click.command("gate", cls=ApiCommand)
@click.argument("report_ids", nargs=-1, required=True, metavar="REPORT_ID...")
@judged
@connected
def command(report_ids: tuple[str, ...], **words: Any) -> int:  # noqa: ANN401  # options by name
    """Judge finished reports: exit 1 when one has findings at or above --fail-on.

    A report that is not complete has no verdict: the gate is incomplete then, exit 3.
    """
    from bestdefense_async.cli.results import Results

    streams.require_stdout()
    asked = connection()
    judging = Judging.from_words(words, gate=True)

    async def work(_: Interruption) -> int:
        from bestdefense_async.output.run import Run

        started = time.time()
        with Results(judging) as results:
            async with asked.client() as bd:
                slots = asyncio.Semaphore(_AT_ONCE)
                unique = dict.fromkeys(report_ids)
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(_row(bd, one, slots)) for one in unique]
                run = Run(
                    rows=tuple(task.result() for task in tasks),
                    name="gate",
                    started_at=started,
                    finished_at=time.time(),
                    base_url=bd.base_url,
                )
            return results.conclude(run, is_live=False)

    return run_async(work)


async def _row(bd: BestDefense, report_id: str, slots: asyncio.Semaphore) -> Row:
    """Return the row of one report; whatever keeps it from being judged stands in it.

    Raises:
        ConfigError: That cannot be the id of a report.
    """
    from bestdefense_async.errors import BestDefenseError, ConfigError
    from bestdefense_async.output.run import Problem, Row, problem_of

    async with slots:
        try:
            progress = await bd.reports.progress(report_id)
            if not progress.is_completed:
                problem = Problem("NotFinished", "The scan is not complete: wait for it first.")
                return Row(target=report_id, outcome="failed", report_id=report_id, error=problem)
            alerts = await bd.reports.findings(report_id)
        except ConfigError:
            raise
        except BestDefenseError as error:
            return Row(
                target=report_id, outcome="failed", report_id=report_id, error=problem_of(error)
            )
    return Row(
        target=report_id,
        outcome="done",
        report_id=report_id,
        risk=alerts.risk,
        findings=alerts.findings,
    )
