"""The control routes are off unless asked for, closed without their token, and complete."""

from typing import Any

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.world.routes import CONTROL
from tests.support.sandbox_api import SECURITY, Api

pytestmark = pytest.mark.bd_sandbox(sites=3, control=True)


ROUTES = [
    pytest.param(row.method, row.template.replace("{site_id}", "x"), id=row.name) for row in CONTROL
]


@pytest.mark.bd_sandbox(control=False)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_control_there_are_no_routes(api: Api, method: str, path: str) -> None:
    """They answer like any unknown path, whatever is sent along."""
    answer = await api.call(method, path, {}, headers={"X-Sandbox-Control": "1"})

    assert api.sandbox.control_token is None
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("token", ["", "main", "wrong", "\udcff"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_the_control_token_opens_them(
    api: Api, method: str, path: str, token: str
) -> None:
    """A token of the API does not, and nothing has happened."""
    shown = api.sandbox.token if token == "main" else token

    answer = await api.call(method, path, {}, token=shown)

    assert answer.status == 401
    assert api.sandbox._open.faults.active == []  # noqa: SLF001 - there is no public list


async def test_the_ledger_can_be_asked_from_outside(api: Api, bd_sandbox: Sandbox) -> None:
    """Arrivals by operation, scans by site, sites scanned twice; asking leaves no trace."""
    first, second, _ = bd_sandbox.site_ids
    for site in (first, second, second):
        await api.create(site)
    control = bd_sandbox.control_token

    for _ in range(2):
        assert (await api.get("/_sandbox/ledger", token=control)).data == {
            "counts": {"reports.create": 3},
            "scansPerSite": {first: 1, second: 2},
            "duplicates": {second: 2},
        }


async def test_faults_can_be_set_and_cleared(api: Api, bd_sandbox: Sandbox) -> None:
    """As by the method, until they are all ended."""
    control = bd_sandbox.control_token
    plan = {"operation": "sites.list", "status": 503, "nth": 2, "headers": {"Retry-After": "9"}}
    await api.post("/_sandbox/faults", plan, token=control)
    seen = [await api.get("/api/sites") for _ in range(3)]
    await api.post("/_sandbox/faults", {"operation": "*", "status": 500}, token=control)
    broken = (await api.get("/api/sites")).status
    await api.call("DELETE", "/_sandbox/faults", token=control)

    assert [answer.status for answer in seen] == [200, 503, 200]
    assert seen[1].headers["Retry-After"] == "9"
    assert broken == 500
    assert (await api.get("/api/sites")).status == 200


async def test_tokens_can_be_made_and_revoked(api: Api, bd_sandbox: Sandbox) -> None:
    """Also for another organization and with few permissions."""
    control = bd_sandbox.control_token
    wanted = {"organization": "other", "permissions": ["view sites"]}
    token = (await api.post("/_sandbox/tokens", wanted, token=control)).data["token"]
    allowed = (await api.get("/api/sites", token=token)).status
    denied = (await api.get("/api/reports", token=token)).status
    await api.post("/_sandbox/revoke", {"token": token}, token=control)

    assert (allowed, denied) == (200, 403)
    assert (await api.get("/api/sites", token=token)).status == 401


async def test_a_site_can_be_scripted(api: Api, bd_sandbox: Sandbox) -> None:
    """Its scans are over at once, or never."""
    quick, endless, _ = bd_sandbox.site_ids
    control = bd_sandbox.control_token
    await api.post(f"/_sandbox/sites/{quick}", {"duration": 0}, token=control)
    await api.post(f"/_sandbox/sites/{endless}", {"duration": "never"}, token=control)
    reports = [await api.create(site, SECURITY) for site in (quick, endless)]

    done = [(await api.get(f"/api/report/{each}/progress")).data for each in reports]
    assert [each["isCompleted"] for each in done] == [True, False]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"operation": "nothing", "status": 503}),
        ("faults", {"status": 503}),
        ("faults", {"operation": "*", "status": "503"}),
        ("faults", {"operation": "*", "kind": []}),
        ("faults", {"operation": "*", "nth": "1", "status": 503}),
        ("tokens", {"permissions": ["everything"]}),
        ("tokens", {"permissions": 7}),
        ("tokens", {"organization": 7}),
        ("revoke", {"token": "nobody"}),
        ("sites/nowhere", {"duration": 1}),
        ("sites/own", {"duration": "soon"}),
    ],
)
async def test_a_mistake_is_explained(api: Api, path: str, body: Any) -> None:
    """400 with the reason: who controls the sandbox may read it."""
    target = path.replace("own", api.sandbox.site_ids[0])

    answer = await api.post(f"/_sandbox/{target}", body, token=api.sandbox.control_token)

    assert answer.status == 400
    assert answer.json["message"]
