"""Outcomes on their way to who iterates a group, and how many may lie there."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bestdefense_async.models import Outcome

BACKLOG: Final = 256
"""Outcomes that may lie here before no more input is read."""


class OutcomeQueue:
    """A queue of outcomes in the order of completion, with an error that follows the last one.

    `put` never waits, for what is finished is finished. Input waits instead: `room` returns while
    there is little to pick up, so that a slow consumer holds up to `BACKLOG` outcomes plus those
    of the scans that were active.
    """

    def __init__(self) -> None:
        self._outcomes: deque[Outcome] = deque()
        self._errors: list[Exception] = []
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._changed = asyncio.Event()
        self._is_unbounded = False

    def put(self, outcome: Outcome) -> None:
        """Add an outcome."""
        self._outcomes.append(outcome)
        if len(self._outcomes) >= BACKLOG and not self._is_unbounded:
            self._has_room.clear()
        self._changed.set()

    def take(self) -> Outcome | None:
        """Return the oldest outcome, None when there is none."""
        if not self._outcomes:
            return None
        outcome = self._outcomes.popleft()
        if len(self._outcomes) < BACKLOG:
            self._has_room.set()
        return outcome

    def fail(self, error: Exception) -> None:
        """Add an error to be raised after the last outcome."""
        self._errors.append(error)

    def raise_error(self) -> None:
        """Raise what went wrong, once: a single error as it is, several as a group."""
        errors, self._errors = self._errors, []
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("The run was cut short.", errors)

    async def room(self) -> None:
        """Wait until there is room."""
        await self._has_room.wait()

    def remove_bound(self) -> None:
        """Hold no input back any more: no outcome is picked up before the end."""
        self._is_unbounded = True
        self._has_room.set()

    def wake(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()

    async def change(self) -> None:
        """Wait for an outcome or a `wake`. Check for both before, with no await in between."""
        self._changed.clear()
        await self._changed.wait()
