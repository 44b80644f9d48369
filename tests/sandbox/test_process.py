"""`python -m bestdefense_async.sandbox`: one line of JSON, service, an orderly end."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bestdefense_async.sandbox import Sandbox

ROOT = str(Path(__file__).parents[2])
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; end it in any case."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "bestdefense_async.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the line it prints first."""
    assert process.stdout is not None
    line: dict[str, str] = json.loads(process.stdout.readline())
    return line


def sites(url: str, token: str) -> int:
    """Return how many sites it serves."""
    request = urllib.request.Request(  # noqa: S310 - our own loopback address
        f"{url}/api/sites", headers={"Authorization": f"Bearer {token}"}
    )
    with OPENER.open(request, timeout=5) as answer:
        return len(json.load(answer)["data"]["sites"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_exits_with_zero(number: signal.Signals) -> None:
    """Its output is the one line, its standard error is empty."""
    with running("--sites", "7", "--seed", "3", "--scenario", "mixed", "--speed", "90") as process:
        line = said(process)
        served = sites(line["url"], line["token"])
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert set(line) == {"url", "token"}
    assert line["url"].startswith("http://127.0.0.1:")
    assert line["token"].startswith("bd_sandbox_")
    assert served == 7
    assert (process.returncode, out, err) == (0, "", "")


def test_with_control_the_line_holds_the_control_token() -> None:
    """Only then."""
    with running("--control", "--sites", "1") as process:
        line = said(process)
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{line['url']}/_sandbox/counts",
            headers={"Authorization": f"Bearer {line['control_token']}"},
            method="POST",
        )
        with OPENER.open(request, timeout=5) as answer:
            assert json.load(answer)["data"] == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--host", "0.0.0.0"], "allow_remote"),  # noqa: S104 - it is refused
        (["--host", "::"], "allow_remote"),
        (["--sites", "-1"], "sites"),
        (["--policy", "leaky"], "policy"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_sentence(arguments: list[str], reason: str) -> None:
    """Exit code 2, no traceback, nothing on standard output."""
    with running(*arguments) as process:
        out, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert out == ""
    assert reason in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_port_in_use_is_said_plainly() -> None:
    """The message names address and port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running("--port", str(port)) as process:
            _, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert f"127.0.0.1 port {port}" in err
    assert "in use" in err


async def test_sandboxes_side_by_side_share_nothing() -> None:
    """Each has its own port, tokens and scans, also with the same seed."""
    async with Sandbox(sites=1) as one, Sandbox(sites=1) as other:
        assert one.url != other.url
        one.fault("sites.list", status=503)
        assert other._open.faults.active == []  # noqa: SLF001 - there is no public list
        with pytest.raises(LookupError):
            other.revoke(one.add_token(organization="somebody"))


async def test_a_closed_sandbox_frees_its_port() -> None:
    """The next one can have it at once; asking a closed one still tells what happened."""
    async with Sandbox(sites=1) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
    async with Sandbox(sites=1, port=port) as again:
        assert again.url == sandbox.url
    assert sandbox.count("sites.list") == 0


async def test_ipv6_loopback_is_loopback() -> None:
    """The URL has brackets."""
    async with Sandbox(sites=1, host="::1") as sandbox:
        assert sandbox.url.startswith("http://[::1]:")


def test_a_sandbox_that_is_not_open_says_so() -> None:
    """Not with an AttributeError."""
    with pytest.raises(RuntimeError, match="async with"):
        _ = Sandbox().url


def test_it_imports_nothing_of_the_client() -> None:
    """Shared code would be wrong on both sides alike."""
    program = (
        "import sys, bestdefense_async.sandbox; "
        "print(*(name for name in sys.modules if name.startswith('bestdefense_async.')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    ).stdout.split()

    allowed = ("bestdefense_async.sandbox", "bestdefense_async._version")
    assert found
    assert [name for name in found if not name.startswith(allowed)] == []
