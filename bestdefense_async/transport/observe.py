"""What happens to calls, told to whoever observes: the one seam for telemetry.

An `Observer` is called in the task of the call, synchronously, so it must be quick. With nobody to
tell, nothing is made.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from attrs import evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from bestdefense_async.core.request import Request

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VALUE: Final = re.compile(r"[!-~]([ -~]{0,4094}[!-~])?")
_OURS: Final = frozenset(
    (
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "if-range",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    )
)
"""Headers that say what the request is, and where it begins and ends."""

_log = logging.getLogger("bestdefense_async")

E = TypeVar("E")


class WaitReason(enum.StrEnum):
    """What a call waits for before it is sent."""

    LIMIT = "limit"
    """The rate limit of its operation."""
    PAUSE = "pause"
    """The end of a pause after a 429."""
    HISTORY = "unknown history"
    """Answers to the few calls that may be in flight while nobody knows what was sent before."""
    SLOT = "slot"
    """One of the client's requests under way to end."""
    PACE = "pace"
    """Its turn at `requests_per_second`."""
    BACKOFF = "backoff"
    """The pause before it is tried again."""


@frozen
class QueueStats:
    """Who waits in one queue."""

    waiting: int
    """Calls that wait."""
    oldest: float
    """Seconds the first of them has waited."""
    opens_in: float | None
    """Seconds until the next may leave, None while that depends on calls in flight."""
    reason: WaitReason


@frozen(kw_only=True)
class CallInfo:
    """What stays the same for one call. Holds no header, no body and no token."""

    id: int
    """Tells the calls of a client apart."""
    operation: str
    """Name of the route, like `reports.progress`."""
    template: str
    """The route's path with its `{parts}` unfilled."""
    method: str
    path: str
    """As it stands on the wire, without the query."""
    scheme: str
    """`https`, or `http` to this machine."""
    host: str
    """Server address, without scheme and port."""
    port: int
    tenant: str
    """The name that `with_token` was given, else a number: never made from the token."""


@frozen(kw_only=True)
class WaitInfo:
    """One wait of one call."""

    reason: WaitReason
    attempt: int
    """Number of the request that it comes before, from 1."""
    seconds: float | None
    """When it begins: how long it will be, None while nobody can tell. Then: how long it was."""
    is_given_up: bool = False
    """Whether the call went no further."""


@frozen(kw_only=True)
class AttemptInfo:
    """What became of one request."""

    attempt: int
    """Number of the request within its call, from 1."""
    duration: float
    """Seconds from sending to the last byte."""
    status: int | None
    """HTTP status, None when no answer came."""
    error: str | None
    """Kind of error, None for a success."""


@frozen(kw_only=True)
class CallResult:
    """How a call ended."""

    duration: float
    """Seconds from its beginning, waits included."""
    attempts: int
    """Requests that were sent for it."""
    waits: Mapping[WaitReason, float] = field(factory=dict)
    """Seconds waited, by reason."""
    error: str | None = None
    """Kind of error, None for a success."""


class Observer:
    """Hears of everything; override what you want to know.

    Everything is called on the event loop, in the task of the call and in its context, and must
    return at once. An observer that raises is dropped after a line in the log.
    """

    def call_began(self, call: CallInfo) -> None:
        """Hear that a call begins."""

    def attempt_began(self, call: CallInfo, attempt: int) -> Mapping[str, str] | None:
        """Hear that request number `attempt` (from 1) is about to leave.

        Returns:
            Headers to send with it, for example of a trace; None for none. Those of the request
            itself, such as `Authorization`, cannot be given, nor what is no header.
        """

    def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:
        """Hear what became of a request."""

    def wait_began(self, call: CallInfo, wait: WaitInfo) -> None:
        """Hear that a call begins to wait."""

    def wait_ended(self, call: CallInfo, wait: WaitInfo) -> None:
        """Hear that a wait is over."""

    def paused(self, call: CallInfo, attempt: int, seconds: float) -> None:
        """Hear that a 429 pauses the limit of this operation and token for everybody."""

    def call_ended(self, call: CallInfo, result: CallResult) -> None:
        """Hear how a call ended."""

    def scan_event(self, tenant: str | None, event: object) -> None:
        """Hear a `ScanEvent` of a run or a service.

        Args:
            tenant: The name that `with_token` was given; None without one.
            event: What happened to a scan.
        """

    def close(self) -> None:
        """Hear that the client is closed. May block for a second: it is called on a thread."""


_METHODS: Final = (
    *(Observer.call_began, Observer.attempt_began, Observer.attempt_ended, Observer.call_ended),
    *(Observer.wait_began, Observer.wait_ended, Observer.paused, Observer.scan_event),
)
_Hearers: TypeAlias = dict[Callable[..., object], list[Observer]]


def _overrides(observer: Observer, method: Callable[..., object]) -> bool:
    return getattr(type(observer), method.__name__, None) is not method


