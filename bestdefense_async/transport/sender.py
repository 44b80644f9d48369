"""One call from request to payload: the only retry loop of the package.

Order of one attempt: the limit admits it, then a slot is taken (so that a call that waits an hour
for its limit holds no connection), then the pacer lets it go, then it is sent. The limit is told
the moment the answer's headers are seen.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from attrs import define, field

from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.reply import Outgoing
from bestdefense_async.core.request import Request
from bestdefense_async.core.retry import (
    Again,
    RetryBudget,
    RetryPolicy,
    Stop,
    decide,
    is_fate_unknown,
)
from bestdefense_async.core.retry_after import parse_retry_after
from bestdefense_async.core.route import Grade
from bestdefense_async.core.strict_json import encode_json
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ClientClosed,
    ConfigError,
    DeadlineExceeded,
    OutcomeUnknown,
    ProvisionalRoute,
    RateLimited,
    Sent,
    ServerError,
)
from bestdefense_async.transport.hooks import Event, EventKind, Hooks
from bestdefense_async.transport.lifetime import Lifetime
from bestdefense_async.transport.pacer import Pacer
from bestdefense_async.transport.throttle import Throttles
from bestdefense_async.transport.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.core.reply import Reply
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.credentials import Credentials
    from bestdefense_async.transport.throttle import Permit


@define(kw_only=True)
class Shared:
    """What all views of a client share: one pool, one set of limits, one budget."""

    lifetime: Lifetime
    wire: Wire
    throttles: Throttles
    slots: asyncio.Semaphore
    pacer: Pacer | None
    hooks: Hooks
    policy: RetryPolicy
    timeout: float
    """Seconds one attempt may take, from sending to the last byte."""
    is_loopback: bool
    """Whether the base URL is this machine."""
    allow_provisional: bool
    budget: RetryBudget = field(factory=RetryBudget)


@define
class _Call:
    """One call under way."""

    request: Request
    body: bytes | None
    deadline: float | None
    attempt: int = 0
    first_sent_at: float | None = None
    """Wall clock of the first attempt that may have left."""
    is_again: bool = False
    """Whether it had been admitted before, so that it goes to the front."""


class Sender:
    """Send requests with the credentials of one token."""

    def __init__(self, shared: Shared, credentials: Credentials) -> None:
        self._shared = shared
        self._credentials = credentials

    async def send(self, request: Request, *, timeout: float | None = None) -> Any:  # noqa: ANN401
        """Return the payload of the answer, after as many attempts as are safe and sensible.

        Args:
            request: What is wanted.
            timeout: Seconds the whole call may take, waiting included. None: each attempt is
                bounded, and the waits for limits are as long as they need to be.

        Raises:
            BestDefenseError: See `errors`; `OutcomeUnknown` when the request may not arrive twice
                and it is not known whether it was carried out.
        """
        now = self._shared.lifetime.check().time()
        call = _Call(
            request,
            body=_encode(request),
            deadline=None if timeout is None else now + timeout,
        )
        try:
            async with self._shared.lifetime.call():
                result = await self._until_settled(call)
        except ClientClosed as closed:
            closed.sent = Sent.NO if call.first_sent_at is None else Sent.MAYBE
            result = closed.with_traceback(None)
        except asyncio.CancelledError as cancelled:
            # The frames below hold the header in their locals; a traceback must not keep them.
            raise cancelled.with_traceback(None) from None
        if isinstance(result, BestDefenseError):
            final = _final(result, call)
            raise final from final.__cause__
        return result

    async def _until_settled(self, call: _Call) -> Any:  # noqa: ANN401  # payload or error
        """Return the payload, or the error that ends the call."""
        is_renewed = False
        secret = await self._credentials.current()
        while True:
            self._check_destination(call.request, secret)
            result = await self._attempt(call, secret)
            if not isinstance(result, BestDefenseError):
                self._shared.budget.earn()
                return result
            if isinstance(result, AuthError) and not is_renewed:
                is_renewed = True
                renewed = await self._credentials.renew(secret)
                if renewed is not None:
                    secret = renewed
                    continue
            verdict = decide(
                result,
                attempt=call.attempt,
                may_repeat=call.request.route.may_repeat,
                policy=self._shared.policy,
                uniform=random.uniform,
            )
            if isinstance(verdict, Stop) or not self._may_wait(call, result, verdict):
                return result
            await self._wait(call, result, verdict, secret)

    def _check_destination(self, request: Request, secret: Secret) -> None:
        shared = self._shared
        if secret.is_sandbox and not shared.is_loopback:
            raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        is_sandbox = secret.is_sandbox and shared.is_loopback
        if request.route.grade is Grade.DESCRIBED and not (shared.allow_provisional or is_sandbox):
            raise ProvisionalRoute(request.route.name)

    def _may_wait(self, call: _Call, error: BestDefenseError, verdict: Again) -> bool:
        """Whether the wait ends before the deadline and the budget pays for the retry."""
        now = asyncio.get_running_loop().time()
        if call.deadline is not None and now + verdict.after >= call.deadline:
            return False
        return self._shared.budget.spend(error)

    async def _wait(
        self, call: _Call, error: BestDefenseError, verdict: Again, secret: Secret
    ) -> None:
        self._emit(EventKind.RETRY, call, secret, duration=verdict.after, error=error)
        call.is_again = True
        if not isinstance(error, RateLimited):
            # After a 429 the limit itself waits, for everybody and in order.
            await asyncio.sleep(verdict.after)

    async def _attempt(self, call: _Call, secret: Secret) -> Any:  # noqa: ANN401  # payload or error
        """Send once. Return the payload or the error of this call."""
        loop = asyncio.get_running_loop()
        throttle = self._shared.throttles.of(secret.key)
        while True:
            asked = loop.time()
            permit = throttle.admit(
                call.request.route.name, deadline=call.deadline, again=call.is_again
            )
            try:
                async with permit, self._shared.slots:
                    if self._shared.pacer is not None:
                        await self._shared.pacer.turn()
                    if not permit.is_stale:
                        self._note_wait(call, secret, loop.time() - asked)
                        return await self._exchange(call, secret, permit)
                    permit.unsent()
                    call.is_again = True
            except DeadlineExceeded as error:
                return error

    async def _exchange(self, call: _Call, secret: Secret, permit: Permit) -> Any:  # noqa: ANN401
        loop = asyncio.get_running_loop()
        started = loop.time()
        call.attempt += 1
        if call.first_sent_at is None:
            call.first_sent_at = time.time()
        allowed = self._shared.timeout
        if call.deadline is not None:
            allowed = max(0.001, min(allowed, call.deadline - started))
        pauses: list[float] = []

        def on_headers(status: int, headers: Mapping[str, str]) -> None:
            if status == 429:  # noqa: PLR2004  # too many requests
                pauses.append(permit.refused(headers))
            else:
                permit.answered(headers)

        result: Any = None
        reply = None
        try:
            reply = await self._shared.wire.exchange(
                Outgoing(
                    method=call.request.route.method,
                    path=call.request.path,
                    body=call.body,
                    may_repeat=call.request.route.may_repeat,
                ),
                token=secret.reveal(),
                timeout=allowed,
                on_headers=on_headers,
            )
            result = read_envelope(reply, call.request, secret)
        except BestDefenseError as error:
            result = error.with_traceback(None)
        if isinstance(result, BestDefenseError):
            if result.sent is Sent.NO:
                permit.unsent()
            _add_hint(result, reply, pauses)
        self._note_attempt(call, secret, loop.time() - started, reply, result)
        for pause in pauses:
            self._emit(EventKind.PAUSE, call, secret, duration=pause, error=result)
        return result

    def _note_wait(self, call: _Call, secret: Secret, waited: float) -> None:
        if waited > 0.001:  # noqa: PLR2004  # a millisecond is no wait
            self._emit(EventKind.WAIT, call, secret, duration=waited, attempt=call.attempt + 1)

    def _note_attempt(
        self,
        call: _Call,
        secret: Secret,
        duration: float,
        reply: Reply | None,
        result: object,
    ) -> None:
        self._emit(
            EventKind.ATTEMPT,
            call,
            secret,
            duration=duration,
            status=None if reply is None else reply.status,
            error=result,
        )

    def _emit(
        self,
        kind: EventKind,
        call: _Call,
        secret: Secret,
        *,
        duration: float,
        attempt: int | None = None,
        status: int | None = None,
        error: object = None,
    ) -> None:
        if self._shared.hooks.is_idle:
            return
        self._shared.hooks.emit(
            Event(
                kind=kind,
                operation=call.request.route.name,
                attempt=call.attempt if attempt is None else attempt,
                duration=duration,
                token_key=secret.key,
                status=status,
                error=error.kind if isinstance(error, BestDefenseError) else None,
            )
        )


def _encode(request: Request) -> bytes | None:
    problem = None
    try:
        return None if request.json is None else encode_json(request.json)
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    raise ConfigError(f"The body of {request.route.name} is not a JSON value ({problem}).")


def _add_hint(error: BestDefenseError, reply: Reply | None, pauses: list[float]) -> None:
    """Put onto the error how long to wait: the pause after a 429, else the server's word."""
    if isinstance(error, RateLimited):
        error.retry_after = max(pauses, default=None)
    elif isinstance(error, ServerError) and reply is not None:
        error.retry_after = parse_retry_after(reply.headers, wall_clock=time.time())


def _final(error: BestDefenseError, call: _Call) -> BestDefenseError:
    """Return what the caller sees: for a creation, the honest word about its fate."""
    route = call.request.route
    if route.may_repeat or not is_fate_unknown(error):
        return error
    unknown = OutcomeUnknown(
        str(error),
        operation=route.name,
        subject=call.request.subject,
        sent_at=time.time() if call.first_sent_at is None else call.first_sent_at,
    )
    unknown.__cause__ = error
    return unknown
