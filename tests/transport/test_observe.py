"""The one seam for telemetry, over a real server: what is told when, and what cannot do harm."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import BestDefense, Limit, LimitWaitTooLong, RetryPolicy
from bestdefense_async.core.request import Request
from bestdefense_async.core.route import ROUTES
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.transport.hooks import EventKind, HookObserver, LogObserver, RequestEvent
from bestdefense_async.transport.observe import (
    AttemptInfo,
    CallInfo,
    CallResult,
    Observer,
    Observers,
    WaitInfo,
    WaitReason,
)
from tests.support.byte_server import ByteServer, reply
from tests.support.wires import TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK = RetryPolicy(base=0.01, longest_backoff=0.02)


class _Recorder(Observer):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.calls: dict[int, CallInfo] = {}

    def call_began(self, call: CallInfo) -> None:
        self.calls[call.id] = call
        self.heard.append(("call began", call))

    def attempt_began(self, call: CallInfo, attempt: int) -> Mapping[str, str] | None:
        self.heard.append(("attempt began", attempt))
        return None

    def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:
        self.heard.append(("attempt ended", attempt))

    def wait_began(self, call: CallInfo, wait: WaitInfo) -> None:
        self.heard.append(("wait began", wait))

    def wait_ended(self, call: CallInfo, wait: WaitInfo) -> None:
        self.heard.append(("wait ended", wait))

    def paused(self, call: CallInfo, attempt: int, seconds: float) -> None:
        self.heard.append(("paused", seconds))

    def call_ended(self, call: CallInfo, result: CallResult) -> None:
        self.heard.append(("call ended", result))

    def of(self, kind: str) -> list[Any]:
        """Return what was heard of one kind."""
        return [what for each, what in self.heard if each == kind]

    def waits(self) -> list[tuple[WaitReason, bool]]:
        """Return the reason of each wait that has ended, and whether it was given up."""
        return [(wait.reason, wait.is_given_up) for wait in self.of("wait ended")]


async def test_a_call_is_told_from_beginning_to_end() -> None:
    """Operation, template, place, tenant; each attempt; the waits with their seconds."""
    ear = _Recorder()
    async with Sandbox(sites=1) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        async with BestDefense(base_url=sandbox.url, observer=ear, retry=QUICK) as bd:
            view = bd.with_token(sandbox.token, name="org-a")
            report = await view.reports.create(sandbox.site_ids[0])
            ear.heard.clear()
            sandbox.fault("reports.progress", status=503, times=1)
            await view.reports.progress(report)

    assert [kind for kind, _ in ear.heard] == [
        "call began",
        "attempt began",
        "attempt ended",
        "wait began",
        "wait ended",
        "attempt began",
        "attempt ended",
        "call ended",
    ]
    (call,), (result,) = ear.of("call began"), ear.of("call ended")
    assert (call.operation, call.method, call.tenant) == ("reports.progress", "GET", "org-a")
    assert (call.template, call.path) == (
        "/api/report/{report_id}/progress",
        f"/api/report/{report.id}/progress",
    )
    assert (call.host, call.port) == ("127.0.0.1", port)
    assert [(each.status, each.error) for each in ear.of("attempt ended")] == [
        (503, "ServerError"),
        (200, None),
    ]
    assert (result.attempts, result.error, set(result.waits)) == (2, None, {WaitReason.BACKOFF})
    assert 0.0 <= result.waits[WaitReason.BACKOFF] <= result.duration


@pytest.mark.looptime
async def test_a_wait_for_a_limit_is_told_when_it_begins_with_its_place_in_the_queue() -> None:
    """The third to come after the last call of the minute waits two minutes, and is told so."""
    ear = _Recorder()
    limits = {"sites.list": Limit(1, per=60.0)}
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, observer=ear, limits=limits) as bd,
    ):
        await bd.sites.list()
        calls = [asyncio.create_task(bd.sites.list()) for _ in range(3)]
        await asyncio.sleep(1.0)
        began = ear.of("wait began")
        assert not ear.of("wait ended")
        with pytest.raises(LimitWaitTooLong):
            await bd.sites.list(timeout=5.0)
        calls[2].cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert [wait.reason for wait in began] == [WaitReason.LIMIT] * 3
    assert [wait.seconds for wait in began] == pytest.approx([60.0, 120.0, 180.0], abs=3.0)
    ended = ear.of("wait ended")
    assert [wait.is_given_up for wait in ended] == [True, False, False]
    assert [wait.seconds for wait in ended] == pytest.approx([1.0, 60.0, 120.0], abs=3.0)
    assert [result.error for result in ear.of("call ended")] == [
        None,
        "LimitWaitTooLong",
        "Cancelled",
        None,
        None,
    ]


@pytest.mark.looptime
async def test_every_reason_to_wait_is_told() -> None:
    """Each is built once: limit, pause, unknown history, slot, pace and backoff."""

    async def reasons(work: Any, **settings: Any) -> set[WaitReason]:
        ear = _Recorder()
        async with (
            Sandbox(sites=1) as sandbox,
            BestDefense(sandbox.token, sandbox.url, observer=ear, **settings) as bd,
        ):
            await work(sandbox, bd)
        assert len(ear.of("wait began")) == len(ear.of("wait ended"))
        return {reason for reason, _ in ear.waits()}

    async def twice(_: Sandbox, bd: BestDefense) -> None:
        await asyncio.gather(bd.sites.list(), bd.sites.list())

    async def paused(sandbox: Sandbox, bd: BestDefense) -> None:
        sandbox.fault("sites.list", status=429, times=1, headers={"Retry-After": "2"})
        await bd.sites.list()

    async def failing(sandbox: Sandbox, bd: BestDefense) -> None:
        sandbox.fault("sites.list", status=503, times=1)
        await bd.sites.list()

    async def many(sandbox: Sandbox, bd: BestDefense) -> None:
        sandbox.fault("sites.list", delay=1.0)
        await asyncio.gather(*(bd.sites.list() for _ in range(9)))

    hour = {"sites.list": Limit(20, per=3_600.0)}
    assert await reasons(twice, limits={"sites.list": Limit(1, per=9.0)}) >= {WaitReason.LIMIT}
    assert await reasons(paused) == {WaitReason.PAUSE}
    assert WaitReason.HISTORY in await reasons(many, limits=hour)
    assert await reasons(many, max_in_flight=1) == {WaitReason.SLOT}
    assert await reasons(twice, requests_per_second=1.0) == {WaitReason.PACE}
    assert await reasons(failing) == {WaitReason.BACKOFF}


class _Giver(Observer):
    """Gives headers along."""

    def __init__(self, headers: Any) -> None:
        self.headers = headers

    def attempt_began(self, call: CallInfo, attempt: int) -> Mapping[str, str] | None:
        given: Mapping[str, str] | None = self.headers
        return given


@pytest.mark.parametrize("proxied", [False, True], ids=["lean", "session"])
async def test_headers_of_an_observer_travel_and_cannot_change_the_request(
    proxied: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """Those of a trace arrive; line breaks and headers of the request itself do not."""
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    evil = {
        "x-split": "a\r\nX-Injected: 1",
        "x-lone": "a\nb",
        "x-odd\r\nX-Injected": "1",
        "x-umlaut": "\xe4",
        "x-empty": "",
        "x-huge": "a" * 100_000,
        "Content-Length": "5",
        "transfer-encoding": "chunked",
        "HOST": "elsewhere.example",
        "authorization": "Bearer another",
        "Range": "bytes=0-1",
    }
    async with ByteServer([[reply(b'{"success":true,"data":{"sites":[]}}')]]) as server:
        settings: dict[str, Any] = {"proxy": server.url} if proxied else {}
        observers = [_Giver(trace), _Giver(evil)]
        async with BestDefense(TOKEN, server.url, observer=observers, **settings) as bd:
            await bd.sites.list()
    headers = server.requests[0].headers

    assert headers["traceparent"] == trace["traceparent"]
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["host"] != "elsewhere.example"
    assert not set(headers) & {"x-injected", "x-split", "x-lone", "x-umlaut", "x-huge", "range"}
    assert "transfer-encoding" not in headers
    assert headers.get("content-length") is None


@pytest.mark.parametrize("given", [["no mapping"], {"x": 1}, {1: "x"}, 7])
async def test_an_observer_that_gives_nonsense_is_dropped_and_the_call_goes_on(given: Any) -> None:
    """The request is sent without it."""
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, observer=_Giver(given)) as bd,
    ):
        assert len(await bd.sites.list()) == 1


async def test_an_observer_that_raises_is_dropped_after_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also for calls that are under way; the other observers hear everything."""
    told: list[int] = []

    class Broken(Observer):
        def attempt_ended(self, call: CallInfo, attempt: AttemptInfo) -> None:
            told.append(call.id)
            raise ValueError("a bug of the user's")

    ear = _Recorder()
    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, observer=[Broken(), ear]) as bd,
    ):
        await asyncio.gather(*(bd.sites.list() for _ in range(10)))
        await bd.sites.list()

    assert len(told) == 1
    assert len(ear.of("attempt ended")) == 11
    assert [record.getMessage() for record in caplog.records] == [
        "The observer Broken raised ValueError and hears nothing more."
    ]


