"""Disks that a test mounts: small ones, and read-only ones."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """Mount something at `place`, or skip the test where that is not allowed."""
    place.mkdir(exist_ok=True)
    _mount("mount", *words, str(place))
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def remount(place: Path, *words: str) -> None:
    """Change the options of what is mounted at `place`."""
    _mount("mount", *words, str(place))


def _mount(*command: str) -> None:
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    if made.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
