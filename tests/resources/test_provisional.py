"""Operations whose path is a guess: refused, lifted, or bound to where they really stand."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bestdefense_async import (
    AuthError,
    BestDefense,
    Binding,
    ConfigError,
    NotFound,
    OutcomeUnknown,
    ProvisionalRoute,
)
from bestdefense_async.core.route import ROUTES, Grade
from bestdefense_async.models import AgentFile
from bestdefense_async.sandbox import Sandbox
from tests.support.byte_server import ByteServer, reply

FILE = AgentFile(filename="x", sha256="0" * 64)
CALLS: dict[str, Callable[[BestDefense, Path], Awaitable[object]]] = {
    "reports.list": lambda bd, _: bd.reports.list(),
    "reports.get": lambda bd, _: bd.reports.get("r"),
    "schedules.list": lambda bd, _: bd.schedules.list(),
    "schedules.create": lambda bd, _: bd.schedules.create("s", cadence="daily"),
    "schedules.delete": lambda bd, _: bd.schedules.delete("s"),
    "remediation.trigger": lambda bd, _: bd.remediation.trigger("r", finding="f"),
    "remediation.list": lambda bd, _: bd.remediation.list(),
    "remediation.get": lambda bd, _: bd.remediation.get("r"),
    "network.start": lambda bd, _: bd.network.start(["10.0.0.1"]),
    "network.progress": lambda bd, _: bd.network.progress("n"),
    "network.findings": lambda bd, _: bd.network.findings("n"),
    "agents.manifest": lambda bd, _: bd.agents.manifest(),
    "agents.download": lambda bd, folder: bd.agents.download(FILE, folder),
}


def test_every_guessed_operation_has_a_method() -> None:
    """A row without one would be dead."""
    guessed = {name for name, row in ROUTES.items() if row.grade is Grade.DESCRIBED}
    assert guessed == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
async def test_a_guessed_path_is_sent_to_nobody(
    name: str, bd_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A token that is not the sandbox's makes any host a real one; the error says what to do."""
    async with BestDefense("real-token", bd_sandbox.url) as bd:
        with pytest.raises(ProvisionalRoute, match=r"bestdefense spec adopt.*bindings=") as caught:
            await CALLS[name](bd, tmp_path)
    assert caught.value.operation == name
    assert bd_sandbox.ledger == []


@pytest.mark.parametrize("name", [name for name in CALLS if name != "agents.download"])
async def test_a_guess_may_be_trusted_or_bound(
    name: str, bd_sandbox: Sandbox, tmp_path: Path
) -> None:
    """Both lift the refusal: the sandbox is asked, and knows no such token."""
    row = ROUTES[name]
    binding = Binding(method=row.method, template=row.template)
    for client in (
        BestDefense("real-token", bd_sandbox.url, allow_provisional=True),
        BestDefense("real-token", bd_sandbox.url, bindings={name: binding}),
    ):
        async with client as bd:
            with pytest.raises(AuthError):
                await CALLS[name](bd, tmp_path)
    assert bd_sandbox.count(name) == 2


async def test_a_bound_operation_speaks_the_words_of_the_host() -> None:
    """Resources know nothing of it: our names in, our models out."""
    made = {"uid": "p-1", "target": {"id": "s-1"}, "every": "weekly", "color": "red"}
    answer = {"success": True, "message": "", "data": {"plan": made}, "error": None}
    binding = Binding(
        method="PUT",
        template="/api/v2/site/{siteId}/plan",
        request={"cadence": "every"},
        answer={
            "schedule": "plan",
            "schedule.id": "plan.uid",
            "schedule.siteId": "plan.target.id",
            "schedule.cadence": "plan.every",
        },
        source="the test",
    )
    async with (
        ByteServer([[reply(json.dumps(answer).encode())]]) as server,
        BestDefense("real-token", server.url, bindings={"schedules.create": binding}) as bd,
    ):
        schedule = await bd.schedules.create("s-1", cadence="weekly")
    (request,) = server.requests
    assert (request.method, request.target) == ("PUT", "/api/v2/site/s-1/plan")
    assert json.loads(request.body) == {"types": ["security"], "every": "weekly"}
    assert (schedule.id, schedule.site_id, schedule.cadence) == ("p-1", "s-1", "weekly")
    assert schedule.extra == {"color": "red"}


async def test_a_raw_request_to_a_bound_path_is_the_operation() -> None:
    """Never sent twice, under its limit; nothing is translated, for the caller knows the words."""
    binding = Binding(method="POST", template="/v2/plan", answer={"schedule": "plan"})
    answers = [
        [reply(b'{"success":true,"data":{"plan":1}}')],
        [reply(b"{}", status=500)],
    ]
    async with (
        ByteServer(answers) as server,
        BestDefense("real-token", server.url, bindings={"schedules.create": binding}) as bd,
    ):
        assert await bd.request("POST", "/v2/plan", json={"a": 1}) == {"plan": 1}
        with pytest.raises(OutcomeUnknown):
            await bd.request("POST", "/v2/plan", json={"a": 1})
    assert len(server.requests) == 2


def test_a_binding_that_cannot_be_keeps_the_client_from_opening() -> None:
    """Nothing has been sent when it is found."""
    for name, template in (("schedules.make", "/x"), ("schedules.create", "x")):
        with pytest.raises(ConfigError):
            BestDefense("real-token", bindings={name: Binding(method="POST", template=template)})


async def test_reports_are_listed_and_paged(bd_sandbox: Sandbox, bd_client: BestDefense) -> None:
    """The latest first; `after` goes on where a page ended."""
    made = [(await bd_client.reports.create(site)).id for site in bd_sandbox.site_ids[:5]]
    listed = await bd_client.reports.list()
    assert [report.id for report in listed] == made[::-1]
    page = await bd_client.reports.list(limit=2, after=made[3])
    assert [report.id for report in page] == [made[2], made[1]]
    shown = await bd_client.reports.get(made[0])
    assert (shown.site_id, shown.hostname) == (bd_sandbox.site_ids[0], bd_sandbox.hostnames[0])
    assert (shown.types, shown.intensity, shown.is_completed) == (("security",), "quick", False)
    assert shown.created_at is not None
    assert shown.created_at.utcoffset() is not None
    with pytest.raises(NotFound):
        await bd_client.reports.get("absent")
    with pytest.raises(ConfigError):
        await bd_client.reports.list(limit=0)
