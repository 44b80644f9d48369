"""The sandbox outlives whatever is sent to it, and tells nobody's secrets."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest

from bestdefense_async.sandbox import Sandbox
from tests.support.sandbox_api import SECURITY, Api, api_on, bare_connection, send_bytes
from tests.support.waiting import until

REAL = "live_5c0b9a1d7f2e48d3b6a0_a_real_looking_token"


def malformed() -> Iterator[tuple[str, bytes]]:
    """Yield things that are not a request, by name."""
    head = b"GET /api/sites HTTP/1.1\r\nHost: localhost\r\n"
    post = b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\n"
    yield "two lengths", post + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    yield "a length that is no number", post + b"Content-Length: -1\r\n\r\n"
    yield "a NUL in a header", head + b"X: a\0b\r\n\r\n"
    token = b"Authorization: Bearer " + REAL.encode()
    yield "a NUL in a token", head + token + b"\0\r\n\r\n"
    yield "a token that is no header", head + REAL.encode() + b"\r\n\r\n"
    yield "a token for a request line", REAL.encode() + b" / HTTP/1.1\r\n\r\n"
    yield "a header without colon", head + b"nonsense\r\n\r\n"
    yield "a 10 kB header", head + b"X: " + b"a" * 10_000 + b"\r\n\r\n"
    yield "40,000 headers", head + b"X: a\r\n" * 40_000 + b"\r\n"
    yield "a 10 kB path", b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield "a TLS hello", bytes.fromhex("16030100f1010000ed0303") + bytes(200)
    yield "an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "no HTTP at all", b"hello\r\n\r\n"
    yield (
        "length and chunks",
        (post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    )


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in malformed()])
async def test_a_malformed_request_is_refused_and_the_next_one_served(
    api: Api, bd_sandbox: Sandbox, raw: bytes
) -> None:
    """The answer is a 400 in the envelope, or the end of the connection; the server lives."""
    answer = await send_bytes(
        bd_sandbox, raw.replace(b"Host: x", b"Host: localhost\r\nX-T: " + REAL.encode())
    )

    assert not answer or answer.split(b" ")[1] == b"400", answer[:200]
    assert REAL.encode() not in answer
    assert not answer or b'"success":false' in answer
    assert (await api.get("/api/sites")).status == 200


@pytest.mark.parametrize(
    "key",
    [
        "..%2f..%2fboom",
        "%2e%2e",
        "a%2fb",
        "a%00b",
        "a\\b",
        "a" * 129,
        "%E2%80%AEx",
        "a;b",
        "a:b",
    ],
)
async def test_what_cannot_be_an_id_finds_nothing(bd_sandbox: Sandbox, key: str) -> None:
    """Ids are taken as they came: an encoded slash or dot is never decoded into one."""
    token = bd_sandbox.token.encode()
    lines = b"Host: localhost\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"

    answer = await send_bytes(
        bd_sandbox, b"GET /api/report/" + key.encode() + b"/progress HTTP/1.1\r\n" + lines
    )

    assert answer.split(b" ")[1] in {b"400", b"404"}, answer[:100]
    # No route matches, so no handler ever sees it.
    assert b"text/html" in answer or b"malformed" in answer


async def test_dots_are_segments_and_not_a_way_up(bd_sandbox: Sandbox) -> None:
    """`..` in a path is refused instead of being resolved."""
    answer = await send_bytes(
        bd_sandbox,
        b"GET /api/report/../sites HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_another_web_page_is_refused(api: Api, bd_sandbox: Sandbox, origin: str) -> None:
    """A browser's Origin is refused before anything happens, and no CORS header is sent."""
    site = bd_sandbox.site_ids[0]
    headers = {"Origin": origin}
    path = f"/api/report/create/for-target/{site}"

    created = await api.post(path, SECURITY, headers=headers)
    preflight = await api.call("OPTIONS", path, headers=headers, token="")

    for answer in (created, preflight):
        assert answer.status == 403
        assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert bd_sandbox.scans_per_site() == {}


