"""What the tests of the command share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return the command, in an empty directory and with an empty home."""
    return Command(tmp_path)
