"""One bulk run: targets in, rows out, with everything a person or a program hears on the way."""

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
from bestdefense_async.models import ScanOptions
from bestdefense_async.report.run import Row, Run
from bestdefense_async.report.text import counted, visible
from bestdefense_async.runs import (
    Done,
    Journal,
    Outcome,
    ScanFinished,
    ScanGroup,
    ScanStarted,
    TargetRejected,
)
from bestdefense_async.runs.inputs import Item

if TYPE_CHECKING:
    from bestdefense_async.cli.terminal.signals import Interruption
    from bestdefense_async.runs import ScanEvent

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
    """How often a scan is asked for."""
    samples: Sequence[tuple[float, bool]] = ()
    """Seconds that earlier scans of the kind took, and whether they were finished."""
    verbosity: int = 0
    """-1 shows no progress, 1 tells each outcome."""
    is_kept: bool = False
    """Leave the last picture of the live view on the terminal."""


@frozen(kw_only=True)
class RunInput:
    """What to run, and what of it has ended already."""

    items: Sequence[Item]
    ended: Sequence[Outcome] = ()
    """Outcomes that an earlier part of the run has brought."""
    journal: Journal | None = None
    """Where the run is recorded; None keeps no record."""
    name: str = "scan"
    started_at: float | None = None
    """When the run began, in seconds since the epoch; None is now."""


@define
class BulkRun:
    """Runs one workload once and keeps what came of it."""

    client: BestDefense
    run_options: RunOptions
    results: Results
    """Told what happens, as it happens."""
    throttling: Throttling
    _tally: Tally = field(init=False)
    _rows: dict[int, Row] = field(factory=dict, init=False)
    _duplicates: set[int] = field(factory=set, init=False)
    _failure: Exception | None = field(default=None, init=False)

    async def run(self, work: RunInput, interruption: Interruption) -> Run:
        """Scan all targets and return the run: each target has a row, also after a signal.

        Raises:
            Unwritable: The results cannot be written; everything was stopped.
            ReaderGone: The reader of stdout went away; everything was stopped.
        """
        total = len(work.items) + len(work.ended)
        self._tally = Tally(total, asyncio.get_running_loop().time())
        run = Run(
            rows=(),
            name=work.name,
            started_at=time.time() if work.started_at is None else work.started_at,
            base_url=self.client.base_url,
            options=self.run_options.options,
        )
        self.results.begin(run)
        self._take_over(work.ended)
        title = f"Scanning {counted(len(work.items), 'site')} at {self.client.base_url}"
        quiet, keep = self.run_options.verbosity != 0, self.run_options.is_kept
        async with show_progress(self._tally, title=title, quiet=quiet, keep=keep):
            group = self._group(work.journal)
            # The outcomes of a stopped group are picked up after its block.
            with contextlib.suppress(_Stopped):
                async with group:
                    group.feed(work.items)
                    await self._until_ended(group, interruption)
            if self._failure is None:
                await self._pick_up(group)
        if self._failure is not None:
            raise self._failure
        return evolve(
            run,
            rows=tuple(self._rows[index] for index in sorted(self._rows)),
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
            on_event=self._hear,
            polling=run_options.polling,
            journal=journal,
        )

    def _take_over(self, ended: Sequence[Outcome]) -> None:
        """Count and write what is known already, so that the results are those of the whole run."""
        for outcome in ended:
            self._rows[outcome.index] = Row.of(outcome)
            risk = outcome.risk if isinstance(outcome, Done) else None
            self._tally.end(outcome.index, outcome.status, outcome.target, risk)
            self.results.hear(ScanFinished(outcome=outcome))

    async def _until_ended(self, group: ScanGroup, interruption: Interruption) -> None:
        """Pick up all outcomes; a signal drains the group first."""
        interruption.is_handled = True
        picking = asyncio.ensure_future(self._pick_up(group))
        signal = asyncio.ensure_future(interruption.requested.wait())
        try:
            await asyncio.wait({picking, signal}, return_when=asyncio.FIRST_COMPLETED)
            if not picking.done():
                streams.say(
                    "bestdefense: stopping: what was sent is still written down; "
                    "a second signal ends at once"
                )
                await group.drain(DRAIN_TIMEOUT)
            await picking
        finally:
            signal.cancel()
            picking.cancel()

    async def _pick_up(self, group: ScanGroup) -> None:
        async for outcome in group:
            if outcome.index not in self._duplicates:
                self._rows[outcome.index] = Row.of(outcome)
            if self._failure is not None:
                raise _Stopped

    def _hear(self, event: ScanEvent) -> None:
        """Count an event and pass it on; nobody may raise into the group."""
        self._tally.pauses = len(self.throttling.spans)
        if isinstance(event, ScanStarted):
            self._tally.begin(event.index)
        elif isinstance(event, TargetRejected) and event.reason == "duplicate":
            self._duplicates.add(event.index)
            self._tally.total -= 1
        elif isinstance(event, ScanFinished) and event.outcome.index not in self._duplicates:
            self._end(event.outcome)
        try:
            self.results.hear(event)
        except Exception as error:  # noqa: BLE001  # raised again where the run ends
            self._failure = self._failure or error

    def _end(self, outcome: Outcome) -> None:
        risk = outcome.risk if isinstance(outcome, Done) else None
        self._tally.end(outcome.index, outcome.status, outcome.target, risk)
        if self.run_options.verbosity > 0:
            counts = {} if risk is None else risk.as_dict()
            said = counts_text(counts) if isinstance(outcome, Done) else str(outcome.error)
            streams.say(f"{outcome.status:11}  {visible(outcome.target)}  {said}")
