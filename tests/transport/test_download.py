"""Downloads from servers that cut, lie, change their minds, or send something else."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from bestdefense_async import (
    BestDefense,
    BestDefenseError,
    ConfigError,
    InvalidRequest,
    RetryPolicy,
    ServerError,
)
from bestdefense_async.errors import (
    AttemptTimeout,
    DecodeError,
    IntegrityError,
    ProtocolError,
    RedirectRefused,
    ResponseTooLarge,
    Truncated,
)
from bestdefense_async.transport import download
from tests.support.byte_server import (
    FIN,
    RST,
    STALL,
    ByteServer,
    Drip,
    Flood,
    Pause,
    Step,
    chunked,
    head,
    reply,
)
from tests.support.downloads import (
    ALL,
    CONTENT,
    FILE,
    HALF,
    OTHER,
    TAG,
    asked,
    left_in,
    rest,
    serving,
    unknown,
    whole,
)
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
async def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path, end: Step) -> None:
    """The second request asks for the rest, on condition that the file is still the same."""
    begun = whole(cut=HALF)[0]
    async with serving([begun, Pause(0.05), end], rest(HALF)) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, f"bytes={HALF}-"]
        assert server.requests[1].headers["if-range"] == TAG


async def test_progress_resets_patience(tmp_path: Path) -> None:
    """With two attempts in a row allowed, three cuts that each brought something are no failure."""
    step = len(CONTENT) // 4
    answers = [whole(cut=step), *(rest(step * n, cut=step) for n in (1, 2)), rest(step * 3)]
    once_more = RetryPolicy(base=0.001, attempts=2)
    async with serving(*answers, retry=once_more) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert asked(server)[1:] == [f"bytes={step * n}-" for n in (1, 2, 3)]


async def test_cuts_that_bring_nothing_use_patience_up(tmp_path: Path) -> None:
    """Three attempts are three, and nothing is left of them."""
    async with serving(whole(cut=100), rest(100, cut=1), rest(101, cut=1)) as (bd, server):
        with pytest.raises(Truncated):
            await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [None, "bytes=100-", "bytes=101-"]
        assert left_in(tmp_path) == {}


async def test_a_download_never_takes_more_requests_than_an_hour_has(tmp_path: Path) -> None:
    """A server that cuts after every 64 KiB is asked 20 times."""
    content = bytes(40 << 16)
    step = 1 << 16
    answers = [whole(content, cut=step)]
    answers += [rest(step * n, content=content, cut=step) for n in range(1, 40)]
    async with serving(*answers, limits={"agents.download": ()}) as (bd, server):
        with pytest.raises(Truncated):
            await bd.agents.download(unknown(size=len(content)), tmp_path)
        assert len(server.requests) == 20


async def test_a_server_that_ignores_the_range_is_taken_from_the_start(tmp_path: Path) -> None:
    """A 200 is the whole file, not more of it."""
    async with serving(whole(cut=HALF), whole()) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL


async def test_a_file_that_changed_is_taken_from_the_start(tmp_path: Path) -> None:
    """If-Range makes the server send the new one whole, under its new ETag."""
    second = '"second"'
    answers = (whole(OTHER, cut=HALF), whole(etag=second, cut=HALF), rest(HALF, etag=second))
    async with serving(*answers) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert server.requests[2].headers["if-range"] == second


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(rest(HALF, says=""), id="does not say which"),
        pytest.param(rest(HALF, says="bytes 0-1/x"), id="says nonsense"),
        pytest.param(rest(HALF - 1), id="begins too early"),
        pytest.param(rest(HALF + 1), id="begins too late"),
        pytest.param(rest(HALF, content=CONTENT + b"more"), id="of a longer file"),
        pytest.param(rest(HALF, etag='"second"'), id="of another version"),
        pytest.param(
            rest(HALF, says=f"bytes {HALF}-{HALF + 9}/{len(CONTENT)}"), id="longer than it says"
        ),
        pytest.param(
            [reply(status=416, headers=[f"Content-Range: bytes */{HALF - 1}"])], id="there is none"
        ),
        pytest.param(rest(HALF, content=CONTENT[:HALF] + OTHER[HALF:]), id="wrong bytes"),
    ],
)
async def test_a_wrong_part_is_refused_and_the_whole_asked_for(
    tmp_path: Path, part: list[Step]
) -> None:
    """Not a byte of it is kept."""
    async with serving(whole(cut=HALF), part, whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, f"bytes={HALF}-", None]


async def test_a_part_of_a_shorter_file_is_refused_also_without_digest_and_size(
    tmp_path: Path,
) -> None:
    """The first answer said how long the file is."""
    async with serving(whole(cut=HALF), rest(HALF, content=CONTENT[:-1]), whole()) as (bd, server):
        await bd.agents.download(unknown(sha256=None), tmp_path, allow_unverified=True)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, f"bytes={HALF}-", None]


async def test_a_wrong_answer_is_asked_for_once_more_and_not_for_ever(tmp_path: Path) -> None:
    """However often the download came on in between."""
    answers = (whole(OTHER, cut=HALF), rest(HALF, content=OTHER), whole(OTHER))
    async with serving(*answers) as (bd, server):
        with pytest.raises(IntegrityError, match="SHA-256"):
            await bd.agents.download(FILE, tmp_path)
        assert len(server.requests) == 3
        assert left_in(tmp_path) == {}


async def test_a_part_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    """Also when it claims to be all there is."""
    async with serving(rest(0)) as (bd, server):
        with pytest.raises(IntegrityError, match="whole was asked for"):
            await bd.agents.download(FILE, tmp_path)
        assert len(server.requests) == 2


async def test_a_part_shorter_than_asked_for_is_taken_and_more_asked_for(tmp_path: Path) -> None:
    """A server may send less than was asked for, as long as it says so."""
    step = 3 * HALF // 2
    some = reply(
        CONTENT[HALF:step],
        status=206,
        headers=[f"Content-Range: bytes {HALF}-{step - 1}/{len(CONTENT)}"],
    )
    async with serving(whole(cut=HALF), [some], rest(step)) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, f"bytes={HALF}-", f"bytes={step}-"]


async def test_a_416_about_a_complete_file_is_success(tmp_path: Path) -> None:
    """Everything had come but the word that it was everything; the digest says it was."""
    cut = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", f"ETag: {TAG}") + chunked(CONTENT)
    beyond = reply(status=416, headers=[f"Content-Range: bytes */{len(CONTENT)}"])
    async with serving([cut, FIN], [beyond]) as (bd, server):
        await bd.agents.download(unknown(), tmp_path)
        assert left_in(tmp_path) == ALL
        assert len(server.requests) == 2


async def test_a_weak_etag_is_no_condition_but_the_digest_is(tmp_path: Path) -> None:
    """`W/` means "much the same", which is not enough to put two halves together."""
    async with serving(whole(etag=f"W/{TAG}", cut=HALF), rest(HALF)) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert left_in(tmp_path) == ALL
        assert "if-range" not in server.requests[1].headers


async def test_without_digest_and_etag_a_cut_download_begins_anew(tmp_path: Path) -> None:
    """Nobody could tell whether the halves belong together."""
    file = unknown(sha256=None)
    async with serving(whole(etag="none", cut=HALF), whole()) as (bd, server):
        await bd.agents.download(file, tmp_path, allow_unverified=True)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, None]


async def test_without_digest_an_etag_lets_a_download_go_on(tmp_path: Path) -> None:
    """The server answers for it."""
    async with serving(whole(cut=HALF), rest(HALF)) as (bd, server):
        await bd.agents.download(unknown(sha256=None), tmp_path, allow_unverified=True)
        assert left_in(tmp_path) == ALL
        assert asked(server) == [None, f"bytes={HALF}-"]


@pytest.mark.parametrize(
    ("answer", "kind", "words", "requests"),
    [
        pytest.param(
            [reply(b"<html>", headers=["Content-Type: text/html; charset=utf-8"])],
            *(IntegrityError, "web page", 1),
            id="a web page",
        ),
        pytest.param(
            [
                reply(
                    b'{"success": false, "message": "No agent for you.", "error": null}',
                    headers=["Content-Type: application/json"],
                )
            ],
            *(BestDefenseError, "No agent for you", 1),
            id="an envelope that says no",
        ),
        pytest.param(
            [
                reply(
                    b'{"success": true, "data": {}, "error": null}',
                    headers=["Content-Type: application/json"],
                )
            ],
            *(ProtocolError, "is not the file", 1),
            id="an envelope that says yes",
        ),
        pytest.param([reply(b"{}", status=422)], InvalidRequest, "422", 1, id="a refusal"),
        pytest.param([reply(b"")], IntegrityError, "empty", 2, id="nothing"),
        pytest.param([head("HTTP/1.1 204 No")], IntegrityError, "empty", 2, id="no content"),
        pytest.param([reply(CONTENT[1:])], IntegrityError, "instead of", 2, id="too short"),
        pytest.param(
            [reply(CONTENT + b"!")], ResponseTooLarge, "announced", 1, id="announced as too long"
        ),
        pytest.param(
            [head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), Flood(chunked(bytes(65536)))],
            *(ResponseTooLarge, "larger", 1),
            id="without end",
        ),
        pytest.param(
            [head("HTTP/1.1 200 OK", "Connection: close") + CONTENT, FIN],
            *(ProtocolError, "how long", 1),
            id="without length",
        ),
        pytest.param(
            [head("HTTP/1.0 200 OK") + CONTENT, FIN],
            *(ProtocolError, "how long", 1),
            id="HTTP/1.0 without length",
        ),
        pytest.param(
            [reply(CONTENT, headers=["Content-Encoding: gzip"])],
            *(DecodeError, "unasked", 1),
            id="in a coding",
        ),
    ],
)
async def test_what_is_not_the_file_is_never_stored(
    tmp_path: Path, answer: list[Step], kind: type[Exception], words: str, requests: int
) -> None:
    """A clear error, the old file untouched, and nothing beside it."""
    (tmp_path / FILE.filename).write_text("old")
    async with serving(answer) as (bd, server):
        with pytest.raises(kind, match=words):
            await bd.agents.download(FILE, tmp_path, keep_part=True)
        assert len(server.requests) == requests
    assert left_in(tmp_path) == {FILE.filename: b"old"}


async def test_http_1_0_with_a_length_is_fine(tmp_path: Path) -> None:
    """What matters is that the end can be told from a cut."""
    answer = head("HTTP/1.0 200 OK", f"Content-Length: {len(CONTENT)}") + CONTENT
    async with serving([answer, FIN]) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_a_file_under_a_wrong_type_is_still_the_file(tmp_path: Path, kind: str) -> None:
    """Of the right size, its digest decides."""
    async with serving([reply(CONTENT, headers=[f"Content-Type: {kind}"])]) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "%00", ".bashrc", "-rf", "CON", "\u202etxt.exe", "x" * 5000, "C:\\\\evil"],
)
async def test_the_name_that_the_server_suggests_is_not_looked_at(
    tmp_path: Path, name: str
) -> None:
    """The file has the manifest's name."""
    header = f'Content-Disposition: attachment; filename="{name}"'.encode().decode("latin-1")
    async with serving([reply(CONTENT, headers=[header])]) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL


