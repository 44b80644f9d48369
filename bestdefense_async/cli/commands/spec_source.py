"""Where a specification comes from: the host itself, another address, a file, or stdin.

A host is asked without the token first. Only when it wants one (401, 403, or a redirect to a page
for signing in), and only the host of the API itself, is it asked again with the token; no other
place ever sees it. Redirects, links and references are followed within their own origin.
"""

from __future__ import annotations

import re
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.config import parse_base_url
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
    absolute_references,
    is_specification,
    read_document,
    resolved_link,
    too_large,
)
from bestdefense_async.openapi.specification import Specification, read_specification
from bestdefense_async.transport.http.cancel_scope import Home, Lifetime
from bestdefense_async.transport.http.connection import Exchange
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings
from bestdefense_async.transport.http.stream import open_stream

if TYPE_CHECKING:
    from bestdefense_async.cli.options.connection import Connection
    from bestdefense_async.core.secret import Secret

CANDIDATES: Final = ("/api/docs.json", "/api/docs.jsonopenapi", "/api/doc.json", "/api/docs")
"""Where a host of this kind keeps it, the page for people last.

Source: api-facts, "Hosts and authentication". (the page documented, the others inferred)
"""
_ACCEPT: Final = (
    "application/vnd.openapi+json, application/json;q=0.9, application/yaml;q=0.8, "
    "text/html;q=0.7, */*;q=0.1"
)
_PATIENCE: Final = 30.0
"""Seconds until the headers, and for each piece of a body."""
_MOST_ASKED: Final = 12
"""Addresses that are tried, those of links, settings and redirects included."""
_MOST_DOCUMENTS: Final = 100
"""Documents that a specification may be spread over."""
_DOCUMENT: Final = re.compile(r"\.(?:json|ya?ml)$", re.IGNORECASE)
_SAFE: Final = "/%?&=:+,;@!$'()*~-._[]"
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
OK: Final = 200
_REFUSALS: Final = {401: AuthError, 403: PermissionDenied}


