"""The aiohttp session behind a wire: what it is made of, and what it must not do by itself."""

from __future__ import annotations

import contextlib
import functools
from ssl import SSLContext
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urlsplit

import aiohttp
from attrs import field, frozen
from yarl import URL

from bestdefense_async._version import __version__
from bestdefense_async.errors import ClientClosed, ConfigError
from bestdefense_async.transport.http.connection import CarefulProtocol, CarefulRequest

if TYPE_CHECKING:
    import asyncio

    from aiohttp.client_proto import ResponseHandler

MIB: Final = 1 << 20
LONGEST_HEADER: Final = 8190
"""Bytes of one header or of the status line."""
MOST_HEADERS: Final = 128


@frozen(kw_only=True)
class WireSettings:
    """What a wire connects to and how much it lets in. All times are seconds."""

    base_url: str
    """Origin and perhaps a path, checked, without a slash at the end."""
    connect_timeout: float = 10.0
    """For the TCP connection and the TLS handshake together, per address of the host."""
    max_wire_bytes: int = 64 * MIB
    """Most bytes of a body as it travels."""
    max_body_bytes: int = 256 * MIB
    """Most bytes of a body when decoded."""
    max_error_bytes: int = 64 * 1024
    """Most bytes read of the body of a refusal (status 400 and above); the rest is dropped."""
    idle: float = 60.0
    """How long an unused connection is kept."""
    proxy: str | None = field(default=None, repr=False)
    """URL of an http proxy, perhaps with user name and password."""
    ssl_context: SSLContext | None = None
    """None trusts the certificate authorities of the system."""
    user_agent: str = f"bestdefense-async/{__version__}"


@frozen(kw_only=True)
class Proxy:
    """A checked proxy."""

    url: URL
    """Without user name and password."""
    headers: dict[str, str] = field(factory=dict, repr=False)
    """What the proxy wants to see; never the API's token."""


def parse_proxy(text: str) -> Proxy:
    """Return the proxy that `text` names. Nothing of `text` is repeated in an error.

    Raises:
        ConfigError: It is not of the form `http://[user:password@]host:port`. A proxy that is
            spoken to in TLS or SOCKS is refused: aiohttp would silently go direct, or fail on
            every call.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    is_plain = text.isascii() and text.isprintable() and " " not in text
    rest = parts.path.strip("/") + parts.query + parts.fragment
    if parts.scheme != "http" or not host or rest or not is_plain:
        raise ConfigError("The proxy must look like http://proxy.example:3128.")
    headers = {}
    if parts.username is not None:
        login = None
        with contextlib.suppress(ValueError):  # its context would hold the password
            login = aiohttp.encode_basic_auth(
                unquote(parts.username), unquote(parts.password or "")
            )
        if login is None:
            raise ConfigError("The user name for the proxy must not hold a colon.")
        headers["Proxy-Authorization"] = login
    return Proxy(url=URL.build(scheme="http", host=host, port=port or 80), headers=headers)


def default_headers(settings: WireSettings) -> dict[str, str]:
    """Return the headers that every request has, except Host and the token's."""
    return {
        "User-Agent": settings.user_agent,
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
    }


def open_session(
    settings: WireSettings, borrowed: aiohttp.ClientSession | None, loop: asyncio.AbstractEventLoop
) -> aiohttp.ClientSession:
    """Return a session of our own, on the connections of `borrowed` where there is one.

    Nothing of a borrowed session but its connector is used: its headers, cookies, redirects and
    timeouts are made for other servers. Closing the returned session leaves it as it was.

    Raises:
        ClientClosed: The borrowed session is closed.
    """
    connector = _connector(settings, loop) if borrowed is None else borrowed.connector
    if connector is None or connector.closed:
        raise ClientClosed("The aiohttp session that this client was given is closed.")
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=borrowed is None,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=default_headers(settings),
        skip_auto_headers=("Content-Type",),
        # The deadline of an attempt is ours: aiohttp's `total` swallows a cancellation that comes
        # in the same tick, and takes zero and nan for "no limit".
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout),
        request_class=CarefulRequest,
        auto_decompress=False,
        trust_env=False,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
        max_headers=MOST_HEADERS,
    )


def _connector(settings: WireSettings, loop: asyncio.AbstractEventLoop) -> aiohttp.TCPConnector:
    connector = aiohttp.TCPConnector(
        limit=0,  # who may send at all is decided before the wire, so nothing queues in here
        keepalive_timeout=settings.idle,
        ssl=True if settings.ssl_context is None else settings.ssl_context,
    )
    # Private, and guarded by the tests of unsolicited answers: there is no public way to learn
    # that a connection received something while nobody used it.
    connector._factory = cast(  # noqa: SLF001
        "functools.partial[ResponseHandler]", functools.partial(CarefulProtocol, loop=loop)
    )
    return connector
