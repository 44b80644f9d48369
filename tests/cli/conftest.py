"""What the tests of the command share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async.testing.process import SandboxProcess
from tests.support.command import Command
from tests.support.inside import Inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return the command, in an empty directory and with an empty home."""
    return Command(tmp_path)


@pytest.fixture
def inside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Inside:
    """Return the command inside of this process, in an empty directory that is its home too."""
    return Inside(tmp_path, capsys)


@pytest.fixture(scope="module")
def served() -> Iterator[SandboxProcess]:
    """Serve a fast sandbox to all tests of a module, which must not change it for good."""
    with SandboxProcess(speed=6000.0) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def names(served: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the host names of the served sites."""
    command = Command(tmp_path_factory.mktemp("names"))
    ended = command("sites", "list", "--format", "jsonl", env=served.env)
    return [line["hostname"] for line in ended.events]
