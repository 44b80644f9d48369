"""Lost creations are searched for in the whole list of reports, however a host pages it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from bestdefense_async import BestDefense, Binding
from bestdefense_async.runs.store.protocol import UnknownScan
from bestdefense_async.runs.store.reconcile import PAGE, reconcile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLAIMED = 1_700_000_000.0
SIZE = 40
"""Reports that the host shows at once, whatever it is asked for."""
BY_PAGE = Binding(
    method="GET",
    template="/v2/reports",
    request={"after": "page"},
    constants={"size": SIZE},
    unsent=("limit",),
    pages="page",
)
BY_ID = Binding(method="GET", template="/v2/reports")


class Journal:
    """A journal with one lost creation, of the site of the oldest report."""

    def __init__(self, number: int) -> None:
        self.lost = UnknownScan(index=0, target="x", site_id=f"site-{number}", claimed_at=CLAIMED)
        self.settled: list[str] = []

    async def unknowns(self) -> list[UnknownScan]:
        """Return the one."""
        return [self.lost]

    async def known_reports(self) -> set[str]:
        """Return none."""
        return set()

    async def found(self, index: int, *, report_id: str) -> None:
        """Keep what was found."""
        assert index == 0
        self.settled.append(report_id)


@pytest.fixture
async def host(request: pytest.FixtureRequest) -> AsyncIterator[BaseTestServer]:
    """A host with so many reports, that pages by number, else by the id of the last one."""
    rows = [
        {
            "id": f"r-{number}",
            "siteId": f"site-{number}",
            "createdAt": datetime.fromtimestamp(CLAIMED + 1, UTC).isoformat(),
        }
        for number in range(request.param)
    ]

    async def answer(asked: web.Request) -> web.Response:
        query = asked.query
        if "page" in query:
            first = (int(query["page"]) - 1) * int(query["size"])
            shown = rows[first : first + int(query["size"])]
        else:
            first = int(query.get("after", "r--1").removeprefix("r-")) + 1
            shown = rows[first : first + int(query["limit"])]
        data: dict[str, Any] = {"reports": shown, "total": len(rows)}
        return web.json_response({"success": True, "message": "", "data": data, "error": None})

    app = web.Application()
    app.router.add_get("/v2/reports", answer)
    async with TestServer(app) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "binding"),
    [(SIZE * 3, BY_PAGE), (PAGE, BY_PAGE), (PAGE + 3, BY_ID)],
    ids=["by number", "by number, as many as we ask for", "by the last id"],
    indirect=["host"],
)
async def test_a_lost_creation_is_found_on_the_last_page(
    host: BaseTestServer, binding: Binding, request: pytest.FixtureRequest
) -> None:
    """A host that counts its pages is not asked for what comes after a report."""
    count = request.node.callspec.params["host"]
    journal = Journal(count - 1)
    url = str(host.make_url("/"))
    async with BestDefense("t" * 20, url, bindings={"reports.list": binding}) as bd:
        (settlement,) = await reconcile(bd.reports, journal)
    assert settlement.report_id == f"r-{count - 1}"
    assert journal.settled == [f"r-{count - 1}"]
