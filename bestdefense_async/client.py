"""The client: opens and closes what calls need, and holds the resources."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import field, frozen

from bestdefense_async.config import TOKEN_VARIABLES, base_url_from, find_token
from bestdefense_async.core.check import check_seconds
from bestdefense_async.core.request import raw_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.polling.scheduler import PollScheduler
from bestdefense_async.resources.agents import Agents
from bestdefense_async.resources.arguments import optional_seconds
from bestdefense_async.resources.identity import CreatedIds
from bestdefense_async.resources.network import Network
from bestdefense_async.resources.registrations import Registrations
from bestdefense_async.resources.remediation import Remediations
from bestdefense_async.resources.reports import Reports, Vortex
from bestdefense_async.resources.schedules import Schedules
from bestdefense_async.resources.sites import Sites
from bestdefense_async.stats import client_stats
from bestdefense_async.transport.host import Host, merged_limits, open_host
from bestdefense_async.transport.http.cancel_scope import Home
from bestdefense_async.transport.sender import Sender
from bestdefense_async.transport.tenants import Tenant, Tenants

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from types import TracebackType

    import aiohttp

    from bestdefense_async.core.binding import Binding
    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.core.retry import RetryPolicy
    from bestdefense_async.models import Progress
    from bestdefense_async.runs.site_index import SiteIndex
    from bestdefense_async.stats import ClientStats
    from bestdefense_async.transport.credentials import TokenSource
    from bestdefense_async.transport.hooks import RequestEvent
    from bestdefense_async.transport.observe import Observer

_BELOW_LIMIT: Final = 0.95
"""Share of a limit that polls spend; the rest is for those who ask for a progress themselves."""


@frozen(kw_only=True)
class _Shared:
    """What all views of a client share."""

    host: Host
    tenants: Tenants
    poll_rate: float | None
    """Most polls per second and tenant, None for as many as are due."""
    created_ids: CreatedIds = field(factory=CreatedIds)


class View:
    """The API as one organization sees it, by its token."""

    def __init__(self, shared: _Shared, tenant: Tenant) -> None:
        self._shared = shared
        self._tenant = tenant
        self._sender = Sender(shared.host, tenant)
        ids = shared.created_ids
        self.sites: Sites = Sites(self._sender)
        self.vortex: Vortex = Vortex(self._sender)
        self.reports: Reports = Reports(self._sender, self.vortex, lambda: self.polls, ids)
        self.schedules: Schedules = Schedules(self._sender, ids)
        self.remediation: Remediations = Remediations(self._sender, ids)
        self.network: Network = Network(self._sender, lambda: self._network_polls, ids)
        self.registrations: Registrations = Registrations(self._sender, ids)
        self.agents: Agents = Agents(self._sender)

    @property
    def base_url(self) -> str:
        """Where the API stands, without a slash at the end."""
        return str(self._shared.host.base_url)

    @property
    def polls(self) -> PollScheduler:
        """What waits for reports: one scheduler per tenant, the same for all views of it.

        Needs a running loop. Rarely used directly: `reports.wait` and `ScanGroup` go through it.

        Raises:
            ClientClosed: The client is closed.
            WrongLoop: The client belongs to another event loop.
        """
        ids = self._shared.created_ids
        return self._polls_of(
            "reports", lambda sender: Reports(sender, self.vortex, lambda: self.polls, ids).progress
        )

    @property
    def site_index(self) -> SiteIndex:
        """What finds the sites of targets: one per tenant, the same for all views of it."""
        from bestdefense_async.runs.site_index import SiteIndex  # noqa: PLC0415  # for the start

        return self._tenant.attached("site index", lambda: SiteIndex(self.sites.list))

    @property
    def _network_polls(self) -> PollScheduler:
        ids = self._shared.created_ids
        return self._polls_of(
            "network", lambda sender: Network(sender, lambda: self._network_polls, ids).progress
        )

    def _polls_of(
        self, kind: str, progress: Callable[[Sender], Callable[[str], Awaitable[Progress]]]
    ) -> PollScheduler:
        """Return this tenant's scheduler of one id space."""
        shared, tenant = self._shared, self._tenant
        tenant.lifetime.check()
        return tenant.attached(
            f"polls of {kind}",
            lambda: PollScheduler(
                progress(Sender(shared.host, tenant, is_for_polls=True)),
                limit=shared.host.slots.most_polls,
                rate=shared.poll_rate,
            ),
        )

    def with_token(self, token: TokenSource, *, name: str | None = None) -> View:
        """Return the same client as another organization sees it.

        The pool, its slots and the pace are shared, in turns; limits, pauses, retry budget and
        polls are the organization's own. Views of one name share all of it, and so do views of
        one token.

        Args:
            token: As for the client. An async callable is asked in the context of this call, also
                when another task's request makes it run.
            name: What the organization is called in events, statistics and logs, and what tells
                it apart: give one with a callable that is made anew for each request.

        Raises:
            ConfigError: It cannot be a token, or the name stands for another source of tokens.
        """
        return View(self._shared, self._shared.tenants.of(token, name=name))

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,  # noqa: ANN401  # any JSON value
        timeout: float | None = None,
    ) -> Any:  # noqa: ANN401  # any JSON value
        """Send any request, with authentication, limits, retry and envelope applied.

        A path of the table, or of a binding, is treated like its operation; nothing is
        translated. Any other is repeated only when it is a GET, and you answer for it being
        there.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: From the root of the API, like `/api/sites`; may carry a query.
            json: The body; None sends none.
            timeout: Seconds the whole call may take, waiting included.

        Returns:
            The envelope's `data`, or None where the answer has none.

        Raises:
            ConfigError: Method, path or body cannot be sent, or the timeout is no time.
            OutcomeUnknown: The request may not arrive twice and its answer is lost.
            BestDefenseError: Anything else that `errors` names.
        """
        bound = {name: each.route for name, each in self._shared.host.bound.items()}
        request = raw_request(method, path, json, routes={**ROUTES, **bound})
        return await self._sender.send(request, timeout=optional_seconds("timeout", timeout))

    async def aclose(self, *, drain: float = 0.0) -> None:
        """End what this organization has under way; no other notices. May be called again.

        Calls and waits of all views of it end with `ClientClosed`.

        Args:
            drain: Seconds that calls under way may take to end by themselves.

        Raises:
            WrongLoop: The client belongs to another loop or process; nothing has been ended.
        """
        check_seconds("drain", drain, or_zero=True)
        await self._tenant.aclose(drain=drain)

    def __repr__(self) -> str:
        return f"<View {self._tenant.name}>"


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
        state_dir: Directory in which limits of a minute and longer are kept together with other
            processes, and from one to the next; None for none.
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
        hooks: Sequence[Callable[[RequestEvent], object]] = (),
        observer: Observer | Sequence[Observer] = (),
        bindings: Mapping[str, Binding] | None = None,
        allow_provisional: bool = False,
        download_hosts: Collection[str] = (),
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        state_dir: Path | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        if state_dir is not None and not isinstance(state_dir, Path):
            raise ConfigError("state_dir must be a pathlib.Path.")
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
        shared = _Shared(
            host=host,
            tenants=Tenants(home, limits_of, state_dir=state_dir),
            poll_rate=min(rates, default=None),
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

    def stats(self) -> ClientStats:
        """Return what the client does now. Reads only, and costs a step per tenant."""
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
        host = self._shared.host
        try:
            await self._shared.tenants.aclose(drain=drain)
        finally:
            # Also when the loop is about to end, and so cancels this task.
            host.slots.close()
            try:
                await host.wire.aclose()
            finally:
                self._home.close()
                await asyncio.to_thread(host.observers.close)

    def __repr__(self) -> str:
        return f"<BestDefense {self.base_url}>"


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
        "(create one in the app under API access)."
    )
