"""Scans as a web service with Litestar: 202, status, server-sent events, cancellation.

pip install bestdefense-async litestar uvicorn
BD_API_TOKEN_FILE=/run/secrets/bestdefense python app.py
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.response import ServerSentEvent

from bestdefense_async import (
    AuthError,
    BestDefense,
    BestDefenseError,
    ClientClosed,
    QuotaExceeded,
    ScanHandle,
    TargetError,
    UnknownSite,
)


@dataclass
class Wanted:
    """What is to be scanned."""

    site: str


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open one client and its scans for as long as the application runs."""
    token_file = os.environ.get("BD_API_TOKEN_FILE")
    async with (
        BestDefense(None if token_file is None else Path(token_file)) as app.state.client,
        app.state.client.scans(
            store=os.environ.get("SCANS_STORE", "scans.db"),
            drain=float(os.environ.get("SCANS_DRAIN", "10")),
        ) as app.state.scans,
    ):
        yield


async def found(state: State, scan_id: str) -> ScanHandle:
    """Return the scan with this id."""
    handle: ScanHandle | None = await state.scans.find(scan_id)
    if handle is None:
        raise NotFoundException("There is no such scan.")
    return handle


@post("/scans", status_code=202)
async def start(data: Wanted, request: Request[Any, Any, State], state: State) -> Response[Any]:
    """Start a scan, or join the one that is under way."""
    handle = await state.scans.start(data.site, asked_by=request.headers.get("X-User"))
    return Response(handle.as_dict(), headers={"Location": f"/scans/{handle.id}"})


@get("/scans/{scan_id:str}")
async def status(scan_id: str, state: State) -> dict[str, Any]:
    """Say where a scan stands, findings included once it has ended."""
    return (await found(state, scan_id)).as_dict()


@delete("/scans/{scan_id:str}", status_code=200)
async def cancel(scan_id: str, state: State) -> dict[str, Any]:
    """Give a scan up."""
    handle = await found(state, scan_id)
    await handle.cancel()
    return handle.as_dict()


@get("/scans/{scan_id:str}/events")
async def events(scan_id: str, state: State) -> ServerSentEvent:
    """Stream where a scan stands, and each change, to its end."""
    handle = await found(state, scan_id)

    async def texts() -> AsyncIterator[str]:
        async for update in handle.events():
            yield json.dumps(update.as_dict())

    return ServerSentEvent(texts())


@get("/health/live")
async def live() -> dict[str, str]:
    """Say that the loop turns."""
    return {"status": "alive"}


@get("/health/ready")
async def ready(state: State) -> Response[dict[str, Any]]:
    """Say whether scans can be started now, and why not."""
    refusal = state.scans.refusal()
    body = {
        "refusal": None if refusal is None else str(refusal),
        "in_flight": state.client.stats().in_flight,
    }
    return Response(body, status_code=200 if refusal is None else 503)


def refused(_request: Request[Any, Any, Any], error: BestDefenseError) -> Response[dict[str, str]]:
    """Answer every error of the client with its sentence, which holds no token."""
    status = 502
    if isinstance(error, TargetError):
        status = 404 if isinstance(error, UnknownSite) else 422
    elif isinstance(error, AuthError | QuotaExceeded | ClientClosed):
        status = 503
    return Response({"detail": str(error), "kind": error.kind}, status_code=status)


app = Litestar(
    [start, status, cancel, events, live, ready],
    lifespan=[lifespan],
    exception_handlers={BestDefenseError: refused},
)

if __name__ == "__main__":
    # Streams that are open would hold up the end: after two seconds they are cut.
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        timeout_graceful_shutdown=2,
    )
