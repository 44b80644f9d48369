"""Scans as a web service with aiohttp.web: 202, status, server-sent events, cancellation.

pip install bestdefense-async
BD_API_TOKEN_FILE=/run/secrets/bestdefense python app.py
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

from bestdefense_async import (
    AuthError,
    BestDefense,
    BestDefenseError,
    ClientClosed,
    QuotaExceeded,
    ScanHandle,
    Scans,
    TargetError,
    UnknownSite,
)

SCANS = web.AppKey("SCANS", Scans)
CLIENT = web.AppKey("CLIENT", BestDefense)
routes = web.RouteTableDef()


async def scans(app: web.Application) -> AsyncIterator[None]:
    """Open one client and its scans for as long as the application runs."""
    token_file = os.environ.get("BD_API_TOKEN_FILE")
    async with (
        BestDefense(None if token_file is None else Path(token_file)) as app[CLIENT],
        app[CLIENT].scans(
            store=os.environ.get("SCANS_STORE", "scans.db"),
            drain=float(os.environ.get("SCANS_DRAIN", "10")),
        ) as app[SCANS],
    ):
        yield


async def handle(request: web.Request) -> ScanHandle:
    """Return the scan that the path names."""
    found = await request.app[SCANS].find(request.match_info["scan_id"])
    if found is None:
        raise web.HTTPNotFound(text="There is no such scan.")
    return found


@routes.post("/scans")
async def start(request: web.Request) -> web.Response:
    """Start a scan, or join the one that is under way."""
    try:
        site = str((await request.json())["site"])
    except (ValueError, TypeError, KeyError):
        raise web.HTTPBadRequest(text="Send a JSON object with the member site.") from None
    started = await request.app[SCANS].start(site, asked_by=request.headers.get("X-User"))
    return web.json_response(
        started.as_dict(), status=202, headers={"Location": f"/scans/{started.id}"}
    )


@routes.get("/scans/{scan_id}")
async def status(request: web.Request) -> web.Response:
    """Say where a scan stands, findings included once it has ended."""
    return web.json_response((await handle(request)).as_dict())


@routes.delete("/scans/{scan_id}")
async def cancel(request: web.Request) -> web.Response:
    """Give a scan up."""
    scan = await handle(request)
    await scan.cancel()
    return web.json_response(scan.as_dict())


@routes.get("/scans/{scan_id}/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Stream where a scan stands, and each change, to its end."""
    scan = await handle(request)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    async for update in scan.events():
        await answer.write(f"data: {json.dumps(update.as_dict())}\n\n".encode())
    return answer


@routes.get("/health/live")
async def live(_request: web.Request) -> web.Response:
    """Say that the loop turns."""
    return web.json_response({"status": "alive"})


@routes.get("/health/ready")
async def ready(request: web.Request) -> web.Response:
    """Say whether scans can be started now, and why not."""
    refusal = request.app[SCANS].refusal()
    body = {
        "refusal": None if refusal is None else str(refusal),
        "in_flight": request.app[CLIENT].stats().in_flight,
    }
    return web.json_response(body, status=200 if refusal is None else 503)


@web.middleware
async def refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every error of the client with its sentence, which holds no token."""
    try:
        return await handler(request)
    except BestDefenseError as error:
        status = 502
        if isinstance(error, TargetError):
            status = 404 if isinstance(error, UnknownSite) else 422
        elif isinstance(error, AuthError | QuotaExceeded | ClientClosed):
            status = 503
        return web.json_response({"detail": str(error), "kind": error.kind}, status=status)


def application() -> web.Application:
    """Return the application."""
    app = web.Application(middlewares=[refusals])
    app.cleanup_ctx.append(scans)
    app.add_routes(routes)
    return app


if __name__ == "__main__":
    # Streams that are open would hold up the end: after two seconds they are cut.
    web.run_app(
        application(),
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        shutdown_timeout=2.0,
    )
