"""The task-group helper: scan many targets, stream their outcomes, leave nothing behind.

Reading an input waits for room (a slow consumer) and for a slot (`max_active`), so a list of any
length is read only as fast as its outcomes are picked up. What happens to an input once it was
read is the pipeline's business.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Self

from bestdefense_async.core.admission import MOST_STARTING
from bestdefense_async.errors import (
    BestDefenseError,
    ConfigError,
    DeadlineExceeded,
    LifecycleError,
    RunStopped,
    ScanCancelled,
)
from bestdefense_async.models import ScanOptions
from bestdefense_async.runs.inputs import END, End, InputReader
from bestdefense_async.runs.outcome_queue import OutcomeQueue
from bestdefense_async.runs.pipeline import Pipeline
from bestdefense_async.runs.store.null_journal import NullJournal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import Outcome, ScanEvent
    from bestdefense_async.runs.inputs import Handle, Item, Items, Scan
    from bestdefense_async.runs.store.protocol import Journal
    from bestdefense_async.runs.workflow import ScanClient


GRACE: Final = 2.0
"""Seconds that creations have to be answered when the block is left by an exception."""


class ScanGroup:
    """Scan many targets; a task group for scans.

        async with ScanGroup(client) as group:
            group.feed(targets)
            async for outcome in group:
                ...

    One target never disturbs another, and a creation is never sent twice. A target that names the
    same site as an earlier one is not scanned again: its outcome is `not_started`.

    - After an `AuthError`, a `QuotaExceeded` or a `JournalError` nothing more is started, and the
      rest of the input becomes `not_started` with that error. Scans that exist are followed on,
      unless the token is dead.
    - Leaving the block waits for what was fed and started. Outcomes not picked up by then
      are kept, and iterating after the block yields them.
    - Leaving the iteration before its end, and then the block, starts nothing more: what exists
      is followed to its end.
    - Leaving it by an exception or a cancellation stops at once and leaves no task behind; only
      creations that were sent have two seconds to be answered, since a lost answer may be a scan
      that is paid for. What was read gets its outcome, a collection is read to its end, other
      iterables are not.
    - A group that stops itself, because the time is up, a target failed or another owner has the
      run, still waits for the answers to creations that were sent: they say which scans exist.
    - When the input raises, the outcomes come first and the error after the last one.

    Costs one request for all host names; per scan one creation, its polls, an overview and the
    alerts. Memory is bounded by `max_active` and a slow consumer's backlog, beside one entry per
    site that recognises duplicates.

    Args:
        client: A `BestDefense` or a view of one. It is not closed.
        options: What to scan; None is a security scan with the server's defaults.
        max_active: Most inputs that are looked up, created and followed at the same time. One more
            of each iterable may have been read.
        max_starting: Most creations under way at the same time. When the host goes away, so many
            are lost at most.
        scan_timeout: Seconds to follow one scan. None follows for ever, and a scan that failed
            may never become complete.
        run_timeout: Seconds from the start of the block until everything is stopped, but for the
            answers to creations that were sent. The outcomes carry the reason; nothing is raised.
        fail_fast: Stop everything at the first outcome without a result, duplicates excepted, and
            raise an `ExceptionGroup` after the last outcome.
        on_event: Called with each `ScanEvent`. What it raises is logged.
        polling: How often a scan is asked for.
        journal: Where the run is recorded.

    Raises:
        ConfigError: A number is out of range.
    """

    def __init__(
        self,
        client: ScanClient,
        *,
        options: ScanOptions | None = None,
        max_active: int = 100,
        max_starting: int = MOST_STARTING,
        scan_timeout: float | None = None,
        run_timeout: float | None = None,
        fail_fast: bool = False,
        on_event: Callable[[ScanEvent], object] | None = None,
        polling: PollPolicy | None = None,
        journal: Journal | None = None,
    ) -> None:
        for name, count in (("max_active", max_active), ("max_starting", max_starting)):
            if type(count) is not int or count < 1:
                raise ConfigError(f"{name} must be a whole number, 1 or more.")
        for name, value in (("scan_timeout", scan_timeout), ("run_timeout", run_timeout)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a finite number of seconds above 0, or None.")
        self._run_timeout = run_timeout
        self._fail_fast = fail_fast
        self._outcome_queue = OutcomeQueue()
        self._pipeline = Pipeline(
            client,
            options=ScanOptions() if options is None else options,
            journal=NullJournal() if journal is None else journal,
            max_active=max_active,
            max_starting=max_starting,
            scan_timeout=scan_timeout,
            polling=polling,
            on_event=on_event,
            ended=self._ended,
            stop=self._stop_soon,
            crashed=self._crashed,
        )
        self._readers: dict[asyncio.Task[None], InputReader] = {}
        self._stopper: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self._is_stopped = False
        self._is_iterated = False
        """Whether somebody began to pick outcomes up and did not come to the last one."""
        self._starts_no_more: BestDefenseError | None = None
        self._reason: BestDefenseError = RunStopped("The run was stopped.")
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    async def __aenter__(self) -> Self:
        if self._is_open or self._is_stopped:
            raise LifecycleError("A ScanGroup is used once: make another.")
        self._is_open = True
        if self._run_timeout is not None:
            late = DeadlineExceeded(f"The run has taken the {self._run_timeout:g} s it was given.")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._run_timeout, self._stop_soon, late)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._outcome_queue.remove_bound()
                if self._is_iterated:
                    self._start_no_more()
                await self._is_idle.wait()
                while self._pipeline.refusal is None and (late := await self._pipeline.end()):
                    self.feed(late)
                    await self._is_idle.wait()
        except BaseException as left:
            kind = type(left)
            raise
        finally:
            may_wait = kind is not None and issubclass(kind, Exception | asyncio.CancelledError)
            reason = RunStopped("The run was stopped before this was finished.")
            await self._stop(reason, grace=GRACE if may_wait else 0.0)
        if kind is None:
            self._outcome_queue.raise_error()

    def feed(self, targets: Items, *, priority: int = 0) -> None:
        """Scan every target of an iterable, synchronous or asynchronous, of any length.

        Returns at once. Items are texts, `Target`s, `Site`s, the `TargetError`s of a list that
        was read leniently, `ExistingScan`s to follow, or what a journal has `remaining`. The next
        item is read when there is room for it, on the event loop: put an iterable that blocks
        into a thread. May be called again: the iterable with the highest priority is read first,
        equal ones side by side.

        Raises:
            ConfigError: This is no iterable of targets.
            LifecycleError: The group is not open, or was stopped.
        """
        self._check_open()
        source = InputReader(targets)
        task = asyncio.get_running_loop().create_task(self._read_all(source, priority))
        self._readers[task] = source
        self._is_idle.clear()
        task.add_done_callback(self._reader_ended)

    def start(self, target: Item, *, priority: int = 0) -> Handle:
        """Scan one target, and return the handle that gets its outcome.

        Returns at once; the target waits for a slot, behind those of a higher priority and those
        that asked before. Its outcome does not come out of the iteration. The same site may be
        started again once its earlier scan has ended.

        Raises:
            LifecycleError: The group is not open, or was stopped.
        """
        self._check_open()
        self._is_idle.clear()
        return self._pipeline.start(target, priority=priority)

    def cancel(self, handle: Handle, reason: BestDefenseError | None = None) -> None:
        """Give one started target up: it is not created any more, or not followed any more.

        A scan that exists goes on at the server, and its outcome is `running`; so is that of a
        creation that was sent, once it is answered. A result that is being read is read.

        Args:
            handle: What `start` returned.
            reason: The error of its outcome; None is a `ScanCancelled`.
        """
        self._pipeline.give_up(handle.scan, reason or ScanCancelled("The scan was cancelled."))

    @property
    def refusal(self) -> BestDefenseError | None:
        """Why nothing more is started; None while something is."""
        return self._pipeline.refusal

    async def drain(self, timeout: float | None = None) -> None:
        """Start nothing more, let what was sent be answered and recorded, then stop.

        Scans that run are not waited for. Their outcome is `running` with a `RunStopped` and their
        id, what was not sent is `not_started`, and a journal can be resumed. Iterating goes on to
        the last outcome. For a service that must end, and for signals.

        Args:
            timeout: Seconds after which calls under way are cancelled too; None waits for them,
                each of which ends by the client's own timeouts.

        Raises:
            LifecycleError: The group is not open.
        """
        if not (self._is_open or self._is_stopped):
            raise LifecycleError("Only an open ScanGroup can be drained.")
        reason = RunStopped("The run was stopped before this was finished: it can be resumed.")
        self._pipeline.refuse(reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._pipeline.settle()
        await self._stop(reason)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome of what was fed, in the order of completion.

        Ends when nothing that was fed is left. Cancelling it loses nothing.
        """
        self._is_iterated = True
        while (outcome := self._outcome_queue.take()) is None:
            if not (self._readers or self._is_stopping or self._pipeline.fed):
                self._is_iterated = False
                self._outcome_queue.raise_error()
                raise StopAsyncIteration
            await self._outcome_queue.change()
        return outcome

    def _check_open(self) -> None:
        if not (self._is_open or self._is_stopped):
            raise LifecycleError("Use ScanGroup as `async with ScanGroup(client) as group`.")
        if self._is_stopped or self._is_stopping:
            raise LifecycleError("This ScanGroup has ended: make another.")

    async def _read_all(self, source: InputReader, priority: int) -> None:
        """Take in what an iterable yields, as fast as there is room."""
        try:
            while True:
                await self._outcome_queue.room()
                item: Item | End = END
                try:
                    item = await source.read()
                except Exception as error:  # noqa: BLE001 - the caller's iterable may raise anything
                    self._outcome_queue.fail(error)
                if item is END:
                    return
                # No slot is held while the iterable is waited for, which may take for ever.
                scan = self._pipeline.register(item, priority=priority)
                try:
                    await self._pipeline.slots.acquire(priority=priority)
                    await self._pipeline.admit(scan)
                except asyncio.CancelledError:
                    if self._starts_no_more is not None:
                        self._pipeline.not_started(scan, self._starts_no_more)
                    raise
        finally:
            await source.aclose()

    def _reader_ended(self, task: asyncio.Task[None]) -> None:
        source = self._readers.pop(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self._crashed(error)
        elif self._is_stopped:
            self._dismiss_rest(source, self._pipeline.refusal or self._reason)
        elif self._starts_no_more is not None:
            self._dismiss_rest(source, self._starts_no_more)
        else:  # the iterable itself was cancelled: do not end as if it were complete
            self._outcome_queue.fail(RunStopped("The input was cancelled before its end."))
        self._check_idle()

    def _start_no_more(self) -> None:
        """Read nothing more and start nothing more; what exists is followed on."""
        reason = RunStopped("Nothing more was started: the outcomes were not waited for.")
        self._starts_no_more = reason
        self._pipeline.refuse(reason)
        for task in self._readers:
            task.cancel()

    def _dismiss_rest(self, source: InputReader, reason: BestDefenseError) -> None:
        """Give what a collection still holds its outcome."""
        try:
            for item in source.rest():
                scan = self._pipeline.register(item)
                self._pipeline.not_started(scan, scan.error or reason)
        except Exception as error:  # noqa: BLE001 - the caller's iterable may raise anything
            self._outcome_queue.fail(error)

    def _ended(self, scan: Scan, outcome: Outcome, is_duplicate: bool) -> None:  # noqa: FBT001
        """Pass an outcome on to the iteration."""
        if scan.handle is None:
            self._outcome_queue.put(outcome)
        if self._fail_fast and outcome.error is not None and not is_duplicate:
            self._fail(outcome.error)
        self._check_idle()

    def _fail(self, error: BestDefenseError) -> None:
        """Stop because of the first failure; those that follow from the stop do not count."""
        if not (self._is_stopped or self._is_stopping):
            self._outcome_queue.fail(ExceptionGroup("A target has no result.", [error]))
            self._stop_soon(RunStopped("The run was stopped because another target failed."))

    @property
    def _is_stopping(self) -> bool:
        return self._stopper is not None and not self._stopper.done()

    def _check_idle(self) -> None:
        """Wake those who wait for the end when it has come."""
        if not (self._pipeline.live or self._readers or self._is_stopping):
            self._is_idle.set()
        self._outcome_queue.wake()

    def _crashed(self, error: BaseException) -> None:
        """Stop for a fault of the program; it is raised after the last outcome."""
        if isinstance(error, Exception):
            self._outcome_queue.fail(error)
        self._stop_soon(RunStopped("The run was stopped by an unexpected error."))

    def _stop_soon(self, reason: BestDefenseError) -> None:
        """Stop from where one cannot wait for it."""
        if self._is_stopped or self._is_stopping:
            return
        self._is_idle.clear()
        self._stopper = asyncio.get_running_loop().create_task(self._stop(reason, grace=None))
        self._stopper.add_done_callback(lambda _: self._check_idle())

    async def _stop(self, reason: BestDefenseError, *, grace: float | None = 0.0) -> None:
        """Cancel all work, wait until it has ended, and give every input its outcome.

        The answers to creations that were sent are waited for first, for `grace` seconds or, with
        None, for as long as they may take: they say which scans exist.
        """
        self._is_stopped, self._reason = True, reason
        self._pipeline.refuse(reason)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._readers:
            task.cancel()
        try:
            async with asyncio.timeout(grace):
                await self._pipeline.settle(is_read=False)
        except TimeoutError:
            pass
        finally:
            await self._cancel()

    async def _cancel(self) -> None:
        tasks = self._pipeline.cancel() | set(self._readers)
        if self._stopper is not None and self._stopper is not asyncio.current_task():
            tasks.add(self._stopper)
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            self._pipeline.cut_off(self._reason)
            self._check_idle()
