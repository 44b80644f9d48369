"""From a request on the wire to an answer on the wire, with whatever goes wrong on the way.

The order is fixed: ledger, fault before the effect, origin, token, limit, permission, body,
handler, fault after the effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from attrs import define, evolve, field

from bestdefense_async.sandbox.connection import Connection, reset
from bestdefense_async.sandbox.faults import FaultPlan
from bestdefense_async.sandbox.fleet import Site
from bestdefense_async.sandbox.handlers import Handler
from bestdefense_async.sandbox.ledger import Arrival
from bestdefense_async.sandbox.options import Invalid
from bestdefense_async.sandbox.reading import Unreadable, read_body
from bestdefense_async.sandbox.replies import (
    JSON_TYPE,
    NOT_FOUND,
    Reply,
    Stream,
    encoded,
    failure,
    success,
)
from bestdefense_async.sandbox.routes import Operation, Routes
from bestdefense_async.sandbox.tokens import Token
from bestdefense_async.sandbox.world import Call, Refused, World

_LOG = logging.getLogger("bestdefense_async.sandbox")
_NOBODY = Token("", frozenset(), "")
_GARBAGE = b'\x00\xff{"success": tru\xc3\x28 <html>'


@define
class Engine:
    """Answers requests."""

    world: World
    routes: Routes
    handlers: Mapping[str, Handler]
    read_deadline: float
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
        connection.begin()
        try:
            return await self._answer(request, connection)
        finally:
            connection.end()

    async def _answer(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        world = self.world
        path, _, query = request.raw_path.partition("?")
        methods, key = self.routes.find(path)
        operation = methods.get(request.method)
        token = world.tokens.find(request.headers.get("Authorization", ""))
        site, report_id = self._subject(operation, key)
        arrival = Arrival(
            operation.name if operation is not None else "unknown",
            None if site is None else site.id,
            report_id,
            world.clock.loop_time(),
            None if token is None else token.fingerprint,
        )
        plan = None
        if operation is not None and operation.grade != "sandbox":
            world.ledger.note(arrival)
            if world.faults.active:
                plan = world.faults.strike(operation.name, () if site is None else site.names)
        elif operation is None:
            world.ledger.note(arrival)
        if plan is not None and plan.delay and not plan.after_effect:
            await self._pause(plan.delay)
        reply: Reply | Stream
        if plan is None or plan.after_effect or plan.kind in {"delay", "truncated"}:
            reply = await self._perform(request, operation, methods, token, key, query)
        else:
            reply = success({})
        if plan is not None:
            if plan.after_effect:
                await self._pause(plan.delay)
            if plan.kind in {"reset", "drop", "hang", "truncated"}:
                return await self._break(plan, request, connection, reply)
            if plan.kind != "delay":
                reply = _instead(plan)
        arrival.status = reply.status
        return await _send(request, reply)

    def _subject(self, operation: Operation | None, key: str) -> tuple[Site | None, str | None]:
        """Return the site and the report a call is about, as far as they exist."""
        parameter = None if operation is None else operation.parameter
        if parameter == "site_id":
            return self.world.fleet.by_id.get(key), None
        if parameter == "report_id":
            scan = self.world.scans.by_id.get(key)
        elif parameter == "security_id":
            scan = self.world.scans.by_security_id(key)
        else:
            return None, None
        return (None, None) if scan is None else (scan.site, scan.id)

    async def _perform(
        self,
        request: web.BaseRequest,
        operation: Operation | None,
        methods: Mapping[str, Operation],
        token: Token | None,
        key: str,
        query: str,
    ) -> Reply | Stream:
        """Return the right answer, having done what it says."""
        world = self.world
        origin = request.headers.get("Origin")
        if origin is not None and origin not in world.origins:
            return failure(403, "The sandbox does not talk to other web pages.", close=True)
        if operation is None:
            if not methods:
                return NOT_FOUND
            allow = ", ".join(sorted(methods))
            return failure(405, "Method not allowed.", headers={"Allow": allow})
        told: dict[str, str] = {}
        if operation.needs_token:
            if token is None:
                return failure(401, "The API token is missing or unknown.")
            if token.refusal is not None:
                return failure(401, token.refusal)
            if operation.name in world.limits.rules:
                now = world.clock.loop_time()
                refusal = world.limits.refusal(token, operation.name, now)
                if refusal is not None:
                    return refusal
                told = world.limits.told(token, operation.name, now)
            if operation.permission is not None and operation.permission not in token.permissions:
                return failure(
                    403, f"Your organization lacks the permission '{operation.permission}'."
                )
        reply = await self._handle(request, operation, token or _NOBODY, key, query)
        if told:
            reply = evolve(reply, headers={**reply.headers, **told})
        return reply

    async def _handle(
        self, request: web.BaseRequest, operation: Operation, token: Token, key: str, query: str
    ) -> Reply | Stream:
        try:
            body = b""
            if operation.method == "POST":
                body = await read_body(request, deadline=self.read_deadline)
            call = Call(token, key, query, body, request.headers)
            outcome = self.handlers[operation.name](self.world, call)
            return outcome if isinstance(outcome, Reply | Stream) else await outcome
        except Unreadable as unreadable:
            return unreadable.reply
        except Refused as refused:
            message, status = refused.message, refused.status
        except Invalid as invalid:
            message, status = str(invalid), 400
        except Exception as error:
            # The error's own text may quote the request, so it is not written down.
            _LOG.error("%s failed with %s", operation.name, type(error).__name__)  # noqa: TRY400
            message, status = "The sandbox failed.", 500
        if self.world.scenario.message != "OK":
            message += self.world.scenario.message
        return failure(status, message)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the sandbox's own end."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
            except TimeoutError:
                return

    async def _break(
        self,
        plan: FaultPlan,
        request: web.BaseRequest,
        connection: Connection,
        reply: Reply | Stream,
    ) -> web.StreamResponse:
        """Break the connection in the planned manner."""
        transport = request.transport
        if plan.kind == "truncated":
            return await _send(request, reply, cut=plan.cut)
        if plan.kind == "hang":
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


def _instead(plan: FaultPlan) -> Reply:
    """Return the answer that a fault puts in place of the right one."""
    if plan.kind == "garbage":
        body = _GARBAGE if plan.body is None else plan.body
        raw = body.encode() if isinstance(body, str) else body
        return Reply(plan.status or 200, raw, {**JSON_TYPE, **plan.headers})
    status = plan.status or 500
    if plan.body is not None:
        raw = plan.body.encode() if isinstance(plan.body, str) else plan.body
        kind = "text/html; charset=UTF-8" if raw.lstrip()[:1] == b"<" else "application/json"
        return Reply(status, raw, {"Content-Type": kind, **plan.headers})
    if status < 300:
        return Reply(status, encoded({"success": True, "message": "OK", "data": {}, "error": None}))
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Fault"
    return failure(status, f"{phrase}.", headers=plan.headers)


async def _send(
    request: web.BaseRequest, reply: Reply | Stream, *, cut: float | None = None
) -> web.StreamResponse:
    """Send an answer, or the first part of one and then the end of the connection."""
    if isinstance(reply, Reply) and cut is None:
        response = web.Response(body=reply.body, status=reply.status, headers=reply.headers)
        if reply.close:
            response.force_close()
        return response
    size = reply.size if isinstance(reply, Stream) else len(reply.body)
    chunks = reply.chunks if isinstance(reply, Stream) else iter((reply.body,))
    left = size if cut is None else int(size * cut)
    stream = web.StreamResponse(status=reply.status, headers=reply.headers)
    stream.content_length = size
    try:
        await stream.prepare(request)
        for chunk in chunks:
            await stream.write(chunk[:left])
            left -= min(left, len(chunk))
            if left == 0:
                break
        if cut is None:
            await stream.write_eof()
    except ConnectionError:
        return stream
    if cut is not None and request.transport is not None:
        request.transport.close()
    return stream
