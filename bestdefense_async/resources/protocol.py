"""What a resource needs of the world, and what all of them do with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bestdefense_async.errors import EnvelopeError, IntegrityError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.core.expected_file import ExpectedFile
    from bestdefense_async.core.polling import PollPolicy
    from bestdefense_async.core.request import Request
    from bestdefense_async.models import Progress


class Transport(Protocol):
    """Sends one request and returns its payload, or stores it."""

    async def send(self, request: Request, *, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Return the payload: JSON values of a shape the caller checks."""
        ...

    async def download(
        self,
        request: Request,
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


Made = TypeVar("Made")


async def send_creation(
    transport: Transport, request: Request, read: Callable[[Any], Made], *, timeout: float | None
) -> Made:
    """Send a creation and return what `read` makes of its answer.

    Raises:
        OutcomeUnknown: The answer is lost, or it cannot be read: the server has done the work and
            nobody knows its id.
        BestDefenseError: Anything else; then nothing was created.
    """
    sent_at = time.time()
    payload = await transport.send(request, timeout=timeout)
    try:
        return read(payload)
    except EnvelopeError as error:
        unreadable = error
    raise OutcomeUnknown(
        str(unreadable), operation=request.route.name, subject=request.subject, sent_at=sent_at
    ) from unreadable


def check_identity(what: str, asked: str, answered: str) -> None:
    """Refuse an answer about another thing: a cache or a connection has mixed them up.

    Raises:
        IntegrityError: The ids differ.
    """
    if answered.lower() != asked.lower():
        raise IntegrityError(f"The question for {what} {asked} was answered with another one.")
