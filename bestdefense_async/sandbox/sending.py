"""Answers on their way out: whole, cut off, or with a byte changed."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from bestdefense_async.sandbox.replies import JSON_TYPE, Reply, Stream, encoded, failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bestdefense_async.sandbox.faults import FaultPlan

_GARBAGE = b'\x00\xff{"success": tru\xc3\x28 <html>'
_FIRST_REDIRECTION = 300


def in_place_of(plan: FaultPlan) -> Reply:
    """Return the answer that a fault puts in place of the right one."""
    body = plan.body.encode() if isinstance(plan.body, str) else plan.body
    if plan.kind == "garbage":
        raw = _GARBAGE if body is None else body
        return Reply(plan.status or 200, raw, {**JSON_TYPE, **plan.headers})
    status = plan.status or 500
    if body is not None:
        kind = "text/html; charset=UTF-8" if body.lstrip()[:1] == b"<" else "application/json"
        return Reply(status, body, {"Content-Type": kind, **plan.headers})
    if status < _FIRST_REDIRECTION:
        empty = encoded({"success": True, "message": "OK", "data": {}, "error": None})
        return Reply(status, empty, {**JSON_TYPE, **plan.headers})
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Fault"
    return failure(status, f"{phrase}.", headers=plan.headers)


def _changed(chunks: Iterator[bytes | memoryview], at: int) -> Iterator[bytes | memoryview]:
    """Yield the chunks with one bit of the byte at `at` turned over."""
    start = 0
    for chunk in chunks:
        if start <= at < start + len(chunk):
            wrong = bytearray(chunk)
            wrong[at - start] ^= 1
            yield bytes(wrong)
        else:
            yield chunk
        start += len(chunk)


async def send(
    request: web.BaseRequest, reply: Reply | Stream, plan: FaultPlan | None = None
) -> web.StreamResponse:
    """Send an answer as planned; a whole small one is left to aiohttp."""
    cut = plan is not None and plan.kind == "truncated"
    corrupt = plan is not None and plan.kind == "corrupt"
    if isinstance(reply, Reply) and not cut and not corrupt:
        response = web.Response(body=reply.body, status=reply.status, headers=reply.headers)
        if reply.close:
            response.force_close()
        return response
    size = reply.size if isinstance(reply, Stream) else len(reply.body)
    chunks: Iterator[bytes | memoryview] = (
        reply.chunks if isinstance(reply, Stream) else iter((reply.body,))
    )
    place = 0 if plan is None else int(size * plan.cut)
    if corrupt:
        chunks = _changed(chunks, min(place, size - 1))
    stream = web.StreamResponse(status=reply.status, headers=reply.headers)
    stream.content_length = size
    left = place if cut else size
    try:
        await stream.prepare(request)
        while left > 0:
            chunk = next(chunks)
            await stream.write(chunk[:left])
            left -= min(left, len(chunk))
    except ConnectionError:
        # The client has gone; aiohttp sees the same.
        return stream
    if cut and request.transport is not None:
        request.transport.close()
    return stream
