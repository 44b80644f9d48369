"""What a run needs of a store, whichever database stands behind it.

A `Store` holds many runs. A run is taken by one owner at a time, who gets its `Journal` and a
fencing number; taking it again raises the number, and from then on the earlier owner can change
nothing. One thing is welcome even from it: the answer to a creation that it did send, for that is
knowledge and not a decision.

The order of the calls for one input:

    accepted --> claim --> created --> finished
    rejected       |-- give_back: certainly not begun; may be claimed again
                   |-- refused: certainly no scan
                   '-- unknown: perhaps a scan

`claim` is the one that matters. It is durable before the creation leaves, so that after a crash
everything claimed and not created is known to be unknown, and is never sent again.

Reading is asynchronous, and goes on past what cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

from attrs import field, frozen

from bestdefense_async.errors import JournalError, TargetError
from bestdefense_async.models import Outcome, ScanOptions, Site
from bestdefense_async.runs.targets import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.report.result import RunResult
    from bestdefense_async.runs.inputs import IndexedInput

PlannedItem: TypeAlias = Target | Site | TargetError
"""What may stand in the plan of a run."""

LAST: Final = "last"
"""The name by which the newest run is found."""


@frozen
class ClaimAnswer:
    """What a store says to a claim."""

    OURS: ClassVar[ClaimAnswer]
    """The creation is ours to send."""
    TAKEN: ClassVar[ClaimAnswer]
    """The input was claimed before, perhaps by another owner: nothing is sent."""

    is_ours: bool
    duplicate_of: int | None = None
    """The index of the input that names the same site: nothing is sent."""


ClaimAnswer.OURS = ClaimAnswer(is_ours=True)
ClaimAnswer.TAKEN = ClaimAnswer(is_ours=False)


@frozen(kw_only=True)
class RunInfo:
    """One run of a store."""

    name: str
    created_at: float | None = None
    """Seconds since the epoch; None when it cannot be read."""
    base_url: str = ""
    options: ScanOptions | None = None
    """Without the callback secret, which is never stored."""
    policy: Mapping[str, Any] | None = None
    """The rules it is to be judged by, as plain values; None when nobody has said."""
    previous: str | None = None
    """The newest run when this one began: what `last` means beside it."""
    counts: Mapping[str, int] = field(factory=dict)
    """Inputs by the status of their outcome as it stands; empty where they were not counted."""
    is_held: bool = False
    """Whether a process is writing it."""
    has_ended: bool = False
    """Whether its owner ended it: every scan that was followed has its outcome."""
    is_complete: bool = False
    """Whether nothing is left to do: every input is done. One that was rejected is not, since its
    site may be known by now."""
    problem: str | None = None
    """Why it cannot be read."""

    def known_options(self) -> ScanOptions:
        """Return what the run scans. Raises JournalError when that cannot be read."""
        if self.options is None:
            raise JournalError(f"Run {self.name} cannot be read: {self.problem}")
        return self.options

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits or goes on: what is not done was refused, or ended in failure.

        To go on with such a run repeats what was refused, so it may be deleted like a complete one.
        """
        open_ = (self.counts.get(each, 0) for each in ("running", "unknown", "not_started"))
        return bool(self.counts) and not any(open_)


@frozen(kw_only=True)
class Family:
    """Runs that share their sites, among those with the same host and options."""

    has: Callable[[str], bool]
    """Whether the run with a name is one of them."""
    is_open: Callable[[Outcome], bool]
    """Whether a site with that outcome is under way; the owner of its run is taken for alive."""


@frozen
class StoredInput:
    """Where an input stands in a store."""

    run: str
    """The name of its run."""
    index: int


@frozen(kw_only=True)
class UnknownScan:
    """A creation whose answer is lost: what to look for at the server."""

    index: int
    target: str
    site_id: str
    claimed_at: float
    """When the creation was sent, in seconds since the epoch."""


class Journal(Protocol):
    """Where a group writes. An input is known by its index.

    Every method may raise `JournalError`: the group then starts nothing more, and follows what was
    created to its end. `JournalLost` says that another owner has the run: the group stops, once
    what it has sent is answered. What is not awaited is written in its turn, and should it fail,
    the next call raises. How a creation has ended is remembered while it cannot be written, and
    written with the next call that can.
    """

    @property
    def next_index(self) -> int:
        """The first index that no input of the run has: a group counts on from here."""

    def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Record an input that names a site and is to be scanned."""

    async def accept(
        self, index: int, *, target: str, site_id: str, unless: Family
    ) -> StoredInput | None:
        """Record an input, durably, unless its site is under way in another run of a family.

        Of all processes that accept a site at a time, one does. The others are told where it is.

        Args:
            index: The input.
            target: What it is called.
            site_id: The site that it names.
            unless: Which runs share their sites with this one.
        """

    def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Record an input that cannot be scanned, or that names a site a second time."""

    async def claim(self, index: int, *, target: str, site_id: str, at: float) -> ClaimAnswer:
        """Record, durably, that the creation is sent next; `at` is seconds since the epoch."""

    async def give_back(self, index: int) -> None:
        """Undo a claim: the creation was certainly not begun, and may be claimed again."""

    async def created(self, index: int, *, report_id: str) -> None:
        """Record that the server has created the scan.

        Raises:
            IntegrityError: Another scan of the run has that id.
        """

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Record that certainly no scan was started, whether it is claimed or was given back."""

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Record that a scan may have been started."""

    async def finished(self, outcome: Outcome, *, security_id: int | None = None) -> None:
        """Record how a scan that exists has ended, findings included, or why it has not yet.

        Raises:
            IntegrityError: Another scan of the run has that report id or security id.
        """

    def span(
        self, kind: str, begun: float, ended: float | None, error: BestDefenseError | None = None
    ) -> None:
        """Record a time in which nothing could start: `throttled` or `outage`.

        Called again with the same beginning, it records the end.
        """

    async def end(self) -> Sequence[IndexedInput]:
        """End the run, unless it has scans that nobody follows; return those.

        The answer to a creation may come after its owner was given up: it is followed then.
        """

    async def flush(self) -> None:
        """Wait until what was recorded is durable: a promise may be made about it."""

    async def aclose(self) -> None:
        """Write what is still to be written and leave the run to others. Again is harmless.

        Raises:
            JournalError: It cannot be written. Scans that no record knows are in the message.
        """


