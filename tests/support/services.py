"""Servers in processes of their own, as somebody would run them, and what is asked of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from bestdefense_async.testing.process import SandboxProcess

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SPEED = 1200.0
LONGEST = 60.0


def free_port() -> int:
    """Return a port that nobody has just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def hostnames(sandbox: SandboxProcess) -> list[str]:
    """Return the sites of the organization, in a fixed order."""
    port = int(sandbox.url.rpartition(":")[2])
    _, body = Service(port).ask(
        "GET", "/api/sites", headers={"Authorization": f"Bearer {sandbox.token}"}
    )
    return [site["hostname"] for site in body["data"]["sites"]]


class Program:
    """A program that runs until it is ended; `with` kills what is left of it."""

    def __init__(self, *command: str, cwd: Path, env: dict[str, str]) -> None:
        self._command = [sys.executable, str(ROOT / "tests/support/fast_program.py"), *command]
        self._cwd = cwd
        self._env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(cwd)]),
            "PYTHONUNBUFFERED": "1",
            "POLL_SPEED": str(SPEED),
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with Path(self._env["LOG"]).open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._cwd, env=self._env, stdout=log, stderr=log
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(LONGEST)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it in order; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LONGEST)


class Service:
    """What is asked of a server on a port of this machine."""

    def __init__(self, port: int, *, program: Program | None = None) -> None:
        self._port = port
        self._program = program

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request; return status and body, JSON where it is some."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json", **(headers or {})},
            )
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = "json" in (answer.getheader("Content-Type") or "")
        return answer.status, json.loads(text) if is_json else text

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the server-sent events of a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST)
        try:
            connection.request("GET", path)
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        finally:
            connection.close()

    def answers(self, status: int, path: str) -> None:
        """Wait until a path is answered with a status."""
        until = time.monotonic() + LONGEST
        while (found := self.ask("GET", path)[0]) != status:
            assert time.monotonic() < until, found
            time.sleep(0.01)

    def up(self, path: str = "/health/live") -> Self:
        """Wait until it answers."""
        until = time.monotonic() + LONGEST
        while True:
            try:
                if self.ask("GET", path)[0] < 500:
                    return self
            except OSError:
                ended = self._program is not None and self._program.process.poll() is not None
                if ended or time.monotonic() > until:
                    raise
            time.sleep(0.05)

    def ended(self, path: str) -> dict[str, Any]:
        """Wait until a scan has ended; return what is said of it."""
        until = time.monotonic() + LONGEST
        while True:
            status, body = self.ask("GET", path)
            assert status == 200, body
            if body["state"] == "ended":
                found: dict[str, Any] = body
                return found
            assert time.monotonic() < until, body
            time.sleep(0.05)