async def test_its_own_page_may_call_it(api: Api, bd_sandbox: Sandbox) -> None:
    """The documentation page is served from the same origin."""
    assert (await api.get("/api/sites", headers={"Origin": bd_sandbox.url})).status == 200


async def test_a_real_token_is_not_kept_told_or_logged(
    api: Api, bd_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody may send one by mistake: in the header, the query, the body or the path."""
    caplog.set_level(logging.DEBUG)
    answers = [
        await api.get("/api/sites", token=REAL),
        await api.get(f"/api/sites?token={REAL}"),
        await api.get(f"/api/report/{REAL}/progress"),
        await api.get(f"/{REAL}"),
        await api.post(
            "/api/schedules", {"siteId": REAL, "types": ["dns"], "cadence": "daily", REAL: REAL}
        ),
        await api.post("/api/schedules", raw=b'{"' + REAL.encode()),
        await api.call("DELETE", f"/api/sites?{REAL}"),
    ]

    assert [answer.status for answer in answers] == [401, 200, 404, 404, 404, 400, 405]
    shown = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    assert REAL.encode() not in shown
    assert REAL not in repr(bd_sandbox.ledger)
    assert REAL not in caplog.text
    assert all(row.token is None for row in bd_sandbox.ledger[:1])
    as_header, as_parameter, *_ = bd_sandbox.requests()
    assert as_header.headers["authorization"] == "Bearer ***"
    assert as_parameter.query == "token=***"


async def test_a_bug_of_the_sandbox_answers_500_without_a_traceback(
    api: Api, bd_sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log names the operation and the kind of error, and quotes nothing."""

    def broken(*_: object) -> None:
        raise KeyError(REAL)

    monkeypatch.setattr("bestdefense_async.sandbox.world.fleet.Fleet.listing", broken)

    answer = await api.get("/api/sites")

    assert answer.status == 500
    assert answer.json["success"] is False
    assert b"Traceback" not in answer.body
    assert "sites.list failed with KeyError" in caplog.text
    assert REAL not in caplog.text + answer.body.decode()


@pytest.mark.bd_sandbox(read_deadline=0.6)
async def test_slow_senders_are_closed_by_our_own_deadline(api: Api, bd_sandbox: Sandbox) -> None:
    """200 half heads and 50 half bodies end; a client between two requests does not."""
    half_head = b"GET /api/sites HTTP/1.1\r\nHost: localhost\r\nX-Half: "
    half_body = (
        b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + bd_sandbox.token.encode() + b"\r\nContent-Length: 10\r\n\r\n{"
    )
    await api.get("/api/sites")
    connections = len(bd_sandbox._listener.connections)  # type: ignore[union-attr] # noqa: SLF001

    heads = [send_bytes(bd_sandbox, half_head, timeout=5) for _ in range(200)]
    bodies = [send_bytes(bd_sandbox, half_body, timeout=5) for _ in range(50)]
    ended = await asyncio.gather(*heads, *bodies)

    assert ended[:200] == [b""] * 200
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in ended[200:])
    assert len(bd_sandbox._listener.connections) == connections  # type: ignore[union-attr] # noqa: SLF001
    assert (await api.get("/api/sites")).status == 200


async def test_many_idle_connections_do_not_stop_it(api: Api, bd_sandbox: Sandbox) -> None:
    """With 400 connections that say nothing, it still answers."""
    host, port = bd_sandbox.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(400)]
    try:
        assert (await api.get("/api/sites")).status == 200
    finally:
        for each in idle:
            each.close()


async def test_a_client_that_vanishes_leaves_a_whole_scan(bd_sandbox: Sandbox) -> None:
    """Its creation either happened or did not: here it did, and can be followed."""
    site = bd_sandbox.site_ids[0]
    bd_sandbox.fault("reports.create", delay=0.3, times=1)
    async with api_on(bd_sandbox) as api:
        creating = asyncio.ensure_future(api.create(site))
        await until(lambda: bd_sandbox.count("reports.create") == 1)
        creating.cancel()
        await asyncio.gather(creating, return_exceptions=True)
        assert creating.cancelled()
        await until(lambda: bool(bd_sandbox.scans_per_site()))
        [report] = (await api.get("/api/reports")).data["reports"]

        assert report["siteId"] == site
        assert (await api.get(f"/api/report/{report['id']}/progress")).status == 200
    assert bd_sandbox.scans_per_site() == {site: 1}


