"""A sandbox in a process of its own, with control of it, and the program of that process.

Control is synchronous and standard library: usable from any test, also of a command line.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from bestdefense_async.sandbox import Arrival, Token
from bestdefense_async.sandbox.world.ledger import Assertions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from bestdefense_async.sandbox import FindingSpec

_START = 20.0
"""Longest time for the process to write its address, seconds."""

_TIMEOUT = 10.0
"""Longest time for one control call, and for the process to end, seconds."""


class SandboxProcess(Assertions):
    """A running sandbox process with its control routes; keyword arguments as for `Sandbox`."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 -- checked by the sandbox
        self._settings = {**settings, "control": True}
        self._process: subprocess.Popen[str] | None = None
        self.url: str = ""
        """Where it is reached."""

        self.token: str = ""
        """A token of the organization that owns the fleet, with every permission."""

        self._control_token = ""
        # Never through a proxy of the environment.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        """Start the process and wait until it serves.

        Raises:
            RuntimeError: It ended, or wrote nothing in 20 s; the message holds what it wrote.
        """
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and program
            [sys.executable, "-m", "bestdefense_async.testing.process", _encoded(self._settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        line = self._first_line(self._process)
        if not line:
            complaint = self._end()
            message = f"the sandbox process did not start: {complaint.strip()}"
            raise RuntimeError(message)
        address = json.loads(line)
        self.url = address["url"]
        self.token = address["token"]
        self._control_token = address["control_token"]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process.

        Raises:
            AssertionError: It is strict, and a request came that the API does not have.
        """
        try:
            is_there = self._process is not None and self._process.poll() is None
            if self._settings.get("strict") and error is None and is_there:
                self.assert_all_known()
        finally:
            self._end()

    @staticmethod
    def _first_line(process: subprocess.Popen[str]) -> str:
        if process.stdout is None:
            return ""
        watchdog = threading.Timer(_START, process.kill)
        watchdog.start()
        try:
            return process.stdout.readline()
        finally:
            watchdog.cancel()

    def _end(self) -> str:
        """End the process and return what it wrote to its standard error."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.terminate()
        try:
            _, complaint = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            _, complaint = process.communicate()
        return complaint

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            message = "the sandbox process is not running: use it in a `with` block"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that point a client to it."""
        return {"BD_API_TOKEN": self.token, "BD_BASE_URL": self.url}

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_TIMEOUT)

    def _call(self, method: str, **arguments: object) -> Any:  # noqa: ANN401 -- JSON
        """Call a method of the `Sandbox` in the process and return its result as JSON has it."""
        request = urllib.request.Request(  # noqa: S310 -- our own loopback address
            f"{self.url}/_sandbox/{method}",
            method="POST",
            data=_encoded(arguments).encode(),
            headers={
                "Authorization": f"Bearer {self._control_token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                message = json.load(error)["message"]
            raise ValueError(message) from None

    def ledger(self) -> dict[str, Any]:
        """Return `counts` by operation, `scansPerSite`, and the `duplicates` among them."""
        scans = self.scans_per_site()
        twice = {site: count for site, count in scans.items() if count > 1}
        return {"counts": self._call("counts"), "scansPerSite": scans, "duplicates": twice}

    def count(self, operation: str) -> int:
        """Return how many requests have arrived for the operation."""
        counted: int = self._call("count", operation=operation)
        return counted

    def scans_per_site(self) -> dict[str, int]:
        """Return how many scans were really created, for the sites that have any."""
        scans: dict[str, int] = self._call("scans_per_site")
        return scans

    def requests(self, address: str = "*", *, site: str | None = None) -> list[Arrival]:
        """Return the requests that arrived, as `Sandbox.requests` does."""
        rows = self._call("requests", address=address, site=site)
        return [Arrival(**{**row, "body": base64.b64decode(row["body"])}) for row in rows]

    def advance(self, seconds: float) -> None:
        """Let time pass at once, as `Sandbox.advance` does."""
        self._call("advance", seconds=seconds)

    def reset(self) -> None:
        """Begin again as after the start, as `Sandbox.reset` does."""
        self._call("reset")

    def fault(self, operation: str, **plan: Any) -> None:  # noqa: ANN401 -- checked by the sandbox
        """Let something go wrong, as `Sandbox.fault` does.

        Raises:
            ValueError: There is no such operation, or the plan is impossible.
        """
        self._call("set_fault", operation=operation, **plan)

    def clear_faults(self) -> None:
        """End every fault, those of the scenario included."""
        self._call("clear_faults")

    def plant(self, site: str, findings: Iterable[FindingSpec | Mapping[str, Any] | str]) -> None:
        """Decide what scans of the site find from now on, as `Sandbox.plant` does."""
        self._call("plant", site=site, findings=list(findings))

    def script(self, site: str, **how: Any) -> None:  # noqa: ANN401 -- checked by the sandbox
        """Decide how scans of one site run from now on, as `Sandbox.script` does."""
        self._call("script", site=site, **how)

    def add_organization(self, name: str, **what: Any) -> str:  # noqa: ANN401 -- checked there
        """Add an organization and return a token of it, as `Sandbox.add_organization` does."""
        token: str = self._call("add_organization", name=name, **what)
        return token

    def add_token(self, *, permissions: Iterable[str] | None = None, **what: Any) -> str:  # noqa: ANN401 -- checked there
        """Make a token and return it, as `Sandbox.add_token` does."""
        granted = None if permissions is None else sorted(permissions)
        token: str = self._call("add_token", permissions=granted, **what)
        return token

    def tokens(self, organization: str | None = None) -> list[Token]:
        """Return what is known about tokens, as `Sandbox.tokens` does."""
        rows = self._call("tokens", organization=organization)
        return [Token(**{**row, "permissions": frozenset(row["permissions"])}) for row in rows]

    def revoke(self, token: str) -> None:
        """Refuse the token, given by itself or by its `key`, from now on."""
        self._call("revoke", token=token)


def _encoded(value: object) -> str:
    """Return settings and the like as JSON, specs among them as tables."""
    return json.dumps(value, default=attrs.asdict)


def _end_with_parent() -> None:
    """End the process when the parent closes our input, which its own end does too."""
    # os.read, because a thread inside sys.stdin would break the interpreter's end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _main() -> int | str:
    """Serve as the first argument says, a JSON object, and return the exit code or the error."""
    from bestdefense_async.sandbox import serve

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return serve(**json.loads(sys.argv[1]))
    except (OSError, TypeError, ValueError) as problem:
        return str(problem)


if __name__ == "__main__":
    sys.exit(_main())
