"""The one retry loop, over a real server: what is sent how often, and what the caller is told."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async import (
    AuthError,
    BestDefense,
    ClientClosed,
    ConfigError,
    InvalidRequest,
    Limit,
    LimitWaitTooLong,
    Observer,
    OutcomeUnknown,
    ProvisionalRoute,
    RateLimited,
    RequestEvent,
    RetryPolicy,
    ServerError,
)
from bestdefense_async.errors import ClientError, ConnectError, Sent
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.transport.hooks import EventKind
from bestdefense_async.transport.observe import CallInfo, WaitInfo

QUICK = RetryPolicy(base=0.01, longest_backoff=0.05)


@asynccontextmanager
async def pair(**settings: Any) -> AsyncIterator[tuple[Sandbox, BestDefense]]:
    """Open a sandbox and a client of it that does not wait long between attempts."""
    async with Sandbox(sites=3) as sandbox:
        arguments: dict[str, Any] = {"retry": QUICK} | settings
        async with BestDefense(sandbox.token, sandbox.url, **arguments) as bd:
            yield sandbox, bd


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 503}, id="503"),
        pytest.param({"status": 500, "body": "<html>"}, id="500 with a page"),
        pytest.param({"kind": "reset", "after_effect": True}, id="reset after the scan started"),
        pytest.param({"kind": "drop", "after_effect": True}, id="closed after the scan started"),
        pytest.param({"kind": "garbage", "after_effect": True}, id="an answer nobody can read"),
        pytest.param({"kind": "truncated"}, id="a cut answer"),
        pytest.param({"status": 201, "body": '{"success":true}'}, id="a success without an id"),
        pytest.param({"status": 302, "headers": {"Location": "/elsewhere"}}, id="a redirect"),
        pytest.param({"kind": "hang", "after_effect": True}, id="no answer at all"),
    ],
)
async def test_a_creation_of_unknown_fate_is_sent_once(fault: dict[str, Any]) -> None:
    """The scan may have started; asking again would start two."""
    async with pair(timeout=0.4) as (sandbox, bd):
        sandbox.fault("reports.create", **fault)
        with pytest.raises(OutcomeUnknown) as caught:
            await bd.reports.create(sandbox.site_ids[0])
        assert sandbox.count("reports.create") == 1
        assert caught.value.subject == sandbox.site_ids[0]
        assert caught.value.sent is Sent.MAYBE


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        pytest.param({"status": 422}, InvalidRequest, id="422"),
        pytest.param({"status": 418}, ClientError, id="418"),
    ],
)
async def test_a_creation_that_is_refused_is_a_plain_error(
    fault: dict[str, Any], kind: type[Exception]
) -> None:
    """Nothing was started, so nothing is unknown."""
    async with pair() as (sandbox, bd):
        sandbox.fault("reports.create", **fault)
        with pytest.raises(kind):
            await bd.reports.create(sandbox.site_ids[0])
        assert sandbox.count("reports.create") == 1


async def test_a_throttled_creation_is_sent_again() -> None:
    """A 429 did no work; the scan starts once."""
    async with pair() as (sandbox, bd):
        sandbox.fault("reports.create", status=429, times=1, headers={"Retry-After": "0"})
        report = await bd.reports.create(sandbox.site_ids[0])
        assert report.id
        assert sandbox.count("reports.create") == 2
        assert sandbox.scans_per_site()[sandbox.site_ids[0]] == 1


@pytest.mark.parametrize("wait", ["a pause", "a backoff"])
async def test_a_creation_that_waits_to_be_sent_again_is_not_unknown(wait: str) -> None:
    """Closing the client meanwhile leaves nothing to look up: no attempt did any work."""
    slow = RetryPolicy(base=60.0, longest_backoff=60.0)
    waits = asyncio.Event()

    class Watch(Observer):
        def wait_began(self, call: CallInfo, wait: WaitInfo) -> None:
            waits.set()

    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("reports.create", status=429, headers={"Retry-After": "30"})
        url = sandbox.url if wait == "a pause" else "http://127.0.0.1:9"
        bd = BestDefense(sandbox.token, url, retry=slow, observer=Watch())
        creating = asyncio.create_task(bd.reports.create(sandbox.site_ids[0]))
        async with asyncio.timeout(5):
            await waits.wait()
        await bd.aclose()
        with pytest.raises(ClientClosed) as caught:
            await creating
    assert caught.value.sent is Sent.NO


async def test_an_unknown_creation_names_the_moment_of_the_attempt_that_was_lost() -> None:
    """An attempt before it that was refused did no work, so nobody searches around that one."""
    async with pair() as (sandbox, bd):
        sandbox.fault("reports.create", status=429, times=1, headers={"Retry-After": "0"})
        sandbox.fault("reports.create", kind="drop", after_effect=True)
        with pytest.raises(OutcomeUnknown) as caught:
            await bd.reports.create(sandbox.site_ids[0])
        refused, _ = (each.at for each in sandbox.requests("reports.create"))
        began = time.time() - asyncio.get_running_loop().time()
    assert caught.value.sent_at > began + refused


async def test_a_read_is_tried_four_times() -> None:
    """Each wire request is one attempt: aiohttp resends nothing behind our back."""
    async with pair() as (sandbox, bd):
        sandbox.fault("sites.list", kind="drop")
        with pytest.raises(Exception, match="connection"):
            await bd.sites.list()
        assert sandbox.count("sites.list") == 4


async def test_a_read_survives_what_passes() -> None:
    """Two failures and then the answer."""
    async with pair() as (sandbox, bd):
        sandbox.fault("sites.list", status=503, times=2)
        assert len(await bd.sites.list()) == 3


async def test_a_refused_connection_is_an_error_that_says_nothing_was_sent() -> None:
    """Also a creation is then plainly not started."""
    async with Sandbox(sites=1) as sandbox:
        url, token, site = sandbox.url, sandbox.token, sandbox.site_ids[0]
    async with BestDefense(token, url, retry=QUICK) as bd:
        with pytest.raises(ConnectError) as caught:
            await bd.reports.create(site)
    assert caught.value.sent is Sent.NO


async def test_a_dead_token_is_not_tried_again() -> None:
    """A 401 for a token that is plain text cannot be mended here."""
    async with pair() as (sandbox, bd):
        sandbox.revoke(sandbox.token)
        with pytest.raises(AuthError):
            await bd.sites.list()
        assert sandbox.count("sites.list") == 1


async def test_a_callable_is_asked_once_for_a_new_token_by_fifty_calls() -> None:
    """Fifty calls meet the 401 together; one asks, all succeed."""
    async with Sandbox(sites=2) as sandbox:
        tokens = [sandbox.add_token(expired=True), sandbox.token]
        asked = 0

        async def fetch() -> str:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.01)
            return tokens[min(asked, len(tokens)) - 1]

        async with BestDefense(fetch, sandbox.url, retry=QUICK) as bd:
            answers = await asyncio.gather(*(bd.sites.list() for _ in range(50)))
    assert asked == 2
    assert all(len(sites) == 2 for sites in answers)


async def test_a_callable_that_keeps_giving_a_dead_token_ends_the_call() -> None:
    """One more try, not an endless one."""
    async with Sandbox(sites=1) as sandbox:
        dead = sandbox.add_token(expired=True)

        async def fetch() -> str:
            return dead

        async with BestDefense(fetch, sandbox.url, retry=QUICK) as bd:
            with pytest.raises(AuthError):
                await bd.sites.list()
        assert sandbox.count("sites.list") == 1


async def test_a_callable_that_fails_does_not_show_what_it_fetched() -> None:
    """Its message may hold the token."""

    async def fetch() -> str:
        raise RuntimeError("vault answered s3cret")

    async with BestDefense(fetch, "http://127.0.0.1:9") as bd:
        with pytest.raises(ConfigError, match="RuntimeError") as caught:
            await bd.sites.list()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_token_file_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the line break that editors leave, and a warning when others can read it."""
    async with Sandbox(sites=1) as sandbox:
        file = tmp_path / "token"
        file.write_text(sandbox.token + "\n")
        for mode, warnings in ((0o600, 0), (0o644, 1)):
            file.chmod(mode)
            async with BestDefense(file, sandbox.url) as bd:
                assert len(await bd.sites.list()) == 1
            assert caplog.text.count("chmod 600") == warnings


