"""One event for each thing that happens to a call: for the log, and for functions of the caller.

`HookObserver` hands the events over on a thread of its own, behind a bounded queue: a hook that
raises, is slow or never returns costs the calls nothing; when it cannot keep up, events are
dropped and counted.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import queue
import threading
from typing import TYPE_CHECKING, Final

from attrs import asdict, frozen

from bestdefense_async.transport.observe import Observer, WaitReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bestdefense_async.transport.observe import AttemptInfo, CallInfo, WaitInfo

_LONGEST_BACKLOG: Final = 10_000
_FLUSH_TIME: Final = 1.0

_TEXT: Final = "%s %s attempt=%d duration=%.3f status=%s error=%s reason=%s tenant=%s"

_log = logging.getLogger("bestdefense_async")


class EventKind(enum.StrEnum):
    """What an event is about."""

    ATTEMPT = "attempt"
    """A request was sent and answered, or failed; `duration` is its time."""
    WAIT = "wait"
    """A call begins to wait: for `duration` seconds, 0 while nobody can tell; see `reason`."""
    WAITED = "waited"
    """A call has waited for `duration` seconds."""
    PAUSE = "pause"
    """A 429 pauses the limit for everybody on that token for `duration` seconds."""


@frozen(kw_only=True)
class RequestEvent:
    """One thing that happened to one call. Holds no header, no body and no token."""

    kind: EventKind
    operation: str
    """Name of the route, like `reports.progress`."""
    attempt: int
    """Number of the request within its call, from 1; of a wait: the one it comes before."""
    duration: float
    """Seconds; see the kind."""
    tenant: str
    """The name that `with_token` was given, else a number: never made from the token."""
    status: int | None = None
    """HTTP status, None when no answer came."""
    error: str | None = None
    """Kind of error, None for a success."""
    reason: WaitReason | None = None
    """What is waited for; None unless it is about a wait."""


class _EventObserver(Observer):
    """Makes one event of each thing it hears."""

    def _take(self, event: RequestEvent) -> None:
        raise NotImplementedError

    def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:
        """Pass on what became of a request."""
        self._take(
            RequestEvent(
                kind=EventKind.ATTEMPT,
                operation=call.operation,
                attempt=attempt.attempt,
                duration=attempt.duration,
                tenant=call.tenant,
                status=attempt.status,
                error=attempt.error,
            )
        )

    def wait_began(self, call: CallInfo, wait: WaitInfo) -> None:
        """Pass on that a wait begins."""
        self._take(_wait_event(EventKind.WAIT, call, wait))

    def wait_ended(self, call: CallInfo, wait: WaitInfo) -> None:
        """Pass on that a wait is over."""
        self._take(_wait_event(EventKind.WAITED, call, wait))

    def paused(self, call: CallInfo, attempt: int, seconds: float) -> None:
        """Pass on that a limit is paused."""
        self._take(
            RequestEvent(
                kind=EventKind.PAUSE,
                operation=call.operation,
                attempt=attempt,
                duration=seconds,
                tenant=call.tenant,
            )
        )


def _wait_event(kind: EventKind, call: CallInfo, wait: WaitInfo) -> RequestEvent:
    return RequestEvent(
        kind=kind,
        operation=call.operation,
        attempt=wait.attempt,
        duration=wait.seconds or 0.0,
        tenant=call.tenant,
        reason=wait.reason,
    )


class LogObserver(_EventObserver):
    """Writes each event as one debug record, whose fields a log processor finds by name, too."""

    def _take(self, event: RequestEvent) -> None:
        # As `debug` does, but for the search for the line that calls it: it is always this one.
        arguments = (
            *(event.kind, event.operation, event.attempt, event.duration),
            *(event.status, event.error, event.reason, event.tenant),
        )
        extra = {"bestdefense": asdict(event, recurse=False)}
        _log.handle(
            _log.makeRecord(
                _log.name, logging.DEBUG, __file__, 0, _TEXT, arguments, None, extra=extra
            )
        )


class HookObserver(_EventObserver):
    """Delivers events to the functions of the caller, on a thread."""

    def __init__(self, hooks: Sequence[Callable[[RequestEvent], object]]) -> None:
        self._hooks = tuple(hooks)
        self._backlog: queue.Queue[RequestEvent | None] = queue.Queue(_LONGEST_BACKLOG)
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.dropped: int = 0
        """Events that found the queue full."""

    def _take(self, event: RequestEvent) -> None:
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
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._backlog.put_nowait(None)
        self._thread.join(_FLUSH_TIME)
        self._thread = None

    def _deliver(self) -> None:
        while (event := self._backlog.get()) is not None:
            for hook in self._hooks:
                try:
                    hook(event)
                except BaseException:  # noqa: BLE001  # `sys.exit()` would end all other hooks
                    _log.warning("A hook raised; the call it heard of is not affected.")
            if self._is_closed and self._backlog.empty():
                return  # the queue was full, so that nothing could say it
