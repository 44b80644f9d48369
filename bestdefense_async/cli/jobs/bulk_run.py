"""One bulk run: from targets to outcomes, with progress and events on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from bestdefense_async.cli.jobs.results import Results
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.progress import counts_text, show_progress
from bestdefense_async.cli.terminal.tally import Tally, Throttling
from bestdefense_async.client import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.models import Outcome, ScanFinished, ScanOptions, ScanStarted, TargetRejected
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.text import counted, visible
from bestdefense_async.runs import Journal, ScanGroup
from bestdefense_async.runs.inputs import Item

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.models import ScanEvent

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


@frozen(kw_only=True)
class RunInput:
    """What to run, and what of it has ended already."""

    items: Sequence[Item]
    ended: Sequence[Outcome] = ()
    """Outcomes of an earlier part of the run."""
    journal: Journal | None = None
    """Where the run is recorded; None keeps no record."""
    name: str = "scan"
    started_at: float | None = None
    """When the run began, in seconds since the epoch; None is now."""


@define
class BulkRun:
    """Runs one input once and keeps its outcomes."""

    client: BestDefense
    run_options: RunOptions
    results: Results
    """Writes what happens, as it happens."""
    throttling: Throttling
    _tally: Tally = field(init=False)
    _outcomes: dict[int, Outcome] = field(factory=dict, init=False)
    _duplicates: set[int] = field(factory=set, init=False)
    _failure: Exception | None = field(default=None, init=False)

    async def run(self, run_input: RunInput, interruption: Interruption) -> RunResult:
        """Scan all targets and return the run: each target has an outcome, also after a signal.

        Raises:
            Unwritable: The results cannot be written; everything was stopped.
            ReaderGone: The reader of stdout went away; everything was stopped.
        """
        total = len(run_input.items) + len(run_input.ended)
        self._tally = Tally(total, asyncio.get_running_loop().time())
        run = RunResult(
            outcomes=(),
            name=run_input.name,
            started_at=time.time() if run_input.started_at is None else run_input.started_at,
            base_url=self.client.base_url,
            options=self.run_options.options,
        )
        self.results.begin(run)
        self._add_ended(run_input.ended)
        title = f"Scanning {counted(len(run_input.items), 'site')} at {self.client.base_url}"
        quiet, keep = self.run_options.verbosity != 0, self.run_options.is_kept
        async with show_progress(self._tally, title=title, quiet=quiet, keep=keep):
            group = self._group(run_input.journal)
            # The outcomes of a stopped group are collected after its block.
            with contextlib.suppress(_Stopped):
                async with group:
                    group.feed(run_input.items)
                    await self._until_ended(group, interruption)
            if self._failure is None:
                await self._collect(group)
        if self._failure is not None:
            raise self._failure
        return evolve(
            run,
            outcomes=tuple(self._outcomes[index] for index in sorted(self._outcomes)),
            finished_at=time.time(),
            throttled=tuple(self.throttling.spans),
        )

    def _group(self, journal: Journal | None) -> ScanGroup:
        run_options = self.run_options
        return ScanGroup(
            self.client,
            options=run_options.options,
            max_active=run_options.max_active,
            scan_timeout=run_options.scan_timeout,
            run_timeout=run_options.run_timeout,
            on_event=self._record,
            polling=run_options.polling,
            journal=journal,
        )

    def _add_ended(self, ended: Sequence[Outcome]) -> None:
        """Count and write what ended earlier, so that the results are those of the whole run."""
        for outcome in ended:
            self._outcomes[outcome.index] = outcome
            self._tally.end(outcome)
            self.results.record(ScanFinished(outcome=outcome))

    async def _until_ended(self, group: ScanGroup, interruption: Interruption) -> None:
        """Collect all outcomes; a signal drains the group first."""
        interruption.is_handled = True
        collecting = asyncio.ensure_future(self._collect(group))
        signal = asyncio.ensure_future(interruption.requested.wait())
        try:
            await asyncio.wait({collecting, signal}, return_when=asyncio.FIRST_COMPLETED)
            if not collecting.done():
                streams.say(
                    "bestdefense: stopping: waiting for answers to what was sent; "
                    "a second signal ends at once"
                )
                await group.drain(DRAIN_TIMEOUT)
            await collecting
        finally:
            signal.cancel()
            collecting.cancel()

    async def _collect(self, group: ScanGroup) -> None:
        async for outcome in group:
            if outcome.index not in self._duplicates:
                self._outcomes[outcome.index] = outcome
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
        elif isinstance(event, ScanFinished) and event.outcome.index not in self._duplicates:
            self._end(event.outcome)
        try:
            self.results.record(event)
        except Exception as error:  # noqa: BLE001  # raised again where the run ends
            self._failure = self._failure or error

    def _end(self, outcome: Outcome) -> None:
        self._tally.end(outcome)
        if self.run_options.verbosity > 0:
            counts = {} if outcome.risk is None else outcome.risk.as_dict()
            result = counts_text(counts) if outcome.error is None else str(outcome.error)
            streams.say(f"{outcome.status:11}  {visible(outcome.target)}  {result}")