async def test_stopping_does_not_wait_for_what_hangs() -> None:
    """Answers that hang, are delayed or half read end with the sandbox."""
    loop = asyncio.get_running_loop()
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("sites.list", kind="hang")
        sandbox.fault("reports.list", delay=3600.0)
        async with api_on(sandbox) as api, bare_connection(sandbox) as (_, writer):
            calls = [asyncio.create_task(api.get(path)) for path in ("/api/sites", "/api/reports")]
            writer.write(
                b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"
            )
            while len(sandbox.ledger) < 3:  # noqa: ASYNC110 - a count has no event
                await asyncio.sleep(0.01)
            begun = loop.time()
            await sandbox.__aexit__(None, None, None)
            took = loop.time() - begun
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    assert took < 3.0


async def test_clients_that_arrive_while_it_stops_make_no_noise() -> None:
    """A connection being accepted at that moment is closed like the others."""
    for delay in range(6):
        async with Sandbox(sites=1) as sandbox:
            host, port = sandbox.url.removeprefix("http://").split(":")
            late = []
            for _ in range(5):
                peer = socket.socket()
                peer.setblocking(False)  # noqa: FBT003 - the socket's own signature
                peer.connect_ex((host, int(port)))
                late.append(peer)
            for _ in range(delay):
                await asyncio.sleep(0)
        for peer in late:
            peer.close()


async def test_a_full_sandbox_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: beyond its capacity a creation fails in the envelope."""
    await api.create()
    monkeypatch.setattr("bestdefense_async.sandbox.world.scans.CAPACITY", 1)
    monkeypatch.setattr("bestdefense_async.sandbox.world.records.MOST_RECORDS", 0)
    site = api.sandbox.site_ids[1]

    scan = await api.post(f"/api/report/create/for-target/{site}", SECURITY)
    schedule = await api.post(
        "/api/schedules", {"siteId": site, "types": ["dns"], "cadence": "daily"}
    )

    for answer in (scan, schedule):
        assert answer.status == 503
        assert answer.json["success"] is False
    assert site not in api.sandbox.scans_per_site()


@pytest.mark.slow(timeout=300)
@pytest.mark.bd_sandbox(sites=2)
async def test_a_hundred_thousand_scans_stay_small_and_pages_stand_still(
    bd_sandbox: Sandbox,
) -> None:
    """Pages of the list do not shift when new reports arrive, and memory grows by the scan."""
    import tracemalloc

    from bestdefense_async.sandbox.world.scans import ScanOptions

    world = bd_sandbox._open  # noqa: SLF001 - a hundred thousand requests would take a minute
    site = world.fleet.by_id[bd_sandbox.site_ids[0]]
    tracemalloc.start()
    try:
        for _ in range(20_000):
            world.scans.create(site, ScanOptions.of(SECURITY["options"]), now=0.0, visible=0.0)
        each = tracemalloc.get_traced_memory()[0] / 20_000
    finally:
        tracemalloc.stop()
    for _ in range(80_000):
        world.scans.create(site, ScanOptions.of(SECURITY["options"]), now=0.0, visible=0.0)

    async with api_on(bd_sandbox) as api:
        first = (await api.get("/api/reports?limit=500")).data["reports"]
        path = f"/api/reports?limit=500&after={first[-1]['id']}"
        second = (await api.get(path)).data["reports"]
        await api.create(bd_sandbox.site_ids[1])
        again = (await api.get(path)).data["reports"]

    assert each < 700
    assert second == again
    assert not {row["id"] for row in first} & {row["id"] for row in second}
    assert len(first) == len(second) == 500