async def test_a_log_that_raises_ends_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """A filter or handler of the program may have a bug; it is asked once."""
    caplog.set_level(logging.DEBUG, logger="bestdefense_async")
    asked: list[str] = []

    def broken(record: logging.LogRecord) -> bool:
        asked.append(record.getMessage())
        raise ValueError("a bug of the user's")

    log = logging.getLogger("bestdefense_async")
    log.addFilter(broken)
    try:
        async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
            for _ in range(3):
                assert len(await bd.sites.list()) == 1
    finally:
        log.removeFilter(broken)
    assert len(asked) == 1


async def test_an_observer_is_told_in_the_task_of_the_call() -> None:
    """So it finds the trace of whoever called."""
    tasks: list[asyncio.Task[Any] | None] = []

    class InTask(Observer):
        def attempt_began(self, call: CallInfo, attempt: int) -> None:
            tasks.append(asyncio.current_task())

    async with (
        Sandbox(sites=1) as sandbox,
        BestDefense(sandbox.token, sandbox.url, observer=InTask()) as bd,
    ):
        await bd.sites.list()
    assert tasks == [asyncio.current_task()]


def test_nothing_is_made_while_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """Neither an observer, nor a log that takes lines of this level."""
    caplog.set_level(logging.INFO, logger="bestdefense_async")
    request: Request[Any] = Request(ROUTES["sites.list"], "/api/sites", None)
    nobody = Observers((), log=LogObserver, scheme="http", host="h", port=1)
    assert nobody.observe(request, "org-a") is None


