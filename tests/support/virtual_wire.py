"""A server in virtual time, in place of a client's wire; everything above it is the real one."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import uuid
from typing import TYPE_CHECKING, Any

from bestdefense_async import BestDefense
from bestdefense_async.core.request import Reply
from bestdefense_async.errors import AttemptTimeout, Sent

if TYPE_CHECKING:
    from bestdefense_async.transport.call import Call

TAKES = (0.2, 0.4)
"""Least and most seconds the server takes for a request."""
SCAN = 60.0
"""Seconds a scan takes."""


class VirtualWire:
    """Answers like the API, each request after a while."""

    connecting = 0

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        """Operations that are not answered to the tenant `busy`."""
        self.requests = 0
        self._chance = random.Random(1)
        self._ids = itertools.count(1)
        self._created: dict[str, float] = {}

    def exchange(self, call: Call[Any], timeout: float) -> Any:
        """Return what to await for what `call.read` makes of the answer."""
        return self._exchange(call, timeout)

    async def _exchange(self, call: Call[Any], timeout: float) -> Any:
        self.requests += 1
        call.sent = Sent.MAYBE
        operation = call.request.route.name
        if operation in self.hanging and call.secret is not None and call.secret.reveal() == BUSY:
            await asyncio.sleep(timeout)
            raise AttemptTimeout("It did not answer.", sent=Sent.MAYBE)
        await asyncio.sleep(self._chance.uniform(*TAKES))
        call.sent = Sent.YES
        call.headers_seen(200, {})
        body = {"success": True, **self._answer(operation, call.request.path)}
        return call.read(Reply(status=200, headers={}, body=json.dumps(body).encode()))

    def _answer(self, operation: str, path: str) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        if operation == "reports.create":
            number = next(self._ids)
            report_id = str(uuid.UUID(int=number))
            self._created[report_id] = now
            return {"id": report_id}
        if operation == "reports.progress":
            began = self._created.get(path.split("/")[3], now)
            return {"data": {"isCompleted": now - began >= SCAN, "percentage": None}}
        if operation == "reports.overview":
            return {"data": {"security": {"id": uuid.UUID(path.split("/")[3]).int}}}
        return {"data": {"alerts": [], "riskSummary": {}}}

    async def aclose(self) -> None:
        """Close nothing."""


BUSY = "a-token-of-the-busy"
CALM = "a-token-of-the-calm"


def client_on(wire: VirtualWire, **settings: Any) -> BestDefense:
    """Return a client whose requests `wire` answers."""
    bd = BestDefense(CALM, "http://127.0.0.1:9", **settings)
    bd._shared.host.wire = wire  # type: ignore[assignment]  # noqa: SLF001  # no socket in virtual time
    return bd


async def close(bd: BestDefense) -> None:
    """Close the client but for its observers, who are told on a thread: virtual time has none."""
    await bd._shared.tenants.aclose()  # noqa: SLF001
    bd._shared.host.slots.close()  # noqa: SLF001
    bd._home.close()  # noqa: SLF001
