"""One bulk run on the terminal, carried out here or by workers: progress, warnings, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import show_progress
from bestdefense_async.cli.terminal.results import ReportOptions, Results
from bestdefense_async.cli.terminal.tally import Tally
from bestdefense_async.cli.terminal.words import counts_text
from bestdefense_async.errors import JournalError, JournalMismatch
from bestdefense_async.models import (
    Outcome,
    OutcomeStatus,
    ScanFinished,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetRejected,
)
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted, duration, visible

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.distributed.shards import ShardCounts
    from bestdefense_async.distributed.store import PostgresStore
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.runs.plan import Plan
    from bestdefense_async.runs.run import Run

DRAIN_TIMEOUT: Final = 60.0
"""Seconds for what was sent to be answered after a signal."""

_EVERY: Final = 1.0
"""Seconds between two looks at the database."""
_LATE: Final = 30.0
"""Seconds that an outcome may appear later than it says it became known: it was being written."""
_AWAY: Final = 30.0
"""Seconds for which a database may be away, as for its restart."""
_PATIENCE: Final = 15.0
"""Seconds after which somebody should have taken a shard."""

_SETTLED: Final = {OutcomeStatus.DONE, OutcomeStatus.FAILED}
"""What is told as it comes; anything else may still change."""


def _is_fault(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


@define(kw_only=True)
class RunView:
    """Shows and writes what happens in a run, and what became of it."""

    options: ReportOptions
    """What is to be made of the run."""
    host: str
    """Where it is carried out."""
    is_demo: bool = False
    """Leave the last picture of the live view, and offer no resumption."""
    _results: Results = field(init=False)
    _tally: Tally = field(init=False, factory=lambda: Tally(0, 0.0))
    _throttled: Sequence[tuple[float, float]] = field(init=False, default=())
    """The pauses of the run, as they come."""
    _duplicates: set[int] = field(init=False, factory=set)
    _failure: Exception | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._results = Results(self.options)

    async def carry_out(self, run: Run, plan: Plan, interruption: Interruption) -> int:
        """Carry a run out, judge it, write it and return the exit code.

        Each target has an outcome, also after a signal.

        Args:
            run: The run, not yet entered. Its events come to `record`.
            plan: What it will take.
            interruption: Drains the run.

        Raises:
            Unwritable: The results cannot be written; everything was stopped.
            ReaderGone: The reader of stdout went away.
            JournalError: The run cannot be recorded: nothing was started; or its end could not be
                recorded, which is told when the results are out.
        """
        lost: JournalError | None = None
        with self._results as results:
            self._say_plan(plan)
            try:
                async with run:
                    await self._show(run, plan, interruption)
            except JournalError as error:
                if not run.result.outcomes:
                    raise
                lost = error
            if self._failure is not None:
                raise self._failure
            code = results.conclude(
                run.result,
                is_interrupted=bool(interruption.count),
                resume=None if self.is_demo else run.name,
            )
        if lost is not None:
            raise lost
        return code

    def _say_plan(self, plan: Plan) -> None:
        if plan.repeated:
            verb = "is" if plan.repeated == 1 else "are"
            repeated = counted(plan.repeated, "repeated target")
            streams.say(f"bestdefense: {repeated} {verb} scanned once")
        if not self.is_demo:
            streams.note(f"bestdefense: {plan.sentence}")

    async def _show(self, run: Run, plan: Plan, interruption: Interruption) -> None:
        ended, self._throttled = run.result.outcomes, run.throttled
        self._tally = Tally(len(ended) + plan.targets, asyncio.get_running_loop().time())
        self._results.begin(evolve(run.result, outcomes=()))
        for outcome in ended:  # so that the results are those of the whole run
            self._tally.restore(outcome)
            self._results.record(ScanFinished(outcome=outcome))
        title = f"Scanning {counted(plan.creations + plan.follows, 'site')} at {self.host}"
        # With -v each outcome is a line of its own.
        quiet = streams.verbosity() != 0
        log = logging.getLogger("bestdefense_async.runs")
        log.addFilter(_is_fault)  # an outage is told by its events, once
        try:
            async with show_progress(self._tally, title=title, quiet=quiet, keep=self.is_demo):
                await self._until_ended(run, interruption)
        finally:
            log.removeFilter(_is_fault)

    async def _until_ended(self, run: Run, interruption: Interruption) -> None:
        """Wait for all outcomes; a signal drains the run first."""
        interruption.is_handled = True
        collecting = asyncio.ensure_future(self._collect(run))
        signal = asyncio.ensure_future(interruption.requested.wait())
        try:
            await asyncio.wait({collecting, signal}, return_when=asyncio.FIRST_COMPLETED)
            if not collecting.done():
                streams.say(
                    "bestdefense: stopping: waiting for answers to what was sent; "
                    "a second signal ends at once"
                )
                await run.drain(DRAIN_TIMEOUT)
            await collecting
        finally:
            signal.cancel()
            collecting.cancel()

    async def _collect(self, run: Run) -> None:
        async for _ in run:
            if self._failure is not None:  # leaving the run like this stops it
                raise self._failure

    def record(self, event: ScanEvent) -> None:
        """Count and write an event; what goes wrong is kept, because nothing may raise here."""
        self._tally.pauses = len(self._throttled)
        if isinstance(event, ScanStarted):
            self._tally.begin(event.index)
        elif isinstance(event, TargetRejected) and event.reason == "duplicate":
            self._duplicates.add(event.index)
            self._tally.total -= 1
        elif isinstance(event, StartingPaused):
            self._host_away(event)
        elif isinstance(event, StartingResumed):
            self._host_back(event)
        elif isinstance(event, ScanFinished) and event.outcome.index not in self._duplicates:
            self._end(event.outcome)
        try:
            self._results.record(event)
        except Exception as error:  # noqa: BLE001  # raised again where outcomes are collected
            self._failure = self._failure or error

    def _host_away(self, event: StartingPaused) -> None:
        """Tell it once: nothing is started until the host takes scans again."""
        self._tally.away_since = asyncio.get_running_loop().time()
        self._tally.away_because = visible(event.error.kind, longest=40)
        streams.say(
            f"bestdefense: the host takes no scans ({visible(event.error)}): nothing is started "
            "until it does"
        )

    def _host_back(self, event: StartingResumed) -> None:
        self._tally.away_since = None
        lasted = duration(event.paused_for)
        streams.say(
            f"bestdefense: the host is back after {lasted}"
            if event.is_back
            else f"bestdefense: the host took no scans for {lasted}: nothing more is started"
        )

    def _end(self, outcome: Outcome) -> None:
        self._tally.end(outcome)
        if streams.verbosity() > 0:
            counts = {} if outcome.risk is None else outcome.risk.as_dict()
            result = counts_text(counts) if outcome.error is None else str(outcome.error)
            streams.say(f"{outcome.status:11}  {visible(outcome.target)}  {result}")


async def watch(
    store: PostgresStore, name: str, results: Results, interruption: Interruption
) -> int:
    """Watch a run that workers carry out until it has ended, judge it and return the exit code.

    A signal ends the watching, not the run.

    Raises:
        JournalError: The database cannot be read.
    """
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
    watched = _Watch(store, name, results, tally)
    title = f"Workers scan {counted(total, 'site')} at {info.base_url}"
    async with show_progress(tally, title=title, quiet=streams.verbosity() < 0, keep=False):
        counts = await watched.until_over(interruption)
    if counts is None:
        streams.say(
            f"bestdefense: the run goes on; to see it: bestdefense runs watch {name} --database URL"
        )
        return Exit.INTERRUPTED
    ended = await record.result()
    for outcome in ended.outcomes:
        if outcome.index not in watched.told:
            results.record(ScanFinished(outcome=outcome))
    for problem in counts.problems:
        streams.say(f"bestdefense: {problem}")
    if counts.is_cancelled:
        streams.say(f"bestdefense: run {name} was cancelled")
    return results.conclude(evolve(ended, name=name))


class _Watch:
    """Looks at a run in its database, and tells what is new."""

    def __init__(self, store: PostgresStore, name: str, results: Results, tally: Tally) -> None:
        self.store = store
        self.name = name
        self.results = results
        self.tally = tally
        self.told: set[int] = set()
        """Indexes of the targets whose outcome was told."""
        self._since = 0.0
        self._away_since: float | None = None

    async def until_over(self, interruption: Interruption) -> ShardCounts | None:
        """Tell what happens until nothing more does; return None when a signal ends it."""
        loop = asyncio.get_running_loop()
        patience: float | None = loop.time() + _PATIENCE
        while not interruption.count:
            counts = await self._look()
            if counts is None:
                pass
            elif counts.is_over:
                return counts
            elif counts.shards.get("held") or counts.shards.get("ended"):
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

    async def _look(self) -> ShardCounts | None:
        """Tell what is new and return how far the run is; None while the database is away.

        Raises:
            JournalError: It is away for too long.
        """
        now = asyncio.get_running_loop().time()
        try:
            counts = await self.store.shard_counts(self.name)
            changed, self._since = await self.store.changed(self.name, since=self._since - _LATE)
            running = await self.store.running(self.name)
        except JournalError as error:
            if isinstance(error, JournalMismatch) or now > (self._away_since or now) + _AWAY:
                raise
            if self._away_since is None:
                self._away_since = now
                streams.say(f"bestdefense: {error} It is tried again.")
            return None
        self._away_since = None
        self._tell(changed)
        self.tally.follow(running)
        return counts

    def _tell(self, changed: list[Outcome]) -> None:
        for outcome in changed:
            if outcome.index not in self.told and outcome.status in _SETTLED:
                self.told.add(outcome.index)
                self.tally.end(outcome)
                self.results.record(ScanFinished(outcome=outcome))
