"""Where a specification comes from: the host itself, another address, a file, or stdin.

A host is asked without the token first. Only when it wants one (401, 403, or a redirect to a page
for signing in), and only the host of the API itself, is it asked again with the token; no other
place ever sees it. Redirects are followed within their own origin. Bodies are capped while they
arrive.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin, urlsplit

from attrs import define, frozen

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.cli.options.connection import Connection
from bestdefense_async.config import base_url_from, parse_base_url
from bestdefense_async.core.host import authority
from bestdefense_async.core.request import Request
from bestdefense_async.core.route import Grade, Route
from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    PermissionDenied,
    ServerError,
    clean_text,
)
from bestdefense_async.files import STDIN, read_bytes
from bestdefense_async.openapi.document import (
    LARGEST,
    SpecificationError,
    decode,
    is_page,
    links_of,
    read_page,
    too_large,
)
from bestdefense_async.transport.http.cancel_scope import Home, Lifetime
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.http.stream import open_stream

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
class FetchedDocument:
    """What was found at an address."""

    status: int
    url: str
    """Where it came from in the end."""
    body: bytes = b""
    """Empty unless the status is 200."""


@define(kw_only=True)
class Fetcher:
    """Gets documents of one origin."""

    connection: Connection
    wire: Wire
    lifetime: Lifetime
    origin: str
    is_api: bool
    """Whether this is the host that the token is for."""
    _secret: Secret | None = None
    """The token, once it was wanted."""

    async def get(self, url: str) -> FetchedDocument:
        """Return what is found at an address of this origin.

        Raises:
            SpecificationError: It points elsewhere, or is too large.
            MissingToken: A token is wanted, and there is none.
            BestDefenseError: No answer came.
        """
        answer = await self._follow(url)
        if answer.status in _WANTS_TOKEN and self.is_api and self._secret is None:
            self._secret = self._token()
            self.connection.say_host(self.origin)
            answer = await self._follow(url)
        return answer

    def _token(self) -> Secret:
        secret = self.connection.token.secret
        if secret.is_sandbox and not base_url_from(self.connection.base_url).is_loopback:
            raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        return secret

    async def _follow(self, url: str) -> FetchedDocument:
        for _ in range(_MOST_REDIRECTS + 1):
            answer, target = await self._once(url)
            if target is None:
                return answer
            url = resolved_link(url, target)
            if origin_of(url) != self.origin:
                shown = clean_text(origin_of(url) or "nowhere usable", longest=120)
                raise SpecificationError(
                    f"{self.origin} points to {shown} for its specification, and other hosts are "
                    "not followed: give the address with --from."
                )
            if "login" in urlsplit(url).path and self._secret is None:
                return FetchedDocument(status=401, url=url)
        raise SpecificationError(f"{self.origin} redirects without end.")

    async def _once(self, url: str) -> tuple[FetchedDocument, str | None]:
        """Return one answer, and where it points to when it is a redirect."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        route = Route(name="specification", method="GET", template="", grade=Grade.CALLER)
        exchange = Exchange(Request(route, quote(path, safe=_SAFE)), self._secret, self.lifetime)
        with exchange:
            return await self._read(url, exchange)

    async def _read(self, url: str, exchange: Exchange) -> tuple[FetchedDocument, str | None]:
        async with open_stream(
            self.wire, exchange, timeout=_PATIENCE, headers={"Accept": _ACCEPT}
        ) as stream:
            target = stream.headers.get("location") if stream.status in _MOVED else None
            if target is not None or stream.status != OK:
                return FetchedDocument(status=stream.status, url=url), target
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
        return FetchedDocument(status=OK, url=url, body=safe), None


@asynccontextmanager
async def open_fetcher(
    connection: Connection, origin: str, *, is_api: bool
) -> AsyncIterator[Fetcher]:
    """Open a fetcher for one origin, and close its connections at the end."""
    home = Home()
    proxy = connection.proxy_to(parse_base_url(origin))
    settings = WireSettings(
        base_url=origin,
        proxy=None if proxy is None else proxy.url,
        ssl_context=connection.ssl_context(),
    )
    wire = Wire(settings, home=home)
    try:
        yield Fetcher(
            connection=connection,
            wire=wire,
            lifetime=Lifetime(home),
            origin=origin,
            is_api=is_api,
        )
    finally:
        await wire.aclose()


def resolved_link(base: str, link: str) -> str:
    """Return the address that a link on `base` leads to; empty when it is none."""
    try:
        return urljoin(base, link)
    except ValueError:
        return ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as a base URL has them; empty without a host."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{authority(parts)}" if parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""


CANDIDATES: Final = ("/api/docs.json", "/api/docs.jsonopenapi", "/api/doc.json", "/api/docs")
"""Where a host of this kind keeps it, the page for people last.

Source: api-facts, "Hosts and authentication". (the page documented, the others inferred)
"""
_MOST_LINKS: Final = 5


@frozen
class Loaded:
    """A document and the address or file it was found at."""

    document: dict[str, Any]
    location: str


