"""Where a specification comes from: the host itself, another address, a file, or stdin.

A host is asked without the token first. Only when it wants one (401, 403, or a redirect to a page
for signing in), and only the host of the API itself, is it asked again with the token; no other
place ever sees it. Redirects, links and references to other documents are followed within their own
origin. Bodies are capped while they arrive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urldefrag, urljoin, urlsplit

from attrs import evolve, field, frozen

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.config import base_url_from, parse_base_url
from bestdefense_async.core.host import authority
from bestdefense_async.core.request import Request
from bestdefense_async.core.route import Grade, Route
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
    is_specification,
    links_of,
    read_page,
    references_of,
    too_large,
)
from bestdefense_async.transport.http.cancel_scope import Home, Lifetime
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.http.stream import open_stream

if TYPE_CHECKING:
    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.core.secret import Secret

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


class Fetcher:
    """Gets documents of one origin.

    Args:
        connection: To the host of the API.
        origin: Where they are.
        is_api: Whether this is the host that the token is for.
    """

    def __init__(self, connection: Connection, origin: str, *, is_api: bool) -> None:
        proxy = connection.proxy_to(parse_base_url(origin))
        settings = WireSettings(
            base_url=origin,
            proxy=None if proxy is None else proxy.url,
            ssl_context=connection.ssl_context(),
        )
        home = Home()
        self._wire = Wire(settings, home=home)
        self._lifetime = Lifetime(home)
        self._connection = connection
        self.origin = origin
        self._is_api = is_api
        self._secret: Secret | None = None
        """The token, once it was wanted."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def get(self, url: str, *, largest: int = LARGEST) -> FetchedDocument:
        """Return what is found at an address of this origin, of so many bytes at most.

        Raises:
            SpecificationError: It points elsewhere, or is too large.
            MissingToken: A token is wanted, and there is none.
            BestDefenseError: No answer came.
        """
        first = url
        for _ in range(_MOST_REDIRECTS + 1):
            answer, target = await self._once(url, largest)
            if target is not None:
                url = resolved_link(url, target)
                if origin_of(url) != self.origin:
                    raise elsewhere(self.origin, origin_of(url) or "nowhere usable")
                if "login" in urlsplit(url).path and self._secret is None:
                    answer, target = FetchedDocument(status=401, url=url), None
            if answer.status in _WANTS_TOKEN and self._is_api and self._secret is None:
                self._secret = self._token()
                self._connection.say_host(self.origin)
                return await self.get(first, largest=largest)
            if target is None:
                return answer
        raise SpecificationError(f"{self.origin} redirects without end.")

    def _token(self) -> Secret:
        secret = self._connection.token.secret
        if secret.is_sandbox and not base_url_from(self._connection.base_url).is_loopback:
            raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        return secret

    async def _once(self, url: str, largest: int) -> tuple[FetchedDocument, str | None]:
        """Return one answer, and where it points to when it is a redirect."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        route = Route(name="specification", method="GET", template="", grade=Grade.CALLER)
        exchange = Exchange(Request(route, quote(path, safe=_SAFE)), self._secret, self._lifetime)
        accept = {"Accept": _ACCEPT}
        body = bytearray()
        with exchange:
            async with open_stream(
                self._wire, exchange, timeout=_PATIENCE, headers=accept
            ) as stream:
                target = stream.headers.get("location") if stream.status in _MOVED else None
                if target is not None or stream.status != OK:
                    return FetchedDocument(status=stream.status, url=url), target
                async for chunk in stream.chunks():
                    body += chunk
                    if len(body) > largest:
                        raise unreadable(url, str(too_large()))
        # A page may show what it was sent.
        safe = bytes(body) if self._secret is None else self._secret.redact_bytes(bytes(body))
        return FetchedDocument(status=OK, url=url, body=safe), None


def elsewhere(origin: str, target: str) -> SpecificationError:
    """Return the error for what points to another host."""
    shown = clean_text(target, longest=200)
    return SpecificationError(
        f"{origin} points to {shown} for its specification, and other hosts are not followed: "
        "give the address with --from."
    )


def unreadable(location: str, problem: str) -> SpecificationError:
    """Return the error for what is there and is no specification."""
    shown = clean_text(location, longest=200)
    return SpecificationError(f"{shown} cannot be read as a specification. {problem}")


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
"""Links of a page, or of settings, that are tried."""
_MOST_DOCUMENTS: Final = 100
"""Documents that a specification may be spread over."""
_DOCUMENT: Final = re.compile(r"\.(?:json|ya?ml)$", re.IGNORECASE)


@frozen
class Loaded:
    """A document and the address or file it was found at."""

    document: dict[str, Any]
    location: str
    linked: Mapping[str, Any] = field(factory=dict)
    """Other documents of the host that it refers to, by address."""
    remarks: tuple[str, ...] = ()
    """What of them could not be had, one sentence each."""

    @property
    def base(self) -> str:
        """What its references are relative to; only addresses are followed."""
        return self.location if origin_of(self.location) else ""


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
        return await _from_host(connection, [connection.host + path for path in CANDIDATES])
    if source.lower().startswith(("http://", "https://")):
        # The same rules as for a base URL: no user name, and plain http to this machine only.
        parse_base_url("/".join(source.split("/", 3)[:3]) if origin_of(source) else "")
        return await _from_host(connection, [source])
    location = "stdin" if source == STDIN else source
    body = read_bytes(source, what="The specification", largest=LARGEST)
    return Loaded(_decoded(body, location), location)


def _decoded(body: bytes, location: str) -> dict[str, Any]:
    """Return the document in a body; a page may embed it."""
    try:
        embedded = read_page(body).documents if is_page(body) and len(body) <= LARGEST else ()
        return embedded[0] if embedded else decode(body)
    except SpecificationError as error:
        raise unreadable(location, str(error)) from None


async def _from_host(connection: Connection, addresses: list[str]) -> Loaded:
    """Return the first document among the addresses of one host."""
    origin = origin_of(addresses[0])
    is_api = origin == origin_of(connection.host)
    worst: BestDefenseError | None = None
    async with aclosing(Fetcher(connection, origin, is_api=is_api)) as fetcher:
        for url in addresses:
            try:
                answer = await fetcher.get(url)
                if answer.status == OK:
                    return await _from_answer(fetcher, answer, {url, answer.url})
                refusal: BestDefenseError | None = _refusal(answer, origin)
            except (SpecificationError, MissingToken) as error:
                refusal = error
            # What is there and cannot be had says more than what is not there.
            worst = worst or refusal
    if worst is not None:
        raise worst
    paths = ", ".join(url.removeprefix(origin) for url in addresses)
    raise SpecificationError(
        f"{origin} shows no specification at {paths}: give an address or a file with --from."
    )


def _refusal(answer: FetchedDocument, origin: str) -> BestDefenseError | None:
    """Return the error for an answer that is no document, None where it says nothing is there."""
    status = answer.status
    kind = {401: AuthError, 403: PermissionDenied}.get(status)
    if status >= 500:  # noqa: PLR2004  # HTTP's server errors
        kind = ServerError
    message = f"{origin} answers the question for its specification with status {status}."
    return kind and kind(message, status=status, operation="specification")


async def _from_answer(fetcher: Fetcher, answer: FetchedDocument, asked: set[str]) -> Loaded:
    """Return the document that an answer is, embeds or leads to; `asked` grows by what is asked.

    A page leads to it by its links, and by the settings of Swagger UI (`configUrl`), which lead on.
    """
    if is_page(answer.body):
        page = read_page(answer.body)
        found, links = next(iter(page.documents), None), [*page.links]
    else:
        found = _decoded(answer.body, answer.url)
        links = links_of(found)
    if found is not None and (is_specification(found) or not links):
        return await _with_linked(fetcher, Loaded(found, answer.url), len(answer.body))
    foreign = ""
    for link in links[:_MOST_LINKS]:
        url = resolved_link(answer.url, link)
        if origin_of(url) != fetcher.origin:
            foreign = foreign or url
        elif url not in asked and len(asked) < _MOST_LINKS * 2:
            asked.add(url)
            there = await fetcher.get(url)
            if there.status == OK and not is_page(there.body):
                return await _from_answer(fetcher, there, asked)
    if foreign:
        raise elsewhere(answer.url, foreign)
    raise SpecificationError(
        f"{answer.url} holds no specification and links to none that is there."
    )


async def _with_linked(fetcher: Fetcher, found: Loaded, size: int) -> Loaded:
    """Return a specification with the documents of its host that it refers to, each asked for once.

    Only what is named like a document is asked for: a specification that lies must not make us
    call the API. All of them together are no larger than one may be.
    """
    linked: dict[str, Any] = {}
    remarks: list[str] = []
    asked, waiting = {found.location}, [(found.location, found.document)]
    while waiting:
        base, document = waiting.pop()
        for reference in references_of(document):
            url = urldefrag(resolved_link(base, reference))[0]
            is_ours = origin_of(url) == fetcher.origin and _DOCUMENT.search(urlsplit(url).path)
            if not is_ours or url in asked or len(asked) > _MOST_DOCUMENTS:
                continue
            asked.add(url)
            try:
                answer = await fetcher.get(url, largest=LARGEST - size)
                if answer.status != OK:
                    remarks.append(f"{clean_text(url)} answers with status {answer.status}.")
                    continue
                size += len(answer.body)
                linked[url] = _decoded(answer.body, url)
            except SpecificationError as error:
                remarks.append(str(error))
                continue
            waiting.append((url, linked[url]))
    return evolve(found, linked=linked, remarks=tuple(remarks))
