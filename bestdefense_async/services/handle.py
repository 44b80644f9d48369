"""What whoever asked for a scan holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.models import Outcome
    from bestdefense_async.runs.inputs import ScanState
    from bestdefense_async.services.updates import ScanUpdate, Update


class Watched(Protocol):
    """What a handle looks at: a scan of this process, or one that stands in the store."""

    @property
    def id(self) -> str:
        """By which it is found."""

    @property
    def site_id(self) -> str | None:
        """The site that is scanned."""

    def update(self) -> ScanUpdate:
        """Return where it stands."""

    def updates(self) -> AsyncIterator[Update]:
        """Yield where it stands, and then every change."""

    async def wait(self) -> Outcome:
        """Wait for its outcome."""

    async def cancel(self) -> Outcome:
        """Give it up."""


class ScanHandle:
    """One scan of a service, as whoever asked for it holds it. Dropping it changes nothing."""

    def __init__(self, scan: Watched, *, is_joined: bool = False) -> None:
        self._scan = scan
        self.is_joined: bool = is_joined
        """Whether the scan was under way already when it was asked for."""

    @property
    def id(self) -> str:
        """Text by which `Scans.find` finds it, also after a restart and from another replica.

        It cannot be guessed, but says the tenant's name.
        """
        return self._scan.id

    @property
    def update(self) -> ScanUpdate:
        """Where it stands now, in one value."""
        return self._scan.update()

    @property
    def tenant(self) -> str | None:
        """The name of its organization; None for the client's own."""
        return self.update.tenant

    @property
    def target(self) -> str:
        """The target as it was written."""
        return self.update.target

    @property
    def site_id(self) -> str | None:
        """The site that is scanned."""
        return self._scan.site_id

    @property
    def report_id(self) -> str | None:
        """The scan at the server, once it is known."""
        return self.update.report_id

    @property
    def state(self) -> ScanState:
        """How far it is."""
        return self.update.state

    @property
    def percentage(self) -> float | None:
        """0 to 100 where the server says so, else None."""
        return self.update.percentage

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None before."""
        return self.update.outcome

    def events(self) -> AsyncIterator[Update]:
        """Yield where the scan stands, then each change; the last one has the outcome.

        There may be any number of listeners. One that is slow costs the others nothing: what it
        did not fetch in time is one `Missed`. Ends without an outcome when the service is closed.
        """
        return self._scan.updates()

    async def wait(self, *, timeout: float | None = None) -> Outcome:
        """Wait for the outcome and return it. A wait that is given up changes nothing.

        Args:
            timeout: Seconds to wait, None for no end.

        Raises:
            TimeoutError: It has not ended in time.
            RunStopped: The service is closed. The scan goes on, and is found by its id later.
        """
        async with asyncio.timeout(timeout):
            return await self._scan.wait()

    async def cancel(self) -> Outcome:
        """Give the scan up, for all who asked for it, and return its outcome.

        What was not sent is not sent. A scan that exists goes on at the server, which has no way
        to stop one, and is not followed any more: its outcome is `running`.

        Raises:
            LifecycleError: Another process follows it.
        """
        return await self._scan.cancel()

    def as_dict(self) -> dict[str, Any]:
        """Return where it stands as plain values that any writer of JSON takes."""
        return {**self.update.as_dict(), "is_joined": self.is_joined}

    def __repr__(self) -> str:
        return f"<ScanHandle {self.id} {self.state}>"
