"""What arrived is recorded whole, and a test asserts what came and what did not."""

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.testing.process import SandboxProcess
from tests.support.sandbox_api import SECURITY, Api, api_on

pytestmark = pytest.mark.bd_sandbox(sites=3, control=True)


async def test_a_request_is_recorded_whole(api: Api, bd_sandbox: Sandbox) -> None:
    """Method, path, query, headers and body; the token is masked wherever it stands."""
    site = bd_sandbox.site_ids[1]
    path = f"/api/report/create/for-target/{site}"
    body = {**SECURITY, "note": bd_sandbox.token}
    await api.post(f"{path}?trace=7&api_key=mine", body, headers={"X-Trace": "a"})

    (request,) = bd_sandbox.requests("reports.create")

    assert (request.method, request.path) == ("POST", path)
    assert request.query == "trace=7&api_key=***"
    assert request.headers["x-trace"] == "a"
    assert request.headers["authorization"] == "Bearer ***"
    assert request.json == {**SECURITY, "note": "***"}
    assert (request.site_id, request.status) == (site, 200)
    assert bd_sandbox.token not in repr(request) + request.line


async def test_requests_are_found_by_operation_path_and_site(api: Api, bd_sandbox: Sandbox) -> None:
    """A star is one segment, two are any rest, and a method may be any."""
    first, second, _ = bd_sandbox.hostnames
    report = await api.create(bd_sandbox.site_ids[0])
    await api.create(bd_sandbox.site_ids[1])
    await api.get(f"/api/report/{report}/progress")
    await api.get("/api/nothing")

    assert len(bd_sandbox.requests()) == 4
    assert len(bd_sandbox.requests("reports.create", site=second)) == 1
    assert len(bd_sandbox.requests(f"GET /api/report/{report}/progress")) == 1
    assert len(bd_sandbox.requests("GET /api/report/*/progress", site=first)) == 1
    assert len(bd_sandbox.requests("GET /api/report/{report_id}/progress")) == 1
    assert len(bd_sandbox.requests("* /api/report/**")) == 3
    assert bd_sandbox.requests("GET /api/report/*") == []
    assert [each.path for each in bd_sandbox.requests("unknown")] == ["/api/nothing"]
    for wrong in ("reports.crate", "get /api/sites", "GET api/sites"):
        with pytest.raises(ValueError, match=wrong):
            bd_sandbox.requests(wrong)
    with pytest.raises(LookupError):
        bd_sandbox.requests(site="absent.example")


async def test_what_came_and_what_did_not_can_be_asserted(api: Api, bd_sandbox: Sandbox) -> None:
    """A failed assertion lists what came."""
    site = bd_sandbox.hostnames[0]
    bd_sandbox.assert_not_requested()
    await api.create()

    assert len(bd_sandbox.assert_requested("reports.create", times=1, site=site)) == 1
    bd_sandbox.assert_not_requested("reports.create", site=bd_sandbox.hostnames[1])
    bd_sandbox.assert_not_requested("DELETE /**")
    with pytest.raises(AssertionError, match=r"expected 2 requests .* 1 came:\n  POST /api/rep"):
        bd_sandbox.assert_requested("reports.create", times=2)
    with pytest.raises(AssertionError, match=r"expected a request to sites\.list, 0 came"):
        bd_sandbox.assert_requested("sites.list")
    with pytest.raises(AssertionError, match=r"expected no request .* 1 came:\n  POST .* -> 200"):
        bd_sandbox.assert_not_requested("* /**")
    with pytest.raises(AssertionError, match="expected 0 requests"):
        bd_sandbox.assert_requested("reports.create", times=0)


async def test_a_strict_sandbox_fails_the_test_that_asks_for_what_there_is_not() -> None:
    """When it closes; but it does not hide the error that ended the test."""
    with pytest.raises(AssertionError, match=r"does not have .* 1 requests"):
        async with Sandbox(sites=1, strict=True) as sandbox, api_on(sandbox) as api:
            await api.get("/api/sitse")
    with pytest.raises(LookupError, match="no site"):  # noqa: PT012 - leaving the block is tested
        async with Sandbox(sites=1, strict=True) as sandbox, api_on(sandbox) as api:
            await api.get("/api/sitse")
            sandbox.script("absent")
    async with Sandbox(sites=1, strict=True) as sandbox, api_on(sandbox) as api:
        await api.get("/api/sites")


async def test_a_wrong_method_is_unknown_too(api: Api, bd_sandbox: Sandbox) -> None:
    """There is no such operation."""
    await api.call("PUT", "/api/sites")

    with pytest.raises(AssertionError, match="PUT /api/sites -> 405"):
        bd_sandbox.assert_all_known()


def test_a_process_is_asked_the_same(bd_sandbox_process: SandboxProcess) -> None:
    """By the same methods, over its control routes."""
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{bd_sandbox_process.url}/api/sites?a=1",
        headers={"Authorization": f"Bearer {bd_sandbox_process.token}"},
    )
    opener.open(request, timeout=10).close()

    (arrival,) = bd_sandbox_process.assert_requested("GET /api/sites", times=1)
    assert (arrival.query, arrival.status, arrival.body) == ("a=1", 200, b"")
    assert arrival.headers["authorization"] == "Bearer ***"
    bd_sandbox_process.assert_all_known()
    bd_sandbox_process.reset()
    bd_sandbox_process.assert_not_requested()


async def test_only_the_last_requests_are_kept_whole(
    api: Api, monkeypatch: pytest.MonkeyPatch, bd_sandbox: Sandbox
) -> None:
    """A long run stays small; who came is still known."""
    monkeypatch.setattr(bd_sandbox._open.ledger, "kept_whole", 2)  # noqa: SLF001 - 10,000 are many
    for _ in range(3):
        await api.create()

    first, *others = bd_sandbox.requests()
    assert (first.operation, first.headers, first.body) == ("reports.create", {}, b"")
    assert all(each.body and each.headers for each in others)


async def test_a_fault_hits_a_method_and_a_path(api: Api, bd_sandbox: Sandbox) -> None:
    """Also one that the API does not have."""
    report = await api.create()
    bd_sandbox.fault("GET /api/report/*/progress", status=503, times=1)
    bd_sandbox.fault("DELETE /api/nothing", status=418)

    statuses = [
        (await api.get(f"/api/report/{report}/{what}")).status
        for what in ("overview", "progress", "progress")
    ]

    assert statuses == [200, 503, 200]
    assert (await api.call("DELETE", "/api/nothing")).status == 418
    with pytest.raises(ValueError, match="an address is an operation"):
        bd_sandbox.fault("GET api/sites", status=503)


async def test_what_came_for_an_unknown_path_is_recorded_whole(
    api: Api, bd_sandbox: Sandbox
) -> None:
    """Who tries a binding against a fault looks at its body; what is no JSON is still a 404."""
    bd_sandbox.fault("POST /api/plans", status=200, body='{"success": true}', times=1)

    first = await api.post("/api/plans", {"engine": "ai", "token": bd_sandbox.token})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    second = await api.post("/api/plans", raw=b"engine=ai", headers=form)

    assert (first.status, second.status) == (200, 404)
    with_body, without = bd_sandbox.requests("POST /api/plans")
    assert with_body.json == {"engine": "ai", "token": "***"}
    assert without.body == b""
