"""Whole answers: redirects, statuses, codings and sizes."""

import asyncio
import gzip
import os
import tracemalloc
import zlib

import pytest

from bestdefense_async.errors import (
    ConfigError,
    DecodeError,
    ProtocolError,
    RedirectRefused,
    ResponseTooLarge,
    Sent,
    Truncated,
)
from bestdefense_async.transport.http.body import Gunzip
from bestdefense_async.transport.http.stream import CHUNK
from tests.support.byte_server import (
    FIN,
    RST,
    STALL,
    ByteServer,
    Flood,
    Pause,
    Step,
    chunked,
    head,
    reply,
)
from tests.support.wires import refusal, send, stream, wire_to

GZIP = ["Content-Encoding: gzip"]
JSON = b'{"success": true, "data": [1, 2, 3]}' * 50
ONE_READ = 1 << 18
"""Bytes that a loop reads at a time."""
PACKED = gzip.compress(JSON)
OK_CHUNKED = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_redirect_is_refused_and_nothing_leaves(status: int, method: str) -> None:
    """Neither token nor body travel to where the answer points."""
    async with ByteServer() as target:
        answer = reply(status=status, headers=[f"Location: {target.url}/elsewhere?a=secret"])
        async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
            error = await refusal(wire, method, body=b"{}" if method == "POST" else None)

    assert type(error) is RedirectRefused
    assert f"127.0.0.1:{target.port}" in str(error)
    assert "secret" not in str(error)
    assert target.connections == 0
    assert len(server.requests) == 1


async def test_a_redirect_on_the_same_host_is_refused_too() -> None:
    """A relative Location, or a loop, is one refused answer and one request."""
    async with (
        ByteServer([[reply(status=302, headers=["Location: /api/sites"])]]) as server,
        wire_to(server.url) as wire,
    ):
        error = await refusal(wire)

    assert type(error) is RedirectRefused
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Location: "],
        ["Location: file:///etc/passwd"],
        ["Location: http://[::1"],
        ["Location: http://host:99999/"],
        ["Location: javascript:alert(1)"],
    ],
)
async def test_a_redirect_to_nowhere_is_no_success(headers: list[str]) -> None:
    """A 3xx without a usable Location is a ProtocolError."""
    async with (
        ByteServer([[reply(status=302, headers=headers)]]) as server,
        wire_to(server.url) as wire,
    ):
        error = await refusal(wire)

    assert type(error) is ProtocolError


@pytest.mark.parametrize(
    "status", [200, 201, 299, 400, 408, 418, 421, 425, 429, 431, 451, 500, 599]
)
async def test_a_status_of_http_is_a_reply(status: int) -> None:
    """What a status means is decided above the wire; headers come in lower case.

    The first of several values counts, but all that ask to wait are kept.
    """
    several = ["X-A: 5", "x-a: 9", "Retry-After: 5", "retry-after: 9"]
    answer = reply(status=status, headers=several)
    seen: list[tuple[int, object]] = []
    async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
        got = await send(wire, seen=seen)  # type: ignore[arg-type]

    assert (got.status, got.body, got.is_cut) == (status, b"{}", False)
    assert (got.headers["x-a"], got.headers["retry-after"]) == ("5", "5, 9")
    assert seen == [(status, got.headers)]


@pytest.mark.parametrize("status", [600, 999, 304, 300])
async def test_a_status_that_cannot_be_here_is_a_protocol_error(status: int) -> None:
    """A status beyond HTTP, or an answer to a question that was not asked."""
    async with ByteServer([[reply(status=status)]]) as server, wire_to(server.url) as wire:
        error = await refusal(wire)

    assert type(error) is ProtocolError


async def test_a_204_has_no_body_and_the_connection_goes_on() -> None:
    """No content is no error, even when a coding is announced for it."""
    answer = head("HTTP/1.1 204 No Content", "Content-Encoding: gzip")
    async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
        bodies = [(await send(wire, "DELETE")).body for _ in range(2)]

    assert bodies == [b"", b""]
    assert server.connections == 1


