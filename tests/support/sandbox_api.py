"""A client that hides nothing: it sends what it is told and returns what came."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import frozen

from bestdefense_async.sandbox import Sandbox

SECURITY: dict[str, Any] = {"options": {"security": {"enabled": True}}}
"""The smallest body that starts a security scan."""


@frozen
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """The envelope's payload."""
        assert self.status == 200, (self.status, self.body)
        assert self.json["success"] is True
        return self.json["data"]


@frozen
class Api:
    """Calls one sandbox."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """Send one request; `token=""` sends none, None sends the sandbox's own."""
        sent = {} if token == "" else {"Authorization": f"Bearer {token or self.sandbox.token}"}
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        url = self.sandbox.url + path
        data = None if content is None else io.BytesIO(content)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **how: Any) -> Answer:
        """Send a GET."""
        return await self.call("GET", path, **how)

    async def post(self, path: str, body: Any = None, **how: Any) -> Answer:
        """Send a POST."""
        return await self.call("POST", path, body, **how)

    async def create(self, site_id: str | None = None, body: Any = None) -> str:
        """Start a scan and return the report's id."""
        site = site_id or self.sandbox.site_ids[0]
        answer = await self.post(f"/api/report/create/for-target/{site}", body or SECURITY)
        assert answer.status == 200, (answer.status, answer.body)
        return str(answer.json["id"])

    async def finish(self, report_id: str) -> int:
        """Wait until the report is complete and return its security report's id."""
        path = f"/api/report/{report_id}/progress"
        while not (await self.get(path)).data["isCompleted"]:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.01)
        overview = await self.get(f"/api/report/{report_id}/overview")
        return int(overview.data["security"]["id"])

    async def alerts(self, site_id: str | None = None) -> Any:
        """Scan a site to the end and return the payload of its alerts."""
        security_id = await self.finish(await self.create(site_id))
        return (await self.get(f"/api/report/vortex/{security_id}/alerts")).data


@asynccontextmanager
async def api_on(sandbox: Sandbox) -> AsyncIterator[Api]:
    """Give a client on the sandbox."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield Api(sandbox, session)


@asynccontextmanager
async def bare_connection(
    sandbox: Sandbox,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a bare connection."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            return


async def send_bytes(sandbox: Sandbox, raw: bytes, *, timeout: float = 2.0) -> bytes:
    """Send bytes and return everything that comes until the end of the connection."""
    async with bare_connection(sandbox) as (reader, writer), asyncio.timeout(timeout):
        writer.write(raw)
        try:
            await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""