async def test_a_guessed_path_is_sent_to_the_sandbox_only() -> None:
    """An invented path never reaches a vendor host by default."""
    async with pair() as (sandbox, bd):
        assert (await bd.agents.manifest()).files
        other = bd.with_token("some-token-of-production")
        with pytest.raises(ProvisionalRoute, match="spec adopt"):
            await other.agents.manifest()
        assert sandbox.count("agents.manifest") == 1


async def test_a_sandbox_token_is_not_sent_elsewhere() -> None:
    """It opens nothing there, so sending it is a mistake."""
    async with BestDefense("bd_sandbox_x", "https://vendor.invalid") as bd:
        with pytest.raises(ConfigError, match="sandbox"):
            await bd.sites.list()


async def test_a_wait_beyond_the_deadline_is_refused_at_once_with_the_numbers() -> None:
    """Nobody sleeps only to fail."""
    limits = {"agents.manifest": Limit(1, per=60.0)}
    async with pair(limits=limits) as (sandbox, bd):
        await bd.agents.manifest()
        with pytest.raises(LimitWaitTooLong) as caught:
            await bd.agents.manifest(timeout=2.0)
        assert caught.value.limit_class == "agents.manifest"
        assert caught.value.wait > 2.0 >= caught.value.allowed
        assert sandbox.count("agents.manifest") == 1


