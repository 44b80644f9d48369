"""Bodies of requests are read within limits, and refused in the envelope."""

import asyncio
import gzip

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.server.connection import MAX_BODY
from tests.support.sandbox_api import SECURITY, Api, bare_connection, send_bytes


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"", 400, id="an empty body"),
        pytest.param(b"{", 400, id="half an object"),
        pytest.param(b"[]", 400, id="a list"),
        pytest.param(b"null", 400, id="null"),
        pytest.param(b'{"options": NaN}', 400, id="NaN"),
        pytest.param(b'{"options": "\xff"}', 400, id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", 400, id="a byte order mark"),
        pytest.param(b'{"a":' * 100_000, 400, id="100,000 levels"),
        pytest.param(b'{"a":' + b"9" * 10_000 + b"}", 400, id="a number of 10,000 digits"),
        pytest.param(b" " * (MAX_BODY + 1), 413, id="more than the largest body"),
    ],
)
async def test_a_bad_body_is_refused_in_the_envelope(api: Api, raw: bytes, status: int) -> None:
    """Never a 500, never a plain text, and nothing is created."""
    site = api.sandbox.site_ids[0]

    answer = await api.post(f"/api/report/create/for-target/{site}", raw=raw)

    assert answer.status == status
    assert answer.json["success"] is False
    assert api.sandbox.scans_per_site() == {}


async def test_another_content_type_is_refused(api: Api) -> None:
    """JSON is JSON only when it says so: curl's default type is a form."""
    site = api.sandbox.site_ids[0]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = await api.post(f"/api/report/create/for-target/{site}", SECURITY, headers=headers)

    assert answer.status == 400
    assert "Content-Type" in answer.json["message"]


async def test_a_body_too_large_is_refused_before_it_is_sent(bd_sandbox: Sandbox) -> None:
    """Its announced length is enough, and the connection ends."""
    answer = await send_bytes(
        bd_sandbox,
        b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        + bd_sandbox.token.encode()
        + b"\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer


async def test_chunks_without_end_are_refused(bd_sandbox: Sandbox) -> None:
    """A chunked body is cut off at the same size."""
    head = (
        b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        + bd_sandbox.token.encode()
        + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    async with bare_connection(bd_sandbox) as (reader, writer), asyncio.timeout(5):
        writer.write(head + chunk * (MAX_BODY // 65_536 + 1))
        line = await reader.readline()

    assert line.startswith(b"HTTP/1.1 413")


async def test_a_compressed_body_is_refused_unopened(api: Api) -> None:
    """A bomb of a kilobyte would unpack to a megabyte, or to anything."""
    bomb = gzip.compress(bytes(MAX_BODY))
    site = api.sandbox.site_ids[0]

    answer = await api.post(
        f"/api/report/create/for-target/{site}", raw=bomb, headers={"Content-Encoding": "gzip"}
    )

    assert answer.status == 415
    assert answer.json["success"] is False


async def test_curl_s_question_before_a_large_body_is_answered(bd_sandbox: Sandbox) -> None:
    """`Expect: 100-continue` gets its go-ahead, then its answer."""
    head = (
        b"POST /api/schedules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Authorization: Bearer "
        + bd_sandbox.token.encode()
        + b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        + b"Expect: 100-continue\r\n\r\n"
    )

    async with bare_connection(bd_sandbox) as (reader, writer), asyncio.timeout(2):
        writer.write(head)
        go_ahead = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{}")
        answer = await reader.read()

    assert go_ahead.startswith(b"HTTP/1.1 100")
    assert answer.startswith(b"HTTP/1.1 400")
