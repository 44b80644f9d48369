"""Scans as a web service: 202, status, server-sent events, cancellation, probes.

    pip install bestdefense-async fastapi uvicorn uvloop
    BD_API_TOKEN_FILE=/run/secrets/bestdefense python app.py

A scan that was answered with 202 survives the process: it is in `SCANS_STORE`, and the next
process goes on with it. Put your own authentication in front.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from bestdefense_async import (
    AuthError,
    BestDefense,
    BestDefenseError,
    ClientClosed,
    QuotaExceeded,
    ScanHandle,
    ScanOptions,
    Scans,
    TargetError,
    UnknownSite,
)

STORE = os.environ.get("SCANS_STORE", "scans.db")
DRAIN = float(os.environ.get("SCANS_DRAIN", "10"))
"""Seconds for calls under way at the end; the grace period of the platform is to be longer."""
HEARTBEAT = 15.0
"""Seconds after which a silent stream says that it is there: proxies cut what says nothing."""


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one client and its scans for as long as the application runs."""
    token_file = os.environ.get("BD_API_TOKEN_FILE")
    async with (
        BestDefense(None if token_file is None else Path(token_file)) as app.state.client,
        app.state.client.scans(store=STORE, drain=DRAIN) as app.state.scans,
    ):
        yield


app = FastAPI(lifespan=lifespan, title="Scans")


class Wanted(BaseModel):
    """What is to be scanned."""

    site: str
    intensity: Literal["quick", "standard", "thorough"] | None = None


def scans(request: Request) -> Scans:
    """Return the scans of the application."""
    found: Scans = request.app.state.scans
    return found


async def handle(scan_id: str, request: Request) -> ScanHandle:
    """Return the scan that the path names."""
    found = await scans(request).find(scan_id)
    if found is None:
        raise HTTPException(404, "There is no such scan.")
    return found


@app.post("/scans", status_code=202)
async def start(
    wanted: Wanted,
    request: Request,
    response: Response,
    x_user: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Start a scan, or join the one that is under way."""
    options = ScanOptions(intensity=wanted.intensity)
    started = await scans(request).start(wanted.site, options=options, asked_by=x_user)
    response.headers["Location"] = f"/scans/{started.id}"
    return started.as_dict()


@app.get("/scans")
async def running(request: Request) -> list[dict[str, Any]]:
    """List the scans that run."""
    return [each.as_dict() for each in scans(request).running()]


@app.get("/scans/{scan_id}")
async def status(scan: Annotated[ScanHandle, Depends(handle)]) -> dict[str, Any]:
    """Say where a scan stands, findings included once it has ended."""
    return scan.as_dict()


@app.get("/scans/{scan_id}/events")
async def events(scan: Annotated[ScanHandle, Depends(handle)]) -> StreamingResponse:
    """Stream where a scan stands, and each change, to its end."""
    return StreamingResponse(server_sent(scan), media_type="text/event-stream")


@app.delete("/scans/{scan_id}")
async def cancel(scan: Annotated[ScanHandle, Depends(handle)]) -> dict[str, Any]:
    """Give a scan up."""
    await scan.cancel()
    return scan.as_dict()


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Say that the loop turns."""
    return {"status": "alive"}


@app.get("/health/ready")
async def ready(request: Request) -> JSONResponse:
    """Say whether scans can be started now, and why not."""
    refusal = scans(request).refusal()
    body = {
        "refusal": None if refusal is None else str(refusal),
        "in_flight": request.app.state.client.stats().in_flight,
    }
    return JSONResponse(body, 200 if refusal is None else 503)


async def server_sent(scan: ScanHandle) -> AsyncIterator[str]:
    """Write updates as server-sent events."""
    updates = scan.events()
    following = asyncio.ensure_future(anext(updates, None))
    try:
        while True:
            await asyncio.wait([following], timeout=HEARTBEAT)
            if not following.done():
                yield ": still there\n\n"
                continue
            update = following.result()
            if update is None:
                return
            yield f"data: {json.dumps(update.as_dict())}\n\n"
            following = asyncio.ensure_future(anext(updates, None))
    finally:
        following.cancel()


@app.exception_handler(BestDefenseError)
async def refused(_request: Request, error: BestDefenseError) -> JSONResponse:
    """Answer every error of the client with its sentence, which holds no token."""
    body = {"detail": str(error), "kind": error.kind}
    if isinstance(error, UnknownSite):
        return JSONResponse(body, 404)
    if isinstance(error, TargetError):
        return JSONResponse(body, 422)
    if isinstance(error, AuthError | QuotaExceeded | ClientClosed):
        return JSONResponse(body, 503, headers={"Retry-After": "30"})
    return JSONResponse(body, 502)


if __name__ == "__main__":
    # Streams that are open would hold up the end: after two seconds they are cut.
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        loop="uvloop" if os.name == "posix" else "asyncio",
        timeout_graceful_shutdown=2,
    )