async def test_a_log_record_carries_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    """By name, for a log processor, as plain values."""
    caplog.set_level(logging.DEBUG, logger="bestdefense_async")
    async with Sandbox(sites=1) as sandbox, BestDefense(sandbox.token, sandbox.url) as bd:
        await bd.with_token(sandbox.add_token(), name="org-a").sites.list()
    (record,) = [each for each in caplog.records if hasattr(each, "bestdefense")]
    fields = record.__dict__["bestdefense"]

    assert (fields["kind"], fields["operation"], fields["status"]) == ("attempt", "sites.list", 200)
    assert (fields["tenant"], fields["attempt"], fields["error"]) == ("org-a", 1, None)


def test_hooks_that_cannot_keep_up_end_with_their_client() -> None:
    """The queue is full when the client closes; the thread works it off and ends."""
    gate = threading.Event()
    heard: list[RequestEvent] = []

    def slow(event: RequestEvent) -> None:
        gate.wait(10.0)
        heard.append(event)

    observer = HookObserver([slow])
    call = CallInfo(
        id=1, operation="sites.list", template="", method="GET", path="/",
        scheme="http", host="h", port=1, tenant="org-a",
    )  # fmt: skip
    for _ in range(10_100):
        observer.paused(call, 1, 0.0)
    threading.Timer(0.1, gate.set).start()
    thread = next(each for each in threading.enumerate() if each.name == "bestdefense-hooks")
    observer.close()
    thread.join(10.0)

    assert not thread.is_alive()
    assert {event.kind for event in heard} == {EventKind.PAUSE}
    assert len(heard) + observer.dropped == 10_100
