"""Scans that are waited for."""

from types import SimpleNamespace
from typing import Any, cast

from bestdefense_async.cli.commands.reports import wait_for
from bestdefense_async.models import Progress


async def test_what_a_person_names_is_looked_at_at_once() -> None:
    """It may be complete, and a first poll within 12 s would let the person sit there."""
    asked: list[float | None] = []

    class Scans:
        async def wait(
            self, key: str, /, *, started_ago: float | None = None, **_: Any
        ) -> Progress:
            asked.append(started_ago)
            return Progress(is_completed=True)

    connection = cast("Any", SimpleNamespace(polling=lambda: None))
    await wait_for(Scans(), "report", "r-1", connection, timeout=None)

    assert asked == [0.0]