async def test_a_long_retry_after_ends_the_call() -> None:
    """An hour is not waited for behind the caller's back."""
    async with pair() as (sandbox, bd):
        sandbox.fault("sites.list", status=429, headers={"Retry-After": "3600"})
        with pytest.raises(RateLimited) as caught:
            await bd.sites.list()
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 3600
        assert sandbox.count("sites.list") == 1


async def test_one_token_throttled_does_not_pause_another() -> None:
    """Limits are per token."""
    async with pair() as (sandbox, bd):
        sandbox.fault("sites.list", status=429, times=1, headers={"Retry-After": "3600"})
        with pytest.raises(RateLimited):
            await bd.sites.list()
        other = bd.with_token(sandbox.add_token())
        assert len(await other.sites.list()) == 3


async def test_the_retry_budget_bounds_an_outage() -> None:
    """300 failing calls make 335 requests, not 1,200."""
    async with pair() as (sandbox, bd):
        sandbox.fault("sites.list", status=503)
        answers = await asyncio.gather(
            *(bd.sites.list() for _ in range(300)), return_exceptions=True
        )
        assert all(isinstance(answer, ServerError) for answer in answers)
        assert sandbox.count("sites.list") == 335


@pytest.mark.parametrize("error", [ValueError, SystemExit])
async def test_hooks_hear_everything_and_harm_nothing(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """One event per attempt, wait and pause; a hook that raises is not noticed."""
    heard: list[RequestEvent] = []

    def broken(_: RequestEvent) -> None:
        raise error("a bug of the user's")

    async with pair(hooks=[heard.append, broken]) as (sandbox, bd):
        sandbox.fault("sites.list", status=503, times=1)
        sandbox.fault("reports.create", status=429, times=1, headers={"Retry-After": "0"})
        await bd.sites.list()
        await bd.reports.create(sandbox.site_ids[0])
    kinds = [(event.kind, event.operation, event.attempt) for event in heard]
    assert (EventKind.ATTEMPT, "sites.list", 1) in kinds
    assert (EventKind.WAIT, "sites.list", 2) in kinds
    assert (EventKind.WAITED, "sites.list", 2) in kinds
    assert (EventKind.ATTEMPT, "sites.list", 2) in kinds
    assert (EventKind.PAUSE, "reports.create", 1) in kinds
    assert (EventKind.WAIT, "reports.create", 2) in kinds
    assert {event.status for event in heard if event.kind is EventKind.ATTEMPT} == {503, 200, 429}
    assert any("hook raised" in record.message for record in caplog.records)


async def test_the_logger_tells_the_same_without_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Names, numbers and a hash."""
    caplog.set_level(logging.DEBUG, logger="bestdefense_async")
    async with pair() as (sandbox, bd):
        await bd.sites.list()
        assert any("sites.list" in record.getMessage() for record in caplog.records)
        assert all(sandbox.token not in record.getMessage() for record in caplog.records)


async def test_a_body_that_is_no_json_is_refused_before_it_is_sent() -> None:
    """NaN is not JSON."""
    async with pair() as (sandbox, bd):
        with pytest.raises(ConfigError):
            await bd.request("POST", "/api/sites", json={"a": float("nan")})
        assert not sandbox.ledger


async def test_a_raw_request_gets_token_limits_and_envelope() -> None:
    """The way out for what the table does not have."""
    async with pair() as (_, bd):
        payload = await bd.request("GET", "/api/sites")
        assert len(payload["sites"]) == 3


async def test_cancelled_calls_leave_nothing_behind() -> None:
    """Two hundred calls cancelled at odd moments; slots and limits are as new."""
    async with pair(max_in_flight=5) as (sandbox, bd):
        sandbox.fault("sites.list", delay=0.05)
        calls = [asyncio.ensure_future(bd.sites.list()) for _ in range(200)]
        for turn, call in enumerate(calls):
            if turn % 10 == 0:
                await asyncio.sleep(0.001)
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert all(call.cancelled() for call in calls)
        assert all(
            len(sites) == 3 for sites in await asyncio.gather(*(bd.sites.list() for _ in range(10)))
        )


async def test_arguments_that_make_no_sense_are_refused() -> None:
    """Zero, negative and not-a-number are not defaults."""
    for wrong in (
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_in_flight": 0},
        {"max_in_flight": True},
        {"limits": {"nothing.here": Limit(1, per=1.0)}},
        {"requests_per_second": 0},
    ):
        with pytest.raises(ConfigError):
            BestDefense("token", "http://127.0.0.1:9", **wrong)
