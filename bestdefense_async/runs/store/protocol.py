"""The seam for a durable record of a run.

A group records what happens before it relies on it, and waits for each answer. The
order of the calls for one input:

    accepted -> claimed -> created -> finished
    rejected            |-> refused
                        '-> unknown

`claimed` is the one that matters: it is committed before the creation leaves, so that after a
crash everything claimed and not created is known to be unknown, and is never sent again. A group
that is cancelled writes nothing: what was claimed or created stays so, and can be continued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import Outcome


class Journal(Protocol):
    """Where a group writes. An input is known by its index.

    Every method may raise `JournalError`. The group then starts nothing more; what was created
    is followed to its end.
    """

    @property
    def next_index(self) -> int:
        """The first index that no input of the run has: a group counts on from here."""

    async def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Record an input that names a site and is to be scanned."""

    async def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Record an input that cannot be scanned, or that names a site a second time."""

    async def claimed(self, index: int, *, site_id: str, at: float) -> bool:
        """Record, durably, that the creation is about to be sent; `at` is seconds since the epoch.

        Returns:
            False when another owner has claimed it: nothing is sent then.
        """

    async def created(self, index: int, *, report_id: str) -> None:
        """Record that the server has created the scan."""

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Record that certainly no scan was started."""

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Record that a scan may have been started."""

    async def finished(self, outcome: Outcome) -> None:
        """Record the result of a scan that was created, or why there is none yet.

        A result is final. Another outcome is not: the scan exists, and can be followed on.
        """


class NullJournal:
    """Remembers nothing: what a group writes to by default."""

    next_index: int = 0

    async def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Forget it."""

    async def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Forget it."""

    async def claimed(self, index: int, *, site_id: str, at: float) -> bool:  # noqa: ARG002 - the protocol's names
        """Agree to every claim."""
        return True

    async def created(self, index: int, *, report_id: str) -> None:
        """Forget it."""

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Forget it."""

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Forget it."""

    async def finished(self, outcome: Outcome) -> None:
        """Forget it."""
