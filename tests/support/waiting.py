"""Waits for what has no event, as long as it takes and no longer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.command import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(LONGEST):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
