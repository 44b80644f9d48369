"""One scheduler for the progress of many reports.

A waiting scan is an entry in one heap of due times, not a task: a timer moves what is due to a
few workers, each of which sends one request at a time. Reports are entries by id, so two who wait
for the same one share its polls.

Three clocks that are never mixed: the deadline of one request and its repetition belong to the
client; the deadline of a wait belongs to whoever waits and ends in `PollTimeout`.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import itertools
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define

from bestdefense_async.core.polling import PollPolicy, first_wait, next_wait
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    DeadlineExceeded,
    NotFound,
    PollTimeout,
    RateLimited,
    ServerError,
    TLSError,
    TransportError,
)
from bestdefense_async.models import Progress
from bestdefense_async.polling.worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Awaitable

WORKERS = 64
"""Polls under way at the same time; the rest of the client's connections are for creations."""
GRACE = 30.0
"""Seconds after its creation in which a report may still be unknown to the server (404)."""
LAST_LOOK = 5.0
"""Seconds that the poll at the deadline may take."""

_PASSING = (RateLimited, ServerError, TransportError, DeadlineExceeded)

Verdict: TypeAlias = Progress | BestDefenseError
"""What a wait ends with: the completed progress, or why there is none."""


@define(eq=False, weakref_slot=False)
class _Report:
    """A report somebody waits for."""

    id: str
    since: float
    watches: list[Watch]
    due: float | None = None
    """Its place in the heap; None while a poll is queued or under way. Other places are stale."""
    was_seen: bool = False
    failing_since: float | None = None


@define(eq=False, weakref_slot=False)
class Watch:
    """One wait for a report: what `follow` returns and `cancel` takes."""

    report_id: str
    notify: Callable[[Any, Verdict], None]
    tag: Any
    since: float
    deadline: float | None


