"""From whatever leaves aiohttp to the one error of ours that says what happened.

Besides its `ClientError`s, aiohttp lets out TimeoutError, OSError, ValueError, AssertionError,
RuntimeError and more, depending on what the server sends. Everything is mapped. What an error of
ours says is made of our words, of the settings, and of reasons the operating system or OpenSSL
give; never of aiohttp's text, which may contain raw headers of the answer and the token.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from bestdefense_async.errors import (
    BestDefenseError,
    ConnectError,
    ConnectionLost,
    ProtocolError,
    ProxyError,
    Sent,
    TLSError,
    Truncated,
)
from bestdefense_async.transport.http.connection import LostConnection

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_PROXY_AUTH: Final = 407


def explain(
    error: BaseException, *, sent: Sent, origin: str, connect_timeout: float, proxy: str | None
) -> BestDefenseError:
    """Return our error for `error`.

    Args:
        sent: How far the request came.
        origin: Scheme, host and port of the server, as the settings have it.
        connect_timeout: Seconds a connection may take.
        proxy: The proxy that stands between, without its login; None for none.
    """
    if isinstance(error, LostConnection):
        error = error.original
    if sent is Sent.NO:
        return _before_sending(error, origin, connect_timeout, proxy=proxy)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        # Its `status` is 400 for whatever could not be parsed, so it is not looked at.
        hint = ": does it expect https?" if origin.startswith("http:") else "."
        return ProtocolError(f"{origin} sent something that is not an HTTP answer{hint}")
    if sent is Sent.YES:
        return Truncated("The connection broke before the body was complete.")
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return ConnectionLost(f"The connection to {origin} broke before an answer came.")
    return ProtocolError(f"The answer of {origin} cannot be read ({type(error).__name__}).")


def _before_sending(
    error: BaseException, origin: str, connect_timeout: float, *, proxy: str | None
) -> ConnectError:
    for kind, explained in _PROXY_KINDS if proxy is not None else ():
        if isinstance(error, kind):
            return ProxyError(f"The proxy {proxy} {explained(error, origin)}")
    for kind, make in _KINDS:
        if isinstance(error, kind):
            return make(error, origin)
    if isinstance(error, TimeoutError):
        whom = origin if proxy is None else f"The proxy {proxy}, or {origin} behind it,"
        return ConnectError(f"{whom} did not accept a connection within {connect_timeout} s.")
    if proxy is not None:
        return ProxyError(f"The proxy {proxy} did not open a way to {origin}.")
    return ConnectError(f"No connection to {origin} could be made ({type(error).__name__}).")


def _unknown_host(error: BaseException, origin: str) -> ConnectError:
    host = error.host if isinstance(error, aiohttp.ClientConnectorDNSError) else origin
    return ConnectError(
        f"The host name {host!r} is not known: check the base URL.", is_unknown_host=True
    )


def _proxy_refused(error: BaseException, origin: str) -> str:
    status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else 0
    what = "wants a user name and password" if status == _PROXY_AUTH else "refused"
    return f"{what} (status {status}) on the way to {origin}."


def _proxy_is_gone(_error: BaseException, _origin: str) -> str:
    return "does not accept connections."


def _proxy_is_unknown(_error: BaseException, _origin: str) -> str:
    return "has a host name that is not known."


def _bad_certificate(error: BaseException, origin: str) -> TLSError:
    cause = getattr(error, "certificate_error", error)
    reason = getattr(cause, "verify_message", "") or "it does not fit the host name"
    return TLSError(f"The certificate of {origin} is not trusted: {reason}.")


def _no_tls(error: BaseException, origin: str) -> TLSError:
    cause = getattr(error, "os_error", error)
    reason = getattr(cause, "reason", None) or "no reason given"
    hint = " The server seems not to speak TLS on this port." if reason in _NOT_TLS else ""
    return TLSError(f"The TLS handshake with {origin} failed ({reason}).{hint}")


def _refused(error: BaseException, origin: str) -> ConnectError:
    cause = getattr(error, "os_error", error)
    # Its own text repeats addresses, and differs between loops and versions.
    number = getattr(cause, "errno", None)
    reason = type(cause).__name__ if number is None else os.strerror(number)
    return ConnectError(f"No connection to {origin}: {reason}.")


_KINDS: Final[
    tuple[tuple[type[BaseException], Callable[[BaseException, str], ConnectError]], ...]
] = (
    (aiohttp.ClientConnectorDNSError, _unknown_host),
    (aiohttp.ClientConnectorCertificateError, _bad_certificate),
    (aiohttp.ClientConnectorSSLError, _no_tls),
    (aiohttp.ClientConnectorError, _refused),
)
"""The first row that fits counts: the kinds are subclasses of each other."""

_PROXY_KINDS: Final[tuple[tuple[type[BaseException], Callable[[BaseException, str], str]], ...]] = (
    (aiohttp.ClientConnectorDNSError, _proxy_is_unknown),
    (aiohttp.ClientProxyConnectionError, _proxy_is_gone),
    (aiohttp.ClientHttpProxyError, _proxy_refused),
)
"""What a proxy meets by itself: it is the proxy that looks up the host, so a name is its own."""