async def test_headers_with_bytes_of_no_encoding_do_no_harm() -> None:
    """A header that is not UTF-8 and a reason of 8,000 characters are carried, not judged."""
    answer = b"HTTP/1.1 200 " + b"r" * 8000 + b"\r\nX-Odd: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}"
    async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
        got = await send(wire)

    assert got.body == b"{}"
    assert "x-odd" in got.headers


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([reply(PACKED, headers=GZIP)], id="with its length"),
        pytest.param([reply(PACKED, headers=["Content-Encoding: GZip"])], id="in other letters"),
        pytest.param(
            [
                head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *GZIP)
                + chunked(*[PACKED[n : n + 7] for n in range(0, len(PACKED), 7)])
                + b"0\r\n\r\n"
            ],
            id="in small chunks",
        ),
        pytest.param(
            [head("HTTP/1.1 200 OK", *GZIP) + PACKED, FIN], id="until the connection ends"
        ),
        pytest.param([reply(JSON, headers=["Content-Encoding: identity"])], id="plain after all"),
    ],
)
async def test_gzip_is_decoded(steps: list[Step]) -> None:
    """We ask for gzip and decode one layer of it."""
    async with ByteServer([steps]) as server, wire_to(server.url) as wire:
        got = await send(wire)

    assert got.body == JSON
    assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("body", "coding", "kind"),
    [
        pytest.param(PACKED[: len(PACKED) // 2], "gzip", Truncated, id="cut in half"),
        pytest.param(PACKED[:-1], "gzip", Truncated, id="without its last byte"),
        pytest.param(PACKED[:-8], "gzip", Truncated, id="without its checksum"),
        pytest.param(b"", "gzip", Truncated, id="empty"),
        pytest.param(PACKED[:-8] + b"\0" * 8, "gzip", DecodeError, id="with a bad checksum"),
        pytest.param(PACKED + b"x", "gzip", DecodeError, id="followed by something"),
        pytest.param(PACKED + PACKED, "gzip", DecodeError, id="twice in a row"),
        pytest.param(JSON, "gzip", DecodeError, id="not gzip at all"),
        pytest.param(zlib.compress(JSON), "gzip", DecodeError, id="zlib under the name of gzip"),
        pytest.param(b"\x8b\x00garbage", "br", DecodeError, id="brotli"),
        pytest.param(gzip.compress(PACKED), "gzip, gzip", DecodeError, id="two layers"),
        pytest.param(PACKED, "gzip\r\nContent-Encoding: gzip", DecodeError, id="two headers"),
        pytest.param(JSON, "zstd", DecodeError, id="zstd"),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(
    body: bytes, coding: str, kind: type[Exception]
) -> None:
    """Half a gzip stream, a damaged one, or a coding nobody asked for is never delivered."""
    answer = reply(body, headers=[f"Content-Encoding: {coding}"])
    async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
        error = await refusal(wire)

    assert type(error) is kind
    assert error.sent is Sent.YES
    assert error.__context__ is None


def bomb(megabytes: int) -> bytes:
    """Return a gzip stream of zeros, made of a repeated piece so that the test stays fast."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece + more * (megabytes - 1)


async def test_a_gzip_bomb_is_refused_before_it_goes_off() -> None:
    """Ten megabytes that inflate to ten gigabytes cost less than 64 MB of memory."""
    answer = reply(bomb(10_000), headers=GZIP)
    async with ByteServer([[answer]]) as server, wire_to(server.url) as wire:
        tracemalloc.start()
        try:
            error = await refusal(wire, timeout=10.0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert type(error) is ResponseTooLarge
    assert peak < 64_000_000


@pytest.mark.parametrize("status", [400, 429, 502])
async def test_a_bomb_on_a_refusal_leaves_the_refusal(status: int) -> None:
    """The status counts; of the body at most the cap is kept."""
    async with (
        ByteServer([[reply(bomb(300), status=status, headers=GZIP)]]) as server,
        wire_to(server.url) as wire,
    ):
        got = await send(wire)

    assert got.status == status
    assert got.is_cut
    assert len(got.body) == 64 * 1024


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([reply(b"x" * 2_000, length=10**12), STALL], id="announced"),
        pytest.param([OK_CHUNKED, Flood(chunked(b"x" * 9_000))], id="endless chunks"),
        pytest.param(
            [head("HTTP/1.1 200 OK"), Flood(b"x" * 9_000)], id="until the connection ends"
        ),
        pytest.param([reply(gzip.compress(os.urandom(60_000)), headers=GZIP)], id="when decoded"),
    ],
)
async def test_a_body_above_the_cap_is_refused(steps: list[Step]) -> None:
    """Reading stops at the cap, and the next request is none the worse for it."""
    async with (
        ByteServer([steps, [reply()]]) as server,
        wire_to(server.url, max_wire_bytes=70_000, max_body_bytes=50_000) as wire,
    ):
        error = await refusal(wire)
        await send(wire)

    assert type(error) is ResponseTooLarge


@pytest.mark.parametrize(
    ("steps", "begins"),
    [
        pytest.param([reply(b"<html>" * 5_000_000, status=502)], b"<html><html>", id="30 MB"),
        pytest.param([reply(b"half", status=502, length=50), FIN], b"half", id="cut"),
        pytest.param(
            [reply(b"half", status=502, length=50), Pause(0.02), RST], b"half", id="reset"
        ),
        pytest.param([reply(b"plain", status=502, headers=GZIP)], b"", id="wrong coding"),
        pytest.param([reply(b"plain", status=502, headers=["Content-Encoding: br"])], b"", id="br"),
    ],
)
async def test_a_refusal_is_heard_whatever_its_body_is(steps: list[Step], begins: bytes) -> None:
    """A broken or huge body of a refusal is cut, never an error of its own."""
    async with ByteServer([steps]) as server, wire_to(server.url) as wire:
        got = await send(wire)

    assert got.status == 502
    assert got.is_cut
    assert len(got.body) <= 64 * 1024
    assert got.body.startswith(begins)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_gunzip_gives_back_what_was_packed(size: int) -> None:
    """Sizes around the step at which inflation pauses, whole and byte by byte."""
    data = bytes(size // 2) + os.urandom(16) + bytes(size - size // 2)
    packed = gzip.compress(data)
    whole, parts = Gunzip(1 << 30), Gunzip(1 << 30)
    whole.feed(packed)
    for byte in packed:
        parts.feed(bytes([byte]))

    assert whole.finish() == data
    assert parts.finish() == data


async def test_a_stream_gives_a_file_as_it_comes() -> None:
    """Chunks, undecoded and asked for without coding; the caller's own headers travel."""
    data = os.urandom(3_000_000)
    async with ByteServer([[reply(data, status=206)]]) as server, wire_to(server.url) as wire:
        async with stream(wire, headers={"Range": "bytes=5-"}) as file:
            chunks = [chunk async for chunk in file.chunks()]
        await send(wire)

    assert (file.status, file.length) == (206, len(data))
    assert b"".join(chunks) == data
    assert (
        max(map(len, chunks)) <= 2 * CHUNK + ONE_READ
    )  # aiohttp stops reading above twice the mark
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert server.requests[0].headers["range"] == "bytes=5-"
    assert [each.connection for each in server.requests] == [0, 0]


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        pytest.param([reply(b"half", length=50), FIN], Truncated, id="cut"),
        pytest.param([reply(b"half", length=50), Pause(0.02), RST], Truncated, id="reset"),
        pytest.param([head("HTTP/1.1 200 OK") + b"all?", FIN], ProtocolError, id="without length"),
        pytest.param([reply(PACKED, headers=GZIP)], DecodeError, id="in gzip, unasked"),
    ],
)
async def test_a_stream_never_passes_off_half_a_file(
    steps: list[Step], kind: type[Exception]
) -> None:
    """A file that stops early, or whose end cannot be told, ends in an error."""
    async with ByteServer([steps]) as server, wire_to(server.url) as wire:
        with pytest.raises(kind):
            async with stream(wire, timeout=1.0) as file:
                [chunk async for chunk in file.chunks()]


async def test_a_stream_shows_a_redirect_and_follows_elsewhere_without_the_token() -> None:
    """Following is the caller's decision, and the token cannot come along."""
    async with (
        ByteServer([[reply(b"file")]]) as other,
        ByteServer([[reply(status=302, headers=[f"Location: {other.url}/file"])]]) as server,
        wire_to(server.url) as wire,
    ):
        async with stream(wire) as first:
            place = first.headers["location"]
        async with stream(wire, token=None, url=place) as second:
            chunks = [chunk async for chunk in second.chunks()]
        with pytest.raises(ConfigError):
            async with stream(wire, url=place):
                pass

    assert chunks == [b"file"]
    assert "authorization" not in other.requests[0].headers
    assert len(other.requests) == 1


async def test_a_slow_reader_of_a_stream_is_not_late() -> None:
    """The deadline counts waiting for the server, not the time the caller takes."""
    async with ByteServer([[reply(bytes(5_000_000))]]) as server, wire_to(server.url) as wire:
        size = 0
        async with stream(wire, timeout=0.4) as file:
            async for chunk in file.chunks():
                if size == 0:
                    await asyncio.sleep(0.5)
                size += len(chunk)

    assert size == 5_000_000
