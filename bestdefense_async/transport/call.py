"""One call on its way: what it shares with others, and what it knows of its own attempts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.limiting.hints import parse_retry_after
from bestdefense_async.core.retry import is_fate_unknown
from bestdefense_async.core.slices import read_in_steps
from bestdefense_async.errors import (
    BestDefenseError,
    OutcomeUnknown,
    RateLimited,
    Sent,
    ServerError,
)
from bestdefense_async.transport.http.connection import Exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator, Mapping

    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.transport.host import Host
    from bestdefense_async.transport.observe import CallObservation, WaitReason
    from bestdefense_async.transport.tenants import Tenant
    from bestdefense_async.transport.throttle.permit import Permit

T_co = TypeVar("T_co", covariant=True)

_NO_HEADERS: Final[Mapping[str, str]] = {}
_NOT_FOUND = 404
_TOO_MANY = 429


class Call(Exchange, Generic[T_co]):
    """One call: several attempts, one after the other; T_co is what it brings."""

    # Defaults of the class: what nearly no call needs is not written into each.
    deadline: float | None = None
    """Loop time at which the call ends at the latest."""
    attempt: int = 0
    """Requests sent so far."""
    tries: int = 0
    """Attempts that count for the retry policy: fewer than `attempt` after a download came on."""
    status: int | None = None
    """HTTP status of the latest attempt, None without an answer."""
    retry_after: float | None = None
    """Seconds that the server asked to wait in its latest answer."""
    pause: float | None = None
    """Seconds that the latest 429 pauses the limit for everybody, None after anything else."""
    sent_at: float | None = None
    """Wall clock of the first attempt that may have been carried out, None before one left."""
    may_be_done: bool = False
    """Whether an earlier attempt may have been carried out."""
    is_again: bool = False
    """Whether it had been admitted before, so that it goes to the front."""
    is_renewed: bool = False
    """Whether the token has been asked for again."""
    has_claim: bool = False
    """Whether the request's claim is held."""
    permit: Permit | None = None
    observed: CallObservation | None = None

    def __init__(self, tenant: Tenant, request: Request[T_co]) -> None:
        super().__init__(request, None, tenant.lifetime)

    def work(self, host: Host, timeout: float) -> Coroutine[Any, Any, T_co]:
        """Return what to await for one attempt and what it brings."""
        return host.wire.exchange(self, timeout)

    def keep_deadline(self) -> None:
        """Let the deadline cut the call, whatever it waits for before and after an attempt."""
        if self.deadline is not None:
            self.lifetime.home.wheel.arm_at(self, self.deadline)

    def begin_attempt(self) -> None:
        """Count the attempt that leaves now, and forget the answer to the one before."""
        self.attempt += 1
        self.tries += 1
        self.status = self.retry_after = self.pause = None
        if not self.may_be_done:
            self.sent_at = time.time()
        observed = self.observed
        self.start(_NO_HEADERS if observed is None else observed.attempt_began(self.attempt))

    def headers_seen(self, status: int, headers: Mapping[str, str]) -> None:
        """Tell the limit at once, and keep how long the server asks to wait."""
        self.status = status
        permit = self.permit
        if permit is None:
            return
        if status == _TOO_MANY:
            self.pause = permit.refused(headers)
        else:
            permit.answered(headers)
        if status >= 400:  # noqa: PLR2004  # HTTP's errors
            self.retry_after = parse_retry_after(headers, wall_clock=time.time())

    def read(self, reply: Reply) -> Any:  # noqa: ANN401  # what the resource makes of the payload
        """Return the payload of an answer as what the resource makes of it."""
        if reply.status == _NOT_FOUND and self.may_be_done and self.request.method == "DELETE":
            return None
        assert self.secret is not None  # noqa: S101  # nothing is sent without a token
        return self._made(read_envelope(reply, self.request, self.secret))

    def read_in_steps(self, reply: Reply) -> Generator[None, None, Any]:
        """Return what `read` does; yield after each fraction of a millisecond."""
        assert self.secret is not None  # noqa: S101  # nothing is sent without a token
        return self._made((yield from read_in_steps(reply, self.request, self.secret)))

    def _made(self, payload: object) -> Any:  # noqa: ANN401  # what the resource makes of it
        return payload if self.request.read is None else self.request.read(payload)

    def waiting_for_turn(self, permit: Permit) -> Coroutine[Any, Any, None]:
        """Return what to await until the limit admits the call, told to those who observe."""
        if self.observed is None:
            return permit.wait()
        return self.waiting(permit.reason, permit.expected_wait, permit.wait())

    async def waiting(
        self, reason: WaitReason, seconds: float | None, work: Awaitable[object]
    ) -> None:
        """Await `work`, and tell those who observe why; `seconds` is how long, where known."""
        if self.observed is None:
            await work
        else:
            await self.observed.wait(reason, self.attempt + 1, seconds, work)

    def complete(self, error: BestDefenseError) -> None:
        """Add to an error what only the call knows, and keep what the next attempt needs."""
        if self.secret is not None:
            # A message may quote the server, and the server may quote what it was sent.
            error.args = tuple(self.secret.redact(str(each)) for each in error.args)
        if isinstance(error, RateLimited | ServerError):
            error.retry_after = self.retry_after
        self.may_be_done = self.may_be_done or is_fate_unknown(error)
        self.leave()

    def was_closed(self) -> BestDefenseError:
        """Return the error for an end from outside; it speaks of all attempts."""
        error = super().was_closed()
        is_out = self.may_be_done or self.protocol is not None
        error.sent = Sent.MAYBE if is_out else Sent.NO
        return self.final(error)

    def final(self, error: BestDefenseError) -> BestDefenseError:
        """Return what the caller sees: for a creation, the honest word about its fate."""
        route = self.request.route
        if route.may_repeat or not is_fate_unknown(error):
            return error
        unknown = OutcomeUnknown(
            str(error),
            operation=route.name,
            subject=self.request.subject,
            sent_at=time.time() if self.sent_at is None else self.sent_at,
        )
        unknown.__cause__ = error
        return unknown
