"""What all organizations of a client share, made of checked arguments."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from attrs import define, field

from bestdefense_async.config import BaseUrl, is_loopback
from bestdefense_async.core.check import (
    check_flag,
    check_mapping,
    check_number,
    check_seconds,
    check_several,
    check_whole,
    type_of,
)
from bestdefense_async.core.host import checked_hosts
from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.core.retry import RetryBudget, RetryPolicy
from bestdefense_async.core.route import ROUTES
from bestdefense_async.errors import ConfigError
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import Proxy, WireSettings, parse_proxy
from bestdefense_async.transport.observe import Observer, Observers
from bestdefense_async.transport.throttle.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bestdefense_async.core.binding import Binding, Bound  # noqa: TC004  # for the start
    from bestdefense_async.transport.hooks import RequestEvent
    from bestdefense_async.transport.http.cancel_scope import Home


@define(kw_only=True)
class Host:
    """What all tenants of a client share: one server, one pool, one set of slots."""

    base_url: BaseUrl
    wire: Wire
    slots: Slots
    observers: Observers
    policy: RetryPolicy
    timeout: float
    """Seconds one attempt may take, from sending to the last byte."""
    allow_provisional: bool
    download_hosts: frozenset[str]
    """Where downloads may be redirected to, over https and without the token."""
    bound: Mapping[str, Bound]
    """The operations that this host has elsewhere."""
    budget: RetryBudget = field(factory=RetryBudget)
    """Spent by errors without an answer, which speak of the host and not of a tenant."""


def open_host(
    home: Home,
    *,
    base_url: BaseUrl,
    timeout: float,
    max_in_flight: int,
    requests_per_second: float | None,
    retry: RetryPolicy | None,
    hooks: Sequence[Callable[[RequestEvent], object]],
    observer: Observer | Sequence[Observer],
    bindings: Mapping[str, Binding] | None,
    allow_provisional: bool,
    download_hosts: Collection[str],
    proxy: str | None,
    ssl_context: ssl.SSLContext | None,
    session: aiohttp.ClientSession | None,
) -> Host:
    """Return the host that the client's arguments describe; nothing is opened yet.

    Raises:
        ConfigError: One of them cannot be used.
    """
    _check_kinds(
        (retry, RetryPolicy, "retry must be a RetryPolicy"),
        (ssl_context, ssl.SSLContext, "ssl_context must be an ssl.SSLContext"),
        (session, aiohttp.ClientSession, "session must be an aiohttp.ClientSession"),
        (proxy, str, "proxy must be a text"),
    )
    if requests_per_second is not None:
        check_number("requests_per_second", requests_per_second)
    parts = urlsplit(base_url.origin)
    if proxy is not None and parts.scheme == "http":
        _check_private(parse_proxy(proxy))
    return Host(
        base_url=base_url,
        wire=Wire(
            WireSettings(base_url=str(base_url), proxy=proxy, ssl_context=ssl_context),
            session=session,
            home=home,
        ),
        slots=Slots(check_whole("max_in_flight", max_in_flight), rate=requests_per_second),
        observers=Observers(
            _all_observers(observer, hooks),
            log=_new_log,
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
        ),
        policy=RetryPolicy() if retry is None else retry,
        timeout=check_seconds("timeout", timeout),
        allow_provisional=check_flag("allow_provisional", allow_provisional),
        download_hosts=checked_hosts(download_hosts),
        bound=_bound(bindings),
    )


def merged_limits(
    overrides: Mapping[str, Limit | tuple[Limit, ...]] | None,
) -> dict[str, tuple[Limit, ...]]:
    """Return the limits by operation: the documented ones, overridden by the caller's.

    Raises:
        ConfigError: An operation does not exist, or a value is no limit.
    """
    limits = {name: route.limits for name, route in ROUTES.items() if route.limits}
    given = check_mapping("limits", overrides, like='{"agents.manifest": Limit(60, per=60.0)}')
    for name, value in given.items():
        if name not in ROUTES:
            raise ConfigError(f"There is no operation {name!r} to limit.")
        chosen = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(limit, Limit) for limit in chosen):
            raise ConfigError(f"The limits of {name} must be Limit values.")
        limits[name] = tuple(chosen)
    return limits


def _bound(bindings: Mapping[str, Binding] | None) -> dict[str, Bound]:
    """Return the operations that the host has elsewhere.

    Raises:
        ConfigError: A binding does not fit its operation.
    """
    given = check_mapping("bindings", bindings, like='{"schedules.create": Binding(...)}')
    if not given:
        return {}
    from bestdefense_async.core.binding import bind  # noqa: PLC0415  # few hosts have any

    return {name: bind(name, each) for name, each in given.items()}


def _all_observers(
    observer: Observer | Sequence[Observer], hooks: Sequence[Callable[[RequestEvent], object]]
) -> list[Observer]:
    """Return everybody who is told.

    Raises:
        ConfigError: An observer is none, or a hook cannot be called.
    """
    several = [observer] if isinstance(observer, Observer) else observer
    observers = [*check_several("observer", several, like="[MyObserver()]")]
    if not all(isinstance(each, Observer) for each in observers):
        raise ConfigError("observer must be an Observer, or several of them.")
    functions = check_several("hooks", hooks, like="[print]")
    if not all(callable(each) for each in functions):
        raise ConfigError("hooks must be functions that take a RequestEvent.")
    if not functions:
        return observers
    from bestdefense_async.transport.hooks import HookObserver  # noqa: PLC0415  # few have any

    return [*observers, HookObserver(functions)]


def _new_log() -> Observer:
    from bestdefense_async.transport.hooks import LogObserver  # noqa: PLC0415  # when it is read

    return LogObserver()


def _check_private(proxy: Proxy) -> None:
    """Check a proxy that would be sent the token in plain text.

    Raises:
        ConfigError: It is on another machine.
    """
    if not is_loopback(proxy.url.host or ""):
        raise ConfigError(
            f"Plain http would show the token to the proxy {proxy.url.host}: "
            "give none for a server on this machine."
        )


def _check_kinds(*arguments: tuple[object, type, str]) -> None:
    """Refuse an argument that is there and of another kind.

    Raises:
        ConfigError: One is.
    """
    for value, kind, sentence in arguments:
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"{sentence}, not {type_of(value)}.")
