"""One scheduler for the progress of all reports that one token waits for.

A waiting scan is an entry in a queue, not a task: a timer moves what is due to a few workers,
each of which sends one request at a time. Reports are entries by id, so whoever waits for one that
is waited for already shares its polls; with several policies the sooner counts.

    follow -> TimerQueue -> [due] -> ReadyQueue -> [turn] -> poll -> TimerQueue, or the end
                                                     ^ at the budget's rate, by the workers

The workers are the scheduler's own: one that waits for its token's pause, or for an answer that
does not come, keeps no other token's poll waiting. What all tokens share is the client's slots.

Three clocks that are never mixed: the deadline of one request and its repetition belong to the
client; the deadline of a wait belongs to whoever waits and ends in `PollTimeout`.
"""

from __future__ import annotations

import asyncio
import math
import random
from contextvars import Context
from typing import TYPE_CHECKING, Final

from bestdefense_async.core.polling import DEFAULT_POLICY, first_wait, next_wait
from bestdefense_async.core.retry import asked_wait
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    EnvelopeError,
    ScanFailed,
)
from bestdefense_async.polling.queues import (
    Rate,
    ReadyQueue,
    Timer,
    TimerQueue,
    WorkerPool,
    round_up,
)
from bestdefense_async.polling.subscription import (
    PolledReport,
    PollStats,
    Subscription,
    WaitOptions,
    about,
    closed_under_wait,
    is_final,
    resolve,
    surprised,
    tell,
    tell_impatient,
    tell_late,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import Progress
    from bestdefense_async.polling.subscription import PollResult

LAST_LOOK: Final = 5.0
"""Seconds that the poll at the deadline may take."""
LOOK_ROUND: Final = 1.0
"""Least seconds between two searches for waits that are late."""


class PollScheduler:
    """Asks for the progress of reports until they are complete. Needs a running loop.

    Args:
        progress: Sends one poll; the client's `reports.progress`.
        limit: Most polls at once.
        rate: Most polls per second, None for as many as are due.
        uniform: Chance, as `random.uniform`.
    """

    def __init__(
        self,
        progress: Callable[[str], Awaitable[Progress]],
        *,
        limit: int,
        rate: float | None = None,
        policy: PollPolicy = DEFAULT_POLICY,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._progress = progress
        self._workers: WorkerPool[None] = WorkerPool(self._turn, limit=limit, crashed=_crashed)
        self._rate = None if rate is None else Rate(rate)
        self._uniform = uniform
        self.policy = policy
        """How often to ask when a wait does not say."""
        self._loop = asyncio.get_running_loop()
        self._reports: dict[str, PolledReport] = {}
        self._timers = TimerQueue()
        self._ready = ReadyQueue()
        self._under_way: dict[PolledReport, asyncio.Task[None]] = {}
        self._last_words: dict[PolledReport, BestDefenseError] = {}
        self._next_due = Timer()
        self._next_late = Timer()
        self._has_asked = False  # whether a worker's turn is on its way
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many reports are waited for."""
        return len(self._reports)

    def stats(self) -> PollStats:
        """Return who waits for what now."""
        first = self._ready.first()
        under_way = sum(not report.is_over for report in self._under_way)
        return PollStats(
            waiting=len(self._reports),
            due=len(self._reports) - self._timers.counting - under_way,
            under_way=len(self._under_way),
            unasked=0.0 if first is None else self._loop.time() - first.asked,
        )

    # -- those who wait

    def follow(
        self, report_id: str, options: WaitOptions, *, tag: object = None, elapsed: float = 0.0
    ) -> Subscription:
        """Wait for a report without a task: `options.notify` is called once, with tag and verdict.

        Costs no request now, and about 200 bytes. `elapsed` is how many seconds ago the scan was
        created.
        """
        now = self._loop.time()
        created = now - elapsed if elapsed else now
        report = self._reports.get(report_id)
        if self._is_closed:
            subscription = Subscription(report_id, tag, options, now)
            self._loop.call_soon(tell, subscription, closed_under_wait())
            return subscription
        if report is None:
            report = PolledReport(report_id, tag, options, now, created, created)
            self._reports[report_id] = report
            self._put(report, first_wait(options.policy, uniform=self._uniform))
            return report
        subscription = Subscription(report_id, tag, options, now)
        self._join(report, subscription, options, created)
        return subscription

    def _join(
        self, report: PolledReport, subscription: Subscription, options: WaitOptions, created: float
    ) -> None:
        """Let another wait share the polls of a report, which come sooner if it wants them to."""
        is_alike = report.has_just_met(options.policy)
        report.join(subscription)
        report.created = min(report.created, created)
        if report.bucket is None:
            self._next_late.set(subscription.deadline + LAST_LOOK, self._expire)
            return
        due = min(report.bucket.due, subscription.deadline)
        if not is_alike:
            wait = self._wait(report, (options.policy,), now=report.asked)
            due = min(due, max(report.asked + wait, subscription.since))
        if due < report.bucket.due:
            self._enter(report, due)

    async def wait(
        self,
        report_id: str,
        *,
        timeout: float | None = None,
        policy: PollPolicy | None = None,
        started_ago: float | None = None,
    ) -> Progress:
        """Return the progress of a report once it is complete.

        `started_ago` is how many seconds ago the scan was created: who knows that has it looked
        at now. None is a scan that was created just now.

        Raises:
            PollTimeout: It is not complete after `timeout` seconds.
            ScanFailed: The scan has ended without a result.
            AuthError: The token is dead; `report_id` says which report was followed.
            NotFound: There is no such report, also not after a grace period.
            ClientClosed: The client was closed.
            BestDefenseError: Another answer that waiting does not change.
        """
        future: asyncio.Future[PollResult] = self._loop.create_future()
        options = WaitOptions(notify=resolve, policy=policy or self.policy, timeout=timeout)
        subscription = self.follow(report_id, options, tag=future, elapsed=started_ago or 0.0)
        report = self._reports.get(report_id)
        if started_ago is not None and report is not None and report.bucket is not None:
            self._enter(report, self._loop.time())
        try:
            result = await future
        finally:
            self.cancel(subscription)
        if isinstance(result, BestDefenseError):
            raise result
        return result

    def cancel(self, subscription: Subscription) -> asyncio.Task[None] | None:
        """End a wait without telling anybody. One that is over is left alone.

        Returns:
            The poll that nobody waits for any more, when one was under way: it is cancelled, and
            has ended when the task has.
        """
        if subscription.options is None:
            return None
        subscription.end()
        report = self._reports.get(subscription.report_id)
        if report is None or not report.is_over:
            return None
        self._forget(report)
        task = self._under_way.get(report) if self._under_way else None
        if task is not None:
            task.cancel()
        return task

    def end_all(self, error: BestDefenseError) -> None:
        """End every wait with a copy of `error`: the token is dead.

        Where a poll is under way it is cancelled first, and who waits is told when it has ended.
        """
        for report in list(self._reports.values()):
            task = self._under_way.get(report)
            if report.is_over:
                continue
            if task is None:
                self._settle(report, about(error, report.report_id))
            else:
                self._last_words[report] = about(error, report.report_id)
                task.cancel()

    def close(self) -> set[asyncio.Task[None]]:
        """End every wait with `ClientClosed`, now and from now on; return the cancelled polls."""
        self._is_closed = True
        tasks = set(self._under_way.values())
        self.end_all(closed_under_wait())
        return tasks

    # -- when it is due

    def _put(self, report: PolledReport, wait: float) -> None:
        """Enter a report for its next poll: after a wait, or at the first deadline."""
        self._enter(report, min(round_up(self._loop.time(), wait), report.first_deadline()))

    def _enter(self, report: PolledReport, due: float) -> None:
        self._timers.put(report, due)
        self._next_due.set(due, self._fall_due)

    def _fall_due(self, now: float) -> None:
        """Move what is due to the queue of those that are ready."""
        reports = self._timers.take(now)
        self._ready.add(reports, now)
        for report in reports:
            self._next_late.set(report.first_deadline() + LAST_LOOK, self._expire)
        self._ask_for_turn()
        self._next_due.set(self._timers.next_due, self._fall_due)

    def _ask_for_turn(self) -> None:
        """Queue for a worker, once; the next turn is asked for when this one has begun."""
        if self._has_asked or not self._ready:
            return
        self._has_asked = True
        wait = 0.0 if self._rate is None else self._rate.wait(self._loop.time())
        if wait > 0.0:
            self._loop.call_later(wait, self._workers.submit, None, context=Context())
        else:
            self._workers.submit(None)

    async def _turn(self, _: None) -> None:
        """Send one poll: what a worker does."""
        self._has_asked = False
        now = self._loop.time()
        report = self._ready.take(now)
        if report is not None and self._rate is not None:
            self._rate.spend(now)
        self._ask_for_turn()
        if report is not None:
            await self._poll(report)

    # -- one poll

    async def _poll(self, report: PolledReport) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._under_way[report] = task
        answer: PollResult | None = None
        try:
            answer = await self._ask(report.report_id)
        finally:
            del self._under_way[report]
            last_words = self._last_words.pop(report, None)
            if not report.is_over:
                if last_words is None:
                    self._landed(report, answer)
                else:
                    self._settle(report, last_words)

    async def _ask(self, report_id: str) -> PollResult:
        try:
            return await self._progress(report_id)
        except BestDefenseError as error:
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 - one surprise must not end the other waits
            return surprised(error)

    def _landed(self, report: PolledReport, answer: PollResult | None) -> None:
        """Take in what a poll brought; None when it was cut off."""
        now = self._loop.time()
        report.misshapen = report.misshapen + 1 if isinstance(answer, EnvelopeError) else 0
        if answer is None:
            self._again(report, now)
        elif isinstance(answer, AuthError):
            self.end_all(answer)
        elif not isinstance(answer, BestDefenseError):
            report.was_seen, report.failing_since = True, None
            report.percentage = answer.percentage
            if answer.has_failed:
                end = ScanFailed(
                    report.report_id, status=answer.status or "", message=answer.message
                )
                self._settle(report, end)
            elif answer.is_completed:
                self._settle(report, answer)
            else:
                self._again(report, now)
        elif is_final(answer, report, now):
            self._settle(report, answer)
        else:
            tell_impatient(report, answer, now)
            self._again(report, now, at_least=asked_wait(answer))

    def _again(self, report: PolledReport, now: float, *, at_least: float = 0.0) -> None:
        """Enter a report for its next poll, if anybody still waits."""
        tell_late(report, limit=now, now=now)
        if report.is_over:
            self._forget(report)
        else:
            self._put(report, max(self._wait(report, report.policies(), now=now), at_least))

    def _wait(self, report: PolledReport, policies: Iterable[PollPolicy], *, now: float) -> float:
        """Return the seconds from `now` to the next poll, by the most eager policy."""
        return min(
            next_wait(
                policy,
                elapsed=now - report.created,
                percentage=report.percentage,
                uniform=self._uniform,
            )
            for policy in policies
        )

    def _settle(self, report: PolledReport, result: PollResult) -> None:
        self._forget(report)
        for index, subscription in enumerate(report.subscriptions()):
            if index > 0 and isinstance(result, BestDefenseError):
                result = about(result, report.report_id)  # each raises an error of its own
            tell(subscription, result)

    def _forget(self, report: PolledReport) -> None:
        if self._reports.get(report.report_id) is not report:
            return
        del self._reports[report.report_id]
        self._timers.remove(report)
        if self._reports:
            self._timers.shrink(len(self._reports))
            return
        self._timers.clear()
        self._ready.clear()
        self._next_due.stop()
        self._next_late.stop()

    def _expire(self, now: float) -> None:
        """Tell who is late: the poll at the deadline waits for its turn, or hangs."""
        limit = now - LAST_LOOK
        for report, task in self._under_way.items():
            if all(subscription.deadline <= limit for subscription in report.subscriptions()):
                if not task.cancelling():
                    task.cancel()  # who waits is told when it has ended
            else:
                tell_late(report, limit=limit, now=now)
        for report in [one for one in self._ready if not one.is_over]:
            tell_late(report, limit=limit, now=now)
            if report.is_over:
                self._forget(report)
        rest = (report.first_deadline() for report in (*self._ready, *self._under_way))
        late = min(rest, default=math.inf) + LAST_LOOK
        self._next_late.set(max(late, now + LOOK_ROUND), self._expire)


def _crashed(error: BaseException) -> None:
    """Pass on a fault of this module, for which nobody else is responsible."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "A worker for polls failed.", "exception": error}
    )
