"""The way to the API: proxies and certificate authorities, from options and the environment."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from bestdefense_async.cli.options.connection import Connection
from bestdefense_async.errors import ConfigError
from tests.support.byte_server import ByteServer, head

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Command, Ended

TOKEN = "tok-0123456789"
API = {"BD_API_TOKEN": TOKEN, "BD_BASE_URL": "https://api.invalid:8443"}
REFUSED = [head("HTTP/1.1 403 Forbidden")]


async def called(command: Command, *words: str, env: dict[str, str]) -> Ended:
    """Run the command beside the server of this test."""
    return await asyncio.to_thread(lambda: command(*words, env={**API, **env}))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "BD_PROXY"])
async def test_a_proxy_of_the_environment_is_used_and_said(command: Command, name: str) -> None:
    """The library is explicit; the command does what curl does, and its errors name the proxy."""
    async with ByteServer([REFUSED]) as proxy:
        way = proxy.url.replace("//", "//user:pass-word@")
        ended = await called(command, "sites", "list", env={name: way})

    assert [each.target for each in proxy.requests] == ["api.invalid:8443"] * len(proxy.requests)
    assert proxy.requests[0].method == "CONNECT"
    assert f"the proxy is {proxy.url}, as {name.upper()} says" in ended.err
    assert f"The proxy {proxy.url} refused" in ended.err
    assert ended.code == 3
    assert "pass-word" not in ended.err


async def test_an_option_goes_before_the_environment_and_is_not_said(command: Command) -> None:
    """Whoever has typed it knows it."""
    async with ByteServer([REFUSED]) as proxy:
        ended = await called(
            command,
            "sites",
            "list",
            "--proxy",
            proxy.url,
            env={"HTTPS_PROXY": "http://127.0.0.1:9"},
        )

    assert proxy.requests
    assert "the proxy is" not in ended.err


@pytest.mark.parametrize("no_proxy", ["api.invalid", ".invalid", "*", "x,api.invalid:8443"])
async def test_no_proxy_keeps_a_host_out_of_it(command: Command, no_proxy: str) -> None:
    """As everywhere else."""
    async with ByteServer([REFUSED]) as proxy:
        env = {"HTTPS_PROXY": proxy.url, "NO_PROXY": no_proxy}
        ended = await called(command, "sites", "list", env=env)

    assert proxy.requests == []
    assert "'api.invalid' is not known" in ended.err


def test_this_machine_is_never_reached_through_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sandbox would be asked for at the proxy's own machine."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert Connection("http://127.0.0.1:1").proxy is None
    assert Connection("https://app.example").proxy == ("http://proxy.example:3128", "HTTPS_PROXY")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "BD_PROXY"])
async def test_a_command_asks_this_machine_itself(command: Command, name: str) -> None:
    """A proxy that is set once for all hosts sees neither the sandbox nor its token."""
    async with ByteServer([REFUSED]) as proxy, ByteServer([REFUSED]) as server:
        env = {name: proxy.url, "BD_BASE_URL": server.url}
        await called(command, "sites", "list", env=env)

    assert proxy.requests == []
    assert server.requests[0].target == "/api/sites"


def test_a_proxy_without_a_scheme_is_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """As curl takes it."""
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    proxy = Connection("https://app.example").proxy
    assert proxy is not None
    assert proxy.url == "http://proxy.example:3128"


async def test_a_proxy_of_another_kind_is_refused_in_a_sentence(command: Command) -> None:
    """With 2, before anything is sent, and without its password."""
    ended = await called(command, "sites", "list", env={"BD_PROXY": "socks5://me:pass-word@h:1"})
    assert ended.code == 2
    assert "The proxy must look like http://proxy.example:3128" in ended.err
    assert "pass-word" not in ended.err


async def test_a_company_authority_is_trusted_when_it_is_named(
    command: Command, tmp_path: Path
) -> None:
    """Beside the system's own; without it the error says which option there is."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with ByteServer(tls=context, host="localhost") as api:
        env = {"BD_BASE_URL": api.url}
        refused = await called(command, "sites", "list", env=env)
        assert api.requests == []
        await called(command, "sites", "list", env={**env, "BD_CA_FILE": str(tmp_path / "ca.pem")})

    assert refused.code == 3
    assert "--ca-file or BD_CA_FILE" in refused.err
    assert len(api.requests) >= 1


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nx"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that adds nothing would be taken for protection."""
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="no certificate"):
        Connection("https://app.example", ca_file=str(file)).ssl_context()


def test_a_missing_file_of_certificates_is_said() -> None:
    """And is no bug."""
    with pytest.raises(ConfigError, match=r"nowhere\.pem cannot be read"):
        Connection("https://app.example", ca_file="nowhere.pem").ssl_context()
