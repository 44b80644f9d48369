"""A run that workers carry out, as the command sees it: begun, watched, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.jobs.report_options import ReportOptions
from bestdefense_async.cli.jobs.results import Results
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import show_progress
from bestdefense_async.cli.terminal.signals import run_async
from bestdefense_async.cli.terminal.tally import Tally
from bestdefense_async.distributed.enqueue import enqueue
from bestdefense_async.distributed.store import PostgresStore
from bestdefense_async.models import OutcomeStatus, ScanFinished
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.client import BestDefense
    from bestdefense_async.distributed.shards import ShardCounts
    from bestdefense_async.models import Outcome, ScanOptions, Site
    from bestdefense_async.runs import Target

_EVERY: Final = 1.0
"""Seconds between two looks at the database."""
_LATE: Final = 30.0
"""Seconds that an outcome may appear later than it says it became known: it was being written."""
_PATIENCE: Final = 15.0
"""Seconds after which somebody should have taken a shard."""

_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.FAILED}
"""What is told as it comes; anything else may still change."""


@frozen
class BeginShared:
    """Begins a run for the workers of a database, watches it and judges it."""

    report_options: ReportOptions
    database: str
    credential: str

    async def __call__(
        self,
        bd: BestDefense,
        targets: Sequence[Target | Site],
        options: ScanOptions,
        interruption: Interruption,
    ) -> int:
        """Return the exit code; a signal ends the watching, not the run.

        Raises:
            BestDefenseError: The database cannot be used, or the sites cannot be listed.
        """
        with Results(self.report_options) as results:
            async with PostgresStore(self.database) as store:
                await store.waiting()  # what is wrong with it is said before anything is sent
                begun = await enqueue(
                    bd, targets, store=store, credential=self.credential, options=options
                )
                streams.say(
                    f"bestdefense: run {begun.name}: {counted(begun.targets, 'target')} for "
                    f"workers with the credential {self.credential}"
                    + (f", {begun.rejected} of no site" if begun.rejected else "")
                )
                return await _watched(store, begun.name, results, interruption)


def watch(database: str, name: str, report_options: ReportOptions) -> int:
    """Watch a run until it has ended, and judge it; a signal ends the watching.

    Raises:
        JournalError: There is no such run, or the database cannot be read.
    """

    async def work(interruption: Interruption) -> int:
        with Results(report_options) as results:
            async with PostgresStore(database) as store:
                return await _watched(store, await store.find(name), results, interruption)

    return run_async(work)


def cancel(database: str, name: str) -> str:
    """Let the workers leave a run; return its name.

    Raises:
        JournalError: There is no such run, or the database cannot be written.
    """

    async def work() -> str:
        async with PostgresStore(database) as store:
            return await store.cancel(name)

    return asyncio.run(work())


def repeat(database: str, name: str, cron: str | None) -> tuple[str, float | None]:
    """Let a run be begun again whenever it is due; return its name and when that is next.

    Raises:
        ConfigError: The time makes no sense.
        JournalError: There is no such run, or the database cannot be written.
    """

    async def work() -> tuple[str, float | None]:
        async with PostgresStore(database) as store:
            found = await store.find(name)
            return found, await store.repeat(found, cron)

    return asyncio.run(work())


async def _watched(
    store: PostgresStore, name: str, results: Results, interruption: Interruption
) -> int:
    record = await store.record(name)
    info = await record.info()
    total = sum(info.counts.values())
    loop = asyncio.get_running_loop()
    tally = Tally(total, loop.time())
    results.begin(
        RunResult(
            name=name,
            outcomes=(),
            base_url=info.base_url,
            options=info.options,
            started_at=info.created_at,
        )
    )
    interruption.is_handled = True
    watch = _Watch(store, name, results, tally)
    title = f"Workers scan {counted(total, 'site')} at {info.base_url}"
    async with show_progress(tally, title=title, quiet=False, keep=False):
        counts = await watch.until_over(interruption)
    if counts is None:
        streams.say(
            f"bestdefense: the run goes on; to see it: bestdefense runs watch {name} --database URL"
        )
        return Exit.INTERRUPTED
    ended = await record.result()
    for outcome in ended.outcomes:
        if outcome.index not in watch.told:
            results.record(ScanFinished(outcome=outcome))
    for problem in counts.problems:
        streams.say(f"bestdefense: {problem}")
    if counts.is_cancelled:
        streams.say(f"bestdefense: run {name} was cancelled")
    return results.judge(evolve(ended, name=name))


@define
class _Watch:
    store: PostgresStore
    name: str
    results: Results
    tally: Tally
    told: set[int] = field(factory=set)
    """Indexes of the targets whose outcome was told."""

    async def until_over(self, interruption: Interruption) -> ShardCounts | None:
        """Tell what happens until nothing more does; return None when a signal ends it."""
        since, loop = 0.0, asyncio.get_running_loop()
        patience: float | None = loop.time() + _PATIENCE
        while not interruption.count:
            counts = await self.store.shard_counts(self.name)
            changed, since = await self.store.changed(self.name, since=since - _LATE)
            self._tell(changed)
            self.tally.follow(await self.store.running(self.name))
            if counts.is_over:
                return counts
            if counts.shards.get("held") or counts.shards.get("ended"):
                patience = None
            elif patience is not None and loop.time() > patience:
                patience = None
                streams.say(
                    "bestdefense: no worker has taken anything yet; one is started with: "
                    "bestdefense worker --database URL"
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(interruption.requested.wait(), _EVERY)
        return None

    def _tell(self, changed: list[Outcome]) -> None:
        for outcome in changed:
            if outcome.index not in self.told and outcome.status in _SETTLED:
                self.told.add(outcome.index)
                self.tally.end(outcome)
                self.results.record(ScanFinished(outcome=outcome))
