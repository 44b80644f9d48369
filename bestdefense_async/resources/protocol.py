"""What a resource needs of the world: something that sends requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bestdefense_async.core.request import Request


class Sender(Protocol):
    """Sends one request and returns its payload."""

    async def send(self, request: Request, *, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Return the payload: JSON values of a shape the caller checks."""
        ...
