"""One bulk run: targets in, rows out, with everything a person or a program hears on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field, frozen

from bestdefense_async.cli import streams
from bestdefense_async.cli.display import shown
from bestdefense_async.cli.heartbeat import counts_text
from bestdefense_async.cli.results import Results
from bestdefense_async.cli.tally import Tally
from bestdefense_async.cli.throttling import Throttling
from bestdefense_async.client import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.models import ScanOptions
from bestdefense_async.orchestration import (
    Done,
    ScanFinished,
    ScanGroup,
    ScanStarted,
    TargetRejected,
)
from bestdefense_async.output.run import Row, Run
from bestdefense_async.output.text import counted, visible

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bestdefense_async.cli.running import Interruption
    from bestdefense_async.orchestration import Event, Outcome, Target

SANDBOX_SPEED: Final = 60.0
"""Scan seconds that pass in a second in the sandbox, unless it is told otherwise."""


class _Stopped(Exception):
    """Somebody asked us to stop."""


@frozen(kw_only=True)
class Plan:
    """How to run. Times are seconds, None for no limit."""

    options: ScanOptions
    max_active: int = 100
    scan_timeout: float | None = None
    run_timeout: float | None = None
    speed: float = 1.0
    """Seconds of a scan that pass in a second; above 1 only in the sandbox."""
    verbosity: int = 0
    """-1 shows no progress, 1 tells each outcome."""
    is_kept: bool = False
    """Leave the last picture of the live view on the terminal."""


@define
class Bulk:
    """Runs one plan once and keeps what came of it."""

    client: BestDefense
    plan: Plan
    results: Results
    """Told what happens, as it happens."""
    throttling: Throttling
    _tally: Tally = field(init=False)
    _rows: dict[int, Row] = field(factory=dict, init=False)
    _duplicates: set[int] = field(factory=set, init=False)
    _failure: Exception | None = field(default=None, init=False)

    async def run(self, targets: Sequence[Target], interruption: Interruption) -> Run:
        """Scan all targets and return the run: each target has a row, also after a signal.

        Raises:
            Unwritable: The results cannot be written; everything was stopped.
            ReaderGone: The reader of stdout went away; everything was stopped.
        """
        self._tally = Tally(len(targets), asyncio.get_running_loop().time())
        run = Run(
            rows=(),
            started_at=time.time(),
            base_url=self.client.base_url,
            options=self.plan.options,
        )
        self.results.begin(run)
        title = f"Scanning {counted(len(targets), 'site')} at {self.client.base_url}"
        quiet, keep = self.plan.verbosity != 0, self.plan.is_kept
        async with shown(self._tally, title=title, quiet=quiet, keep=keep):
            group = self._group()
            # The outcomes of a stopped group are picked up after its block.
            with contextlib.suppress(_Stopped):
                async with group:
                    group.feed(targets)
                    await _unless_stopped(self._pick_up(group), interruption)
            await self._pick_up(group)
        if self._failure is not None:
            raise self._failure
        return evolve(
            run,
            rows=tuple(self._rows[index] for index in sorted(self._rows)),
            finished_at=time.time(),
            throttled=tuple(self.throttling.spans),
        )

    def _group(self) -> ScanGroup:
        plan = self.plan
        return ScanGroup(
            self.client,
            options=plan.options,
            max_active=plan.max_active,
            scan_timeout=plan.scan_timeout,
            run_timeout=plan.run_timeout,
            on_event=self._hear,
            polling=PollPolicy(speed=plan.speed),
        )

    async def _pick_up(self, group: ScanGroup) -> None:
        async for outcome in group:
            if outcome.index not in self._duplicates:
                self._rows[outcome.index] = Row.of(outcome)
            if self._failure is not None:
                raise _Stopped

    def _hear(self, event: Event) -> None:
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
        self._tally.end(outcome.index, outcome.word, outcome.target, risk)
        if self.plan.verbosity > 0:
            counts = {} if risk is None else risk.as_dict()
            said = counts_text(counts) if isinstance(outcome, Done) else str(outcome.error)
            streams.say(f"{outcome.word:11}  {visible(outcome.target)}  {said}")


async def _unless_stopped(work: Coroutine[Any, Any, None], interruption: Interruption) -> None:
    """Do the work; at the first signal cancel it and raise `_Stopped`."""
    interruption.is_handled = True
    task = asyncio.ensure_future(work)
    signal = asyncio.ensure_future(interruption.requested.wait())
    try:
        await asyncio.wait({task, signal}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        signal.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise _Stopped
    await task