class PollScheduler:
    """Asks for the progress of reports until they are complete.

    Args:
        progress: Sends one poll; the client's `reports.progress`.
        policy: How often a report is asked for.
        crashed: Told of an error that is no `BestDefenseError`: a fault of the program.
        uniform: Chance, as `random.uniform`.
    """

    def __init__(
        self,
        progress: Callable[[str], Awaitable[Progress]],
        *,
        policy: PollPolicy | None = None,
        crashed: Callable[[BaseException], None],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._progress = progress
        self._policy = PollPolicy() if policy is None else policy
        self._uniform = uniform
        self._loop = asyncio.get_running_loop()
        self._reports: dict[str, _Report] = {}
        self._heap: list[tuple[float, int, _Report]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._pool = WorkerPool(self._poll, limit=WORKERS, crashed=crashed)

    def __len__(self) -> int:
        """Return how many reports are waited for."""
        return len(self._reports)

    def follow(
        self,
        report_id: str,
        notify: Callable[[Any, Verdict], None],
        *,
        tag: object = None,
        timeout: float | None = None,
        elapsed: float = 0.0,
    ) -> Watch:
        """Wait for a report without a task: `notify` is called once, with `tag` and the verdict.

        Costs no request now. `timeout` is seconds from now, None for none: a scan that failed
        may never become complete. `elapsed` is how many seconds ago the scan was created.
        """
        now = self._loop.time()
        watch = Watch(report_id, notify, tag, now, None if timeout is None else now + timeout)
        report = self._reports.get(report_id)
        if report is None:
            report = self._reports[report_id] = _Report(report_id, now - elapsed, [watch])
            self._schedule(report, first_wait(self._policy, uniform=self._uniform))
        else:
            report.watches.append(watch)
            if report.due is not None:  # its next poll may lie behind the new deadline
                self._schedule(report, report.due - now)
        return watch

    async def wait(self, report_id: str, *, timeout: float | None = None) -> Progress:
        """Return the progress of a report once it is complete.

        Raises:
            PollTimeout: It is not complete after `timeout` seconds.
            AuthError: The token is dead; `report_id` says which report was followed.
            NotFound: There is no such report, also not after a grace period.
            BestDefenseError: Another answer that waiting does not change.
        """
        future: asyncio.Future[Verdict] = self._loop.create_future()

        def tell(_: object, verdict: Verdict) -> None:
            if not future.done():  # whoever waited may have been cancelled in this very tick
                future.set_result(verdict)

        watch = self.follow(report_id, tell, timeout=timeout)
        try:
            verdict = await future
        finally:
            self.cancel(watch)
        if isinstance(verdict, BestDefenseError):
            raise verdict
        return verdict

    def cancel(self, watch: Watch) -> None:
        """End a wait without telling `notify`. One that is over is left alone."""
        report = self._reports.get(watch.report_id)
        if report is not None and watch in report.watches:
            report.watches.remove(watch)
            if not report.watches:
                del self._reports[report.id]

    def end_all(self, error: BestDefenseError) -> None:
        """End every wait with a copy of `error`: the token is dead, or the run is over."""
        for report in list(self._reports.values()):
            self._settle(report, _about(error, report.id))

    def close(self) -> set[asyncio.Task[None]]:
        """Forget every wait, cancel the polls under way and return their tasks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reports.clear()
        self._heap.clear()
        return self._pool.cancel()

    def _schedule(self, report: _Report, wait: float) -> None:
        due = self._loop.time() + wait
        deadlines = [watch.deadline for watch in report.watches if watch.deadline is not None]
        report.due = due = min((due, *deadlines))
        heapq.heappush(self._heap, (due, next(self._order), report))
        if self._timer is None or due < self._timer.when():
            self._rearm()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._tick) if self._heap else None

    def _tick(self) -> None:
        """Hand what is due to the workers."""
        self._timer = None
        # The loop fires a timer up to its clock's resolution early.
        now = max(self._loop.time(), self._heap[0][0]) if self._heap else 0.0
        while self._heap and self._heap[0][0] <= now:
            due, _, report = heapq.heappop(self._heap)
            if report.due == due and self._is_wanted(report):
                report.due = None
                self._pool.submit(report)
        self._rearm()

    def _is_wanted(self, report: _Report) -> bool:
        return self._reports.get(report.id) is report

    async def _poll(self, report: _Report) -> None:
        if not self._is_wanted(report):
            return
        try:
            progress = await self._ask(report)
        except AuthError as error:
            self.end_all(error)
        except BestDefenseError as error:
            self._failed(report, error)
        else:
            report.was_seen, report.failing_since = True, None
            if progress.is_completed:
                self._settle(report, progress)
            else:
                self._again(report, percentage=progress.percentage)

    async def _ask(self, report: _Report) -> Progress:
        """Send one poll, not beyond the last deadline of those who wait."""
        deadlines = [watch.deadline for watch in report.watches]
        latest = max((one for one in deadlines if one is not None), default=None)
        if latest is None or None in deadlines:
            return await self._progress(report.id)
        limit = asyncio.timeout_at(max(latest, self._loop.time()) + LAST_LOOK)
        try:
            async with limit:
                return await self._progress(report.id)
        except TimeoutError:
            if not limit.expired():
                raise
        raise DeadlineExceeded(f"No answer about report {report.id} before the deadline.")

    def _failed(self, report: _Report, error: BestDefenseError) -> None:
        """Decide whether a failed poll ends the wait."""
        now = self._loop.time()
        if isinstance(error, NotFound):
            is_final = report.was_seen or now - report.since > GRACE
        elif isinstance(error, TLSError) or not isinstance(error, _PASSING):
            is_final = True
        elif isinstance(error, RateLimited):
            is_final = False
        else:
            if report.failing_since is None:
                report.failing_since = now
            is_final = (now - report.failing_since) * self._policy.speed > self._policy.patience
        if is_final:
            self._settle(report, error)
        else:
            self._again(report, at_least=getattr(error, "retry_after", None) or 0.0)

    def _again(
        self, report: _Report, *, percentage: float | None = None, at_least: float = 0.0
    ) -> None:
        now = self._loop.time()
        for watch in tuple(report.watches):
            if watch.deadline is not None and watch.deadline <= now:
                self.cancel(watch)
                watch.notify(watch.tag, PollTimeout(report.id, waited=now - watch.since))
        if self._is_wanted(report):
            elapsed = now - report.since
            wait = next_wait(
                self._policy, elapsed=elapsed, percentage=percentage, uniform=self._uniform
            )
            self._schedule(report, max(wait, at_least))

    def _settle(self, report: _Report, verdict: Verdict) -> None:
        if self._is_wanted(report):
            del self._reports[report.id]
            watches, report.watches = report.watches, []
            for watch in watches:
                watch.notify(watch.tag, verdict)


def _about(error: BestDefenseError, report_id: str) -> BestDefenseError:
    """Return a copy of `error` that names the report it concerns."""
    one = copy.copy(error)
    if isinstance(one, AuthError):
        one.report_id = report_id
    return one
