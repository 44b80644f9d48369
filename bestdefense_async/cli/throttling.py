"""When rate limits held us back: what the live view counts and the report draws."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bestdefense_async.transport.hooks import EventKind

if TYPE_CHECKING:
    from bestdefense_async.transport.hooks import Event


class Throttling:
    """Gathers pauses as a hook of the client; pauses that overlap are one."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        """Begin and end of each, in seconds since the epoch."""

    def __call__(self, event: Event) -> None:
        """Take note of what happened to a call; runs on a thread of its own."""
        if event.kind is not EventKind.PAUSE:
            return
        begin = time.time()
        end = begin + event.duration
        if self.spans and begin <= self.spans[-1][1]:
            first, last = self.spans[-1]
            self.spans[-1] = (first, max(last, end))
        else:
            self.spans.append((begin, end))
