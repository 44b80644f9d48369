"""Whether a token is really dead: one 401 of a token that was good may be a stray one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import AuthError, BestDefenseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.runs.inputs import Scan

LATER: Final = 1.0
"""Seconds between a 401 and the request that confirms it."""


class TokenCheck:
    """Asks once more before a token that was accepted counts as dead.

    However many scans meet a 401 at a time, one harmless request is sent for all of them.

    Args:
        ask: Sends it.
        refusal: Returns why nothing is started any more.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[object]],
        *,
        refusal: Callable[[], BestDefenseError | None],
    ) -> None:
        self._ask = ask
        self._refusal = refusal
        self._lock = asyncio.Lock()
        self._answers = 0
        self._denied: set[int] = set()
        """Inputs of which a 401 was taken for a stray one: the next one is not."""
        self.was_accepted: bool = False
        """Whether the server has accepted the token in this run."""

    async def clears(self, scan: Scan) -> bool:
        """Return whether a 401 of this scan was a stray one, so that it may go on; once each."""
        if scan.index in self._denied or isinstance(self._refusal(), AuthError):
            return False
        if not await self._is_stray():
            return False
        self._denied.add(scan.index)
        return not isinstance(self._refusal(), AuthError)

    async def _is_stray(self) -> bool:
        """Return whether a 401 that came now was a stray one."""
        if not self.was_accepted:
            return False
        before = self._answers
        async with self._lock:
            if self._answers == before:  # else somebody asked while we waited
                await asyncio.sleep(LATER)
                self.was_accepted = await self._is_accepted()
                self._answers += 1
        return self.was_accepted

    async def _is_accepted(self) -> bool:
        try:
            await self._ask()
        except AuthError:
            return False
        except BestDefenseError:
            return True  # whatever ails the host, it says nothing about the token
        return True
