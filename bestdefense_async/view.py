"""The API as one organization sees it: its resources, and the runs that scan many sites."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bestdefense_async.core.check import check_seconds
from bestdefense_async.core.host import Scope
from bestdefense_async.core.polling import DEFAULT_POLICY, PollPolicy
from bestdefense_async.core.request import raw_request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import DeadlineExceeded, PollTimeout
from bestdefense_async.resources.arguments import optional_seconds
from bestdefense_async.resources.guarded import Guard, GuardedTransport
from bestdefense_async.resources.identity import CreatedIds
from bestdefense_async.resources.reports import Reports, Vortex
from bestdefense_async.resources.sites import Sites
from bestdefense_async.transport.host import Host
from bestdefense_async.transport.sender import Sender
from bestdefense_async.transport.tenants import Tenant, Tenants

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Unpack

    from bestdefense_async.models import Outcome, Progress, ScanOptions, Site
    from bestdefense_async.polling.scheduler import PollScheduler
    from bestdefense_async.resources.agents import Agents
    from bestdefense_async.resources.network import Network
    from bestdefense_async.resources.protocol import Transport
    from bestdefense_async.resources.registrations import Registrations
    from bestdefense_async.resources.remediation import Remediations
    from bestdefense_async.resources.schedules import Schedules
    from bestdefense_async.runs.run import Run
    from bestdefense_async.runs.run_settings import RunSettings
    from bestdefense_async.runs.site_index import SiteIndex
    from bestdefense_async.runs.source import Source
    from bestdefense_async.runs.store.protocol import Store  # noqa: TC004  # for the start
    from bestdefense_async.runs.store.reconcile import Settlement
    from bestdefense_async.runs.targets import Target
    from bestdefense_async.transport.credentials import TokenSource


@frozen(kw_only=True)
class SharedByViews:
    """What all views of a client share."""

    host: Host
    tenants: Tenants
    poll_rate: float | None
    """Most polls per second and tenant, None for as many as are due."""
    poll_policy: PollPolicy = DEFAULT_POLICY
    """How often to ask when a call does not say."""
    created_ids: CreatedIds = field(factory=CreatedIds)
    stores: dict[Path | int, Store] = field(factory=dict)
    """Stores of runs that were named by path or address: one each, however many runs are in it."""


class View:
    """The API as one organization sees it, by its token."""

    def __init__(self, shared: SharedByViews, tenant: Tenant) -> None:
        self._shared = shared
        self._tenant = tenant
        self.guard: Guard = Guard(
            tenant.name,
            lambda: tenant.scope,
            lambda site_id: self.site_index.host_of(site_id),  # noqa: PLW0108 - made when needed
        )
        self._sender: Transport = Sender(shared.host, tenant)
        if tenant.scope is not None:
            self._sender = GuardedTransport(self._sender, self.guard)
        self._ids = shared.created_ids
        self.sites: Sites = Sites(self._sender)
        self.vortex: Vortex = Vortex(self._sender)
        self.reports: Reports = Reports(self._sender, self.vortex, lambda: self.polls, self._ids)

    # What few programs use is imported by those.

    @cached_property
    def schedules(self) -> Schedules:
        """Scans that are repeated."""
        from bestdefense_async.resources.schedules import Schedules  # noqa: PLC0415

        return Schedules(self._sender, self._ids)

    @cached_property
    def remediation(self) -> Remediations:
        """AI remediations of findings."""
        from bestdefense_async.resources.remediation import Remediations  # noqa: PLC0415

        return Remediations(self._sender, self._ids)

    @cached_property
    def network(self) -> Network:
        """Scans of networks."""
        from bestdefense_async.resources.network import Network  # noqa: PLC0415

        return Network(self._sender, lambda: self._network_polls, self._ids)

    @cached_property
    def registrations(self) -> Registrations:
        """Scans whose results a pull request shows."""
        from bestdefense_async.resources.registrations import Registrations  # noqa: PLC0415

        return Registrations(self._sender, self._ids)

    @cached_property
    def agents(self) -> Agents:
        """The files of the device agent."""
        from bestdefense_async.resources.agents import Agents  # noqa: PLC0415

        return Agents(self._sender)

    @property
    def base_url(self) -> str:
        """Where the API stands, without a slash at the end."""
        return str(self._shared.host.base_url)

    @property
    def name(self) -> str | None:
        """What `with_token` was told that the organization is called; None without a name."""
        return self._tenant.name if self._tenant.is_named else None

    def is_same_tenant(self, other: View) -> bool:
        """Return whether another view is one of the same organization, by its name or token."""
        return self._tenant is other._tenant

    @property
    def polls(self) -> PollScheduler:
        """What waits for reports: one scheduler per tenant, the same for all views of it.

        Needs a running loop. Rarely used directly: `reports.wait` and `ScanGroup` go through it.

        Raises:
            ClientClosed: The client is closed.
            WrongLoop: The client belongs to another event loop.
        """
        return self._polls_of(
            "reports",
            lambda sender: Reports(sender, self.vortex, lambda: self.polls, self._ids).progress,
        )

    @property
    def site_index(self) -> SiteIndex:
        """What finds the sites of targets: one per tenant, the same for all views of it."""
        from bestdefense_async.runs.site_index import SiteIndex  # noqa: PLC0415  # for the start

        return self._tenant.attached(
            "site index", lambda: SiteIndex(self.sites.list, check=self.guard.check_host)
        )

    @property
    def pauses(self) -> set[Callable[[float], object]]:
        """Who is called with the seconds of each pause after a 429 of this organization."""
        return self._tenant.pauses

    @property
    def _network_polls(self) -> PollScheduler:
        from bestdefense_async.resources.network import Network  # noqa: PLC0415

        return self._polls_of(
            "network",
            lambda sender: Network(sender, lambda: self._network_polls, self._ids).progress,
        )

    def _polls_of(
        self, kind: str, progress: Callable[[Sender], Callable[[str], Awaitable[Progress]]]
    ) -> PollScheduler:
        """Return this tenant's scheduler of one id space."""
        from bestdefense_async.polling.scheduler import PollScheduler  # noqa: PLC0415

        shared, tenant = self._shared, self._tenant
        tenant.lifetime.check()
        return tenant.attached(
            f"polls of {kind}",
            lambda: PollScheduler(
                progress(Sender(shared.host, tenant, is_for_polls=True)),
                limit=shared.host.slots.most_polls,
                rate=shared.poll_rate,
                policy=shared.poll_policy,
            ),
        )

    def with_token(
        self, token: TokenSource, *, name: str | None = None, allow: Iterable[str] | None = None
    ) -> View:
        """Return the same client as another organization sees it.

        The pool, its slots and the pace are shared, in turns; limits, pauses, retry budget and
        polls are the organization's own. Views of one name share all of it, and so do views of
        one token.

        Args:
            token: As for the client. An async callable is asked in the context of this call, also
                when another task's request makes it run.
            name: What the organization is called in events, statistics and logs, and what tells
                it apart: give one with a callable that is made anew for each request, and with
                one that reads its context. Sources of one name are compared by text, by path, or
                by the code of the callable.
            allow: What the organization may scan, whatever its token may: host names, `*.domain`
                for the names below it, addresses and networks. A scan of anything else is refused
                before it is sent, and logged. None leaves it as it was for this organization.

        Raises:
            ConfigError: It cannot be a token, the name stands for another source of tokens or may
                not stand in a log, or `allow` has what is no host.
        """
        scope = None if allow is None else Scope(allow)
        return View(self._shared, self._shared.tenants.of(token, name=name, scope=scope))

    async def scan(
        self,
        target: str | Target | Site,
        *,
        options: ScanOptions | None = None,
        timeout: float | None = None,
        polling: PollPolicy | None = None,
    ) -> Outcome:
        """Scan one site and return what was found: creates, waits and reads the result.

        Args:
            target: A host name, a URL, a site or its id.
            options: What to scan; None is a security scan with the server's defaults.
            timeout: Seconds the whole may take, but for the answer to a creation that was sent;
                None waits for the end of the scan.
            polling: How often the scan is asked for; None for the client's own way.

        Raises:
            PollTimeout: It is not complete in time. It goes on at the server, by its `report_id`.
            OutcomeUnknown: The creation was sent and its answer is lost: a scan may exist.
            BestDefenseError: Whatever else keeps it from a result.
        """
        run = self.scan_many([target], options=options, run_timeout=timeout, polling=polling)
        async with run:
            outcome = await anext(run)
        error = outcome.error
        if isinstance(error, DeadlineExceeded) and outcome.report_id is not None:
            raise PollTimeout(outcome.report_id, waited=timeout or 0.0)
        if error is not None:
            raise error
        return outcome

    def scan_many(
        self,
        source: Source,
        *,
        options: ScanOptions | None = None,
        store: Store | os.PathLike[str] | str | None = None,
        **settings: Unpack[RunSettings],
    ) -> Run:
        """Return a run over many sites; use it as `async with`, and iterate it.

        Args:
            source: The path of a list, or any iterable of texts, targets and sites. What cannot be
                a target is one rejected input.
            options: What to scan; None is a security scan with the server's defaults.
            store: Where the run is recorded, so that it survives its process: the path of a file
                that holds any number of runs, `postgresql://user@host/name`, or a store. None keeps
                no record.
            settings: `max_active`, `max_starting`, `scan_timeout`, `run_timeout`, `fail_fast`,
                `polling`, `on_event`, `drain_on` and `policy`, as `RunSettings` explains them.
        """
        from bestdefense_async.runs.run import Run  # noqa: PLC0415  # for the start

        told = settings.get("on_event")
        settings["on_event"] = self._shared.host.observers.followed(self.name, told)
        return Run(self, source, options, store=self._store_at(store), **settings)

    def resume(
        self,
        name: str = "last",
        *,
        store: Store | os.PathLike[str] | str,
        source: Source = (),
        **settings: Unpack[RunSettings],
    ) -> Run:
        """Return a run that goes on where one was left; nothing is started twice.

        What is scanned was decided when the run began.

        Args:
            name: The name of the run, the beginning of it, or `last`.
            store: Where it is recorded.
            source: An iterable that the run was begun with and that has more: what the record has
                is skipped, by how the target is written.
            settings: As for `scan_many`.
        """
        from bestdefense_async.runs.run import Run  # noqa: PLC0415  # for the start

        told = settings.get("on_event")
        settings["on_event"] = self._shared.host.observers.followed(self.name, told)
        return Run(self, source, store=self._store_at(store), resumes=name, **settings)

    async def reconcile(
        self,
        name: str = "last",
        *,
        store: Store | os.PathLike[str] | str,
        absent: Iterable[str] = (),
    ) -> list[Settlement]:
        """Search for the scans of a run whose creation was sent and never answered.

        A report of the same site and time that nothing else explains is taken for the lost one.
        Resume the run afterwards: what was found is followed, and what stays unknown is left alone.
        Costs one request for each 500 reports of the organization since then.

        Args:
            name: The name of the run, the beginning of it, or `last`.
            store: Where it is recorded.
            absent: Unknown targets of which a person knows that no scan was started: resuming the
                run starts them again.

        Raises:
            ConfigError: A target of `absent` is not unknown; nothing was changed.
            ProvisionalRoute: The host's path for listing reports is not confirmed.
            JournalError: There is no such run, another process holds it, or it cannot be written.
            BestDefenseError: The reports cannot be listed.
        """
        from bestdefense_async.runs.run_settings import reconcile_run  # noqa: PLC0415

        return await reconcile_run(self, self.reports, self._store_at(store), name, absent)

    def _store_at(self, store: Store | os.PathLike[str] | str | None) -> Store | None:
        """Return the store that is meant; those that are only named are the client's."""
        if not isinstance(store, str | os.PathLike):
            return store
        from bestdefense_async.runs.store.doors import is_address, open_store  # noqa: PLC0415

        # An address may hold a password: it is kept as a hash.
        key = hash(store) if is_address(store) else Path(store).absolute()
        found = self._shared.stores.get(key)
        if found is None:
            found = self._shared.stores[key] = open_store(store)
        return found

    async def token_key(self) -> str:
        """Return the name of the token in records and saved limits: a hash, never the token.

        Raises:
            ConfigError: There is no token.
            WrongLoop: The client belongs to another loop or process.
        """
        self._tenant.lifetime.home.check()
        return (await self._tenant.credentials.current()).token_key

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
        return f"<{type(self).__name__} {self._tenant.name or self.base_url}>"
