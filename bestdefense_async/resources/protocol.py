"""What a resource needs of the world: something that sends requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.core.request import Request
    from bestdefense_async.core.wanted import Wanted


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