async def test_identity_is_asked_for(tmp_path: Path) -> None:
    """Nothing to decode, nothing to guess."""
    async with serving(whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_server_that_drips_does_not_keep_us(tmp_path: Path) -> None:
    """64 KiB must come within the timeout; a byte now and then is no life sign."""
    drip: list[Step] = [reply(b"", length=len(CONTENT)), Drip(b"x", 0.01, is_endless=True)]
    once = RetryPolicy(attempts=1)
    async with serving(drip, timeout=0.2, retry=once) as (bd, _):
        with pytest.raises(AttemptTimeout):
            await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == {}


async def test_the_timeout_of_the_call_bounds_the_body_too(tmp_path: Path) -> None:
    """However steadily it comes."""
    flood: list[Step] = [
        head("HTTP/1.1 200 OK", "Content-Length: 2000000000"),
        Flood(bytes(1 << 16)),
    ]
    file = unknown(size=2_000_000_000)
    async with serving(flood) as (bd, _):
        with pytest.raises(AttemptTimeout):
            await bd.agents.download(file, tmp_path, timeout=0.3)
    assert left_in(tmp_path) == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused(tmp_path: Path, status: int) -> None:
    """Nobody is asked for the file but the API, so the token stays home."""
    async with ByteServer() as elsewhere:
        answer = reply(status=status, headers=[f"Location: {elsewhere.url}/agent.bin"])
        async with serving([answer]) as (bd, _):
            with pytest.raises(RedirectRefused):
                await bd.agents.download(FILE, tmp_path)
        assert elsewhere.requests == []
    assert left_in(tmp_path) == {}


async def test_the_url_of_the_manifest_is_not_looked_at(tmp_path: Path) -> None:
    """The file comes from where the API stands, whatever the manifest says."""
    async with ByteServer() as elsewhere, serving(whole()) as (bd, server):
        await bd.agents.download(unknown(url=f"{elsewhere.url}/agent.bin"), tmp_path)
        assert elsewhere.requests == []
        assert server.requests[0].target == "/api/agents/download/agent.bin"


@pytest.mark.parametrize("keep", [False, True])
async def test_a_cancelled_download_frees_its_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, keep: bool
) -> None:
    """What came is left for the next call only if that was asked for."""
    monkeypatch.setattr(download, "BATCH", HALF)  # so that the half is on the disk at once
    answers = ([whole(cut=HALF)[0], STALL], rest(HALF) if keep else whole())
    async with serving(*answers, max_in_flight=1) as (bd, server):
        task = asyncio.create_task(bd.agents.download(FILE, tmp_path, keep_part=keep))
        await until(lambda: any(len(content) == HALF for content in left_in(tmp_path).values()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(left_in(tmp_path)) == (
            {"agent.bin.part", "agent.bin.part.json"} if keep else set()
        )
        await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [None, f"bytes={HALF}-" if keep else None]
    assert left_in(tmp_path) == ALL


async def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    """From nothing to everything, never backwards without reason."""
    told: list[tuple[int, int | None]] = []
    async with serving(whole(cut=HALF), rest(HALF)) as (bd, _):
        await bd.agents.download(
            FILE, tmp_path, on_progress=lambda done, total: told.append((done, total))
        )
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture
async def elsewhere(authority: trustme.CA) -> AsyncIterator[ByteServer]:
    """Serve the rest of the file over https, as a CDN would."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with ByteServer([rest(HALF)], tls=context, host="localhost") as server:
        yield server


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client needs to trust `authority`."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def moved(url: str, status: int = 302) -> list[Step]:
    """Return a redirect."""
    return [reply(status=status, headers=[f"Location: {url}", "Set-Cookie: a=b; Path=/"])]


async def test_a_redirect_is_followed_to_a_host_that_was_named(
    tmp_path: Path, authority: trustme.CA, elsewhere: ByteServer
) -> None:
    """Over https, with the range, and without token and cookies; the rest is checked as ever."""
    options = {
        "download_hosts": [f"LOCALHOST:{elsewhere.port}"],
        "ssl_context": trusting(authority),
    }
    async with serving(whole(cut=HALF), moved(f"{elsewhere.url}/x?sig=1#y"), **options) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL
    (request,) = elsewhere.requests
    assert request.target == "/x?sig=1"
    assert request.headers["range"] == f"bytes={HALF}-"
    assert {"authorization", "cookie"}.isdisjoint(request.headers)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/x",
        "https://127.0.0.1:{port}/x",
        "https://localhost:{port}@evil.invalid/x",
        "https://evil@localhost:{port}/x",
        "https://localhost/x",
        "//localhost:{port}/x",
        "/x",
        "file:///etc/passwd",
        "https://[",
    ],
)
async def test_a_redirect_to_anywhere_else_is_refused(
    tmp_path: Path, authority: trustme.CA, elsewhere: ByteServer, url: str
) -> None:
    """Another scheme, host or port, a user name, or nothing that is a place."""
    options = {
        "download_hosts": [f"localhost:{elsewhere.port}"],
        "ssl_context": trusting(authority),
    }
    async with serving(moved(url.format(port=elsewhere.port)), **options) as (bd, server):
        with pytest.raises(ProtocolError):
            await bd.agents.download(FILE, tmp_path)
        assert len(server.requests) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        ([reply(b"<Error>expired</Error>", status=403)], ProtocolError, 1),
        ([reply(b"", status=503)], ServerError, 3),
        (None, ProtocolError, 1),
    ],
    ids=["a refusal", "a failure", "a loop"],
)
async def test_what_goes_wrong_elsewhere_is_not_the_tokens_fault(
    tmp_path: Path,
    authority: trustme.CA,
    elsewhere: ByteServer,
    answer: list[Step] | None,
    kind: type[Exception],
    requests: int,
) -> None:
    """A 403 of a CDN says nothing about our permissions; a loop ends."""
    elsewhere.script = [moved(f"{elsewhere.url}/x") if answer is None else answer]
    options = {
        "download_hosts": [f"localhost:{elsewhere.port}"],
        "ssl_context": trusting(authority),
    }
    async with serving(moved(f"{elsewhere.url}/x"), **options) as (bd, server):
        with pytest.raises(kind):
            await bd.agents.download(FILE, tmp_path)
        assert len(server.requests) == requests
    assert left_in(tmp_path) == {}


@pytest.mark.parametrize("hosts", ["cdn.example.com", ["https://cdn.example.com"], ["a/b"], [""]])
def test_what_is_no_list_of_hosts_is_refused(hosts: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError):
        BestDefense("bd_sandbox_x", "http://127.0.0.1:9", download_hosts=hosts)
