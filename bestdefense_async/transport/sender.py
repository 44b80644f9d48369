"""One call from request to answer: the only retry loop of the package.

Order of one attempt: the limit admits it, then a slot is taken (so that a call that waits an hour
for its limit holds no connection), at the pace where there is one; then the request's claim, then
it is sent. The limit is told the moment the answer's headers are seen. What nothing holds up
waits for nothing: permit, slot and token are then taken by plain functions.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, TypeVar

from bestdefense_async.core.retry import Stop, decide
from bestdefense_async.core.route import Grade
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    ProvisionalRoute,
    RateLimited,
    Sent,
)
from bestdefense_async.transport.call import Call
from bestdefense_async.transport.observe import WaitReason

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from bestdefense_async.core.expected_file import ExpectedFile
    from bestdefense_async.core.request import Request
    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.download import Progress
    from bestdefense_async.transport.host import Host
    from bestdefense_async.transport.tenants import Tenant
    from bestdefense_async.transport.throttle.permit import Permit


T = TypeVar("T")


class Sender:
    """Send the requests of one tenant.

    Args:
        host: What all tenants share.
        tenant: Whose requests they are.
        is_for_polls: Whether they are polls, which have a part of the slots only.
    """

    def __init__(self, host: Host, tenant: Tenant, *, is_for_polls: bool = False) -> None:
        self._host = host
        self._tenant = tenant
        self._is_for_polls = is_for_polls
        self._slots = tenant.poll_slots if is_for_polls else tenant.slots

    def send(self, request: Request[T], *, timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """Return what to await for the answer, after as many attempts as are safe and sensible.

        Args:
            request: What is wanted.
            timeout: Seconds the whole call may take, waiting included. None: each attempt is
                bounded, and the waits for limits are as long as they need to be.

        Raises:
            BestDefenseError: See `errors`; `OutcomeUnknown` when the request may not arrive twice
                and it is not known whether it was carried out.
        """
        return self._run(Call(self._tenant, self._as_bound(request)), timeout)

    async def download(
        self,
        request: Request[None],
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
        from bestdefense_async.transport.download import DownloadCall, downloading  # noqa: PLC0415

        there = self._as_bound(request)
        async with downloading(
            final, wanted, keep_part=keep_part, on_progress=on_progress
        ) as download:
            if not await download.is_there():
                await self._run(DownloadCall(self._tenant, there, download), timeout)

    def _as_bound(self, request: Request[T]) -> Request[T]:
        """Return a request as the host wants it; a raw one stands in the host's words already."""
        bindings = self._host.bound
        if not bindings or request.route.grade is Grade.BOUND:
            return request
        bound = bindings.get(request.route.name)
        return request if bound is None else bound.request_there(request)

    async def _run(self, call: Call[T], timeout: float | None) -> T:
        """Run one call to its end: bounded by its tenant's life and by its own deadline."""
        host, tenant = self._host, self._tenant
        with call:
            if timeout is not None:
                call.deadline = asyncio.get_running_loop().time() + timeout
            observed = call.observed = host.observers.observe(call.request, tenant.name)
            kind: str | None = "Cancelled"
            try:
                while True:
                    call.keep_deadline()
                    try:
                        result = await self._attempt(call)
                    except BestDefenseError as caught:
                        error = caught.with_traceback(None)
                    else:
                        kind = None
                        tenant.budget.earn()
                        host.budget.earn()
                        return result
                    kind = error.kind
                    call.keep_deadline()
                    await self._before_again(call, error)
            finally:
                if call.sent is Sent.NO:
                    await self._give_back(call)
                if observed is not None:
                    observed.ended(call.attempt, kind)

    async def _attempt(self, call: Call[T]) -> T:
        """Send once, as soon as nothing holds it up, and return what the answer brings."""
        host, tenant = self._host, self._tenant
        call.sent = Sent.NO
        secret = call.secret = tenant.credentials.known or await tenant.credentials.current()
        self._check_destination(call, secret)
        permit = call.permit = self._permit_at_once(call, secret) or await self._turn(call, secret)
        kind: str | None = "Cancelled"
        call.begin_attempt()
        try:
            result = await call.work(host, self._allowed(call))
            kind = None
        except BestDefenseError as error:
            call.complete(error)
            kind = error.kind
            if call.pause is not None:
                for told in tuple(tenant.pauses):
                    told(call.pause)
            raise
        finally:
            if call.sent is Sent.NO:
                permit.unsent()
            permit.leave()
            host.slots.release(self._slots)
            if call.observed is not None:
                call.observed.attempt_ended(call.attempt, call.status, kind, call.pause)
        return result

    def _permit_at_once(self, call: Call[object], secret: Secret) -> Permit | None:
        """Return a permit, with a slot in hand, when nothing has to be waited for."""
        if call.request.claim is not None or call.is_again:
            return None
        tenant = self._tenant
        permit = tenant.throttle(secret).admit(call.request.route.name, deadline=call.deadline)
        if not permit.enter():
            return None
        if not self._host.slots.take(self._slots):
            permit.unsent()
            return None
        return permit

    async def _turn(self, call: Call[object], secret: Secret) -> Permit:
        """Wait for limit, slot and pace, then take the claim; return the permit, all in hand."""
        slots, tenant, name = self._host.slots, self._tenant, call.request.route.name
        claim = call.request.claim
        while True:
            throttle, deadline = tenant.throttle(secret), call.deadline
            if self._is_for_polls and deadline is None:
                deadline = throttle.latest_for_poll(name, self._host.policy.longest_wait)
            permit = throttle.admit(name, deadline=deadline, again=call.is_again)
            if not permit.enter():
                await call.waiting_for_turn(permit)
            try:
                if not slots.take(self._slots):
                    reason = WaitReason.SLOT if slots.rate is None else WaitReason.PACE
                    await call.waiting(reason, None, slots.wait(self._slots))
            except BaseException:
                permit.unsent()
                raise
            try:
                if claim is not None and not permit.is_stale:
                    call.has_claim = True  # also when it is cancelled while it is taken
                    await claim.take()
                if not permit.is_stale:
                    return permit
            except BaseException as error:
                call.has_claim = isinstance(error, asyncio.CancelledError)
                permit.unsent()
                slots.release(self._slots)
                raise
            # A pause came while something else was waited for: all is given back.
            permit.unsent()
            slots.release(self._slots)
            call.is_again = True
            await self._give_back(call)

    def _check_destination(self, call: Call[object], secret: Secret) -> None:
        route, host = call.request.route, self._host
        if not host.base_url.is_loopback:
            secret.check_length()
            if secret.is_sandbox:
                raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        elif secret.is_sandbox:
            return
        if route.grade is Grade.DESCRIBED and not host.allow_provisional:
            raise ProvisionalRoute(route.name)

    def _allowed(self, call: Call[object]) -> float:
        """Return the seconds this attempt may take."""
        if call.deadline is None:
            return self._host.timeout
        left = call.deadline - asyncio.get_running_loop().time()
        return max(0.001, min(self._host.timeout, left))

    async def _before_again(self, call: Call[object], error: BestDefenseError) -> None:
        """Return when the call may be tried again; raise what the caller sees when it may not."""
        if error.sent is Sent.NO or isinstance(error, RateLimited):
            await self._give_back(call)
        if isinstance(error, AuthError) and await self._has_renewed(call):
            return
        verdict = decide(
            error,
            attempt=call.tries,
            may_repeat=call.request.route.may_repeat,
            pause=call.pause,
            policy=self._host.policy,
            uniform=random.uniform,
        )
        if isinstance(verdict, Stop) or not self._may_wait(call, error, verdict.after):
            final = call.final(error)
            raise final from final.__cause__
        call.is_again = True
        if call.pause is None:
            # After a 429 the limit itself waits, for everybody and in order.
            pause = asyncio.sleep(verdict.after)
            await call.waiting(WaitReason.BACKOFF, verdict.after, pause)

    async def _has_renewed(self, call: Call[object]) -> bool:
        """Return whether there is another token after a 401; the source is asked once per call."""
        credentials, refused = self._tenant.credentials, call.secret
        if call.is_renewed or refused is None or not credentials.is_renewable:
            return False
        call.is_renewed = True
        await self._give_back(call)
        return await credentials.renew(refused) is not None

    def _may_wait(self, call: Call[object], error: BestDefenseError, after: float) -> bool:
        """Return whether a wait ends before the deadline, and the budgets pay for the retry."""
        now = asyncio.get_running_loop().time()
        if call.deadline is not None and now + after >= call.deadline:
            return False
        # An error without an answer speaks of the host, so all tenants pay for it together.
        is_answered = error.sent is Sent.YES
        return self._tenant.budget.spend(error) and (is_answered or self._host.budget.spend(error))

    async def _give_back(self, call: Call[object]) -> None:
        """Give the request's claim back: the work was certainly not begun."""
        if call.has_claim and call.request.claim is not None:
            call.has_claim = False
            await call.request.claim.give_back()
