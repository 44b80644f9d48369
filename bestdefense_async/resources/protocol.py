"""What a resource needs of the world: something that sends requests, and something that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.core.request import Request
    from bestdefense_async.core.wanted import Wanted
    from bestdefense_async.models import Progress


class Sender(Protocol):
    """Sends one request and returns its payload, or stores it."""

    async def send(self, request: Request, *, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Return the payload: JSON values of a shape the caller checks."""
        ...

    async def download(
        self,
        request: Request,
        final: Path,
        *,
        wanted: Wanted,
        keep_part: bool = False,
        on_progress: Callable[[int, int | None], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Store the file that the request answers at `final`, whole and checked."""
        ...


class Polls(Protocol):
    """Waits for reports; whoever waits for the same one shares its polls."""

    async def wait(
        self, report_id: str, *, timeout: float | None = None, policy: PollPolicy | None = None
    ) -> Progress:
        """Return the progress of a report once it is complete."""
        ...
