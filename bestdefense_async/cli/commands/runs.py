"""`bestdefense runs`: the records of bulk runs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.options.runs import (
    RUN,
    SHARED_RUNS,
    SITE,
    database_name,
    from_store,
    named_again,
    recorded_policy,
    runs_store,
    waive_options,
)
from bestdefense_async.cli.options.verdict import judged, report_options
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tables import FORMAT, emit
from bestdefense_async.errors import ConfigError, JournalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bestdefense_async.cli.options.verdict import GateOptions, OutputOptions
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.distributed.store import PostgresStore
    from bestdefense_async.models import Outcome, ScanOptions
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.store.protocol import RunInfo, Store

T = TypeVar("T")


@click.group("runs", cls=Group)
def command() -> None:
    """List, show, settle and prune recorded runs; watch and cancel shared ones.

    Where a RUN is asked for: its name, the beginning of it, or `last`.
    """


@command.command("list")
@SHARED_RUNS
@click.option("--limit", type=params.count(1), help="Most runs to list.")
@click.option("--since", type=params.SECONDS, help="Only runs that began so long ago: 7d.")
@click.option("--failed", is_flag=True, help="Only runs in which a target has no result.")
@FORMAT
def list_runs(limit: int | None, since: float | None, format_: str, *, failed: bool) -> int:
    """List the runs of this machine, or of a database, the newest first."""
    import time

    least = 0.0 if since is None else time.time() - since
    found = [
        info
        for info in from_store(lambda store: store.list())
        if (info.created_at or 0.0) >= least and not (failed and info.is_complete)
    ]
    records = [_info_record(info) for info in found[:limit]]
    extra = ("kind", "started", "host", "not_started", "unknown")
    nothing = "There are no runs like this." if failed or since else "There are no runs."
    emit("runs", records, format_, extra=extra, nothing=nothing)
    return Exit.OK


@command.command("show")
@SHARED_RUNS
@click.argument("name", metavar="RUN", type=RUN)
@FORMAT
def show_run(name: str, format_: str) -> int:
    """Show how each target of a run ended, or how far it is."""
    from bestdefense_async.report.text import counted, moment

    info, result, left = from_store(lambda store: _read(store, name))
    if info.problem is not None:
        raise JournalError(f"Run {info.name} cannot be read: {info.problem}")
    records = [_outcome_record(each) for each in result.outcomes]
    emit("targets", records, format_, extra=("site_id", "report_id"))
    total = counted(len(result.outcomes), "target")
    streams.note(
        f"run {info.name}: {total} at {info.base_url}, started {moment(info.created_at)}, "
        f"{left['creations']} to start, {left['follows']} to follow"
    )
    return Exit.OK


async def _read(store: Store, name: str) -> tuple[RunInfo, RunResult, dict[str, int]]:
    """Return a run, its outcomes, and how much of it is left."""
    from bestdefense_async.runs.source import planned_counts

    record = await store.record(name)
    left = planned_counts([each.item for each in await record.remaining()])
    return await record.info(), await record.result(), left


@command.command("prune")
@SHARED_RUNS
@click.option("--keep", type=params.count(), help="Keep this many of the newest runs.")
@click.option("--older-than", type=params.SECONDS, help="Delete only runs older than this: 30d.")
@click.option("--incomplete", is_flag=True, help="Delete runs that are not at their end, too.")
@FORMAT
def prune_runs(
    keep: int | None, older_than: float | None, format_: str, *, incomplete: bool
) -> int:
    """Delete the records of old runs, and list what was deleted.

    Runs that another process holds are never deleted, and those in which something still waits, or
    goes on at the server, only with --incomplete.
    """
    from bestdefense_async.report.text import counted

    if keep is None and older_than is None:
        raise ConfigError("Say what to delete: --older-than 30d, --keep 20, or both.")
    deleted = from_store(
        lambda store: store.prune(keep=keep, older_than=older_than, include_incomplete=incomplete)
    )
    emit("runs", [_info_record(info) for info in deleted], format_)
    streams.say(f"bestdefense: {counted(len(deleted), 'run')} deleted")
    return Exit.OK


@command.command("reconcile", cls=ApiCommand)
@SHARED_RUNS
@click.argument("name", metavar="RUN", type=RUN)
@click.option(
    "--start-again",
    "gone",
    multiple=True,
    type=SITE,
    metavar="TARGET",
    help="You have looked and there is no scan of it: start it when the run is resumed. "
    "Repeatable.",
)
@FORMAT
@connected
def reconcile_run(name: str, gone: tuple[str, ...], format_: str, connection: Connection) -> int:
    """Look for scans whose creation was sent and never answered.

    A report of the same site and time that nothing else explains is taken for the lost one, and is
    followed when the run is resumed. Exit 3 when something stays unknown.
    """
    connection.check()

    async def work(_: Interruption) -> int:
        async with connection.client() as bd, runs_store() as store:
            run = await store.find(name)
            settlements = await bd.reconcile(run, store=store, absent=gone)
        records = [
            {
                "target": each.lost.target,
                "site_id": each.lost.site_id,
                "report_id": each.report_id,
                "result": each.reason,
            }
            for each in settlements
        ]
        emit("targets", records, format_)
        found = sum(each.report_id is not None for each in settlements)
        unknown = len(settlements) - found
        streams.say(
            f"bestdefense: {found} found, {unknown} still unknown"
            + (
                f"; to resume: bestdefense scan --resume {named_again(run)}"
                if found or gone
                else ""
            )
        )
        return Exit.INCOMPLETE if unknown else Exit.OK

    return run_async(work)


@command.command("watch")
@click.argument("name", metavar="RUN")
@SHARED_RUNS
@judged
def watch_run(name: str, *, gate: GateOptions, output: OutputOptions, exit_zero: bool) -> int:
    """Watch a run that workers carry out, and judge it when it has ended.

    Ctrl-C ends the watching, not the run.
    """
    shared = _shared()
    recorded = recorded_policy(name)
    options = report_options(
        gate,
        output,
        recorded=recorded,
        is_exit_zero=exit_zero,
        waive_with=waive_options(name),
    )

    async def work(interruption: Interruption) -> int:
        from bestdefense_async.cli.terminal.results import Results
        from bestdefense_async.cli.terminal.run_view import watch

        with Results(options) as results:
            async with shared as store:
                return await watch(store, await store.find(name), results, interruption)

    return run_async(work)


@command.command("cancel")
@click.argument("name", metavar="RUN")
@SHARED_RUNS
def cancel_run(name: str) -> int:
    """Start nothing more of a run that workers carry out.

    What was started goes on at the server and is not followed. `scan --resume RUN --database URL`
    goes on with it here.
    """
    found = _in_shared(lambda store: store.cancel(name))
    streams.say(f"bestdefense: run {found} is cancelled")
    return Exit.OK


@command.command("repeat")
@click.argument("name", metavar="RUN")
@click.option("--every", metavar="CRON", help="When: five fields of cron in UTC, like '0 3 * * *'.")
@click.option("--never", is_flag=True, help="Not any more.")
@SHARED_RUNS
def repeat_run(name: str, every: str | None, *, never: bool) -> int:
    """Let workers begin a run again and again, with the same targets.

    A run that has not ended when it is due is not begun a second time.
    """
    if (every is None) is not never:
        raise ConfigError("Say when: --every '0 3 * * *', or --never.")
    from bestdefense_async.report.text import moment

    async def set_time(store: PostgresStore) -> tuple[str, float | None]:
        found = await store.find(name)
        return found, await store.repeat(found, every)

    found, at = _in_shared(set_time)
    when = "not repeated any more" if at is None else f"begun again at {moment(at)}"
    streams.say(f"bestdefense: run {found} is {when}")
    return Exit.OK


def _shared() -> PostgresStore:
    """Return the store in the database that is meant; nothing was opened yet.

    Raises:
        ConfigError: None is: a run of this machine has its process.
    """
    database = database_name()
    if database is None:
        raise ConfigError("Name the database of the run: --database postgresql://user@host/name.")
    from bestdefense_async.distributed.store import PostgresStore

    return PostgresStore(database)


def _in_shared(work: Callable[[PostgresStore], Awaitable[T]]) -> T:
    """Return what `work` reads or changes in the database that is meant.

    Raises:
        ConfigError: None is meant.
        JournalError: It cannot be used, or what is asked for is not in it.
    """
    import asyncio

    async def main() -> T:
        async with _shared() as store:
            return await work(store)

    return asyncio.run(main())


def _info_record(info: RunInfo) -> dict[str, Any]:
    from bestdefense_async.report.text import moment

    statuses = ("done", "running", "failed", "unknown", "not_started")
    counts = {status: info.counts.get(status, 0) for status in statuses}
    return {
        "run": info.name,
        "started": None if info.created_at is None else moment(info.created_at),
        "host": info.base_url,
        "kind": "" if info.options is None else _kind(info.options),
        **counts,
        "state": next(_states(info)),
    }


def _kind(options: ScanOptions) -> str:
    return options.kind.replace(":-", "").replace(":", " ")


def _states(info: RunInfo) -> Iterator[str]:
    """Yield what can be said about a run, the most important first."""
    if info.problem is not None:
        yield f"unreadable: {info.problem}"
    if info.is_held:
        yield "in progress"
    if info.is_complete:
        yield "complete"
    yield "ended" if info.is_settled else "can be resumed"


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    return {
        "target": outcome.target,
        "status": str(outcome.status),
        "site_id": outcome.site_id,
        "report_id": outcome.report_id,
        "error": None if outcome.error is None else str(outcome.error),
    }
