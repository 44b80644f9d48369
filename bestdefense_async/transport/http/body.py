"""Bodies are read under caps and decoded strictly: whole and right, or an error.

Two codings exist here: none, and one layer of gzip. aiohttp's own decoding is off, because it
hands out a gzip stream cut anywhere as complete, passes unknown codings through undecoded, and
inflates ten gigabytes into memory.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final

import aiohttp

from bestdefense_async.errors import (
    AnswerError,
    DecodeError,
    ResponseTooLarge,
    Truncated,
    clean_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.transport.http.connection import Exchange
    from bestdefense_async.transport.http.lean import HttpAnswer

FREE_BYTES: Final = 16 << 20
"""Decoded bytes up to which any ratio is accepted."""
MOST_RATIO: Final = 250
"""Decoded bytes per wire byte beyond that: JSON reaches some 50, a bomb 1000."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_LONGEST_CODING: Final = 40
"""Characters of a coding that is repeated in a message."""
_STEP: Final = 1 << 20
"""Most bytes inflated at once, so that a bomb is noticed long before it is unpacked."""
_PATIENCE: Final = 2.0
"""Seconds to wait for the body of a refusal: its status is what matters."""


class Gunzip:
    """Decodes one gzip member as it arrives.

    Args:
        cap: Most decoded bytes.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._inflater = zlib.decompressobj(_GZIP)
        self._parts: list[bytes] = []
        self._size = 0
        self._fed = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the wire.

        Raises:
            ResponseTooLarge: More comes out than the cap, or than honest content would give.
            DecodeError: This is not gzip, its checksum is wrong, or something follows its end.
        """
        self._fed += len(data)
        is_pending = bool(data)
        while is_pending:
            part = None if self._inflater.eof else self._inflate(data)
            if part is None:
                raise DecodeError("The body is not one whole gzip stream, or is damaged.")
            self._parts.append(part)
            self._size += len(part)
            if self._size > self._cap:
                raise ResponseTooLarge(f"The body decodes to more than {self._cap} bytes.")
            if self._size > max(FREE_BYTES, self._fed * MOST_RATIO):
                raise ResponseTooLarge("The body inflates like no honest answer does.")
            data = self._inflater.unconsumed_tail or self._inflater.unused_data
            # A full step may leave bytes inside zlib although it has taken all its input.
            is_pending = bool(data) or (len(part) == _STEP and not self._inflater.eof)

    def finish(self) -> bytes:
        """Return the decoded body.

        Raises:
            Truncated: The end of the stream has not come.
        """
        if not self._inflater.eof:
            raise Truncated("The gzip body stops before its end.")
        return self.so_far()

    def so_far(self) -> bytes:
        """Return what is decoded, complete or not."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _inflate(self, data: bytes) -> bytes | None:
        try:
            return self._inflater.decompress(data, _STEP)
        except zlib.error:
            return None


def read_at_once(answer: HttpAnswer, most: int) -> bytes | None:
    """Return a body that is there already, whole and in no coding; None when it takes more."""
    content, headers = answer.content, answer.headers
    if not content.is_eof() or "Content-Encoding" in headers or content.exception() is not None:
        return None
    if content.total_bytes > most or is_close_delimited(headers):
        return None
    return content.read_nowait()


async def read_body(answer: HttpAnswer, exchange: Exchange, *, wire: int, decoded: int) -> bytes:
    """Return the whole body of a success, decoded.

    Args:
        wire: Most bytes as they travel.
        decoded: Most bytes when decoded.

    Raises:
        ResponseTooLarge, DecodeError, Truncated: It is not whole, right and within the caps.
    """
    gunzip = Gunzip(decoded) if is_gzip(answer.headers) else None
    most = min(wire, decoded) if gunzip is None else wire
    announced = announced_length(answer.headers)
    if announced is not None and announced > most:
        raise ResponseTooLarge(f"The body is announced with {announced} bytes, above {most}.")
    parts: list[bytes] = []
    size = 0
    while part := await answer.content.readany():
        size += len(part)
        if size > most:
            raise ResponseTooLarge(f"The body is longer than {most} bytes.")
        if gunzip is None:
            parts.append(part)
        else:
            gunzip.feed(part)
    check_end(answer, exchange)
    if gunzip is not None and answer.status != 204:  # noqa: PLR2004  # no content, no coding
        return gunzip.finish()
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_excerpt(answer: HttpAnswer, cap: int) -> tuple[bytes, bool]:
    """Return the beginning of the body of a refusal, and whether it is not the whole.

    Nothing here raises on account of the server: the status says enough. A body that is broken,
    too slow or in a strange coding gives what could be read of it.
    """
    parts: list[bytes] = []
    size = 0
    gunzip: Gunzip | None = None
    is_cut = True
    try:
        gunzip = Gunzip(cap) if is_gzip(answer.headers) else None
        async with asyncio.timeout(_PATIENCE):
            while size <= cap and (part := await answer.content.readany()):
                size += len(part)
                if gunzip is None:
                    parts.append(part)
                else:
                    gunzip.feed(part)
        is_cut = size > cap
        if gunzip is not None and size:
            return gunzip.finish(), is_cut
    except (aiohttp.ClientError, OSError, AnswerError):
        is_cut = True
    text = b"".join(parts) if gunzip is None else gunzip.so_far()
    return text[:cap], is_cut


def is_gzip(headers: Mapping[str, str]) -> bool:
    """Return whether the body is in gzip; otherwise it is as it is.

    Raises:
        DecodeError: It is in another coding, or in several.
    """
    if "Content-Encoding" not in headers:
        return False
    coding = ",".join(values(headers, "Content-Encoding")).strip().lower()
    if coding in {"gzip", "x-gzip"}:
        return True
    if coding in {"", "identity"}:
        return False
    raise unasked_coding("body", coding)


def unasked_coding(what: str, coding: str) -> DecodeError:
    """Return the error for a coding. A long one is not repeated: it may hold the token, and cut."""
    shown = repr(clean_text(coding)) if len(coding) <= _LONGEST_CODING else "a coding of its own"
    return DecodeError(f"The {what} comes in {shown}, unasked.")


def values(headers: Mapping[str, str], name: str) -> list[str]:
    """Return all values of a header that may come several times."""
    return [value for each, value in headers.items() if each.lower() == name.lower()]


def announced_length(headers: Mapping[str, str]) -> int | None:
    """Return how many bytes of body are announced, or None."""
    length = headers.get("Content-Length")
    return None if length is None else int(length)


def is_close_delimited(headers: Mapping[str, str]) -> bool:
    """Return whether only the end of the connection tells where the body ends."""
    return "Content-Length" not in headers and "Transfer-Encoding" not in headers


def check_end(answer: HttpAnswer, exchange: Exchange) -> None:
    """Check a body that ends with its connection: a reset is no end.

    Raises:
        Truncated: The connection was reset, which aiohttp takes for a proper end.
    """
    if is_close_delimited(answer.headers) and exchange.protocol is not None:
        error = exchange.protocol.exception()
        if error is not None and not isinstance(error, aiohttp.ServerDisconnectedError):
            raise Truncated("The connection broke before the body was complete.")
