"""Inputs of any kind and length, read one by one, and each on its way to its outcome."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import define, frozen

from bestdefense_async.errors import (
    BestDefenseError,
    ConfigError,
    OutcomeUnknown,
    TargetError,
    clean_text,
)
from bestdefense_async.models import Outcome, OutcomeStatus, RiskSummary, Site, status_of
from bestdefense_async.polling.subscription import PolledReport, Subscription
from bestdefense_async.runs.targets import Target

if TYPE_CHECKING:
    from bestdefense_async.models import Finding


@frozen(kw_only=True)
class ExistingScan:
    """A scan that exists already: fed to a group, it is followed and never created again."""

    target: str
    site_id: str
    report_id: str
    started_at: float
    """Seconds since the epoch."""


@frozen
class IndexedInput:
    """An input that has its index already: what a journal remembers and gives back."""

    index: int
    item: str | Target | Site | ExistingScan | TargetError


@define(eq=False, kw_only=True, weakref_slot=False)
class Scan:
    """The state of one input. Only the group that took the input changes it."""

    index: int
    text: str
    """The target as it is shown to people."""
    target: Target | None = None
    """What is to be resolved; None for what names no host, and once the site is known."""
    error: BestDefenseError | None = None
    """Why there will be no result, as soon as that is clear."""
    site_id: str | None = None
    report_id: str | None = None
    started_at: float | None = None
    """When the creation was sent; None before, and when it did no work."""
    priority: int = 0
    """Which of those that wait goes first: the higher one."""
    has_slot: bool = False
    """Whether it counts as active."""
    handle: Handle | None = None
    """Who gets the outcome; None when it goes into the stream."""
    subscription: Subscription | None = None
    """The wait for it, once it exists."""

    def outcome(
        self,
        error: BestDefenseError | None,
        *,
        now: float,
        risk: RiskSummary | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> Outcome:
        """Return the outcome with this error, None for a result; `now` is since the epoch."""
        is_unsent = error is not None and self.report_id is None and self.started_at is None
        status = status_of(error, report_id=self.report_id)
        return Outcome(
            index=self.index,
            target=self.text,
            status=OutcomeStatus.NOT_STARTED if is_unsent else status,
            site_id=self.site_id,
            report_id=self.report_id,
            risk=risk,
            findings=findings,
            error=error,
            started_at=self.started_at,
            finished_at=now,
        )

    def cut_off(self, reason: BestDefenseError, *, now: float) -> Outcome:
        """Return the outcome when nothing more is done for this input, by how far it came.

        A claim counts as sent: from then on a scan may exist, and only its id proves it.
        """
        is_lost = self.report_id is None and self.started_at is not None
        return self.outcome(self.lost(str(reason)) if is_lost else reason, now=now)

    def repeats(self, first: int) -> TargetError:
        """Return the error of an input that names the same site as an earlier one."""
        return TargetError(f"It names the same site as target {first}.", target=self.text)

    def lost(self, reason: str) -> OutcomeUnknown:
        """Return the error of a creation that was sent and not answered."""
        return OutcomeUnknown(
            reason,
            operation="reports.create",
            subject=self.site_id or "",
            sent_at=self.started_at or 0.0,
        )


class ScanState(enum.StrEnum):
    """How far a scan is."""

    WAITING = "waiting"
    """It is not created yet: it waits for a slot, a limit, or the host."""
    CREATING = "creating"
    """The creation was sent."""
    RUNNING = "running"
    """The server scans."""
    READING = "reading"
    """The server has finished; the result is being read."""
    ENDED = "ended"
    """It has its outcome."""


class Handle:
    """One started target: `ScanGroup.start` returns it, and it may be kept after the group."""

    def __init__(self, scan: Scan) -> None:
        self.scan: Scan = scan
        """Its state, which only the group changes."""
        self._outcome: Outcome | None = None
        self._is_settled = asyncio.Event()

    @property
    def index(self) -> int:
        """Index of the input in its group, from 0."""
        return self.scan.index

    @property
    def target(self) -> str:
        """The target as it was written."""
        return self.scan.text

    @property
    def report_id(self) -> str | None:
        """The scan, once the server has created it; None before."""
        return self.scan.report_id

    @property
    def is_done(self) -> bool:
        """Whether `outcome` would return at once."""
        return self._outcome is not None

    @property
    def state(self) -> ScanState:
        """How far it is."""
        if self._outcome is not None:
            return ScanState.ENDED
        if self.scan.report_id is None:
            return ScanState.WAITING if self.scan.started_at is None else ScanState.CREATING
        subscription = self.scan.subscription
        is_over = subscription is not None and subscription.options is None
        return ScanState.READING if is_over else ScanState.RUNNING

    @property
    def percentage(self) -> float | None:
        """0 to 100 where the server says so, else None."""
        subscription = self.scan.subscription
        return subscription.percentage if isinstance(subscription, PolledReport) else None

    async def outcome(self) -> Outcome:
        """Wait for the outcome and return it. A wait that is cancelled changes nothing."""
        while self._outcome is None:
            await self._is_settled.wait()
        return self._outcome

    def settle(self, outcome: Outcome) -> None:
        """Hand the outcome to those who wait; the group's business."""
        self._outcome = outcome
        self._is_settled.set()

    def __repr__(self) -> str:
        state = "running" if self._outcome is None else self._outcome.status
        return f"<Handle {self.index} {self.target} {state}>"


