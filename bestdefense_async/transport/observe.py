"""What happened, told to whoever listens: one event per attempt, wait, pause and retry.

Hooks run on a thread of their own behind a bounded queue. So a hook that raises, is slow or
never returns costs the calls nothing; when it cannot keep up, events are dropped and counted.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import queue
import threading
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LONGEST_BACKLOG: Final = 10_000
_FLUSH_TIME: Final = 1.0

_log = logging.getLogger("bestdefense_async")


class EventKind(enum.StrEnum):
    """What an event is about."""

    ATTEMPT = "attempt"
    """A request was sent and answered, or failed; `duration` is its time."""
    WAIT = "wait"
    """A call waited `duration` seconds for its limit before it was sent."""
    PAUSE = "pause"
    """A 429 pauses the limit for everybody on that token for `duration` seconds."""
    RETRY = "retry"
    """The call is tried again after `duration` seconds."""


@frozen(kw_only=True)
class RequestEvent:
    """One thing that happened to one call. Holds no header, no body and no token."""

    kind: EventKind
    operation: str
    """Name of the route, like `reports.progress`."""
    attempt: int
    """Number of the request within its call, from 1."""
    duration: float
    """Seconds; see the kind."""
    token_key: str
    """A hash that tells tokens apart without revealing them."""
    status: int | None = None
    """HTTP status, None when no answer came."""
    error: str | None = None
    """Kind of error, None for a success."""


class Hooks:
    """Deliver events to the logger and to the hooks of the user."""

    def __init__(self, hooks: Sequence[Callable[[RequestEvent], object]] = ()) -> None:
        self._hooks = tuple(hooks)
        self._backlog: queue.Queue[RequestEvent | None] = queue.Queue(_LONGEST_BACKLOG)
        self._thread: threading.Thread | None = None
        self.dropped: int = 0
        """Events that found the queue full."""

    @property
    def is_idle(self) -> bool:
        """Whether nobody listens, so that events need not be made."""
        return not self._hooks and not _log.isEnabledFor(logging.DEBUG)

    def emit(self, event: RequestEvent) -> None:
        """Tell everybody; returns at once."""
        _log.debug(
            "%s %s attempt=%d duration=%.3f status=%s error=%s token=%s",
            event.kind,
            event.operation,
            event.attempt,
            event.duration,
            event.status,
            event.error,
            event.token_key,
        )
        if not self._hooks:
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._deliver, name="bestdefense-hooks", daemon=True
            )
            self._thread.start()
        try:
            self._backlog.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Let the thread finish what is queued, for at most a second."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._backlog.put_nowait(None)
        self._thread.join(_FLUSH_TIME)
        self._thread = None

    def _deliver(self) -> None:
        while (event := self._backlog.get()) is not None:
            for hook in self._hooks:
                try:
                    hook(event)
                except Exception:  # noqa: BLE001  # the user's code may raise anything
                    _log.warning("A hook raised; the call it heard of is not affected.")
