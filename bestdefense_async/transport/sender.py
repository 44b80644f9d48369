"""One call from request to payload: the only retry loop of the package.

Order of one attempt: the limit admits it, then a slot is taken (so that a call that waits an hour
for its limit holds no connection), then the pacer lets it go, then it is sent. The limit is told
the moment the answer's headers are seen.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.core.envelope import read_envelope
from bestdefense_async.core.expected_file import redirect_target
from bestdefense_async.core.retry import (
    Again,
    Stop,
    decide,
    is_fate_unknown,
)
from bestdefense_async.core.route import Grade
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ClientClosed,
    ConfigError,
    DeadlineExceeded,
    NotFound,
    ProtocolError,
    ProvisionalRoute,
    RateLimited,
    Sent,
    ServerError,
)
from bestdefense_async.transport.call import (
    Call,
    Shared,
    final_error,
    headers_seen,
)
from bestdefense_async.transport.download.download import downloading
from bestdefense_async.transport.http.exchange import refusal_to_follow
from bestdefense_async.transport.observe import EventKind, RequestEvent

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.core.binding import Bound
    from bestdefense_async.core.expected_file import ExpectedFile
    from bestdefense_async.core.request import Reply, Request
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.call import Work
    from bestdefense_async.transport.credentials import Credentials
    from bestdefense_async.transport.download.download import Progress
    from bestdefense_async.transport.throttle.permit import Permit


MOST_REDIRECTS: Final = 3
"""How often one download may be pointed elsewhere."""


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
        bound = self._bound(request)
        if bound is None:
            return await self._call(request, self._exchange, timeout=timeout)
        there = bound.request_there(request)
        return bound.answer_here(await self._call(there, self._exchange, timeout=timeout))

    async def download(
        self,
        request: Request,
        final: Path,
        *,
        wanted: ExpectedFile,
        keep_part: bool = False,
        on_progress: Progress | None = None,
        timeout: float | None = None,
    ) -> None:
        """Store the file that the request answers, whole and checked, or not at all.

        A download that is cut goes on where it stopped. Every request of it counts for the limit.

        Args:
            request: What is wanted.
            final: Where the file is to stand. A link there is replaced, not followed.
            wanted: Its digest and size.
            keep_part: Leave what came for the next call when the download ends early.
            on_progress: Told bytes that are there and bytes in all, None while unknown.
            timeout: As for `send`.

        Raises:
            IntegrityError: Digest or size differ, or what comes is not the file.
            DownloadError: The disk does not take it, or somebody else downloads it.
            BestDefenseError: As for `send`.
        """
        bound = self._bound(request)
        request = request if bound is None else bound.request_there(request)

        async def fetch(call: Call, secret: Secret, permit: Permit) -> None:
            try:
                headers = await download.prepare()
                url: str | None = None
                for _ in range(1 + MOST_REDIRECTS):
                    async with self._shared.wire.stream(
                        call.request,
                        token=secret.reveal() if url is None else None,
                        timeout=self._allowed(call),
                        deadline=call.deadline,
                        url=url,
                        extra_headers=headers,
                    ) as stream:
                        if url is None:
                            headers_seen(call, permit, stream.status, stream.headers)
                        if await download.take(stream):
                            return
                        reply = await stream.refusal()
                    url = self._next_place(call, secret, reply, is_elsewhere=url is not None)
                raise ProtocolError("The download is redirected again and again.")
            except BestDefenseError as error:
                call.tries = download.tries_after(error, call.tries)
                raise

        async with downloading(
            final, wanted, keep_part=keep_part, on_progress=on_progress
        ) as download:
            if not await download.is_there():
                await self._call(request, fetch, timeout=timeout)

    def _next_place(self, call: Call, secret: Secret, reply: Reply, *, is_elsewhere: bool) -> str:
        """Return where a download goes on that was not answered with the file.

        Raises:
            RedirectRefused: It is pointed to a place that it may not go to.
            BestDefenseError: It is not pointed anywhere.
        """
        status = reply.status
        if 300 <= status < 400:  # noqa: PLR2004  # HTTP's redirects
            hosts = self._shared.download_hosts
            url = redirect_target(reply.headers.get("location", ""), hosts)
            if url is None:
                raise refusal_to_follow(status, reply.headers)
            return url
        if not is_elsewhere:
            read_envelope(reply, call.request, secret)
        elif status >= 500:  # noqa: PLR2004  # HTTP's server errors
            raise ServerError(f"The file's own server failed (status {status}).", status=status)
        raise ProtocolError(f"The answer (status {status}) is not the file.")

    def _bound(self, request: Request) -> Bound | None:
        """Return the binding to apply; a raw request stands in the host's words already."""
        if request.route.grade is Grade.BOUND:
            return None
        return self._shared.bound.get(request.route.name)

    async def _call(self, request: Request, work: Work, *, timeout: float | None) -> Any:  # noqa: ANN401
        """Run one call to its end: bounded by the client's life and by its own deadline."""
        now = self._shared.lifetime.check().time()
        call = Call(
            request,
            work,
            deadline=None if timeout is None else now + timeout,
        )
        try:
            with self._shared.lifetime.call():
                result = await self._until_settled(call)
        except ClientClosed as closed:
            closed.sent = Sent.NO if call.first_sent_at is None else Sent.MAYBE
            result = closed.with_traceback(None)
        except asyncio.CancelledError as cancelled:
            # The frames below hold the header in their locals; a traceback must not keep them.
            raise cancelled.with_traceback(None) from None
        if isinstance(result, BestDefenseError):
            final = final_error(result, call)
            raise final from final.__cause__
        return result

    async def _until_settled(self, call: Call) -> Any:  # noqa: ANN401  # payload or error
        """Return the payload, or the error that ends the call."""
        is_renewed = False
        secret = await self._credentials.current()
        while True:
            self._check_destination(call.request, secret)
            result = await self._admitted(call, secret)
            if isinstance(result, NotFound) and call.is_maybe_deleted:
                result = None
            if not isinstance(result, BestDefenseError):
                self._shared.budget.earn()
                return result
            if call.request.route.method == "DELETE" and is_fate_unknown(result):
                call.is_maybe_deleted = True
            if isinstance(result, AuthError) and not is_renewed:
                is_renewed = True
                renewed = await self._credentials.renew(secret)
                if renewed is not None:
                    secret = renewed
                    continue
            verdict = decide(
                result,
                attempt=call.tries,
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

    def _may_wait(self, call: Call, error: BestDefenseError, verdict: Again) -> bool:
        """Whether the wait ends before the deadline and the budget pays for the retry."""
        now = asyncio.get_running_loop().time()
        if call.deadline is not None and now + verdict.after >= call.deadline:
            return False
        return self._shared.budget.spend(error)

    async def _wait(
        self, call: Call, error: BestDefenseError, verdict: Again, secret: Secret
    ) -> None:
        self._emit(EventKind.RETRY, call, secret, duration=verdict.after, error=error)
        call.is_again = True
        if not isinstance(error, RateLimited):
            # After a 429 the limit itself waits, for everybody and in order.
            await asyncio.sleep(verdict.after)

    async def _admitted(self, call: Call, secret: Secret) -> Any:  # noqa: ANN401  # payload or error
        """Wait for limit, slot and pace, then send once. Return the payload or the error."""
        loop = asyncio.get_running_loop()
        throttle = self._shared.throttles.of(secret.token_key)
        while True:
            asked = loop.time()
            permit = throttle.admit(
                call.request.route.name, deadline=call.deadline, again=call.is_again
            )
            try:
                async with permit:
                    await self._turn(permit)
                    try:
                        if not permit.is_stale:
                            self._note_wait(call, secret, loop.time() - asked)
                            return await self._attempt(call, secret, permit)
                        permit.unsent()
                        call.is_again = True
                    finally:
                        self._shared.slots.release()
            except DeadlineExceeded as error:
                return error

    async def _turn(self, permit: Permit) -> None:
        """Take a slot, at the pace; a call that is cancelled before it has one was not sent."""
        shared = self._shared
        has_slot = has_come = False
        try:
            has_slot = await shared.slots.acquire()
            if shared.pacer is not None:
                await shared.pacer.turn()
            has_come = True
        finally:
            if not has_come:
                permit.unsent()
                if has_slot:
                    shared.slots.release()

    async def _attempt(self, call: Call, secret: Secret, permit: Permit) -> Any:  # noqa: ANN401
        started = asyncio.get_running_loop().time()
        call.begin_attempt()
        result: Any
        try:
            result = await call.work(call, secret, permit)
        except BestDefenseError as error:
            result = error.with_traceback(None)
        if isinstance(result, BestDefenseError):
            # A message may quote the server, and the server may quote what it was sent.
            result.args = tuple(secret.redact(str(each)) for each in result.args)
            if result.sent is Sent.NO:
                permit.unsent()
            if isinstance(result, RateLimited | ServerError):
                result.retry_after = call.hint
        duration = asyncio.get_running_loop().time() - started
        self._emit(EventKind.ATTEMPT, call, secret, duration=duration, error=result)
        if isinstance(result, RateLimited) and call.hint is not None:
            self._emit(EventKind.PAUSE, call, secret, duration=call.hint, error=result)
        return result

    async def _exchange(self, call: Call, secret: Secret, permit: Permit) -> Any:  # noqa: ANN401
        reply = await self._shared.wire.exchange(
            call.request,
            token=secret.reveal(),
            timeout=self._allowed(call),
            on_headers=lambda status, headers: headers_seen(call, permit, status, headers),
        )
        return read_envelope(reply, call.request, secret)

    def _allowed(self, call: Call) -> float:
        """Return the seconds this attempt may take."""
        if call.deadline is None:
            return self._shared.timeout
        left = call.deadline - asyncio.get_running_loop().time()
        return max(0.001, min(self._shared.timeout, left))

    def _note_wait(self, call: Call, secret: Secret, waited: float) -> None:
        if waited > 0.001:  # noqa: PLR2004  # a millisecond is no wait
            self._emit(EventKind.WAIT, call, secret, duration=waited, attempt=call.attempt + 1)

    def _emit(
        self,
        kind: EventKind,
        call: Call,
        secret: Secret,
        *,
        duration: float,
        attempt: int | None = None,
        error: object = None,
    ) -> None:
        if self._shared.hooks.is_idle:
            return
        self._shared.hooks.emit(
            RequestEvent(
                kind=kind,
                operation=call.request.route.name,
                attempt=call.attempt if attempt is None else attempt,
                duration=duration,
                token_key=secret.token_key,
                status=None if kind is EventKind.WAIT else call.status,
                error=error.kind if isinstance(error, BestDefenseError) else None,
            )
        )