Item: TypeAlias = str | Target | Site | ExistingScan | TargetError | IndexedInput
"""What names a target: its text, a parsed target, a site, a scan that exists already, the error
that stands in its place in a list, or one of these with the index a journal knows it by."""


def parse_item(item: object) -> Target | Site | ExistingScan | TargetError:
    """Return what an item names, or the error that stands in its place.

    Anything may come out of an iterable, and one bad item must not end the others.
    """
    if isinstance(item, Target | Site | ExistingScan | TargetError):
        return item
    if isinstance(item, str):
        try:
            return Target(item)
        except TargetError as error:
            return error.with_traceback(None)
    return TargetError(
        f"A target is a text, a Target or a Site, not {type(item).__name__}.",
        target=clean_text(item, longest=100),
    )


Items: TypeAlias = Iterable[Item] | AsyncIterable[Item]


def scan_of(item: Item, *, index: int, priority: int) -> Scan:
    """Return the state of an input that was read; one that names nothing has its error."""
    scan = Scan(index=index, text="", priority=priority)
    known = parse_item(item)
    if isinstance(known, TargetError):
        scan.text, scan.error = known.target, known
    elif isinstance(known, ExistingScan):
        scan.text, scan.site_id, scan.report_id = known.target, known.site_id, known.report_id
        scan.started_at = known.started_at
    elif isinstance(known, Site):
        scan.text, scan.site_id = known.hostname, known.id
    else:
        scan.text, scan.target = known.text, known
    return scan


class End(enum.Enum):
    """What `InputReader.read` returns after the last item."""

    END = enum.auto()


END: Final = End.END

_READS_PER_TURN: Final = 100
"""Items read in a row before other tasks get a turn."""


class InputReader:
    """Reads a synchronous or asynchronous iterable without ever holding more than one item.

    Raises:
        ConfigError: It is a single target, or nothing that can be iterated.
    """

    def __init__(self, items: Items) -> None:
        self._iterator: Iterator[Item] | AsyncIterator[Item]
        if isinstance(items, str | bytes):
            raise ConfigError("feed() takes an iterable of targets; start() takes a single one.")
        if isinstance(items, AsyncIterable):
            self._iterator = aiter(items)
        elif isinstance(items, Iterable):
            self._iterator = iter(items)
        else:
            raise ConfigError(f"{type(items).__name__} is no iterable of targets.")
        self.is_finite: bool = isinstance(items, Sized)
        """Whether reading to the end is certain to take no time: it is a collection."""
        self._count = 0

    async def read(self) -> Item | End:
        """Return the next item, or END. Raises what the iterable raises."""
        if isinstance(self._iterator, AsyncIterator):
            return await anext(self._iterator, END)
        self._count += 1
        if self._count % _READS_PER_TURN == 0:
            await asyncio.sleep(0)
        return next(self._iterator, END)

    def rest(self) -> Iterator[Item]:
        """Return what was not read, where that is certain to take no time."""
        if self.is_finite and isinstance(self._iterator, Iterator):
            return self._iterator
        return iter(())

    async def aclose(self) -> None:
        """Close an asynchronous generator, which would otherwise be left to the event loop."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()
