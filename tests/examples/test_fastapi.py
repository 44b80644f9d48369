"""The FastAPI example in real processes: restarts, a revoked token, SIGTERM, streams, errors."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.services import EXAMPLES, SPEED, Program, Service, free_port, hostnames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bestdefense_async.testing.process import SandboxProcess

pytestmark = pytest.mark.bd_sandbox(sites=30, speed=SPEED)


@pytest.fixture
def token(bd_sandbox_process: SandboxProcess, tmp_path: Path) -> Path:
    """The file in which the platform puts the token."""
    path = tmp_path / "token"
    path.write_text(bd_sandbox_process.token)
    return path


@pytest.fixture
def run(
    bd_sandbox_process: SandboxProcess, token: Path, tmp_path: Path
) -> Callable[..., tuple[Program, Service]]:
    """Start the service as its page says."""

    def start(*command: str) -> tuple[Program, Service]:
        port = free_port()
        program = Program(
            *(command or ("app.py",)),
            cwd=EXAMPLES / "fastapi",
            env={
                "BD_BASE_URL": bd_sandbox_process.url,
                "BD_API_TOKEN_FILE": str(token),
                "SCANS_STORE": str(tmp_path / "scans.db"),
                "SCANS_DRAIN": "5",
                "PORT": str(port),
                "LOG": str(tmp_path / "log"),
            },
        )
        return program, Service(port, program=program)

    return start


def started(service: Service, site: str) -> str:
    """Start a scan; return where it is asked for."""
    status, body = service.ask("POST", "/scans", {"site": site}, {"X-User": "anna"})
    assert status == 202, body
    return f"/scans/{body['id']}"


def test_no_scan_is_lost_or_doubled_by_a_crash_a_revoked_token_and_a_sigterm(
    bd_sandbox_process: SandboxProcess,
    run: Callable[..., tuple[Program, Service]],
    token: Path,
    tmp_path: Path,
) -> None:
    """What was answered with 202 is found by its id, and ends with its result."""
    sandbox = bd_sandbox_process
    sites = hostnames(sandbox)
    program, service = run()
    with program:
        service.up()
        paths = [started(service, site) for site in sites[:10]]
        program.kill()

    program, service = run()
    with program:
        service.up()
        assert {service.ask("GET", path)[0] for path in paths} == {200}
        paths += [started(service, site) for site in sites[10:20]]
        sandbox.revoke(sandbox.token)
        status, body = service.ask("POST", "/scans", {"site": sites[20]})
        paths += [f"/scans/{body['id']}"] if status == 202 else []
        service.answers(503, "/health/ready")
        assert service.ask("POST", "/scans", {"site": sites[21]})[1]["kind"] == "AuthError"
        token.write_text(sandbox.add_token())
        service.answers(200, "/health/ready")
        paths += [started(service, site) for site in sites[22:30]]
        assert program.end() == -signal.SIGTERM  # uvicorn's own way to end in order

    program, service = run()
    with program:
        service.up()
        ends = [service.ended(path)["outcome"] for path in paths]
        assert program.end() == -signal.SIGTERM  # uvicorn's own way to end in order
    sandbox.assert_no_duplicates()
    scanned = sandbox.scans_per_site()
    for end in ends:
        # What was on its way when the process was killed may be unknown, and is never sent again.
        assert end["status"] == ("done" if end["site_id"] in scanned else "unknown"), end
    assert sum(end["status"] == "unknown" for end in ends) <= 8
    log = (tmp_path / "log").read_text()
    assert log.count("Application shutdown complete.") == 2
    assert sandbox.token not in log


def test_a_scan_is_streamed_cancelled_and_refused_with_a_sentence(
    bd_sandbox_process: SandboxProcess, run: Callable[..., tuple[Program, Service]]
) -> None:
    """Each error has the status that clients know what to do with."""
    sandbox = bd_sandbox_process
    first, second, *_ = hostnames(sandbox)
    sandbox.script(second, duration=float("inf"))
    program, service = run()
    with program:
        service.up()
        path = started(service, first)
        events = list(service.stream(f"{path}/events"))
        assert events[-1]["state"] == "ended"
        assert events[-1]["outcome"]["status"] == "done"
        assert list(service.stream(f"{path}/events")) == events[-1:]

        path = started(service, second)
        assert service.ask("POST", "/scans", {"site": second})[1]["is_joined"] is True
        assert [each["target"] for each in service.ask("GET", "/scans")[1]] == [second]
        status, body = service.ask("DELETE", path)
        assert (status, body["state"]) == (200, "ended")
        assert body["outcome"]["error"]["kind"] == "ScanCancelled"

        assert service.ask("POST", "/scans", {"site": "nobody.example.com"})[0] == 404
        assert service.ask("POST", "/scans", {"site": "no host"})[0] == 422
        assert service.ask("GET", "/scans/last-0")[0] == 404
        sandbox.fault("reports.create", status=402)
        started(service, first)
        service.answers(503, "/health/ready")
        answer = service.ask("POST", "/scans", {"site": second})
        assert (answer[0], answer[1]["kind"]) == (503, "QuotaExceeded")
        assert program.end() == -signal.SIGTERM  # uvicorn's own way to end in order