class Fetcher:
    """Gets documents of one origin, in connections of its own.

    Args:
        connection: To the host of the API, whose token no other host sees.
        origin: Where they are.
    """

    def __init__(self, connection: Connection, origin: str) -> None:
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
        self.is_api: bool = origin == origin_of(connection.host)
        self._secret: Secret | None = None
        """The token, once it was wanted."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.aclose()

    async def get(self, url: str, *, largest: int = LARGEST) -> tuple[int, str, bytes]:
        """Return status, target of a redirect, and body of what stands at an address here.

        Raises:
            SpecificationError: It is of another origin, or has too many bytes.
            MissingToken: A token is wanted, and there is none.
            BestDefenseError: No answer came.
        """
        if origin_of(url) != self.origin:
            raise SpecificationError(
                f"{self.origin} points to {clean_text(url, longest=200)} for its specification, "
                "and other hosts are not followed: give the address with --from."
            )
        status, target, body = await self._once(url, largest)
        wants_token = status in _REFUSALS or "login" in target
        if wants_token and self.is_api and self._secret is None:
            self._secret = self._token()
            self._connection.say_host(self.origin)
            status, target, body = await self._once(url, largest)
        return status, target, body

    def _token(self) -> Secret:
        secret = self._connection.token.secret
        if secret.is_sandbox and not self._connection.location.is_loopback:
            raise ConfigError("This token is the sandbox's: it is not sent to any other host.")
        return secret

    async def _once(self, url: str, largest: int) -> tuple[int, str, bytes]:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        route = Route(name="specification", method="GET", template="", grade=Grade.CALLER)
        request: Request[object] = Request(route, quote(path, safe=_SAFE))
        body = bytearray()
        with Exchange(request, self._secret, self._lifetime) as exchange:
            async with open_stream(
                self._wire, exchange, timeout=_PATIENCE, headers={"Accept": _ACCEPT}
            ) as stream:
                target = stream.headers.get("location", "") if stream.status in _MOVED else ""
                if stream.status == OK:
                    async for chunk in stream.chunks():
                        body += chunk
                        if len(body) > largest:
                            raise _unreadable(url, too_large())
        # A page may show what it was sent.
        secret = self._secret
        shown = bytes(body) if secret is None else secret.redact_bytes(bytes(body))
        return stream.status, resolved_link(url, target) if target else "", shown


async def load_specification(connection: Connection, source: str | None) -> Specification:
    """Return a specification, with the documents of its host that it is spread over.

    Args:
        connection: The host of the API, and the token.
        source: None looks on the host; else an address, a file, or `-` for stdin.

    Raises:
        SpecificationError: There is none, or it cannot be read.
        AuthError, PermissionDenied, MissingToken: The host does not show it.
        BestDefenseError: Anything else that `errors` names.
    """
    remarks: list[str] = []
    documents: dict[str, Any] | None = None
    if source is None or source.lower().startswith(("http://", "https://")):
        addresses = [connection.host + path for path in CANDIDATES] if source is None else [source]
        origin = origin_of(addresses[0])
        # The same rules as for a base URL: no user name, and plain http to this machine only.
        parse_base_url("/".join(addresses[0].split("/", 3)[:3]) if origin else "")
        async with aclosing(Fetcher(connection, origin)) as fetcher:
            location, document, size = await _find(fetcher, addresses)
            documents = await _with_linked(fetcher, location, document, LARGEST - size, remarks)
    else:
        location = "stdin" if source == STDIN else source
        body = read_bytes(source, what="The specification", largest=LARGEST)
        document, links = _read(location, body)
        if links and not is_specification(document):
            raise _unreadable(location, "It only names a document: give that with --from.")
    prefix = connection.location.prefix
    try:
        return read_specification(
            document, prefix=prefix, location=location, documents=documents, remarks=remarks
        )
    except SpecificationError as error:
        raise _unreadable(location, str(error)) from None


async def _find(fetcher: Fetcher, addresses: list[str]) -> tuple[str, dict[str, Any], int]:
    """Return address, document and size of the first specification that addresses lead to."""
    waiting, asked = deque(addresses), set[str]()
    # What is there and cannot be had says more than what is not there.
    problem: BestDefenseError | None = None
    while waiting and len(asked) < _MOST_ASKED:
        url = waiting.popleft()
        if url in asked:
            continue
        asked.add(url)
        try:
            status, target, body = await fetcher.get(url)
            if target:
                waiting.appendleft(target)
            elif status == OK:
                document, links = _read(url, body)
                if is_specification(document) or not links:
                    return url, document, len(body)
                waiting.extendleft(resolved_link(url, link) for link in reversed(links))
            elif status in _REFUSALS or status >= 500:  # noqa: PLR2004  # HTTP's server errors
                says = f"{fetcher.origin} answers the question for its specification with {status}."
                kind = _REFUSALS.get(status, ServerError)
                problem = problem or kind(says, status=status, operation="specification")
        except (SpecificationError, MissingToken) as error:
            problem = problem or error
    if problem is not None:
        raise problem
    paths = ", ".join(url.removeprefix(fetcher.origin) for url in addresses)
    raise SpecificationError(
        f"{fetcher.origin} shows no specification at {paths}, and nothing there leads to one: "
        "give an address or a file with --from."
    )


def _read(location: str, body: bytes) -> tuple[dict[str, Any], list[str]]:
    try:
        return read_document(body)
    except SpecificationError as error:
        raise _unreadable(location, str(error)) from None


def _unreadable(location: str, problem: str) -> SpecificationError:
    """Return the error for what is there and is no specification."""
    shown = clean_text(location, longest=200)
    return SpecificationError(f"{shown} cannot be read as a specification. {problem}")


async def _with_linked(
    fetcher: Fetcher, location: str, document: dict[str, Any], left: int, remarks: list[str]
) -> dict[str, Any]:
    """Return a document with those of its host that it refers to, by address, each asked for once.

    Only what is named like a document is asked for: a specification that lies must not make us
    call the API. All of them together are no larger than one may be: `left` more bytes.
    """
    documents, asked, waiting = {location: document}, {location}, [location]
    for base in waiting:  # it grows
        for url in absolute_references(documents[base], base):
            is_ours = origin_of(url) == fetcher.origin and _DOCUMENT.search(urlsplit(url).path)
            if not is_ours or url in asked or len(asked) > _MOST_DOCUMENTS:
                continue
            asked.add(url)
            try:
                status, _, body = await fetcher.get(url, largest=left)
                if status == OK:
                    documents[url] = _read(url, body)[0]
                    left -= len(body)
                    waiting.append(url)
                else:
                    remarks.append(f"{clean_text(url)} answers with status {status}.")
            except SpecificationError as error:
                remarks.append(str(error))
    return documents


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as a base URL has them; empty without a host."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{authority(parts)}" if parts.scheme in {"http", "https"} else ""
    except ValueError:
        return ""
