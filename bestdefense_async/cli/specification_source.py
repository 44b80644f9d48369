"""Where a specification comes from: the host itself, another address, a file, or stdin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.cli.specification_fetch import (
    OK,
    Answer,
    Fetcher,
    joined,
    open_fetcher,
    origin_of,
)
from bestdefense_async.config import parse_base_url
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    PermissionDenied,
    ServerError,
    clean_text,
)
from bestdefense_async.specification.document import LARGEST, SpecificationError, decode, is_page
from bestdefense_async.specification.page import read_page

if TYPE_CHECKING:
    from bestdefense_async.cli.connection import Connection

CANDIDATES: Final = ("/api/docs.json", "/api/docs.jsonopenapi", "/api/doc.json", "/api/docs")
"""Where a host of this kind keeps it, the page for people last.

Source: api-facts, "Hosts and authentication". (the page documented, the others inferred)
"""
_MOST_LINKS: Final = 5


@frozen
class Loaded:
    """A document and the place it was found at."""

    document: dict[str, Any]
    place: str


async def load(asked: Connection, source: str | None) -> Loaded:
    """Return the document of a specification.

    Args:
        asked: The host of the API, and the token's whereabouts.
        source: None looks on the host; else an address, a file, or `-` for stdin.

    Raises:
        SpecificationError: There is none, or it cannot be read.
        AuthError, PermissionDenied, MissingToken: The host does not show it.
        BestDefenseError: Anything else that `errors` names.
    """
    if source is None:
        return await _from_host(asked)
    if source.lower().startswith(("http://", "https://")):
        return await _from_address(asked, source)
    place = "stdin" if source == "-" else source
    body = _read_stdin() if source == "-" else _read_file(Path(source))
    return Loaded(_decoded(body, place), place)


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise ConfigError("stdin is closed, so no specification can be read from it.")
    return sys.stdin.buffer.read(LARGEST + 1)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or type(error).__name__
    raise ConfigError(f"{clean_text(str(path), longest=200)} cannot be read: {problem}.")


def _decoded(body: bytes, place: str) -> dict[str, Any]:
    """Return the document in a body; a page may embed it."""
    problem = ""
    try:
        if is_page(body) and len(body) <= LARGEST:
            for document in read_page(body).documents:
                return document
        return decode(body)
    except SpecificationError as error:
        problem = str(error)
    raise SpecificationError(f"{place} cannot be read as a specification. {problem}")


async def _from_address(asked: Connection, source: str) -> Loaded:
    """Return the document at an address, or embedded in or linked from the page there."""
    origin = origin_of(source)
    # The same rules as for a base URL: no user name, and plain http to this machine only.
    parse_base_url("/".join(source.split("/", 3)[:3]) if origin else "")
    is_api = origin == origin_of(asked.host)
    async with open_fetcher(asked, origin, is_api=is_api) as fetcher:
        answer = await fetcher.get(source)
        if answer.status != OK:
            raise _refusal(answer, origin)
        return await _from_answer(fetcher, answer)


async def _from_host(asked: Connection) -> Loaded:
    """Return the first document among the candidates of the API's own host."""
    base_url = asked.host
    worst: BestDefenseError | None = None
    async with open_fetcher(asked, origin_of(base_url), is_api=True) as fetcher:
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


def _refusal(answer: Answer, origin: str) -> BestDefenseError:
    """Return the error for an answer that is no document."""
    status = answer.status
    words = f"{origin} answers the question for its specification with status {status}."
    if status == 401:  # noqa: PLR2004  # unauthorized
        return AuthError(words, status=status, operation="specification")
    if status == 403:  # noqa: PLR2004  # forbidden
        return PermissionDenied(words, status=status, operation="specification")
    if status >= 500:  # noqa: PLR2004  # HTTP's server errors
        return ServerError(words, status=status, operation="specification")
    return ConfigError(words)


async def _from_answer(fetcher: Fetcher, answer: Answer) -> Loaded:
    """Return the document that an answer is, embeds or links to."""
    if not is_page(answer.body):
        return Loaded(_decoded(answer.body, answer.url), answer.url)
    page = read_page(answer.body)
    for document in page.documents:
        return Loaded(document, answer.url)
    elsewhere = ""
    for link in page.links[:_MOST_LINKS]:
        url = joined(answer.url, link)
        if origin_of(url) != fetcher.origin:
            elsewhere = elsewhere or url
            continue
        found = await fetcher.get(url)
        if found.status == OK and not is_page(found.body):
            return Loaded(_decoded(found.body, found.url), found.url)
    if elsewhere:
        shown = clean_text(elsewhere, longest=200)
        raise SpecificationError(
            f"The page {answer.url} points to {shown}, and other hosts are not followed: "
            "give that address with --from."
        )
    raise SpecificationError(f"The page {answer.url} holds no specification and links to none.")
