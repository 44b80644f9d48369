"""The way of every input from the moment it was read to its outcome.

    register -> [slot] -> admit -> creation workers -> poll scheduler -> result workers -> ended

In none of these stages has an input a task of its own. All state changes happen between two
awaits, so whatever an input's state is when everything is cancelled decides its outcome
(`Scan.cut_off`), and `_finish` lets only the first outcome of an input count.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.admission import Fate, fate_of
from bestdefense_async.errors import (
    AnswerError,
    AuthError,
    BestDefenseError,
    JournalError,
    JournalLost,
    QuotaExceeded,
    TargetError,
    UnknownSite,
)
from bestdefense_async.models import (
    Progress,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    StartingPaused,
    StartingResumed,
    TargetAccepted,
    TargetRejected,
)
from bestdefense_async.polling.queues import WorkerPool
from bestdefense_async.polling.subscription import WaitOptions
from bestdefense_async.runs.admission import Outage, PrioritySemaphore, StartGate
from bestdefense_async.runs.inputs import Handle, IndexedInput, Scan, scan_of
from bestdefense_async.runs.store.statements import key_of
from bestdefense_async.runs.token_check import TokenCheck
from bestdefense_async.runs.workflow import ScanWorkflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.models import Outcome, ScanEvent
    from bestdefense_async.polling.subscription import PollResult
    from bestdefense_async.runs.inputs import Item
    from bestdefense_async.runs.store.protocol import Journal
    from bestdefense_async.runs.workflow import Creation, ScanClient

log: logging.Logger = logging.getLogger("bestdefense_async.runs")

PUT_BACKS: Final = 5
"""How often a creation is tried again that certainly did no work. An outage costs one or none:
whoever needs more is refused for a reason of its own, while others are taken."""
READERS: Final = 32
"""Results being read at the same time."""


class Pipeline:
    """Takes inputs in, and calls `ended` with the outcome of each, once.

    `ended` is called with the input, its outcome, and whether it was a mere duplicate, `stop` when
    the run was lost to another owner, `crashed` with faults of the program. Needs a running loop.
    """

    def __init__(
        self,
        client: ScanClient,
        *,
        options: ScanOptions,
        journal: Journal,
        max_active: int,
        max_starting: int,
        scan_timeout: float | None,
        polling: PollPolicy | None,
        on_event: Callable[[ScanEvent], object] | None,
        ended: Callable[[Scan, Outcome, bool], None],
        stop: Callable[[BestDefenseError], None],
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._on_event = on_event
        self._ended = ended
        self._stop = stop
        self._journal = journal
        policy = polling or client.polls.policy
        patience = policy.patience / policy.speed
        self._gate = StartGate(
            client.sites.list,
            most=min(max_starting, max_active),
            patience=patience,
            opened=lambda: self._creators.hire(),  # noqa: PLW0108 - made below
            changed=self._outage_changed,
            given_up=self.refuse,
        )
        self._workflow = ScanWorkflow(
            client,
            options,
            journal,
            on_journal_error=self.refuse,
            refusal=lambda: self.refusal,
            host_is_there=self._gate.there,
            patience=patience,
        )
        self._sites = client.site_index
        self._token = TokenCheck(client.sites.list, refusal=lambda: self.refusal)
        self._polls = client.polls
        self._wait_options = WaitOptions(notify=self._followed, policy=policy, timeout=scan_timeout)
        self._starters = WorkerPool(self.admit, limit=1, crashed=crashed)
        self._creators = WorkerPool(
            self._create,
            limit=min(max_starting, max_active),
            crashed=crashed,
            room=self._gate.room,
            pick=self._gate.pick,
        )
        self._readers = WorkerPool(self._read, limit=READERS, crashed=crashed)
        self.slots: PrioritySemaphore = PrioritySemaphore(max_active)
        """Held by each active input, and taken before an input is read."""
        self.refusal: BestDefenseError | None = None
        """Why nothing more is started."""
        self.live: dict[int, Scan] = {}
        """Inputs without an outcome, by index."""
        self.fed: int = 0
        """How many of them have no handle."""
        self._starting: dict[Scan, asyncio.Task[Any]] = {}
        """Inputs whose creation is under way, each with the task that waits for it."""
        self._indexes = itertools.count(journal.next_index)
        self._seen: dict[str, int] = {}
        self._put_backs: Counter[int] = Counter()
        """How often the creation of an input did no work for the host's sake."""

    def register(self, item: Item, *, priority: int = 0, has_handle: bool = False) -> Scan:
        """Take an input in: from here on it has an index, and will have an outcome."""
        if isinstance(item, IndexedInput):
            index, item = item.index, item.item
        else:
            index = next(self._indexes)
        scan = scan_of(item, index=index, priority=priority)
        if not has_handle:
            self.fed += 1
        self.live[scan.index] = scan
        return scan

    def start(self, item: Item, *, priority: int = 0) -> Handle:
        """Take an input in, and admit it in its turn as soon as there is a slot."""
        scan = self.register(item, priority=priority, has_handle=True)
        handle = scan.handle = Handle(scan)
        self.slots.request(partial(self._starters.submit, scan), priority=priority)
        return handle

    async def admit(self, scan: Scan) -> None:
        """Find the site of an input and queue its creation, or reject it.

        The caller has taken a slot; its outcome gives it back.
        """
        scan.has_slot = True
        if scan.index not in self.live:
            self.slots.release()
            return
        if scan.error is not None:
            self._reject(scan, "malformed", scan.error)
        elif self.refusal is not None and scan.report_id is None:
            self.not_started(scan, self.refusal)
        elif (site_id := await self._site_of(scan)) is not None and scan.index in self.live:
            self._accept(scan, site_id)

    async def _site_of(self, scan: Scan) -> str | None:
        """Return the site of an input; None when it has ended because there is none."""
        if scan.target is None:
            return scan.site_id or ""
        try:
            site_id = await self._sites.resolve(scan.target)
        except TargetError as error:
            reason = "unknown_site" if isinstance(error, UnknownSite) else "malformed"
            self._reject(scan, reason, error.with_traceback(None))
        except BestDefenseError as error:
            self.not_started(scan, error.with_traceback(None))
        else:
            self._token.was_accepted = True
            return site_id
        return None

    def _accept(self, scan: Scan, site_id: str) -> None:
        scan.site_id, scan.target = site_id, None
        first = self._seen.setdefault(key_of(site_id), scan.index)
        if first != scan.index:
            self._reject(scan, "duplicate", scan.repeats(first))
            return
        self._emit(TargetAccepted(index=scan.index, target=scan.text, site_id=site_id))
        if scan.report_id is not None:
            self._follow(scan)
            return
        self._workflow.accepted(scan, site_id)
        self._creators.submit(scan, priority=scan.priority)

    def _reject(self, scan: Scan, reason: str, error: BestDefenseError) -> None:
        is_duplicate = reason == "duplicate"
        self._workflow.rejected(scan, error, is_duplicate=is_duplicate)
        self._emit(TargetRejected(index=scan.index, target=scan.text, reason=reason, error=error))
        outcome = scan.outcome(error, now=time.time())
        self._finish(scan, outcome, is_duplicate=is_duplicate)

    def not_started(self, scan: Scan, error: BestDefenseError) -> None:
        """Give an input that is not started the reason as its outcome."""
        self._finish(scan, scan.outcome(error, now=time.time()))

    async def _create(self, scan: Scan) -> None:
        if scan.index not in self.live:
            return
        if self.refusal is not None:
            self.not_started(scan, self.refusal)
            return
        creation = await self._created(scan)
        if isinstance(creation.error, AuthError) and await self._token.clears(scan):
            creation = await self._created(scan)  # it did no work: once more
        if creation.error is None:
            self._token.was_accepted = True
            self._follow(scan)
        elif creation.duplicate_of is not None:
            self._seen[key_of(scan.site_id or "")] = creation.duplicate_of
            self._reject(scan, "duplicate", creation.error)
        elif creation.outcome is not None:
            self._finish(scan, creation.outcome)
        elif self._put_backs[scan.index] < PUT_BACKS:
            self._put_backs[scan.index] += 1
            self._creators.submit(scan, priority=scan.priority)
        else:
            self._finish(scan, await self._workflow.refused(scan, creation.error))

    async def _created(self, scan: Scan) -> Creation:
        """Create a scan, and let the gate know how that ended."""
        begun_in = self._gate.began()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._starting[scan] = task
        creation: Creation | None = None
        try:
            creation = await self._workflow.create(scan, scan.site_id or "")
        finally:
            del self._starting[scan]
            error = None if creation is None else creation.error
            fate = Fate.NOTHING if creation is None else fate_of(error)
            self._gate.ended(begun_in, fate, error)
        return creation

    def _outage_changed(self, outage: Outage) -> None:
        """Tell that the host went away, or came back; and write it down."""
        self._workflow.outage(outage)
        if outage.until is None:
            self._emit(StartingPaused(error=outage.error, since=outage.since))
        else:
            lasted = outage.until - outage.since
            self._emit(StartingResumed(paused_for=lasted, is_back=self.refusal is None))

    def _follow(self, scan: Scan) -> None:
        """Wait for a scan that exists, unless it was given up while it was created."""
        self._emit(
            ScanStarted(
                index=scan.index,
                target=scan.text,
                site_id=scan.site_id or "",
                report_id=scan.report_id or "",
                started_at=scan.started_at or 0.0,
            )
        )
        if scan.error is None:
            self._follow_again(scan)
        else:
            self._readers.submit(scan)

    def _followed(self, scan: Scan, result: PollResult) -> None:
        if isinstance(result, Progress):
            self._gate.polled()
        elif isinstance(result, AnswerError) and self._gate.is_away:
            self._follow_again(scan)  # the answer was that of something before the host
            return
        else:
            scan.error = result.with_traceback(None)
        self._readers.submit(scan)

    def _follow_again(self, scan: Scan) -> None:
        elapsed = max(time.time() - (scan.started_at or 0.0), 0.0)
        scan.subscription = self._polls.follow(
            scan.report_id or "", self._wait_options, tag=scan, elapsed=elapsed
        )

    async def _read(self, scan: Scan) -> None:
        if isinstance(scan.error, AuthError) and await self._token.clears(scan):
            scan.error = None
            self._follow_again(scan)
            return
        outcome = await self._workflow.finish(scan, scan.report_id or "")
        is_denied = isinstance(outcome.error, AuthError)
        if scan.error is None and is_denied and await self._token.clears(scan):
            outcome = await self._workflow.finish(scan, scan.report_id or "")
        self._finish(scan, outcome)

    def _finish(self, scan: Scan, outcome: Outcome, *, is_duplicate: bool = False) -> None:
        """Hand out the outcome of an input. Only the first call for an input counts."""
        if self.live.pop(scan.index, None) is None:
            return
        if scan.has_slot:
            self.slots.release()
        if scan.handle is None:
            self.fed -= 1
        else:
            key = key_of(scan.site_id or "")
            if self._seen.get(key) == scan.index:  # a service may scan the site again later
                del self._seen[key]
            scan.handle.settle(outcome)
        self._emit(ScanFinished(outcome=outcome))
        if isinstance(outcome.error, AuthError | QuotaExceeded | JournalError):
            self.refuse(outcome.error)
        self._ended(scan, outcome, is_duplicate)

    def refuse(self, error: BestDefenseError) -> None:
        """Start nothing more; with a dead token, follow nothing more either."""
        if self.refusal is None:
            self.refusal = error
        self._gate.lift()
        if isinstance(error, JournalLost):
            self._stop(error)
        if isinstance(error, AuthError):
            self._polls.end_all(error)

    def _emit(self, event: ScanEvent) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except (Exception, asyncio.CancelledError):
            log.exception("on_event raised for %s; the run goes on.", type(event).__name__)

    async def settle(self, *, is_read: bool = True) -> None:
        """Wait until what was sent is answered and no result is under way. Only after `refuse`.

        Creations that wait for a limit are not waited for: what is refused is not sent. Nothing is
        asked for any more, so the results that keep coming in have an end; without `is_read` they
        are left where they are.
        """
        tasks = self._stop_polls()
        if not is_read:
            tasks |= self._starters.cancel() | self._readers.cancel()
        if tasks:
            await asyncio.wait(tasks)
        while sent := {
            task for scan, task in self._starting.items() if scan.started_at is not None
        }:
            await asyncio.wait(sent)
        await self._readers.join()

    async def end(self) -> Sequence[IndexedInput]:
        """End the run in its record; return what nobody follows yet, and must be fed first."""
        try:
            return await self._journal.end()
        except JournalError as error:
            self.refuse(error)
            return ()

    def cancel(self) -> set[asyncio.Task[None]]:
        """Cancel all work and return the tasks still to be awaited."""
        return (
            self._starters.cancel()
            | self._creators.cancel()
            | self._readers.cancel()
            | self._gate.cancel()
            | self._stop_polls()
        )

    def _stop_polls(self) -> set[asyncio.Task[None]]:
        waits = (scan.subscription for scan in self.live.values() if scan.subscription)
        return {task for each in waits if (task := self._polls.cancel(each)) is not None}

    def give_up(self, scan: Scan, reason: BestDefenseError) -> None:
        """Start one input no more, or follow it no more. A creation that was sent is answered."""
        subscription = scan.subscription
        has_ended = subscription is not None and subscription.options is None
        if scan.index not in self.live or scan.error is not None or has_ended:
            return
        scan.error = reason
        if subscription is not None:
            self._polls.cancel(subscription)
            self._readers.submit(scan)
        elif scan.report_id is not None or scan.started_at is None:
            self._finish(scan, scan.outcome(reason, now=time.time()))

    def cut_off(self, reason: BestDefenseError) -> None:
        """Give every input that has none its outcome. Only after `cancel`."""
        for scan in list(self.live.values()):
            error = reason if scan.started_at is not None else self.refusal or reason
            self._finish(scan, scan.cut_off(scan.error or error, now=time.time()))
