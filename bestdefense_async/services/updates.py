"""Where a scan stands, and how any number of listeners hear of every change."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, TypeAlias

from attrs import frozen

from bestdefense_async.errors import (
    AuthError,
    JournalError,
    LifecycleError,
    QuotaExceeded,
    ScanCancelled,
)
from bestdefense_async.models import Outcome, OutcomeStatus
from bestdefense_async.runs.inputs import ScanState

MOST_UPDATES: Final = 64
"""Updates that may wait for a listener; there are some ten in the life of a scan."""


@frozen(kw_only=True)
class ScanUpdate:
    """Where a scan stands."""

    id: str
    """By which it is found again, also after a restart."""
    tenant: str | None
    """The name that `with_token` was given; None for the client's own organization."""
    target: str
    state: ScanState
    percentage: float | None = None
    """0 to 100 where the server says so, else None."""
    report_id: str | None = None
    """The scan at the server, once it is known."""
    outcome: Outcome | None = None
    """How it ended, findings included; None before."""

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that any writer of JSON takes."""
        return {
            "id": self.id,
            "tenant": self.tenant,
            "target": self.target,
            "state": str(self.state),
            "percentage": self.percentage,
            "report_id": self.report_id,
            "outcome": None if self.outcome is None else self.outcome.as_dict(),
        }


@frozen
class Missed:
    """Stands in the place of updates that a slow listener did not fetch in time."""

    count: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"missed": self.count}


Update: TypeAlias = ScanUpdate | Missed


class Listener:
    """The updates that wait for one listener, the latest ones when there are too many."""

    def __init__(self) -> None:
        self._updates: deque[ScanUpdate] = deque()
        self._missed = 0
        self._is_over = False
        self._changed = asyncio.Event()

    def put(self, update: ScanUpdate) -> None:
        """Add an update; never waits."""
        if len(self._updates) >= MOST_UPDATES:
            self._updates.popleft()
            self._missed += 1
        self._updates.append(update)
        self._changed.set()

    def close(self) -> None:
        """End the stream after what is in it."""
        self._is_over = True
        self._changed.set()

    async def fetch(self) -> Update | None:
        """Return the next update, None after the last one."""
        while not self._updates:
            if self._is_over:
                return None
            self._changed.clear()
            await self._changed.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(missed)
        return self._updates.popleft()


_UNENDED: Final = (AuthError, QuotaExceeded, JournalError, LifecycleError)
"""Errors that say nothing about a scan, but why it could not go on just then."""


def is_pending(outcome: Outcome) -> bool:
    """Return whether there is something left to do for a scan: to create it, or to follow it."""
    error = outcome.error
    if outcome.status is OutcomeStatus.UNKNOWN:
        return isinstance(error, LifecycleError)  # its creation is on the way
    is_open = outcome.status in {OutcomeStatus.RUNNING, OutcomeStatus.NOT_STARTED}
    return is_open and isinstance(error, _UNENDED) and not isinstance(error, ScanCancelled)
