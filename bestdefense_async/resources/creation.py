"""What all creations have in common: each is sent once, and its fate is told honestly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from bestdefense_async.errors import EnvelopeError, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.core.request import Request
    from bestdefense_async.resources.protocol import Sender

Made = TypeVar("Made")


async def create(sender: Sender, request: Request, read: Callable[[Any], Made]) -> Made:
    """Send a creation and return what `read` makes of its answer.

    Raises:
        OutcomeUnknown: The answer is lost, or it cannot be read: the server has done the work and
            nobody knows its id.
        BestDefenseError: Anything else; then nothing was created.
    """
    sent_at = time.time()
    payload = await sender.send(request)
    try:
        return read(payload)
    except EnvelopeError as error:
        unreadable = error
    raise OutcomeUnknown(
        str(unreadable), operation=request.route.name, subject=request.subject, sent_at=sent_at
    ) from unreadable
