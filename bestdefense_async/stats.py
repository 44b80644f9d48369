"""What a client does now: how much is in flight, who waits for what, and why."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.polling.scheduler import PollScheduler
from bestdefense_async.polling.subscription import PollStats
from bestdefense_async.transport.observe import QueueStats

if TYPE_CHECKING:
    from bestdefense_async.transport.host import Host
    from bestdefense_async.transport.tenants import Tenant, Tenants


@frozen(kw_only=True)
class TenantStats:
    """What the calls of one organization do now. All times are seconds."""

    name: str
    """The name it was given, else a number."""
    calls: int
    """Calls that have begun and not ended. Those that neither are in flight nor wait for a slot or
    a limit pause before they are tried again, or wait for the token."""
    in_flight: int
    """Requests under way."""
    waiting_for_slot: int
    """Calls that wait for one of the client's slots, or for its pace."""
    oldest_for_slot: float
    """How long the first of them has waited, 0.0 without one."""
    limits: Mapping[str, QueueStats]
    """Who waits for a limit or a pause, by operation."""
    polls: Mapping[str, PollStats]
    """Who waits for scans, by kind: `reports` and `network`."""
    retry_units: float
    """What is left of its retry budget, 500 at most; a retry costs 5 to 14."""


@frozen(kw_only=True)
class ClientStats:
    """What a client does now."""

    slots: int
    """Most requests under way at once; two thirds of them may be polls."""
    requests_per_second: float | None
    """The pace that calls wait for beside a slot, None without one."""
    in_flight: int
    """Requests under way."""
    waiting_for_slot: int
    """Calls of all tenants that wait for a slot or the pace."""
    connecting: int
    """Requests among those under way that wait for a new connection."""
    retry_units: float
    """What is left of the budget for errors without an answer, which all tenants share."""
    tenants: tuple[TenantStats, ...]


def client_stats(host: Host, tenants: Tenants) -> ClientStats:
    """Return what a client does now. Reads only, and costs some steps per tenant."""
    return ClientStats(
        slots=host.slots.limit,
        requests_per_second=host.slots.rate,
        in_flight=host.slots.used,
        waiting_for_slot=host.slots.waiting,
        connecting=host.wire.connecting,
        retry_units=host.budget.units,
        tenants=tuple(_stats_of(tenant) for tenant in tenants.all()),
    )


def _stats_of(tenant: Tenant) -> TenantStats:
    queues = (tenant.slots, tenant.poll_slots)
    since = min(each.waiting_since for each in queues)
    polls = {
        name.removeprefix("polls of "): each.stats()
        for name, each in tenant.everything_attached()
        if isinstance(each, PollScheduler)
    }
    return TenantStats(
        name=tenant.name,
        calls=len(tenant.lifetime),
        in_flight=sum(each.used for each in queues),
        waiting_for_slot=sum(each.waiting for each in queues),
        oldest_for_slot=_seconds_since(since),
        limits=tenant.limits,
        polls=polls,
        retry_units=tenant.budget.units,
    )


def _seconds_since(when: float) -> float:
    return 0.0 if when == math.inf else asyncio.get_running_loop().time() - when
