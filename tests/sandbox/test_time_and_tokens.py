"""Time that passes at once, a sandbox that begins again, and tokens that grow old."""

import pytest

from bestdefense_async.sandbox import PERMISSIONS, Sandbox
from bestdefense_async.testing.process import SandboxProcess
from tests.support.sandbox_api import Api, bare_connection

DAY = 86_400

pytestmark = pytest.mark.bd_sandbox(sites=2, speed=0.001)


async def test_a_scan_is_over_when_its_time_has_passed(api: Api, bd_sandbox: Sandbox) -> None:
    """However slow the sandbox is."""
    bd_sandbox.script(bd_sandbox.site_ids[0], duration=1000)
    path = f"/api/report/{await api.create()}/progress"

    seen = []
    for _ in range(3):
        seen.append((await api.get(path)).data)
        bd_sandbox.advance(500)

    assert [each["isCompleted"] for each in seen] == [False, False, True]
    assert [each["percentage"] for each in seen] == [0, 50, 100]


async def test_the_calendar_and_limits_go_along(api: Api, bd_sandbox: Sandbox) -> None:
    """What was created before has its time, what is created later has a later one."""
    first = await api.create()
    for _ in range(60):
        assert (await api.get("/api/agents/manifest")).status == 200
    limited = await api.get("/api/agents/manifest")
    bd_sandbox.advance(2 * DAY)
    second = await api.create()
    times = [(await api.get(f"/api/report/{each}")).data["report"] for each in (first, second)]

    assert limited.status == 429
    assert (await api.get("/api/agents/manifest")).status == 200
    # To the minute: the calendar goes on while the machine is busy.
    assert times[0]["createdAt"].startswith("2026-01-05T08:00:")
    assert times[1]["createdAt"].startswith("2026-01-07T08:00:")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_time_does_not_go_back(bd_sandbox: Sandbox, seconds: float) -> None:
    """Nor beyond its end."""
    with pytest.raises(ValueError, match="time goes forward"):
        bd_sandbox.advance(seconds)


async def test_a_reset_sandbox_is_as_new(api: Api, bd_sandbox: Sandbox) -> None:
    """Its address and its token stay; scans, faults, tokens, requests and findings do not."""
    url, token, sites = bd_sandbox.url, bd_sandbox.token, bd_sandbox.site_ids
    other = bd_sandbox.add_organization("acme", sites=10)
    bd_sandbox.plant(sites[0], ["critical"])
    report = await api.create()
    bd_sandbox.advance(DAY)
    bd_sandbox.fault("*", status=500)

    bd_sandbox.reset()

    assert (bd_sandbox.url, bd_sandbox.token, bd_sandbox.site_ids) == (url, token, sites)
    bd_sandbox.assert_not_requested()
    assert bd_sandbox.scans_per_site() == {}
    assert (await api.get("/api/sites")).status == 200
    assert (await api.get("/api/sites", token=other)).status == 401
    assert (await api.get(f"/api/report/{report}/progress")).status == 404
    assert bd_sandbox.sites_of("acme") == []


async def test_a_token_lives_as_long_as_it_was_given(api: Api, bd_sandbox: Sandbox) -> None:
    """30 days unless told otherwise; the sandbox's own token does not grow old."""
    short = bd_sandbox.add_token(name="nightly", days=1)
    usual = bd_sandbox.add_token()

    async def statuses() -> list[int]:
        answers = [await api.get("/api/sites", token=each) for each in (short, usual)]
        return [each.status for each in answers]

    assert await statuses() == [200, 200]
    bd_sandbox.advance(DAY + 1)
    assert await statuses() == [401, 200]
    bd_sandbox.advance(29 * DAY)
    assert await statuses() == [401, 401]
    refused = await api.get("/api/sites", token=short)
    assert "expired" in refused.json["message"]
    assert (await api.get("/api/sites")).status == 200


@pytest.mark.parametrize("days", [0, 0.5, 91, float("nan")])
async def test_a_token_lives_1_to_90_days(bd_sandbox: Sandbox, days: float) -> None:
    """As the vendor documents it."""
    with pytest.raises(ValueError, match="1 to 90 days"):
        bd_sandbox.add_token(days=days)


async def test_tokens_are_listed_without_their_text(api: Api, bd_sandbox: Sandbox) -> None:
    """And one is revoked by the key that stands in the list."""
    text = bd_sandbox.add_token(name="nightly", days=7, permissions={"view sites"})
    own, token = bd_sandbox.tokens()
    assert (own.name, own.permissions) == ("sandbox", PERMISSIONS)
    assert (token.name, token.expires - token.created) == ("nightly", 7 * DAY)
    assert text not in repr(bd_sandbox.tokens())

    bd_sandbox.revoke(token.key)

    assert token.revoked
    assert (await api.get("/api/sites", token=text)).status == 401


def test_a_process_has_time_and_tokens_too(bd_sandbox_process: SandboxProcess) -> None:
    """Behind its control routes."""
    text = bd_sandbox_process.add_token(name="nightly", days=2)
    bd_sandbox_process.advance(3 * DAY)
    own, token = bd_sandbox_process.tokens()

    assert own.expires == float("inf")
    assert (token.name, token.expires - token.created) == ("nightly", 2 * DAY)
    assert text not in repr(token)
    bd_sandbox_process.revoke(token.key)
    assert bd_sandbox_process.tokens()[1].revoked
    bd_sandbox_process.reset()
    assert len(bd_sandbox_process.tokens()) == 1
    with pytest.raises(ValueError, match="time goes forward"):
        bd_sandbox_process.advance(-1)


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("localhost", True),
        ("LocalHost:80", True),
        ("shop.localhost:8080", True),
        ("127.0.0.1", True),
        ("127.7.7.7:1", True),
        ("[::1]:9", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.7", False),
        ("evil.example:127", False),
        ("", False),
    ],
)
async def test_only_names_of_this_machine_are_answered(
    bd_sandbox: Sandbox, host: str, *, is_answered: bool
) -> None:
    """A web page whose name leads here (DNS rebinding) reads nothing and changes nothing."""
    head = f"GET /api/docs.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    async with bare_connection(bd_sandbox) as (reader, writer):
        writer.write(head.encode())
        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 200" if is_answered else b"HTTP/1.1 421")


async def test_an_address_that_others_reach_is_a_name_then() -> None:
    """Where remote callers are allowed; any other name is still somebody else's."""
    async with Sandbox(sites=1, host="0.0.0.0", allow_remote=True) as sandbox:  # noqa: S104
        assert sandbox.url.startswith("http://127.0.0.1:")
        for host, status in (("10.0.0.7:80", b"200"), ("evil.example", b"421")):
            async with bare_connection(sandbox) as (reader, writer):
                head = f"GET /api/docs.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                assert (await reader.read()).startswith(b"HTTP/1.1 " + status)