class Observers:
    """Everybody who observes a client.

    Args:
        observers: Those of the caller.
        log: Makes the one that writes the log, which is told of calls while somebody reads it.
        scheme: Of the server, like `host` and `port`.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        *,
        log: Callable[[], Observer],
        scheme: str,
        host: str,
        port: int,
    ) -> None:
        self._all = tuple(observers)
        self._hearers: dict[bool, _Hearers] = {}
        self._new_log: Callable[[], Observer] | None = log
        self._log: Observer | None = None
        self._ids = itertools.count(1)
        self._scheme = scheme
        self._host = host
        self._port = port

    def __len__(self) -> int:
        """Return how many there are beside the log."""
        return len(self._all)

    def observe(self, request: Request[object], tenant: str) -> CallObservation | None:
        """Return what tells everybody of one call, None when there is nobody to tell."""
        has_log = self._new_log is not None and _log.isEnabledFor(logging.DEBUG)
        if not self._all and not has_log:
            return None
        route = request.route
        info = CallInfo(
            id=next(self._ids),
            operation=route.name,
            template=route.template,
            method=route.method,
            path=request.path.partition("?")[0],
            scheme=self._scheme,
            host=self._host,
            port=self._port,
            tenant=tenant,
        )
        return CallObservation(self, info, has_log=has_log)

    def scan_event(self, tenant: str | None, event: object) -> None:
        """Tell everybody what happened to a scan."""
        for observer in self.hearers(has_log=False)[Observer.scan_event]:
            try:
                observer.scan_event(tenant, event)
            except Exception as error:  # noqa: BLE001  # the user's code may raise anything
                self.drop(observer, error)

    def followed(
        self, tenant: str | None, then: Callable[[E], object] | None
    ) -> Callable[[E], object]:
        """Return what tells everybody of the scans of a tenant, and then the caller."""

        def told(event: E) -> None:
            self.scan_event(tenant, event)
            if then is not None:
                then(event)

        return told

    def hearers(self, *, has_log: bool) -> _Hearers:
        """Return whom to tell of what: those who override a method, perhaps with the log."""
        found = self._hearers.get(has_log)
        if found is None:
            everybody = self._all
            if has_log and self._new_log is not None:
                self._log = self._log or self._new_log()
                everybody = (*everybody, self._log)
            found = self._hearers[has_log] = {
                method: [each for each in everybody if _overrides(each, method)]
                for method in _METHODS
            }
        return found

    def drop(self, observer: Observer, error: Exception) -> None:
        """Tell an observer nothing more, neither of this call nor of any other: it has raised."""
        self._hearers = {}
        if observer is self._log:
            self._new_log = None
            return
        self._all = tuple(each for each in self._all if each is not observer)
        _log.warning(
            "The observer %s raised %s and hears nothing more.",
            type(observer).__name__,
            type(error).__name__,
        )

    def close(self) -> None:
        """Tell everybody that the client is closed. Blocks for a second at most per observer."""
        for observer in self._all:
            try:
                observer.close()
            except Exception as error:  # noqa: BLE001  # the user's code may raise anything
                self.drop(observer, error)


class CallObservation:
    """What everybody is told of one call."""

    def __init__(self, observers: Observers, call: CallInfo, *, has_log: bool) -> None:
        self._observers = observers
        self._has_log = has_log
        self._call = call
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._attempt_began = 0.0
        self._waits: dict[WaitReason, float] = {}
        self._tell(Observer.call_began, lambda observer: observer.call_began(call))

    def attempt_began(self, attempt: int) -> Mapping[str, str]:
        """Tell that a request is about to leave; return the headers to send with it.

        Headers that could not be sent, or would make it another request, are left out.
        """
        self._attempt_began = self._clock()
        headers: dict[str, str] = {}

        def ask(observer: Observer) -> None:
            given = observer.attempt_began(self._call, attempt)
            headers.update(
                (name.lower(), value)
                for name, value in (given or {}).items()
                if _NAME.fullmatch(name) and _VALUE.fullmatch(value) and name.lower() not in _OURS
            )

        self._tell(Observer.attempt_began, ask)
        return headers

    def attempt_ended(
        self, attempt: int, status: int | None, error: str | None, pause: float | None
    ) -> None:
        """Tell what became of it, and for how many seconds it pauses the limit."""
        info = AttemptInfo(
            attempt=attempt,
            duration=self._clock() - self._attempt_began,
            status=status,
            error=error,
        )
        self._tell(
            Observer.attempt_ended, lambda observer: observer.attempt_ended(self._call, info)
        )
        if pause is not None:
            self._tell(
                Observer.paused, lambda observer: observer.paused(self._call, attempt, pause)
            )

    async def wait(
        self, reason: WaitReason, attempt: int, seconds: float | None, work: Awaitable[object]
    ) -> None:
        """Await `work`, and tell when the wait begins and ends, also when it is given up."""
        began = self._clock()
        is_given_up = True
        expected = WaitInfo(reason=reason, attempt=attempt, seconds=seconds)
        self._tell(Observer.wait_began, lambda observer: observer.wait_began(self._call, expected))
        try:
            await work
            is_given_up = False
        finally:
            waited = self._clock() - began
            self._waits[reason] = self._waits.get(reason, 0.0) + waited
            done = evolve(expected, seconds=waited, is_given_up=is_given_up)
            self._tell(Observer.wait_ended, lambda observer: observer.wait_ended(self._call, done))

    def ended(self, attempts: int, error: str | None) -> None:
        """Tell how the call ended."""
        result = CallResult(
            duration=self._clock() - self._began,
            attempts=attempts,
            waits=self._waits,
            error=error,
        )
        self._tell(Observer.call_ended, lambda observer: observer.call_ended(self._call, result))

    def _tell(self, method: Callable[..., object], say: Callable[[Observer], object]) -> None:
        for observer in self._observers.hearers(has_log=self._has_log)[method]:
            try:
                say(observer)
            except Exception as error:  # noqa: BLE001  # the user's code may raise anything
                self._observers.drop(observer, error)
