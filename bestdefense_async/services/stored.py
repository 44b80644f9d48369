"""A scan that is read from the store, since this process does not follow it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import LifecycleError
from bestdefense_async.models import OutcomeStatus
from bestdefense_async.runs.inputs import ScanState
from bestdefense_async.services.updates import ScanUpdate, is_pending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.store.protocol import Record
    from bestdefense_async.services.updates import Update

LOOK_EVERY: Final = 2.0
"""Seconds between two looks into the store at a scan that another process follows."""


_STATES: Final = {
    OutcomeStatus.NOT_STARTED: ScanState.WAITING,
    OutcomeStatus.UNKNOWN: ScanState.CREATING,
    OutcomeStatus.RUNNING: ScanState.RUNNING,
}
"""What the statuses of outcomes mean that are none yet."""


class StoredScan:
    """A scan that stands in the store: it has ended, or another process follows it."""

    def __init__(
        self, id_: str, tenant: str | None, record: Record, index: int, outcome: Outcome
    ) -> None:
        self.id: str = id_
        self._tenant = tenant
        self._record = record
        self._index = index
        self._outcome = outcome

    @property
    def site_id(self) -> str | None:
        """The site that is scanned."""
        return self._outcome.site_id

    def update(self) -> ScanUpdate:
        """Return where it stood when it was read."""
        outcome = self._outcome
        has_ended = not is_pending(outcome)
        return ScanUpdate(
            id=self.id,
            tenant=self._tenant,
            target=outcome.target,
            state=ScanState.ENDED if has_ended else _STATES[outcome.status],
            report_id=outcome.report_id,
            outcome=outcome if has_ended else None,
        )

    async def updates(self) -> AsyncIterator[Update]:
        """Yield where it stands, and then every change that is recorded, until it has ended."""
        told = None
        while True:
            update = self.update()
            if update != told:
                told = update
                yield update
            if update.outcome is not None:
                return
            await self._look()

    async def wait(self) -> Outcome:
        """Wait until its outcome is recorded."""
        while is_pending(self._outcome):
            await self._look()
        return self._outcome

    async def _look(self) -> None:
        await asyncio.sleep(LOOK_EVERY)
        self._outcome = await self._record.outcome(self._index) or self._outcome

    async def cancel(self) -> Outcome:
        """Refuse to: it belongs to another process, unless it has ended.

        Raises:
            LifecycleError: It has not ended.
        """
        if is_pending(self._outcome):
            raise LifecycleError(
                "This scan is not followed by this process: cancel it where it is followed."
            )
        return self._outcome
