"""Reading a request's body: capped, within a deadline, and as it came."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from bestdefense_async.sandbox.replies import Reply, failure

MAX_BODY = 1 << 20
"""Largest request body, bytes."""


class Unreadable(Exception):
    """A body that is not read to its end; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _refusal(status: int, message: str) -> Unreadable:
    # What is left of the body would be read as the next request: the connection must end.
    return Unreadable(failure(status, message, close=True))


async def read_body(request: web.BaseRequest, *, deadline: float) -> bytes:
    """Return the body, at most `MAX_BODY` bytes, within `deadline` seconds of the loop.

    A compressed body is refused instead of being unpacked: the API documents none, and a small one
    can unpack to anything.

    Raises:
        Unreadable: too large, compressed, of another type, too slow, broken, or never finished.
    """
    headers = request.headers
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _refusal(415, "Compressed request bodies are not accepted.")
    if request.content_length is not None and request.content_length > MAX_BODY:
        raise _refusal(413, f"The request body is larger than {MAX_BODY} bytes.")
    if headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    kept = bytearray()
    try:
        async with asyncio.timeout(deadline):
            while chunk := await request.content.readany():
                kept += chunk
                if len(kept) > MAX_BODY:
                    raise _refusal(413, f"The request body is larger than {MAX_BODY} bytes.")
    except TimeoutError:
        raise _refusal(408, "The request body did not arrive in time.") from None
    except (ConnectionError, ClientPayloadError, HttpProcessingError, web.PayloadAccessError):
        raise _refusal(400, "The request body is broken.") from None
    if kept and request.content_type != "application/json":
        message = "The Content-Type of the request body must be application/json."
        raise Unreadable(failure(400, message))
    return bytes(kept)
