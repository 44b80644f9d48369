"""What is left of long limits when the process ends: ages of calls in a small file.

A new process that knows nothing of the last hour can only start slowly and be refused. So for
windows of ten minutes and longer, where that costs most, the stamps can be kept: as wall-clock
times, one JSON file per token, replaced as a whole, readable by its owner alone. The file is a
help, never a condition: what cannot be read counts as unknown history, what cannot be written is
lost. A clock that was set back makes calls look younger, never older than they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.transport.throttle_lane import Lane

VERSION: Final = 1

LARGEST_FILE: Final = 4_000_000
"""Bytes; a larger file is not ours."""

LONG_LIMIT: Final = 600.0
"""Seconds: limits with a period from here on are kept."""

_log = logging.getLogger(__name__)


class SavedState:
    """The file of one token and the lanes kept in it."""

    def __init__(self, path: Path, *, wall_clock: Callable[[], float]) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._lanes: dict[str, Lane] = {}
        self._classes = _read(path)
        self._is_due = False
        self._is_broken = False

    @staticmethod
    def file(directory: Path, token_key: str) -> Path:
        """Return where the state of a token stands; the name tells nothing about the key."""
        return directory / f"{hashlib.sha256(token_key.encode()).hexdigest()[:32]}.json"

    def adopt(self, limit_class: str, lane: Lane) -> None:
        """Tell a new lane what an earlier process left, and keep what it does from now on."""
        if lane.longest_window < LONG_LIMIT:
            return
        kept = self._classes.get(limit_class)
        if kept is not None:
            wall = self._wall_clock()
            ages = [max(0.0, wall - stamp) for stamp in kept["stamps"]]
            lane.restore(ages, pause=kept["paused_until"] - wall)
        self._lanes[limit_class] = lane
        lane.keep(self._changed)

    def _changed(self) -> None:
        """Write soon: once for all that happens in this turn of the loop."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._is_due = False
        wall = self._wall_clock()
        for limit_class, lane in self._lanes.items():
            ages, pause = lane.dump()
            self._classes[limit_class] = {
                "stamps": [round(wall - age, 3) for age in ages],
                "paused_until": wall + pause if pause > 0 else 0.0,
            }
        try:
            _replace(self._path, json.dumps({"version": VERSION, "classes": self._classes}))
        except OSError as error:
            if not self._is_broken:
                _log.warning("limits are not kept across restarts: %s", error.strerror)
            self._is_broken = True


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return what can be used of the file; an empty mapping when that is nothing."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or content.get("version") != VERSION:
        return {}
    classes = content.get("classes")
    if not isinstance(classes, dict):
        return {}
    return {
        name: {"stamps": entry["stamps"], "paused_until": entry["paused_until"]}
        for name, entry in classes.items()
        if _is_entry(entry)
    }


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and _is_moment(entry.get("paused_until"))
        and isinstance(entry.get("stamps"), list)
        and all(_is_moment(stamp) for stamp in entry["stamps"])
    )


def _is_moment(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
