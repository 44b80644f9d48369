"""A gateway that sends an answer twice: the second one is another call's, and nobody gets it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest

from bestdefense_async import BestDefense, Binding, OutcomeUnknown, Registration
from bestdefense_async.errors import AnswerError, EnvelopeError, IntegrityError
from bestdefense_async.models import Alerts
from bestdefense_async.resources.pages import Listed
from tests.support.byte_server import ByteServer, Pause, Received, Step, reply
from tests.support.wires import client_to

SOON = Pause(0.003)
REGISTRATION = Registration(
    installation_id="42",
    report_id="report-of-7",
    repository="acme/shop",
    commit="ab" * 20,
    target_url="https://shop.example",
    callback_secret="c0ffee" + "0" * 58,
)


def scans(doubled: Collection[str], after: Pause = SOON) -> Callable[[Received], Sequence[Step]]:
    """Return a server of scans that are complete at once, behind a gateway.

    Args:
        doubled: The sites whose creations are answered twice.
        after: Until the second answer: by then the next request is on the connection.
    """

    def answer(request: Received) -> Sequence[Step]:
        *_, name, last = request.target.split("/")
        if name == "for-target":
            made = _reply(id=f"report-of-{last}", status=200)
            return [made, after, made] if last in doubled else [made]
        if last == "progress":
            return [_reply(data={"isCompleted": True, "id": name})]
        if last == "overview":
            return [_reply(data={"security": {"id": int(name.removeprefix("report-of-"))}})]
        if last == "alerts":
            found = {"severity": "low", "title": f"of site {name}"}
            return [_reply(data={"riskSummary": {"low": 1}, "alerts": [found]})]
        return [_reply(data={"sites": []})]

    return answer


def _reply(**members: object) -> bytes:
    return reply(json.dumps({"success": True, "message": "", "error": None, **members}).encode())


@pytest.mark.parametrize(
    ("ask", "error", "cause"),
    [
        (lambda bd: bd.reports.create("2"), OutcomeUnknown, IntegrityError),
        (
            lambda bd: bd.with_token("bd_sandbox_other").reports.create("2"),
            OutcomeUnknown,
            IntegrityError,
        ),
        (lambda bd: bd.registrations.create(REGISTRATION), OutcomeUnknown, IntegrityError),
        (lambda bd: bd.schedules.create("2", cadence="daily"), OutcomeUnknown, EnvelopeError),
        (lambda bd: bd.reports.progress("report-of-2"), EnvelopeError, None),
        (lambda bd: bd.reports.overview("report-of-2"), EnvelopeError, None),
        (lambda bd: bd.sites.list(), EnvelopeError, None),
    ],
    ids=[
        "another creation",
        "another organization's creation",
        "a registration",
        "a schedule",
        "a progress",
        "an overview",
        "a list",
    ],
)
async def test_a_doubled_answer_is_nobody_elses(
    ask: Callable[[BestDefense], Awaitable[object]],
    error: type[Exception],
    cause: type[Exception] | None,
) -> None:
    """Its connection is closed, and what comes later is right."""
    async with ByteServer(scans({"1"})) as server, client_to(server.url) as bd:
        assert (await bd.reports.create("1")).id == "report-of-1"
        with pytest.raises(error) as caught:
            await ask(bd)
        assert cause is None or isinstance(caught.value.__cause__, cause)
        later = [(await bd.reports.create(site)).id for site in "345"]

    assert later == ["report-of-3", "report-of-4", "report-of-5"]
    assert [request.connection for request in server.requests] == [0, 0, 1, 1, 1]


async def test_a_doubled_answer_makes_idle_connections_untrusted() -> None:
    """Whatever went wrong on one of them may have gone wrong on the others."""
    late = Pause(0.1)  # by then the other two are idle again
    async with ByteServer(scans({"1"}, late)) as server, client_to(server.url) as bd:
        await asyncio.gather(*(bd.sites.list() for _ in range(3)))
        assert (await bd.reports.create("1")).id == "report-of-1"
        lists = await asyncio.gather(*(bd.sites.list() for _ in range(3)), return_exceptions=True)
        later = await asyncio.gather(*(bd.reports.create(site) for site in "345"))

    assert sorted(map(type, lists), key=str) == [EnvelopeError, Listed, Listed]
    assert [report.id for report in later] == ["report-of-3", "report-of-4", "report-of-5"]
    used = [request.connection for request in server.requests]
    assert max(used[:7]) == 2
    assert min(used[7:]) == 3


async def test_of_three_hundred_sites_none_shows_the_findings_of_another() -> None:
    """Nine creations are answered twice: what the second answers hit is lost, and says so."""
    doubled = {str(30 * index + 7) for index in range(9)}

    async def scan(bd: BestDefense, site: str) -> Alerts:
        report = await bd.reports.create(site)
        await bd.reports.progress(report)
        return await bd.reports.findings(report)

    async with ByteServer(scans(doubled)) as server, client_to(server.url, max_in_flight=8) as bd:
        sites = [str(index) for index in range(300)]
        results = await asyncio.gather(*(scan(bd, site) for site in sites), return_exceptions=True)

    found = dict(zip(sites, results, strict=True))
    lost = {site for site, each in found.items() if isinstance(each, AnswerError | OutcomeUnknown)}
    shown = {site: each for site, each in found.items() if isinstance(each, Alerts)}
    assert len(shown) + len(lost) == 300
    assert 0 < len(lost) <= len(doubled)
    assert {site: each.findings[0].title for site, each in shown.items()} == {
        site: f"of site {site}" for site in shown
    }


async def test_a_bound_operation_is_read_on_its_connection_too() -> None:
    """What a host calls otherwise is translated first, and refused like the rest."""
    binding = Binding(
        method="POST", template="/scan/for-target/{site_id}", answer={"id": "uuid", "status": "s"}
    )

    def answer(request: Received) -> Sequence[Step]:
        made = _reply(uuid=request.target, s=200)
        return [made, SOON, made] if len(server.requests) == 1 else [made]

    async with (
        ByteServer(answer) as server,
        client_to(server.url, bindings={"reports.create": binding}) as bd,
    ):
        assert (await bd.reports.create("1")).id == "/scan/for-target/1"
        with pytest.raises(OutcomeUnknown) as caught:
            await bd.reports.create("2")
        assert (await bd.reports.create("3")).id == "/scan/for-target/3"

    assert isinstance(caught.value.__cause__, IntegrityError)
    assert [request.connection for request in server.requests] == [0, 0, 1]
