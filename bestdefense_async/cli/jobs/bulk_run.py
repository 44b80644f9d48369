"""One bulk run: from targets to outcomes, with progress and events on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, evolve, field, frozen

from bestdefense_async.cli.jobs.results import Results
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import counts_text, show_progress
from bestdefense_async.cli.terminal.tally import Tally, Throttling
from bestdefense_async.client import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import JournalError
from bestdefense_async.models import (
    Outcome,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetRejected,
)
from bestdefense_async.report.text import counted, duration, visible

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.run import Run

DRAIN_TIMEOUT: Final = 60.0
"""Seconds for what was sent to be answered after a signal."""


class _Stopped(Exception):
    """The results cannot be written any more."""


@frozen(kw_only=True)
class RunOptions:
    """How to run. Times are seconds, None for no limit."""

    options: ScanOptions
    max_active: int = 100
    scan_timeout: float | None = None
    run_timeout: float | None = None
    polling: PollPolicy = field(factory=PollPolicy)
    """When to ask how far a scan is."""
    samples: Sequence[tuple[float, bool]] = ()
    """Seconds that earlier scans of the kind took, and whether they were finished."""
    verbosity: int = 0
    """-1 shows no progress, 1 writes each outcome to stderr."""
    is_kept: bool = False
    """Leave the last picture of the live view on the terminal."""


class Begin(Protocol):
    """Makes a run, with the settings of `scan_many` that the command has."""

    def __call__(self, bd: BestDefense, **settings: Any) -> Run:  # noqa: ANN401
        """Return the run, to be entered."""


@define
class BulkRun:
    """Carries one run out, and tells what happens on the way."""

    client: BestDefense
    run_options: RunOptions
    results: Results
    """Writes what happens, as it happens."""
    throttling: Throttling
    total: int
    """Targets of the run, those that ended earlier included."""
    lost: JournalError | None = field(default=None, init=False)
    """Why the end of the run could not be recorded."""
    _tally: Tally = field(init=False)
    _duplicates: set[int] = field(factory=set, init=False)
    _failure: Exception | None = field(default=None, init=False)

    async def run(self, begin: Begin, interruption: Interruption) -> RunResult:
        """Scan all targets and return the run: each target has an outcome, also after a signal.

        Raises:
            Unwritable: The results cannot be written; everything was stopped.
            ReaderGone: The reader of stdout went away; everything was stopped.
            JournalError: The run cannot be recorded; nothing was started.
        """
        options = self.run_options
        run = begin(
            self.client,
            max_active=options.max_active,
            scan_timeout=options.scan_timeout,
            run_timeout=options.run_timeout,
            polling=options.polling,
            on_event=self._record,
        )
        # The outcomes of a run that was stopped are in its result, too.
        try:
            with contextlib.suppress(_Stopped):
                async with run:
                    await self._carry_out(run, interruption)
        except JournalError as error:
            if not run.result.outcomes:
                raise
            self.lost = error
        if self._failure is not None:
            raise self._failure
        return evolve(run.result, throttled=tuple(self.throttling.spans))

    async def _carry_out(self, run: Run, interruption: Interruption) -> None:
        ended = run.result.outcomes
        self._tally = Tally(self.total, asyncio.get_running_loop().time())
        self.results.begin(evolve(run.result, outcomes=()))
        for outcome in ended:  # so that the results are those of the whole run
            self._tally.end(outcome)
            self.results.record(ScanFinished(outcome=outcome))
        title = f"Scanning {counted(self.total - len(ended), 'site')} at {self.client.base_url}"
        quiet, keep = self.run_options.verbosity != 0, self.run_options.is_kept
        async with show_progress(self._tally, title=title, quiet=quiet, keep=keep):
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
            if self._failure is not None:
                raise _Stopped

    def _record(self, event: ScanEvent) -> None:
        """Count and write an event; what goes wrong is kept, because nothing may raise here."""
        self._tally.pauses = len(self.throttling.spans)
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
            self.results.record(event)
        except Exception as error:  # noqa: BLE001  # raised again where the run ends
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
        if self.run_options.verbosity > 0:
            counts = {} if outcome.risk is None else outcome.risk.as_dict()
            result = counts_text(counts) if outcome.error is None else str(outcome.error)
            streams.say(f"{outcome.status:11}  {visible(outcome.target)}  {result}")
