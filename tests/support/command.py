"""Runs the real command `bestdefense` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parent.parent.parent
LONGEST = 250.0
"""Seconds a command may take; a test that is not slow has less time than that."""


@frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of stdout as JSON objects."""
        return [json.loads(line) for line in self.out.splitlines()]


class Command:
    """The command in a directory and an environment of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        home = directory / "home"
        home.mkdir()
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
        }

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        **popen: Any,  # Popen's own arguments
    ) -> subprocess.Popen[str]:
        """Start the command; the caller waits for it."""
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "bestdefense_async", *arguments],
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            text=True,
            **{**streams, **popen},
        )

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        text: str | None = None,
    ) -> Ended:
        """Run the command to its end, with `text` on its stdin."""
        stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
        with self.start(*arguments, env=env, stdin=stdin) as process:
            try:
                out, err = process.communicate(text, timeout=LONGEST)
            except BaseException:
                process.kill()
                raise
        return Ended(process.returncode, out, err)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
