"""One call on its way: what it shares with others, and what it knows of its own attempts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field

from bestdefense_async.core.binding import Bound
from bestdefense_async.core.limiting.hints import parse_retry_after
from bestdefense_async.core.request import Request
from bestdefense_async.core.retry import (
    RetryBudget,
    RetryPolicy,
    is_fate_unknown,
)
from bestdefense_async.errors import (
    BestDefenseError,
    OutcomeUnknown,
)
from bestdefense_async.transport.http.cancel_scope import Lifetime
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.observe import Hooks
from bestdefense_async.transport.throttle.throttle import Pacer, Throttles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.core.secret import Secret
    from bestdefense_async.transport.throttle.permit import Permit

    Work = Callable[["Call", Secret, Permit], Awaitable[Any]]


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
    download_hosts: frozenset[str] = frozenset()
    """Where downloads may be redirected to, over https and without the token."""
    bound: Mapping[str, Bound] = field(factory=dict)
    """The operations that this host has elsewhere."""
    budget: RetryBudget = field(factory=RetryBudget)


@define
class Call:
    """One call under way."""

    request: Request
    work: Work
    """Sends once, and returns the payload."""
    deadline: float | None
    attempt: int = 0
    tries: int = 0
    """Attempts that count for the retry policy: fewer than `attempt` after a download came on."""
    status: int | None = None
    """HTTP status of the latest attempt, None without an answer."""
    hint: float | None = None
    """Seconds to wait: the pause after a 429, else what a failing server asks for."""
    first_sent_at: float | None = None
    """Wall clock of the first attempt that may have left."""
    is_again: bool = False
    """Whether it had been admitted before, so that it goes to the front."""
    is_maybe_deleted: bool = False
    """Whether an earlier attempt may have deleted what this call is to delete."""

    def begin_attempt(self) -> None:
        """Count the attempt that leaves now, and forget the answer to the one before."""
        self.attempt += 1
        self.tries += 1
        self.status = None
        self.hint = None
        if self.first_sent_at is None:
            self.first_sent_at = time.time()


def headers_seen(call: Call, permit: Permit, status: int, headers: Mapping[str, str]) -> None:
    """Record that headers are there, and how long the server asks to wait."""
    call.status = status
    if status == 429:  # noqa: PLR2004  # too many requests
        call.hint = permit.refused(headers)
    else:
        permit.answered(headers)
        call.hint = parse_retry_after(headers, wall_clock=time.time())


def final_error(error: BestDefenseError, call: Call) -> BestDefenseError:
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