class Record(Protocol):
    """What is read of a run, and what a person decides about it."""

    @property
    def name(self) -> str:
        """The name of the run."""

    async def info(self) -> RunInfo:
        """Return what is known of the run."""

    async def remaining(self) -> Sequence[IndexedInput]:
        """Return what to feed to a group: scans to follow first, then what was never started.

        What was rejected is there again: a site that was unknown may be known by now.
        """

    async def unknowns(self) -> Sequence[UnknownScan]:
        """Return the creations whose answers are lost, by index."""

    async def known_reports(self) -> set[str]:
        """Return the ids of all scans the run has."""

    async def known_targets(self) -> set[str]:
        """Return the targets the run has, as they were written."""

    async def found(self, index: int, *, report_id: str) -> None:
        """Record the scan that was found for an unknown creation: now it can be followed.

        Raises:
            JournalError: The creation is not unknown, the scan belongs to another input, or the run
                is not held.
        """

    async def forget(self, index: int) -> None:
        """Make an unknown creation new, so that it is sent again: by a person's order only.

        Raises:
            JournalError: The creation is not unknown, or the run is not held.
        """

    async def outcome(self, index: int) -> Outcome | None:
        """Return the outcome of one input as it stands; None without such an input.

        What has none yet has the one that it would have if the run ended now.
        """

    async def result(self) -> RunResult:
        """Return the run with all its outcomes.

        What has none yet has the one that it would have if the run ended now.
        """


class HeldRun(Protocol):
    """A run that is ours until it is closed."""

    @property
    def name(self) -> str:
        """The name of the run."""

    @property
    def journal(self) -> Journal:
        """Where its group writes."""

    @property
    def record(self) -> Record:
        """What is read and decided."""


class Store(Protocol):
    """Many runs, in the order in which they began."""

    async def create(
        self,
        *,
        base_url: str,
        token_key: str,
        options: ScanOptions,
        plan: Iterable[PlannedItem] = (),
        name: str | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> HeldRun:
        """Begin a run. It is there with its whole plan, or not at all.

        Args:
            base_url: The server of the run.
            token_key: The name of its token; a token is never stored.
            options: What is scanned; the callback secret is not stored.
            plan: Its inputs as far as they are known, with the indexes from 0.
            name: What it is called, which no other run may be; None for the time of its beginning.
            policy: The rules it is to be judged by, as plain values; None when nobody has said.

        Raises:
            JournalError: It cannot be written.
        """

    async def take(
        self,
        name: str,
        *,
        base_url: str,
        token_key: str,
        site_ids: Collection[str] | None = None,
    ) -> HeldRun:
        """Take a run over, to go on with it. What was claimed becomes unknown.

        A token that was renewed is accepted when `site_ids`, the sites of its organization,
        contains a site of the run, since no two organizations share one.

        Raises:
            JournalBusy: Another owner holds it.
            JournalMismatch: It is of another server or organization.
            JournalError: There is none of that name, or it cannot be written.
        """

    async def find(self, name: str) -> str:
        """Return the name of the run that is meant: its name, the beginning of it, or `last`.

        Raises:
            JournalError: None is called that, or several begin so. The message names some.
        """

    async def record(self, name: str) -> Record:
        """Return a run to be read; found as by `find`."""

    def load(self, name: str, *, beside: str | None = None) -> RunResult:
        """Return a run with all its outcomes, found as by `find`. Blocks, and needs no event loop.

        Args:
            name: The run.
            beside: A run that it is compared with. If it is of this store, `last` is the run that
                was the newest when it began.

        Raises:
            JournalError: There is none, or it cannot be read.
        """

    async def list(
        self, *, only_unended: bool = False, with_counts: bool = True
    ) -> Sequence[RunInfo]:
        """Return all runs or the unended ones, the newest first, damaged ones with a problem.

        Counting reads every input of every run; who only wants to know of the runs leaves it out.
        """

    async def prune(
        self,
        *,
        keep: int | None = None,
        older_than: float | None = None,
        include_incomplete: bool = False,
        now: float | None = None,
    ) -> Sequence[RunInfo]:
        """Delete old runs and return them. One that is held or cannot be read is never deleted.

        Args:
            keep: Leave that many of the newest runs.
            older_than: Leave what began less than that many seconds ago.
            include_incomplete: Delete also runs that are not settled. Scans that may still
                run at the server, and creations that may have been sent, are forgotten with them.
            now: Seconds since the epoch; None is now.

        Raises:
            ConfigError: Neither `keep` nor `older_than` is given, or one is below 0.
            JournalError: It cannot be written.
        """

    async def samples(self, kind: str, *, base_url: str) -> Sequence[tuple[float, bool]]:
        """Return how long scans of a kind took at a host: seconds, and whether they were finished.

        From the newest runs, and from so many of them as costs a moment.
        """

    async def aclose(self) -> None:
        """Write what was handed in and close it. Again is harmless."""
