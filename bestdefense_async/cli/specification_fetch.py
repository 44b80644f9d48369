"""Gets documents of one host: the token only where it is wanted, nothing from anywhere else.

A host is asked without the token first. Only when it wants one (401, 403, or a redirect to a page
for signing in), and only the host of the API itself, is it asked again with the token; no other
place ever sees it. Redirects are followed within their own origin. Bodies are capped while they
arrive.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit

from attrs import define, frozen

from bestdefense_async.cli.connection import Connection
from bestdefense_async.config import base_url_from
from bestdefense_async.core.reply import Outgoing
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import ConfigError, clean_text
from bestdefense_async.specification.document import LARGEST, SpecificationError, too_large
from bestdefense_async.transport.session import WireSettings
from bestdefense_async.transport.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK: Final = 200
_ACCEPT: Final = (
    "application/vnd.openapi+json, application/json;q=0.9, application/yaml;q=0.8, "
    "text/html;q=0.7, */*;q=0.1"
)
_PATIENCE: Final = 30.0
"""Seconds until the headers, and for each piece of a body."""
_MOST_REDIRECTS: Final = 3
_SAFE: Final = "/%?&=:+,;@!$'()*~-._[]"
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_WANTS_TOKEN: Final = frozenset({401, 403})


@frozen(kw_only=True)
class Answer:
    """What stands at an address."""

    status: int
    url: str
    """Where it came from in the end."""
    body: bytes = b""
    """Empty unless the status is 200."""


@define(kw_only=True)
class Fetcher:
    """Gets documents of one origin."""

    asked: Connection
    wire: Wire
    origin: str
    is_api: bool
    """Whether this is the host that the token is for."""
    _secret: Secret | None = None
    """The token, once it was wanted."""

    async def get(self, url: str) -> Answer:
        """Return what stands at an address of this origin.

        Raises:
            SpecificationError: It points elsewhere, or is too large.
            MissingToken: A token is wanted, and there is none.
            BestDefenseError: No answer came.
        """
        answer = await self._follow(url)
        if answer.status in _WANTS_TOKEN and self.is_api and self._secret is None:
            self._secret = self._token()
            self.asked.say_host(self.origin)
            answer = await self._follow(url)
        return answer

    def _token(self) -> Secret:
        secret = self.asked.token().secret
        if secret.is_sandbox and not base_url_from(self.asked.base_url).is_loopback:
            raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        return secret

    async def _follow(self, url: str) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            answer, target = await self._once(url)
            if target is None:
                return answer
            url = joined(url, target)
            if origin_of(url) != self.origin:
                shown = clean_text(origin_of(url) or "nowhere usable", longest=120)
                raise SpecificationError(
                    f"{self.origin} points to {shown} for its specification, and other hosts are "
                    "not followed: give the address with --from."
                )
            if "login" in urlsplit(url).path and self._secret is None:
                return Answer(status=401, url=url)
        raise SpecificationError(f"{self.origin} redirects without end.")

    async def _once(self, url: str) -> tuple[Answer, str | None]:
        """Return one answer, and where it points to when it is a redirect."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        async with self.wire.stream(
            Outgoing(method="GET", path=quote(path, safe=_SAFE)),
            token=None if self._secret is None else self._secret.reveal(),
            timeout=_PATIENCE,
            extra_headers=[("Accept", _ACCEPT)],
        ) as stream:
            target = stream.headers.get("location") if stream.status in _MOVED else None
            if target is not None or stream.status != OK:
                return Answer(status=stream.status, url=url), target
            body = bytearray()
            async for chunk in stream.chunks():
                body += chunk
                if len(body) > LARGEST:
                    shown = clean_text(url, longest=200)
                    raise SpecificationError(
                        f"{shown} cannot be read as a specification. {too_large()}"
                    )
        # A page may show what it was sent.
        safe = bytes(body) if self._secret is None else self._secret.redact_bytes(bytes(body))
        return Answer(status=OK, url=url, body=safe), None


@asynccontextmanager
async def open_fetcher(asked: Connection, origin: str, *, is_api: bool) -> AsyncIterator[Fetcher]:
    """Give a fetcher for one origin, and close its connections in the end."""
    wire = Wire(WireSettings(base_url=origin))
    try:
        yield Fetcher(asked=asked, wire=wire, origin=origin, is_api=is_api)
    finally:
        await wire.aclose()


def joined(base: str, link: str) -> str:
    """Return the address that a link on `base` leads to; empty when it is none."""
    try:
        return urljoin(base, link)
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address; empty when it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    scheme = parts.scheme.lower()
    if not host or scheme not in {"http", "https"}:
        return ""
    shown = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{shown}" + ("" if port in {None, standard} else f":{port}")
