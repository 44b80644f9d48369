"""Before a byte is sent: names, connections, TLS, proxies. Nothing of this may be unclear."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from bestdefense_async.errors import (
    ConfigError,
    ConnectError,
    ConnectionLost,
    ProtocolError,
    ProxyError,
    Sent,
    TLSError,
)
from bestdefense_async.transport.http.exchange import Wire
from bestdefense_async.transport.http.session import WireSettings, parse_proxy
from tests.support.byte_server import FIN, STALL, ByteServer, head, reply
from tests.support.wires import TOKEN, refusal, send, wire_to


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further SYN is dropped."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.0)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


def server_tls(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    """Return what a server needs to be `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return what a client needs to trust `authority`."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_refused_connection_has_sent_nothing(closed_port: int) -> None:
    """A port on which nobody listens gives ConnectError, so that any method may be repeated."""
    async with wire_to(f"http://127.0.0.1:{closed_port}") as wire:
        error = await refusal(wire, "POST", body=b"{}")

    assert type(error) is ConnectError
    assert error.sent is Sent.NO
    assert "refused" in str(error).lower()


async def test_an_unknown_host_is_named_and_marked() -> None:
    """A host name that does not resolve is named, for it is mostly a misspelt base URL."""
    async with wire_to("https://api.nowhere.invalid") as wire:
        error = await refusal(wire)

    assert isinstance(error, ConnectError)
    assert error.is_unknown_host
    assert error.sent is Sent.NO
    assert "api.nowhere.invalid" in str(error)


async def test_a_host_that_swallows_connections_costs_the_connect_timeout(full_port: int) -> None:
    """A dropped SYN ends at the connect timeout, as a ConnectError that sent nothing."""
    async with wire_to(f"http://127.0.0.1:{full_port}", connect_timeout=0.1) as wire:
        error = await refusal(wire, timeout=30.0)

    assert type(error) is ConnectError
    assert error.sent is Sent.NO
    assert "0.1 s" in str(error)


async def test_an_attempt_that_ends_while_connecting_has_sent_nothing(full_port: int) -> None:
    """The attempt's own deadline may come first; then too nothing was sent."""
    async with wire_to(f"http://127.0.0.1:{full_port}", connect_timeout=9.0) as wire:
        error = await refusal(wire, timeout=0.05)

    assert error.kind == "AttemptTimeout"
    assert error.sent is Sent.NO


async def test_localhost_is_reached_where_only_one_family_listens() -> None:
    """The name resolves to ::1 and 127.0.0.1; only the second listens."""

    class Both(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            def entry(address: str, kind: socket.AddressFamily) -> ResolveResult:
                return ResolveResult(
                    hostname=host, host=address, port=port, family=kind, proto=0, flags=0
                )

            return [entry("::1", socket.AF_INET6), entry("127.0.0.1", socket.AF_INET)]

        async def close(self) -> None:
            pass

    async with (
        ByteServer() as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Both())) as session,
    ):
        url = f"http://localhost:{server.port}"
        async with wire_to(url, session=session) as wire:
            assert (await send(wire)).status == 200


async def test_a_trusted_server_is_spoken_to_over_tls(authority: trustme.CA) -> None:
    """With its authority trusted, calls work and reuse the connection."""
    async with (
        ByteServer(tls=server_tls(authority), host="localhost") as server,
        wire_to(server.url, ssl_context=client_tls(authority)) as wire,
    ):
        await send(wire)
        await send(wire, "POST", body=b"{}")

    assert server.connections == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("name", "is_trusted", "word"),
    [
        pytest.param("localhost", False, "certificate", id="nobody we trust signed it"),
        pytest.param("other.example", True, "mismatch", id="it names another host"),
    ],
)
async def test_a_server_that_cannot_prove_itself_gets_no_token(
    authority: trustme.CA, *, name: str, is_trusted: bool, word: str
) -> None:
    """A bad certificate is a TLSError with its reason, and the server has seen no request."""
    trust = client_tls(authority) if is_trusted else None
    async with (
        ByteServer(tls=server_tls(authority, name), host="localhost") as server,
        wire_to(server.url, ssl_context=trust) as wire,
    ):
        error = await refusal(wire)

    assert type(error) is TLSError
    assert error.sent is Sent.NO
    assert word in str(error).lower()
    assert server.requests == []


async def test_https_on_a_plain_port_says_so() -> None:
    """A server that speaks plain http on the port is named as the likely reason."""
    async with (
        ByteServer(greeting=[b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server,
        wire_to(server.url.replace("http:", "https:")) as wire,
    ):
        error = await refusal(wire)

    assert type(error) is TLSError
    assert "not to speak TLS" in str(error)


async def test_http_on_a_tls_port_says_so(authority: trustme.CA) -> None:
    """A TLS alert in answer to plain http is no HTTP; the scheme is named as the likely reason."""
    async with (
        ByteServer(tls=server_tls(authority)) as server,
        wire_to(server.url.replace("https:", "http:")) as wire,
    ):
        error = await refusal(wire)

    assert isinstance(error, ProtocolError | ConnectionLost)
    assert server.requests == []


async def test_a_handshake_that_never_ends_costs_the_connect_timeout() -> None:
    """TCP accepts and TLS never answers: ConnectError, nothing sent."""
    async with (
        ByteServer(greeting=[STALL]) as server,
        wire_to(server.url.replace("http:", "https:"), connect_timeout=0.1) as wire,
    ):
        error = await refusal(wire, timeout=30.0)

    assert isinstance(error, ConnectError)
    assert error.sent is Sent.NO


async def test_a_server_of_old_tls_only_is_a_connect_error(authority: trustme.CA) -> None:
    """A server that knows only TLS 1.1 ends in a ConnectError, not in an endless transient one."""
    tls = server_tls(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        ByteServer(tls=tls, host="localhost") as server,
        wire_to(server.url, ssl_context=client_tls(authority)) as wire,
    ):
        error = await refusal(wire)

    assert isinstance(error, ConnectError)
    assert error.sent is Sent.NO


async def test_the_environment_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """HTTP_PROXY and a netrc entry for the host change nothing: direct, and with our token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with ByteServer() as proxy, ByteServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with wire_to(server.url) as wire:
            await send(wire)

    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert proxy.connections == 0


@pytest.mark.parametrize(
    "value",
    [
        "socks5://127.0.0.1:1080",
        "https://127.0.0.1:3128",
        "127.0.0.1:3128",
        "::bad::",
        "http://",
        "http://host:99999",
        "http://host/path",
        "http://us er:pass-word@host",
        "",
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_at_once(value: str) -> None:
    """A proxy is checked when the wire is made, and its text is not repeated."""
    with pytest.raises(ConfigError) as caught:
        Wire(WireSettings(base_url="https://localhost", proxy=value))

    assert value not in str(caught.value) or value in "http://"
    assert "pass-word" not in repr(caught.value)


def test_the_settings_do_not_show_the_password_of_the_proxy() -> None:
    """Neither the settings nor the checked proxy have it in their repr."""
    text = "http://user:pass-word@proxy.test:3128"

    shown = repr(WireSettings(base_url="https://localhost", proxy=text)) + repr(parse_proxy(text))

    assert "pass-word" not in shown


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([head("HTTP/1.1 407 Proxy Authentication Required")], id="it wants a login"),
        pytest.param([head("HTTP/1.1 502 Bad Gateway")], id="it cannot reach the host"),
        pytest.param([FIN], id="it closes"),
        pytest.param([b"hello\r\n\r\n"], id="it speaks no HTTP"),
    ],
)
async def test_a_proxy_that_refuses_gets_no_token(
    authority: trustme.CA, answer: list[bytes]
) -> None:
    """CONNECT carries the proxy's login and nothing of ours; the failure is a ProxyError."""
    async with ByteServer([answer]) as proxy:
        way = proxy.url.replace("//", "//user:pass-word@")
        async with wire_to("https://localhost:9", proxy=way) as wire:
            error = await refusal(wire)

    assert type(error) is ProxyError
    assert f"The proxy {proxy.url} " in str(error)
    assert error.sent is Sent.NO
    assert [each.method for each in proxy.requests] == ["CONNECT"]
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert TOKEN.encode() not in proxy.requests[0].raw_head
    assert "pass-word" not in str(error)


async def test_a_proxy_that_is_not_there_is_a_proxy_error(closed_port: int) -> None:
    """The proxy, not the API, is named when it does not accept connections."""
    way = f"http://127.0.0.1:{closed_port}"
    async with wire_to("https://localhost:9", proxy=way) as wire:
        error = await refusal(wire)

    assert type(error) is ProxyError
    assert str(error) == f"The proxy {way} does not accept connections."


async def test_a_proxy_whose_name_is_not_known_is_not_taken_for_the_api() -> None:
    """It is the proxy that looks up the API's name, so the unknown one is the proxy's own."""
    async with wire_to("https://localhost:9", proxy="http://proxy.invalid:3128") as wire:
        error = await refusal(wire)

    assert type(error) is ProxyError
    assert str(error) == "The proxy http://proxy.invalid:3128 has a host name that is not known."


async def test_a_plain_request_through_a_proxy_carries_its_login() -> None:
    """Without CONNECT the login goes with the request; a 407 is a ProxyError all the same."""
    async with ByteServer([[reply()], [reply(status=407)]]) as proxy:
        way = proxy.url.replace("//", "//user:pass-word@")
        async with wire_to("http://127.0.0.1:9", proxy=way) as wire:
            assert (await send(wire)).status == 200
            error = await refusal(wire)

    assert proxy.requests[0].target == "http://127.0.0.1:9/api/sites"
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert type(error) is ProxyError


@pytest.mark.parametrize("path", ["", "api", "//\n", "/a b", "/\x7f", "@evil.example/", "/ä"])
async def test_a_path_that_could_lead_elsewhere_is_not_sent(path: str) -> None:
    """A path starts with a slash and holds visible ASCII only."""
    async with ByteServer() as server, wire_to(server.url) as wire:
        with pytest.raises(ConfigError):
            await send(wire, path=path)

    assert server.connections == 0


async def test_the_token_travels_with_the_request_and_nowhere_else() -> None:
    """Each request carries it once; no cookie that the server sets comes back."""
    cookie = ["Set-Cookie: session=of-token-a; Path=/"]
    async with (
        ByteServer([[reply(headers=cookie)]], host="localhost") as server,
        wire_to(server.url) as wire,
    ):
        await send(wire)
        await send(wire)
        await asyncio.sleep(0)

    assert [each.headers["authorization"] for each in server.requests] == [f"Bearer {TOKEN}"] * 2
    assert all("cookie" not in each.headers for each in server.requests)
