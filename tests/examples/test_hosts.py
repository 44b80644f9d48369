"""The examples of web backends, each in a real process: started, joined, found again, ended."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.services import EXAMPLES, SPEED, Program, Service, free_port, hostnames

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.testing.process import SandboxProcess

pytestmark = [
    pytest.mark.bd_sandbox(sites=6, speed=SPEED),
    pytest.mark.skipif(os.name != "posix", reason="these servers end by signals"),
]
BIND = "127.0.0.1:{port}"
HOSTS: dict[str, tuple[str, ...]] = {
    "fastapi on hypercorn": (
        *("fastapi", "-m", "hypercorn", "--bind", BIND, "--worker-class", "uvloop"),
        *("--graceful-timeout", "5", "app:app"),
    ),
    "fastapi on uvicorn and asyncio": (
        *("fastapi", "-m", "uvicorn", "--port", "{port}", "--loop", "asyncio", "app:app"),
    ),
    "aiohttp": ("aiohttp-web", "app.py"),
    "litestar": ("litestar", "app.py"),
    "django on gunicorn": (
        *("django", "-m", "gunicorn", "--bind", BIND, "--workers", "2", "--threads", "4"),
        *("--graceful-timeout", "20", "service:application"),
    ),
}


@pytest.mark.parametrize("name", HOSTS)
def test_scans_outlive_a_sigterm_of_their_host(
    bd_sandbox_process: SandboxProcess, tmp_path: Path, name: str
) -> None:
    """They are found by id after it, and end with their results; each is started once."""
    sandbox = bd_sandbox_process
    sites = hostnames(sandbox)

    def run() -> tuple[Program, Service]:
        port = free_port()
        folder, *command = (part.format(port=port) for part in HOSTS[name])
        program = Program(
            *command,
            cwd=EXAMPLES / folder,
            env={
                **sandbox.env,
                "SCANS_STORE": str(tmp_path / "scans.db"),
                "SCANS_DRAIN": "5",
                "PORT": str(port),
                "LOG": str(tmp_path / "log"),
            },
        )
        return program, Service(port, program=program)

    def started(service: Service, site: str) -> str:
        status, body = service.ask("POST", "/scans", {"site": site})
        assert status == 202, body
        found: str = body["id"]
        return found

    program, service = run()
    with program:
        service.up()
        ids = [started(service, site) for site in sites]
        assert service.ask("GET", f"/scans/{ids[0]}")[1]["target"] == sites[0]
        assert service.ask("POST", "/scans", {"site": "nobody.example.com"})[0] == 404
        assert service.ask("POST", "/scans", {"site": "no host"})[0] == 422
        assert service.ask("POST", "/scans", {})[0] in {400, 422}
        assert service.ask("GET", "/scans/last-0")[0] == 404
        assert program.end() in {0, -signal.SIGTERM}  # uvicorn ends by the signal itself

    program, service = run()
    with program:
        service.up()
        ends: list[dict[str, Any]] = [service.ended(f"/scans/{each}")["outcome"] for each in ids]
        assert program.end() in {0, -signal.SIGTERM}
    assert {end["status"] for end in ends} == {"done"}
    sandbox.assert_no_duplicates()
    assert "Traceback" not in (tmp_path / "log").read_text()
