"""What one organization owns of a client, so that no other one notices what happens to it.

The client's pool, slots and pace are shared, in turns. All else is a `Tenant`'s own: credentials,
limits, retry budget, its place in the turn for slots, and what calls of it are under way. A tenant
is told by the name that was given for it, else by its token: however many views of it are made,
there is one.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from bestdefense_async.core.check import check_text
from bestdefense_async.core.retry import RetryBudget
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import ConfigError
from bestdefense_async.transport.credentials import Credentials, checked_source
from bestdefense_async.transport.http.cancel_scope import Lifetime
from bestdefense_async.transport.throttle.shared_store import SavedState
from bestdefense_async.transport.throttle.slots import SlotQueue
from bestdefense_async.transport.throttle.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from bestdefense_async.core.host import Scope
    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.transport.credentials import TokenSource
    from bestdefense_async.transport.http.cancel_scope import Home
    from bestdefense_async.transport.observe import QueueStats
    from bestdefense_async.transport.throttle.shared_store import SharedLimits

KEPT_FOR: Final = 60.0
"""Seconds between two searches for tenants that are idle and need not be kept."""
EARNED_IDLE: Final = 50.0
"""Units of its retry budget that a tenant gets back per search in which it has no call: what it
knows of an outage is ten minutes later no news, and a tenant is not kept for ever for it."""


class Attached(Protocol):
    """What a room above the transport keeps for a tenant, and ends together with it."""

    def close(self) -> Iterable[asyncio.Task[None]]:
        """Stop; return the tasks that are still to be awaited."""
        ...


A = TypeVar("A", bound=Attached)


class Tenant:
    """One organization, by its token or by a name."""

    def __init__(
        self, tenants: Tenants, name: str, source: TokenSource, *, is_named: bool = False
    ) -> None:
        self.name: str = name
        """The name that was given, else a number: never made from the token."""
        self.is_named: bool = is_named
        self.scope: Scope | None = None
        """What it may scan, None for whatever its token may."""
        self.credentials: Credentials = Credentials(source)
        self.lifetime: Lifetime = Lifetime(tenants.home)
        self.budget: RetryBudget = RetryBudget()
        self.slots: SlotQueue = SlotQueue()
        self.poll_slots: SlotQueue = SlotQueue(beside=self.slots)
        self.pauses: set[Callable[[float], object]] = set()
        """Called with the seconds of each pause after a 429, at once; must not raise."""
        self.is_kept: bool = False
        """Whether the registry holds it, so that what it knows of its limits stays."""
        self._tenants = tenants
        self._throttle: Throttle | None = None
        self._throttle_key = ""
        self._attached: dict[str, Attached] = {}

    def throttle(self, secret: Secret) -> Throttle:
        """Return the limits of the token: the server counts by token, whoever sends it."""
        if self._throttle is None or self._throttle_key != secret.token_key:
            if self._throttle is not None:
                self._tenants.keep_limits(self._throttle)
            self._throttle = self._tenants.throttle(secret.token_key)
            self._throttle_key = secret.token_key
        if not self.is_kept:
            self._tenants.keep(self)
        return self._throttle

    @property
    def is_idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        is_full = self.budget.units >= self.budget.full
        is_unthrottled = self._throttle is None or self._throttle.is_idle
        return is_full and is_unthrottled and not len(self.lifetime)

    @property
    def limits(self) -> Mapping[str, QueueStats]:
        """Who waits for a limit, by operation."""
        return {} if self._throttle is None else self._throttle.stats()

    def attached(self, name: str, make: Callable[[], A]) -> A:
        """Return what is kept here under a name, made at its first use."""
        found = self._attached.get(name)
        if found is None:
            found = self._attached[name] = make()
        return cast("A", found)

    def everything_attached(self) -> Iterable[tuple[str, Attached]]:
        """Return what is kept here, by name."""
        return self._attached.items()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """End what is under way, after letting it go on for `drain` seconds at most.

        Raises:
            WrongLoop: The client belongs to another loop or process.
        """
        self.lifetime.home.check()
        await self.lifetime.end(drain=drain)
        tasks: set[asyncio.Task[Any]] = set(self.credentials.close())
        tasks.update(task for each in self._attached.values() for task in each.close())
        if tasks:
            await asyncio.wait(tasks)

    def __repr__(self) -> str:
        return f"<Tenant {self.name}>"


class Tenants:
    """The tenants of a client.

    One is held by its views, and here for as long as it knows something that matters: what it has
    used of a limit, a pause, a spent budget, calls under way.

    Args:
        home: Where the client lives.
        limits: By operation; the same for all.
        state_dir: A directory in which limits are kept together with other processes, and from one
            to the next: one small file per token, named by a hash. None keeps everything in memory.
        shared_limits: What keeps limits together with other processes in place of files.
    """

    def __init__(
        self,
        home: Home,
        limits: Mapping[str, tuple[Limit, ...]],
        *,
        state_dir: Path | None = None,
        shared_limits: SharedLimits | None = None,
    ) -> None:
        self.home: Home = home
        self._limits = dict(limits)
        self._state_dir = state_dir
        self._shared_limits = shared_limits
        self._born: float | None = None
        self._tenants: WeakValueDictionary[object, Tenant] = WeakValueDictionary()
        self._throttles: WeakValueDictionary[str, Throttle] = WeakValueDictionary()
        self._kept: set[Tenant] = set()
        self._kept_limits: set[Throttle] = set()
        self._numbers = itertools.count(1)
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    def of(
        self, source: TokenSource, *, name: str | None = None, scope: Scope | None = None
    ) -> Tenant:
        """Return the tenant of a name, else of a token; a scope that is given is its own from now.

        Raises:
            ConfigError: The source cannot be one of a token, the name stands for another, or the
                name shows the token.
        """
        source = checked_source(source)
        if name is not None:
            _check_name(name, source)
        key = ("name", name) if name is not None else ("source", _key(source))
        tenant = self._tenants.get(key)
        if tenant is None or tenant.lifetime.is_over:
            called = name or f"tenant-{next(self._numbers)}"
            tenant = Tenant(self, called, source, is_named=name is not None)
            tenant.lifetime.is_over = self._is_closed
            self._tenants[key] = tenant
        elif name is not None:
            tenant.credentials.update(source)
        tenant.scope = scope or tenant.scope
        return tenant

    def all(self) -> list[Tenant]:
        """Return the tenants that exist at present and are not closed."""
        return [tenant for tenant in self._tenants.values() if not tenant.lifetime.is_over]

    def throttle(self, token_key: str) -> Throttle:
        """Return the limits of the token with this hash."""
        throttle = self._throttles.get(token_key)
        if throttle is None:
            if self._born is None:
                self._born = asyncio.get_running_loop().time()
            saved = None if self._state_dir is None else SavedState.file(self._state_dir, token_key)
            shared = None if self._shared_limits is None else self._shared_limits.of(token_key)
            throttle = Throttle(
                self._limits, known_since=self._born, saved=None if shared else saved, shared=shared
            )
            self._throttles[token_key] = throttle
        return throttle

    def keep(self, tenant: Tenant) -> None:
        """Hold a tenant until nothing that it knows matters any more, also when it is closed."""
        tenant.is_kept = True
        self._kept.add(tenant)
        self._sweep_later()

    def keep_limits(self, throttle: Throttle) -> None:
        """Hold the limits of a token that their tenant does not use any more, likewise."""
        self._kept_limits.add(throttle)
        self._sweep_later()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """End every tenant, now and from now on; what is under way may go on for `drain` seconds.

        May be called again, also while an earlier call still waits.
        """
        self._is_closed = True
        await asyncio.gather(*(tenant.aclose(drain=drain) for tenant in self._tenants.values()))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._kept.clear()
        self._kept_limits.clear()

    def _sweep_later(self) -> None:
        if self._timer is None and (self._kept or self._kept_limits):
            self._timer = asyncio.get_running_loop().call_later(
                KEPT_FOR, self._sweep, context=contextvars.Context()
            )

    def _sweep(self) -> None:
        self._timer = None
        for tenant in list(self._kept):
            if not len(tenant.lifetime):
                tenant.budget.earn(EARNED_IDLE)
            if tenant.is_idle:
                tenant.is_kept = False
                self._kept.discard(tenant)
        self._kept_limits = {each for each in self._kept_limits if not each.is_idle}
        self._sweep_later()


def _check_name(name: str, source: object) -> None:
    """Refuse a name that may not stand in a log.

    Raises:
        ConfigError: It holds the token, or what is no character to print.
    """
    if not check_text("name", name).isprintable():
        raise ConfigError("name stands in logs: it must not hold line breaks and the like.")
    if isinstance(source, Secret) and source.redact(name) != name:
        raise ConfigError("name stands in logs: it must not hold the token.")


def _key(source: Secret | Path | Callable[..., object]) -> object:
    """Return what sources are told apart by: equal ones share, incomparable ones stand alone."""
    try:
        hash(source)
    except TypeError:
        return id(source)
    return source
