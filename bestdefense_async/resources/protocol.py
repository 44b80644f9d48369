"""What a resource needs of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.core.expected_file import ExpectedFile
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.core.request import Request
    from bestdefense_async.models import Progress


T = TypeVar("T")


class Transport(Protocol):
    """Sends one request and returns what it brings, or stores it."""

    async def send(self, request: Request[T], *, timeout: float | None = None) -> T:
        """Return what the request reads from its payload, JSON values of any shape."""
        ...

    async def download(
        self,
        request: Request[None],
        final: Path,
        *,
        wanted: ExpectedFile,
        keep_part: bool = False,
        on_progress: Callable[[int, int | None], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Store the file that the request answers at `final`, whole and checked."""
        ...


class Polls(Protocol):
    """Waits for reports; whoever waits for the same one shares its polls."""

    async def wait(
        self,
        report_id: str,
        *,
        timeout: float | None = None,
        policy: PollPolicy | None = None,
        started_ago: float | None = None,
    ) -> Progress:
        """Return the progress of a report once it is complete."""
        ...