async def load_specification(connection: Connection, source: str | None) -> Loaded:
    """Return the document of a specification.

    Args:
        connection: The host of the API, and the token.
        source: None looks on the host; else an address, a file, or `-` for stdin.

    Raises:
        SpecificationError: There is none, or it cannot be read.
        AuthError, PermissionDenied, MissingToken: The host does not show it.
        BestDefenseError: Anything else that `errors` names.
    """
    if source is None:
        return await _from_host(connection)
    if source.lower().startswith(("http://", "https://")):
        return await _from_address(connection, source)
    location = "stdin" if source == STDIN else source
    body = read_bytes(source, what="The specification", largest=LARGEST)
    return Loaded(_decoded(body, location), location)


def _decoded(body: bytes, location: str) -> dict[str, Any]:
    """Return the document in a body; a page may embed it."""
    problem = ""
    try:
        if is_page(body) and len(body) <= LARGEST:
            for document in read_page(body).documents:
                return document
        return decode(body)
    except SpecificationError as error:
        problem = str(error)
    raise SpecificationError(f"{location} cannot be read as a specification. {problem}")


async def _from_address(connection: Connection, source: str) -> Loaded:
    """Return the document at an address, or embedded in or linked from the page there."""
    origin = origin_of(source)
    # The same rules as for a base URL: no user name, and plain http to this machine only.
    parse_base_url("/".join(source.split("/", 3)[:3]) if origin else "")
    is_api = origin == origin_of(connection.host)
    async with open_fetcher(connection, origin, is_api=is_api) as fetcher:
        answer = await fetcher.get(source)
        if answer.status != OK:
            raise _refusal(answer, origin)
        return await _from_answer(fetcher, answer)


async def _from_host(connection: Connection) -> Loaded:
    """Return the first document among the candidates of the API's own host."""
    base_url = connection.host
    worst: BestDefenseError | None = None
    async with open_fetcher(connection, origin_of(base_url), is_api=True) as fetcher:
        for path in CANDIDATES:
            try:
                answer = await fetcher.get(base_url + path)
                if answer.status == OK:
                    return await _from_answer(fetcher, answer)
                refusal: BestDefenseError | None = _refusal(answer, fetcher.origin)
            except (SpecificationError, MissingToken) as error:
                refusal = error
            # A document that is there and cannot be read says more than one that is not there.
            worst = max((worst, refusal), key=_weight)
    if worst is not None and _weight(worst):
        raise worst
    raise SpecificationError(
        f"{base_url} shows no specification at {', '.join(CANDIDATES)}: "
        "give an address or a file with --from."
    )


def _weight(error: BestDefenseError | None) -> int:
    order = (ServerError, PermissionDenied, AuthError, MissingToken, SpecificationError)
    return next((at for at, kind in enumerate(order, 1) if type(error) is kind), 0)


def _refusal(answer: FetchedDocument, origin: str) -> BestDefenseError:
    """Return the error for an answer that is no document."""
    status = answer.status
    message = f"{origin} answers the question for its specification with status {status}."
    if status == 401:  # noqa: PLR2004  # unauthorized
        return AuthError(message, status=status, operation="specification")
    if status == 403:  # noqa: PLR2004  # forbidden
        return PermissionDenied(message, status=status, operation="specification")
    if status >= 500:  # noqa: PLR2004  # HTTP's server errors
        return ServerError(message, status=status, operation="specification")
    return ConfigError(message)


async def _from_answer(fetcher: Fetcher, answer: FetchedDocument) -> Loaded:
    """Return the document that an answer is, embeds or links to."""
    if not is_page(answer.body):
        return Loaded(_decoded(answer.body, answer.url), answer.url)
    page = read_page(answer.body)
    for document in page.documents:
        return Loaded(document, answer.url)
    elsewhere = ""
    for link in page.links[:_MOST_LINKS]:
        url = resolved_link(answer.url, link)
        if origin_of(url) != fetcher.origin:
            elsewhere = elsewhere or url
            continue
        found = await fetcher.get(url)
        if found.status == OK and not is_page(found.body):
            return await _from_settings(fetcher, Loaded(_decoded(found.body, found.url), found.url))
    if elsewhere:
        shown = clean_text(elsewhere, longest=200)
        raise SpecificationError(
            f"The page {answer.url} points to {shown}, and other hosts are not followed: "
            "give that address with --from."
        )
    raise SpecificationError(f"The page {answer.url} holds no specification and links to none.")


async def _from_settings(fetcher: Fetcher, loaded: Loaded) -> Loaded:
    """Return a document; for the settings of Swagger UI (`configUrl`), the one they name."""
    link = next(iter(links_of(loaded.document)), None)
    if link is None:
        return loaded
    url = resolved_link(loaded.location, link)
    if origin_of(url) != fetcher.origin:
        shown = clean_text(url, longest=200)
        raise SpecificationError(
            f"{loaded.location} points to {shown}, and other hosts are not followed: give that "
            "address with --from."
        )
    found = await fetcher.get(url)
    if found.status != OK:
        raise _refusal(found, fetcher.origin)
    return Loaded(_decoded(found.body, found.url), found.url)
