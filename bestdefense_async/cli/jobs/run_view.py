"""One bulk run on the terminal: progress, warnings and events on the way, and the end of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field

from bestdefense_async.cli.jobs.report_options import ReportOptions
from bestdefense_async.cli.jobs.results import Results
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import counts_text, show_progress
from bestdefense_async.cli.terminal.tally import Tally
from bestdefense_async.errors import JournalError
from bestdefense_async.models import (
    Outcome,
    ScanFinished,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetRejected,
)
from bestdefense_async.report.text import counted, duration, visible

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.runs.plan import Plan
    from bestdefense_async.runs.run import Run

DRAIN_TIMEOUT: Final = 60.0
"""Seconds for what was sent to be answered after a signal."""


@define(kw_only=True)
class RunView:
    """Shows and writes what happens in a run, and what became of it."""

    options: ReportOptions
    """What is to be made of the run."""
    host: str
    """Where it is carried out."""
    verbosity: int = 0
    """-1 shows no progress, 1 writes each outcome to stderr."""
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
        options = self.options
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
            verdict = run.judge(
                fail_on=options.policy.fail_on,
                max_counts=options.policy.max_counts,
                allow_incomplete=options.policy.allow_incomplete,
                baseline=options.baseline,
                waivers=options.waivers,
            )
            code = results.conclude(
                run.result,
                verdict,
                lambda path: run.write(path, verdict, compared=options.older),
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
        if self.verbosity >= 0 and not self.is_demo:
            streams.say(f"bestdefense: {plan.sentence}")

    async def _show(self, run: Run, plan: Plan, interruption: Interruption) -> None:
        ended, self._throttled = run.result.outcomes, run.throttled
        self._tally = Tally(len(ended) + plan.targets, asyncio.get_running_loop().time())
        self._results.begin(evolve(run.result, outcomes=()))
        for outcome in ended:  # so that the results are those of the whole run
            self._tally.end(outcome)
            self._results.record(ScanFinished(outcome=outcome))
        title = f"Scanning {counted(plan.creations + plan.follows, 'site')} at {self.host}"
        quiet = self.verbosity != 0
        async with show_progress(self._tally, title=title, quiet=quiet, keep=self.is_demo):
            await self._until_ended(run, interruption)

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
            self._tally.away_since = None
            streams.say(f"bestdefense: the host is back after {duration(event.paused_for)}")
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

    def _end(self, outcome: Outcome) -> None:
        self._tally.end(outcome)
        if self.verbosity > 0:
            counts = {} if outcome.risk is None else outcome.risk.as_dict()
            result = counts_text(counts) if outcome.error is None else str(outcome.error)
            streams.say(f"{outcome.status:11}  {visible(outcome.target)}  {result}")
