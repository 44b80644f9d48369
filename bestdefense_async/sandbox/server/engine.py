"""From a request on the wire to an answer on the wire, with the faults that were set.

The order is fixed: ledger, body, fault before the effect, origin, token, limit, permission,
handler, fault after the effect. Once its body has been read a call runs to its end, also when the
client goes away meanwhile. An answer leaves whole, cut off, or with one bit changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import define, evolve, field

from bestdefense_async.sandbox.handlers import HANDLERS
from bestdefense_async.sandbox.replies import (
    JSON_TYPE,
    NOT_FOUND,
    Refused,
    Reply,
    Stream,
    encoded,
    failure,
    success,
)
from bestdefense_async.sandbox.schemas import REQUESTS, read
from bestdefense_async.sandbox.server.connection import Connection, Unreadable, read_body, reset
from bestdefense_async.sandbox.world.ledger import (
    UNKNOWN,
    Arrival,
    recorded_headers,
    recorded_query,
    without_secret,
)
from bestdefense_async.sandbox.world.routes import Operation, Routes
from bestdefense_async.sandbox.world.scans import CapacityReached
from bestdefense_async.sandbox.world.world import NOBODY, Call, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bestdefense_async.sandbox.world.faults import FaultPlan


_GARBAGE = b'\x00\xff{"success": tru\xc3\x28 <html>'
_FIRST_REDIRECTION = 300


def faulty_reply(plan: FaultPlan) -> Reply:
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
    position = 0 if plan is None else int(size * plan.cut)
    if corrupt:
        chunks = _changed(chunks, min(position, size - 1))
    stream = web.StreamResponse(status=reply.status, headers=reply.headers)
    stream.content_length = size
    left = position if cut else size
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


_LOG = logging.getLogger("bestdefense_async.sandbox")
_EFFECTIVE = frozenset({"delay", "truncated", "corrupt"})
"""Kinds of faults that need the right answer, and so its effect."""

_BREAKING = frozenset({"reset", "drop", "hang"})
"""Kinds of faults that end without an answer."""


_LOCAL_HOST = re.compile(r"(.+\.)?localhost\.?|127(\.\d{1,3}){3}|\[::1\]", re.IGNORECASE)
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]")


@lru_cache(maxsize=64)
def is_local(host: str, *, remote: bool) -> bool:
    """Return whether a Host header names this machine; with `remote`, also by an address.

    Any other name belongs to a web page that has had its own name lead here, to use what only
    listens on this machine (DNS rebinding).
    """
    name = re.sub(r":\d*\Z", "", host)
    return _LOCAL_HOST.fullmatch(name) is not None or (
        remote and _ADDRESS.fullmatch(name) is not None
    )


@define
class Engine:
    """Answers requests."""

    world: World
    routes: Routes
    read_deadline: float
    remote: bool
    """Whether others are meant to reach it."""

    _closing: asyncio.Event = field(factory=asyncio.Event, init=False)

    def close(self) -> None:
        """Let every answer that is being delayed go on at once."""
        self._closing.set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        connection = request.protocol
        if not isinstance(connection, Connection):
            message = "the engine needs the sandbox's own connections"
            raise TypeError(message)
        connection.begin(request)
        self.world.catch_up()
        arrival = None
        try:
            call = self._call_of(request)
            if call.operation is not None and call.operation.grade == "sandbox":
                await self._read(call, request)
                return await send(request, await self._perform(call))
            arrival, names = self._record_arrival(call, request.method)
            await self._read(call, request)
            if call.body:
                whole = call.body.decode(errors="surrogateescape")
                masked = without_secret(call.headers, whole)
                arrival.body = masked.encode(errors="surrogateescape")
            plan = self.world.faults.hit(arrival, names)
            if plan is not None:
                return await self._fail(plan, arrival, call, request)
            reply = await self._perform(call)
            arrival.status = reply.status
            return await send(request, reply)
        except Unreadable as unreadable:
            if arrival is not None:
                arrival.status = unreadable.reply.status
            return await send(request, unreadable.reply)
        finally:
            connection.end()

    def _call_of(self, request: web.BaseRequest) -> Call:
        path, _, query = request.raw_path.partition("?")
        methods, key = self.routes.find(path)
        token = self.world.tokens.find(request.headers.get("Authorization", ""))
        return Call(
            operation=methods.get(request.method),
            token=NOBODY if token is None else token,
            key=key,
            path=path,
            query=query,
            headers=request.headers,
        )

    async def _read(self, call: Call, request: web.BaseRequest) -> None:
        """Read the body where one is expected, and for whoever looks what came where none is."""
        if call.operation is None:
            with contextlib.suppress(Unreadable):
                call.body = await read_body(request, deadline=self.read_deadline)
        elif call.operation.method == "POST":
            call.body = await read_body(request, deadline=self.read_deadline)

    async def _fail(
        self, plan: FaultPlan, arrival: Arrival, call: Call, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Let a call fail as planned, having done its work or not."""
        if not plan.after_effect:
            await self._pause(plan.delay)
        reply: Reply | Stream = success({})
        if plan.after_effect or plan.kind in _EFFECTIVE:
            reply = await self._perform(call)
        if plan.after_effect:
            await self._pause(plan.delay)
        if plan.kind in _BREAKING:
            return await self._break(plan, request)
        if plan.kind not in _EFFECTIVE:
            reply = faulty_reply(plan)
        arrival.status = reply.status
        return await send(request, reply, plan)

    def _record_arrival(self, call: Call, method: str) -> tuple[Arrival, tuple[str, ...]]:
        """Record the call; return the entry and the names of the site it is about."""
        operation = call.operation
        site = scan = None
        match None if operation is None else operation.parameter:
            case "site_id":
                site = self.world.fleet.by_id.get(call.key)
            case "report_id":
                scan = self.world.scans.by_id.get(call.key)
            case "security_id":
                scan = self.world.scans.by_security_id(call.key)
        if scan is not None:
            site = scan.site
        arrival = Arrival(
            operation=UNKNOWN if operation is None else operation.name,
            method=method,
            path=without_secret(call.headers, call.path),
            query=without_secret(call.headers, recorded_query(call.query)),
            headers=recorded_headers(call.headers),
            site_id=None if site is None else site.id,
            report_id=None if scan is None else scan.id,
            at=self.world.clock.loop_time(),
            token=call.token.key or None,
        )
        self.world.ledger.record(arrival)
        return arrival, () if site is None else site.names

    def _refuse_stranger(self, headers: Mapping[str, str]) -> Reply | None:
        """Return the answer to a web page that is not ours, or None."""
        if not is_local(headers.get("Host", "localhost"), remote=self.remote):
            return failure(421, "The sandbox answers to the names of this machine.", close=True)
        origin = headers.get("Origin")
        if origin is not None and origin not in self.world.origins:
            return failure(403, "The sandbox does not talk to other web pages.", close=True)
        return None

    async def _perform(self, call: Call) -> Reply | Stream:
        """Return the right answer, having done what it says."""
        stranger = self._refuse_stranger(call.headers)
        if stranger is not None:
            return stranger
        operation = call.operation
        if operation is None:
            return self._no_route(call.path)
        if not operation.needs_token:
            return await self._handle(call, operation)
        if call.token is NOBODY:
            return failure(401, "The API token is missing or unknown.")
        refusal = call.token.refusal(self.world.clock.today())
        if refusal is not None:
            return failure(401, refusal)
        return await self._admit(call, operation)

    def _no_route(self, path: str) -> Reply:
        """Return the answer to an unknown path, or to an unknown method on a known one."""
        methods, _ = self.routes.find(path)
        allow = {"Allow": ", ".join(sorted(methods))}
        return failure(405, "Method not allowed.", headers=allow) if methods else NOT_FOUND

    async def _admit(self, call: Call, operation: Operation) -> Reply | Stream:
        """Answer a call with a good token, if limit and permission admit it."""
        limits, token = self.world.limits, call.token
        limited = operation.name in limits.rules
        now = self.world.clock.limit_time()
        refusal = limits.refusal(token, operation.name, now) if limited else None
        if refusal is not None:
            return refusal
        if operation.permission is not None and operation.permission not in token.permissions:
            message = f"Your organization lacks the permission '{operation.permission}'."
            return failure(403, message)
        reply = await self._handle(call, operation)
        if limited and limits.sends_headers:
            rates = limits.rate_headers(token, operation.name, now)
            reply = evolve(reply, headers={**reply.headers, **rates})
        return reply

    async def _handle(self, call: Call, operation: Operation) -> Reply | Stream:
        """Run the handler; turn everything it can raise into an answer."""
        try:
            if operation.name in REQUESTS:
                call.json = read(operation.name, call.body)
            outcome = HANDLERS[operation.name](self.world, call)
            return outcome if isinstance(outcome, Reply | Stream) else await outcome
        except Refused as refused:
            message, status = refused.message, refused.status
        except CapacityReached:
            message, status = "The sandbox is full.", 503
        except Exception as error:  # noqa: BLE001 -- a bug of ours is a 500, as it would be there
            # The error's own text may quote the request, so only its type is logged.
            _LOG.error("%s failed with %s", operation.name, type(error).__name__)
            message, status = "The sandbox failed.", 500
        if self.world.scenario.message != "OK":
            message += self.world.scenario.message
        return failure(status, message)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the sandbox's own end."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()

    async def _break(self, plan: FaultPlan, request: web.BaseRequest) -> web.StreamResponse:
        """End without an answer, as planned."""
        connection, transport = request.protocol, request.transport
        if plan.kind == "hang" and isinstance(connection, Connection):
            connection.gone = asyncio.get_running_loop().create_future()
            closing = asyncio.ensure_future(self._closing.wait())
            try:
                await asyncio.wait((connection.gone, closing), return_when="FIRST_COMPLETED")
            finally:
                closing.cancel()
                connection.gone = None
        if plan.kind == "reset":
            reset(transport)
        elif transport is not None:
            transport.close()
        # aiohttp wants an answer; it finds the connection closed and lets it go.
        return web.Response()
