"""The control route is off unless asked for, closed without its token, and complete."""

from typing import Any

import pytest

from bestdefense_async.sandbox import Sandbox
from tests.support.sandbox_api import SECURITY, Api

pytestmark = pytest.mark.bd_sandbox(sites=3, control=True)


METHODS = ("requests", "set_fault", "reset", "absent")


@pytest.mark.bd_sandbox(control=False)
@pytest.mark.parametrize("name", METHODS)
async def test_without_control_there_is_no_route(api: Api, name: str) -> None:
    """They answer like any unknown path, whatever is sent along."""
    answer = await api.post(f"/_sandbox/{name}", {}, headers={"X-Sandbox-Control": "1"})

    assert api.sandbox.control_token is None
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("token", ["", "main", "wrong", "\udcff"])
@pytest.mark.parametrize("name", METHODS)
async def test_only_the_control_token_opens_them(api: Api, name: str, token: str) -> None:
    """A token of the API does not, and nothing has happened."""
    shown = api.sandbox.token if token == "main" else token

    answer = await api.post(f"/_sandbox/{name}", {}, token=shown)

    assert answer.status == 401
    assert api.sandbox._open.faults.active == []  # noqa: SLF001 - there is no public list


async def call(api: Api, name: str, **arguments: Any) -> Any:
    """Call a method by its name and return its result."""
    answer = await api.post(f"/_sandbox/{name}", arguments, token=api.sandbox.control_token)
    return answer.data


async def test_what_came_can_be_asked_from_outside(api: Api, bd_sandbox: Sandbox) -> None:
    """Arrivals, their numbers, and scans by site; asking leaves no trace."""
    first, second, _ = bd_sandbox.site_ids
    for site in (first, second, second):
        await api.create(site)

    for _ in range(2):
        assert await call(api, "counts") == {"reports.create": 3}
        assert await call(api, "scans_per_site") == {first: 1, second: 2}
        rows = await call(api, "requests", address="reports.create", site=second)
        assert [row["site_id"] for row in rows] == [second, second]


async def test_faults_can_be_set_and_cleared(api: Api) -> None:
    """As by the method, until they are all ended."""
    plan = {"operation": "sites.list", "status": 503, "nth": 2, "headers": {"Retry-After": "9"}}
    await call(api, "set_fault", **plan)
    seen = [await api.get("/api/sites") for _ in range(3)]
    await call(api, "set_fault", operation="*", status=500)
    broken = (await api.get("/api/sites")).status
    await call(api, "clear_faults")

    assert [answer.status for answer in seen] == [200, 503, 200]
    assert seen[1].headers["Retry-After"] == "9"
    assert broken == 500
    assert (await api.get("/api/sites")).status == 200


async def test_tokens_can_be_made_and_revoked(api: Api) -> None:
    """Also for another organization and with few permissions."""
    token = await call(api, "add_token", organization="other", permissions=["view sites"])
    allowed = (await api.get("/api/sites", token=token)).status
    denied = (await api.get("/api/reports", token=token)).status
    await call(api, "revoke", token=token)

    assert (allowed, denied) == (200, 403)
    assert (await api.get("/api/sites", token=token)).status == 401
    assert token not in str(await call(api, "tokens"))


async def test_a_site_can_be_scripted(api: Api, bd_sandbox: Sandbox) -> None:
    """Its scans are over at once, or never."""
    quick, endless, _ = bd_sandbox.site_ids
    await call(api, "script", site=quick, duration=0)
    await call(api, "script", site=endless, duration=float("inf"))
    reports = [await api.create(site, SECURITY) for site in (quick, endless)]

    done = [(await api.get(f"/api/report/{each}/progress")).data for each in reports]
    assert [each["isCompleted"] for each in done] == [True, False]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("set_fault", {"operation": "nothing", "status": 503}),
        ("set_fault", {"status": 503}),
        ("set_fault", {"operation": "*", "status": "503"}),
        ("set_fault", {"operation": "*", "kind": []}),
        ("set_fault", {"operation": "*", "nth": "1", "status": 503}),
        ("add_token", {"permissions": ["everything"]}),
        ("add_token", {"permissions": 7}),
        ("add_token", {"organization": 7}),
        ("revoke", {"token": "nobody"}),
        ("script", {"site": "nowhere", "duration": 1}),
        ("script", {"site": "own", "duration": "soon"}),
        ("advance", {"minutes": 1}),
        ("advance", {"seconds": -1}),
        ("advance", []),
    ],
)
async def test_a_mistake_is_explained(api: Api, name: str, body: Any) -> None:
    """400 with the reason: who controls the sandbox may read it."""
    if "site" in body and body["site"] == "own":
        body |= {"site": api.sandbox.site_ids[0]}

    answer = await api.post(f"/_sandbox/{name}", body, token=api.sandbox.control_token)

    assert answer.status == 400
    assert answer.json["message"]
