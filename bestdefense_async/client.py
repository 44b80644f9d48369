"""The client: opens and closes what calls need, and holds the resources."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from bestdefense_async.config import TOKEN_VARIABLES, base_url_from, find_token
from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.expected_file import checked_hosts
from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.request import raw_request
from bestdefense_async.core.retry import RetryPolicy
from bestdefense_async.core.route import ROUTES
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import ConfigError
from bestdefense_async.polling.registry import PollSchedulers
from bestdefense_async.resources.agents import Agents
from bestdefense_async.resources.network import Network
from bestdefense_async.resources.registrations import Registrations
from bestdefense_async.resources.remediation import Remediations
from bestdefense_async.resources.reports import Reports, Vortex
from bestdefense_async.resources.schedules import Schedules
from bestdefense_async.resources.sites import Sites
from bestdefense_async.transport.call import Shared
from bestdefense_async.transport.credentials import Credentials, TokenSource
from bestdefense_async.transport.http.cancel_scope import Lifetime
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.observe import Hooks, RequestEvent
from bestdefense_async.transport.sender import Sender
from bestdefense_async.transport.throttle.throttle import Pacer, Throttles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
    from pathlib import Path
    from ssl import SSLContext
    from types import TracebackType

    import aiohttp

    from bestdefense_async.config import BaseUrl
    from bestdefense_async.models import Progress
    from bestdefense_async.polling.scheduler import PollScheduler


class View:
    """The API as one token sees it."""

    def __init__(
        self, shared: Shared, schedulers: PollSchedulers, base_url: BaseUrl, token: TokenSource
    ) -> None:
        self._shared = shared
        self._schedulers = schedulers
        self._token = Secret(token) if isinstance(token, str) else token
        self._base_url = base_url
        self._sender = Sender(shared, Credentials(self._token))
        self.sites: Sites = Sites(self._sender)
        self.vortex: Vortex = Vortex(self._sender)
        self.reports: Reports = Reports(self._sender, self.vortex, lambda: self.polls)
        self.schedules: Schedules = Schedules(self._sender)
        self.remediation: Remediations = Remediations(self._sender)
        self.network: Network = Network(
            self._sender, lambda: self._polls_of("network", self.network.progress)
        )
        self.registrations: Registrations = Registrations(self._sender)
        self.agents: Agents = Agents(self._sender)

    @property
    def base_url(self) -> str:
        """Where the API stands, without a slash at the end."""
        return str(self._base_url)

    @property
    def polls(self) -> PollScheduler:
        """What waits for reports: one scheduler per token, the same for all views of it.

        Needs a running loop. Rarely used directly: `reports.wait` and `ScanGroup` go through it.

        Raises:
            ClientClosed: The client is closed.
            WrongLoop: The client belongs to another event loop.
        """
        return self._polls_of("reports", self.reports.progress)

    def _polls_of(self, kind: str, progress: Callable[[str], Awaitable[Progress]]) -> PollScheduler:
        """Return this token's scheduler of one id space."""
        self._shared.lifetime.check()
        return self._schedulers.of((kind, _key(self._token)), progress)

    def with_token(self, token: TokenSource) -> View:
        """Return the same client as another token sees it.

        Pool, limits and retry budget are shared; limits and polls are kept per token.

        Raises:
            ConfigError: The text cannot be a token.
        """
        return View(self._shared, self._schedulers, self._base_url, token)

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
            ConfigError: Method, path or body cannot be sent.
            OutcomeUnknown: The request may not arrive twice and its answer is lost.
            BestDefenseError: Anything else that `errors` names.
        """
        bound = {name: each.route for name, each in self._shared.bound.items()}
        request = raw_request(method, path, json, routes={**ROUTES, **bound})
        return await self._sender.send(request, timeout=timeout)


class BestDefense(View):
    """Asynchronous client of the BestDefense API; open it with `async with`.

    One client per process and event loop serves many tasks and, with `with_token`, many tokens.

    Args:
        token: A token, a `pathlib.Path` to a file that holds one, or an async callable that
            returns one (asked again once after a 401). None takes `BD_API_TOKEN`, else
            `BESTDEFENSE_API_KEY`.
        base_url: None takes `BD_BASE_URL`, else the multi-tenant host.
        limits: Limits per operation in place of the documented ones, such as
            `{"agents.manifest": Limit(60, per=60.0)}`; a tuple holds several at once. One of
            `reports.progress` is the budget of all who wait: see `reports.wait`.
        timeout: Seconds one attempt may take.
        max_in_flight: Requests under way at once.
        requests_per_second: A politeness rate over all requests; None for none.
        retry: How hard to try.
        hooks: Called with an `RequestEvent` for each attempt, wait, pause and retry, on a thread.
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
        bindings: Mapping[str, Binding] | None = None,
        allow_provisional: bool = False,
        download_hosts: Collection[str] = (),
        proxy: str | None = None,
        ssl_context: SSLContext | None = None,
        state_dir: Path | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        if not 0 < timeout < float("inf"):
            raise ConfigError("timeout must be a finite number of seconds above 0.")
        if isinstance(max_in_flight, bool) or not isinstance(max_in_flight, int):
            raise ConfigError("max_in_flight must be a whole number.")
        if max_in_flight < 1:
            raise ConfigError("max_in_flight must be 1 or more.")
        base = base_url_from(base_url)
        source = _token_from_environment() if token is None else token
        merged = _merged(limits or {})
        self._hooks = Hooks(hooks)
        lifetime = Lifetime()
        self._wire = Wire(
            WireSettings(
                base_url=str(base),
                proxy=proxy,
                ssl_context=ssl_context,
            ),
            session=session,
            lifetime=lifetime,
        )
        shared = Shared(
            lifetime=lifetime,
            wire=self._wire,
            throttles=Throttles(merged, state_dir=state_dir),
            slots=asyncio.Semaphore(max_in_flight),
            pacer=None if requests_per_second is None else Pacer(requests_per_second),
            hooks=self._hooks,
            policy=RetryPolicy() if retry is None else retry,
            timeout=timeout,
            is_loopback=base.is_loopback,
            allow_provisional=allow_provisional,
            download_hosts=checked_hosts(download_hosts),
            bound={name: bind(name, each) for name, each in (bindings or {}).items()},
        )
        schedulers = PollSchedulers(
            max_in_flight=max_in_flight, limits=merged.get("reports.progress", ())
        )
        super().__init__(shared, schedulers, base, source)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client: calls and waits end with `ClientClosed`. May be called again."""
        await self._wire.aclose()
        await self._schedulers.aclose()
        await asyncio.to_thread(self._hooks.close)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"


def _token_from_environment() -> Secret:
    found = find_token()
    if found is None:
        raise ConfigError(
            f"There is no token: set {TOKEN_VARIABLES[0]} to an API token of your organization "
            "(create one in the app under API access)."
        )
    return found.secret


def _key(token: Hashable) -> Hashable:
    """Return what tokens are told apart by: equal ones share, incomparable ones stand alone."""
    try:
        hash(token)
    except TypeError:
        return id(token)
    return token


def _merged(
    overrides: Mapping[str, Limit | tuple[Limit, ...]],
) -> dict[str, tuple[Limit, ...]]:
    """Return the limits by operation: the documented ones, overridden by the caller's.

    Raises:
        ConfigError: An operation does not exist, or a value is no limit.
    """
    limits = {name: route.limits for name, route in ROUTES.items() if route.limits}
    for name, value in overrides.items():
        if name not in ROUTES:
            raise ConfigError(f"There is no operation {name!r} to limit.")
        chosen = (value,) if isinstance(value, Limit) else tuple(value)
        if not all(isinstance(limit, Limit) for limit in chosen):
            raise ConfigError(f"The limits of {name} must be Limit values.")
        limits[name] = chosen
    return limits
