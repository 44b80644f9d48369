"""Who may see and do what: tokens, organizations, permissions."""

import pytest

from bestdefense_async.sandbox import PERMISSIONS, Sandbox
from tests.support.sandbox_api import SECURITY, Api

pytestmark = pytest.mark.bd_sandbox(sites=2, speed=6_000)


def refused_tokens(sandbox: Sandbox) -> dict[str, str]:
    """Return one token for each way of being refused."""
    later = sandbox.add_token()
    sandbox.revoke(later)
    return {
        "missing": "",
        "unknown": "bd_sandbox_unknown",
        "expired": sandbox.add_token(expired=True),
        "revoked at once": sandbox.add_token(revoked=True),
        "revoked later": later,
    }


@pytest.mark.parametrize(
    "kind", ["missing", "unknown", "expired", "revoked at once", "revoked later"]
)
async def test_a_bad_token_answers_401(api: Api, bd_sandbox: Sandbox, kind: str) -> None:
    """The answer is an envelope and nothing happens."""
    token = refused_tokens(bd_sandbox)[kind]
    site = bd_sandbox.site_ids[0]

    listed = await api.get("/api/sites", token=token)
    created = await api.post(f"/api/report/create/for-target/{site}", SECURITY, token=token)

    for answer in (listed, created):
        assert answer.status == 401
        assert answer.json["success"] is False
        assert answer.json["error"]
    assert bd_sandbox.scans_per_site() == {}


async def test_revocation_is_immediate(api: Api, bd_sandbox: Sandbox) -> None:
    """The very next call is refused."""
    token = bd_sandbox.add_token()
    before = await api.get("/api/sites", token=token)
    bd_sandbox.revoke(token)
    after = await api.get("/api/sites", token=token)

    assert (before.status, after.status) == (200, 401)


async def test_only_own_tokens_can_be_revoked(bd_sandbox: Sandbox) -> None:
    """A token of another sandbox is not known here."""
    with pytest.raises(LookupError):
        bd_sandbox.revoke("bd_sandbox_of_somebody_else")


async def test_the_scheme_may_have_any_letter_case(api: Api, bd_sandbox: Sandbox) -> None:
    """`bearer` is `Bearer`."""
    header = {"Authorization": f"bearer {bd_sandbox.token}"}

    assert (await api.get("/api/sites", headers=header)).status == 200


async def test_tokens_say_that_they_are_for_the_sandbox(bd_sandbox: Sandbox) -> None:
    """The prefix is what a client recognizes them by."""
    assert bd_sandbox.token.startswith("bd_sandbox_")
    assert bd_sandbox.token != bd_sandbox.add_token()


async def test_another_organization_is_not_seen(api: Api, bd_sandbox: Sandbox) -> None:
    """404 means absent or foreign: the answers do not differ."""
    other = bd_sandbox.add_token(organization="other")
    report = await api.create()
    security_id = await api.finish(report)
    foreign = [
        ("POST", f"/api/report/create/for-target/{bd_sandbox.site_ids[0]}"),
        ("GET", f"/api/report/{report}"),
        ("GET", f"/api/report/{report}/progress"),
        ("GET", f"/api/report/{report}/overview"),
        ("GET", f"/api/report/vortex/{security_id}/alerts"),
    ]
    absent = [
        (method, path.replace(report, "a" * 8).replace(str(security_id), "1"))
        for method, path in foreign[1:]
    ]

    for method, path in foreign + absent:
        body = SECURITY if method == "POST" else None
        answer = await api.call(method, path, body, token=other)
        assert answer.status == 404, path
        assert answer.json["success"] is False
    assert (await api.get("/api/reports", token=other)).data == {"reports": []}


async def test_another_organization_has_sites_of_its_own(api: Api, bd_sandbox: Sandbox) -> None:
    """They are other sites, and the main organization cannot scan them."""
    other = bd_sandbox.add_token(organization="other")

    theirs = (await api.get("/api/sites", token=other)).data["sites"]

    assert len(theirs) == len(bd_sandbox.sites_of("other")) == 3
    assert not {site["id"] for site in theirs} & set(bd_sandbox.site_ids)
    refused = await api.post(f"/api/report/create/for-target/{theirs[0]['id']}", SECURITY)
    assert refused.status == 404


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/api/sites", "view sites"),
        ("POST", "/api/report/create/for-target/x", "create reports"),
        ("GET", "/api/report/x/progress", "view reports"),
        ("POST", "/api/schedules", "manage scheduled reports"),
        ("POST", "/api/remediations", "AI remediation"),
        ("POST", "/api/network-scans", "run network scans"),
    ],
)
async def test_a_missing_permission_is_named(
    api: Api, bd_sandbox: Sandbox, method: str, path: str, permission: str
) -> None:
    """403 says in the envelope what the organization lacks."""
    token = bd_sandbox.add_token(permissions=PERMISSIONS - {permission})

    answer = await api.call(method, path, {} if method == "POST" else None, token=token)

    assert answer.status == 403
    assert permission in answer.json["message"]


async def test_a_permission_must_exist(bd_sandbox: Sandbox) -> None:
    """A misspelt permission is no permission."""
    with pytest.raises(ValueError, match="create report"):
        bd_sandbox.add_token(permissions={"create report"})
