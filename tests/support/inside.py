"""Runs the command `bestdefense` inside of the test's own process: no start-up to wait for.

What ends a process, what happens to its streams and what a signal does needs a real one:
`tests.support.command`.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.app import run
from bestdefense_async.report.gate.policy import GatePolicy
from bestdefense_async.report.gate.verdict import judge
from bestdefense_async.report.writer import write_run
from tests.support.command import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bestdefense_async.report.result import RunResult

OURS = ("BD_", "BESTDEFENSE_", "CI", "GITHUB_", "NO_COLOR", "FORCE_COLOR", "TERM")


class Inside:
    """The command in a directory and an environment of its own."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capture = capture

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run the command to its end."""
        log = logging.getLogger("bestdefense_async")
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(OURS):
                    patch.delenv(name)
            patch.setenv("HOME", str(self.directory))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.chdir(self.directory)
            self._capture.readouterr()
            before, level = list(log.handlers), log.level
            try:
                code = run(list(arguments))
            finally:
                log.handlers[:] = before
                log.setLevel(level)
        out, err = self._capture.readouterr()
        return Ended(code, out, err)

    def save(self, name: str, run: RunResult) -> None:
        """Write a run where the command works."""
        write_run(self.directory / name, run, judge(run.outcomes, GatePolicy()))
