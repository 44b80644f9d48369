"""What a resource needs of the world, and how it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bestdefense_async.core.request import build_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.resources.arguments import optional_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
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


class Resource:
    """One noun of the API.

    Args:
        transport: Sends what is asked for.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _send(
        self,
        operation: str,
        parts: Mapping[str, str] | None = None,
        json: Any = None,  # noqa: ANN401  # any JSON value
        *,
        read: Callable[[Any], T] | None = None,
        timeout: float | None,
        **besides: Any,  # noqa: ANN401  # as `build_request` takes them
    ) -> Awaitable[T]:
        """Send a request of an operation and return what `read` makes of its answer.

        Raises:
            ConfigError: Something of it cannot be sent, or the timeout is no time.
        """
        request = build_request(ROUTES[operation], parts, json, read=read, **besides)
        return self._transport.send(request, timeout=optional_seconds("timeout", timeout))
