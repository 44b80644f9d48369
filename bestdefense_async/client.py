"""The client: opens and closes what calls need, and holds the resources."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from bestdefense_async.config import TOKEN_VARIABLES, base_url_from, find_token
from bestdefense_async.core.check import check_seconds
from bestdefense_async.core.polling import DEFAULT_POLICY, PollPolicy
from bestdefense_async.errors import ConfigError
from bestdefense_async.files import is_name, shown
from bestdefense_async.transport.host import merged_limits, open_host
from bestdefense_async.transport.http.cancel_scope import Home
from bestdefense_async.transport.tenants import Tenants
from bestdefense_async.view import SharedByViews, View

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    import aiohttp

    from bestdefense_async.core.binding import Binding
    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.core.retry import RetryPolicy
    from bestdefense_async.models import ScanEvent
    from bestdefense_async.runs.store.protocol import Store
    from bestdefense_async.services.scans import Scans, TenantOf
    from bestdefense_async.stats import ClientStats
    from bestdefense_async.transport.credentials import TokenSource
    from bestdefense_async.transport.hooks import RequestEvent
    from bestdefense_async.transport.observe import Observer
    from bestdefense_async.transport.throttle.shared_store import SharedLimits

_BELOW_LIMIT: Final = 0.95
"""Share of a limit that polls spend; the rest is for those who ask for a progress themselves."""


class BestDefense(View):
    """Asynchronous client of the BestDefense API; open it with `async with`.

    One client per process and event loop serves many tasks and, with `with_token`, many tokens.

    Args:
        token: A token, a `pathlib.Path` to a file that holds one, or an async callable that
            returns one (asked again once after a 401). None takes `BD_API_TOKEN`, else
            `BESTDEFENSE_API_KEY`; without them the client serves the views of `with_token` alone.
        base_url: None takes `BD_BASE_URL`, else the multi-tenant host.
        limits: Limits per operation in place of the documented ones, such as
            `{"agents.manifest": Limit(60, per=60.0)}`; a tuple holds several at once. One of
            `reports.progress` is the budget of all who wait: see `reports.wait`.
        timeout: Seconds one attempt may take.
        max_in_flight: Requests under way at once.
        requests_per_second: A politeness rate over all requests; None for none.
        retry: How hard to try.
        polling: How often to ask for a scan when a call does not say; None for the usual.
        hooks: Called with a `RequestEvent` for each attempt, wait and pause, on a thread.
        observer: Told of everything at once, in the task of the call: an `Observer`, or several.
        bindings: Where this host has operations whose path is not published, or another one
            than documented, such as `{"schedules.create": Binding(...)}`.
        allow_provisional: Send operations whose path is our guess also to hosts other than the
            sandbox.
        download_hosts: Hosts like `cdn.example.com` that a download may be redirected to, over
            https and without the token; any other redirect is refused.
        proxy: URL of an http proxy. Environment variables are not looked at.
        ssl_context: For a private certificate authority; None trusts the system's.
        state_dir: Directory in which limits are kept together with other processes, and from one to
            the next; None for none.
        shared_limits: What keeps limits together with processes on other machines, in place of
            `state_dir`: a `distributed.limits.PostgresLimits`. It is not closed.
        session: An aiohttp session to use. It is never closed or changed.

    Raises:
        ConfigError: Something of this is missing or wrong. Nothing was sent.
    """

    def __init__(
        self,
        token: TokenSource | None = None,
        base_url: str | None = None,
        *,
        limits: Mapping[str, Limit | tuple[Limit, ...]] | None = None,
        timeout: float = 30.0,
        max_in_flight: int = 100,
        requests_per_second: float | None = None,
        retry: RetryPolicy | None = None,
        polling: PollPolicy | None = None,
        hooks: Sequence[Callable[[RequestEvent], object]] = (),
        observer: Observer | Sequence[Observer] = (),
        bindings: Mapping[str, Binding] | None = None,
        allow_provisional: bool = False,
        download_hosts: Collection[str] = (),
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        state_dir: Path | None = None,
        shared_limits: SharedLimits | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        if state_dir is not None and not isinstance(state_dir, Path):
            raise ConfigError("state_dir must be a pathlib.Path.")
        if state_dir is not None and not is_name(state_dir):
            raise ConfigError(f"state_dir cannot be {shown(state_dir)}: no file can be called so.")
        if polling is not None and not isinstance(polling, PollPolicy):
            raise ConfigError("polling must be a PollPolicy.")
        if shared_limits is not None and not callable(getattr(shared_limits, "of", None)):
            raise ConfigError("shared_limits must be what keeps limits, such as PostgresLimits.")
        limits_of = merged_limits(limits)
        home = Home()
        host = open_host(
            home,
            base_url=base_url_from(base_url),
            timeout=timeout,
            max_in_flight=max_in_flight,
            requests_per_second=requests_per_second,
            retry=retry,
            hooks=hooks,
            observer=observer,
            bindings=bindings,
            allow_provisional=allow_provisional,
            download_hosts=download_hosts,
            proxy=proxy,
            ssl_context=ssl_context,
            session=session,
        )
        budgets = limits_of.get("reports.progress", ())
        rates = [_BELOW_LIMIT * each.calls / each.per for each in budgets]
        shared = SharedByViews(
            host=host,
            tenants=Tenants(home, limits_of, state_dir=state_dir, shared_limits=shared_limits),
            poll_rate=min(rates, default=None),
            poll_policy=DEFAULT_POLICY if polling is None else polling,
        )
        self._home = home
        self._closing: asyncio.Task[None] | None = None
        super().__init__(shared, shared.tenants.of(_own_token(token)))

    async def open(self) -> Self:
        """Return the client, which belongs to the running loop from now on.

        What `async with` does; the first call does it, too.

        Raises:
            ClientClosed: It is closed.
            WrongLoop: It belongs to another loop or process.
        """
        self._tenant.lifetime.check()
        return self

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def scans(
        self,
        *,
        store: Store | os.PathLike[str] | str | None = None,
        drain: float = 10.0,
        tenant_of: TenantOf | None = None,
        max_active: int = 100,
        scan_timeout: float | None = None,
        polling: PollPolicy | None = None,
        on_event: Callable[[str | None, ScanEvent], object] | None = None,
    ) -> Scans:
        """Return what scans for a service; use it as `async with`, or `open` and `aclose` it.

        Args:
            store: Where scans are recorded, so that they survive the process: the path of a file,
                or a store. None keeps them in memory.
            drain: Seconds that calls under way may take when it is left.
            tenant_of: Returns the view of an organization by the name it was given, so that its
                scans go on after a restart before anybody asks. None where that is not known.
            max_active: Most scans under way at the same time, for each organization and options.
                It holds for one run of the store. There is a second one beside it while a site is
                scanned again before other scans of its run have ended.
            scan_timeout: Seconds to follow one scan, None for ever.
            polling: How often scans are asked for; None for the client's own way.
            on_event: Called with the name of the organization and each `ScanEvent`. What it raises
                is logged.
        """
        from bestdefense_async.services.scans import Scans  # noqa: PLC0415  # for the start

        tell = self._shared.host.observers.scan_event

        def told(tenant: str | None, event: ScanEvent) -> None:
            tell(tenant, event)
            if on_event is not None:
                on_event(tenant, event)

        return Scans(
            self,
            store=self._store_at(store),
            drain=drain,
            tenant_of=tenant_of,
            max_active=max_active,
            scan_timeout=scan_timeout,
            polling=polling or self._shared.poll_policy,
            on_event=told,
        )

    def stats(self) -> ClientStats:
        """Return what the client does now. Reads only, and costs a step per tenant."""
        from bestdefense_async.stats import client_stats  # noqa: PLC0415  # for the start

        return client_stats(self._shared.host, self._shared.tenants)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Close the client: calls and waits end with `ClientClosed`. May be called again.

        It is finished in the background when the caller is cancelled meanwhile.

        Args:
            drain: Seconds that calls under way may take to end by themselves. Nothing new begins.
                A second call with a shorter time cuts the first one short.

        Raises:
            WrongLoop: The client belongs to another loop or process; nothing has been closed.
        """
        check_seconds("drain", drain, or_zero=True)
        self._home.check()
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(drain))
        elif not self._closing.done():
            await self._shared.tenants.aclose(drain=drain)
        await asyncio.shield(self._closing)

    async def _close(self, drain: float) -> None:
        shared = self._shared
        await shared.tenants.aclose(drain=drain)
        for store in shared.stores.values():
            await store.aclose()
        shared.host.slots.close()
        await shared.host.wire.aclose()
        self._home.close()
        if shared.host.observers:
            await asyncio.to_thread(shared.host.observers.close)


def _own_token(token: TokenSource | None) -> TokenSource:
    """Return the token of the client itself; without one, its views may still have theirs."""
    if token is not None:
        return token
    found = find_token()
    return _no_token if found is None else found.secret


async def _no_token() -> str:
    """Raise the error that says where a token is looked for."""
    raise ConfigError(
        f"There is no token: set {TOKEN_VARIABLES[0]} to an API token of your organization "
        "(create one in the app under Profile, API tokens)."
    )
