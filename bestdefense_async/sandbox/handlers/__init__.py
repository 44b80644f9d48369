"""One handler per operation: from world and call to the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bestdefense_async.sandbox.handlers import (
    agents,
    control,
    described,
    docs,
    reports,
)
from bestdefense_async.sandbox.replies import Reply, Stream
from bestdefense_async.sandbox.world.world import Call, World

Handler = Callable[[World, Call], Reply | Stream | Awaitable[Reply | Stream]]

HANDLERS: Mapping[str, Handler] = {
    **reports.HANDLERS,
    **described.HANDLERS,
    **agents.HANDLERS,
    **docs.HANDLERS,
    **control.HANDLERS,
}
