"""How long a client may be used, by whom, and how its end reaches the calls under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from bestdefense_async.errors import ClientClosed, WrongLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Lifetime:
    """Belongs to the first loop and process that use the client, until it ends."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._scopes: set[asyncio.Timeout] = set()
        self._nothing_under_way = asyncio.Event()
        self.is_over: bool = False

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the running loop when the client may be used on it.

        Raises:
            ClientClosed: The client is closed.
            WrongLoop: It belongs to another loop, or another process.
        """
        loop = asyncio.get_running_loop()
        if self._process != os.getpid():
            raise WrongLoop("This client was opened before a fork: open one per process.")
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop(
                "This client belongs to another event loop (a second asyncio.run, another thread, "
                "a test with a loop of its own): open one per loop."
            )
        if self.is_over:
            raise ClientClosed("The client is closed.")
        return loop

    @contextlib.asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Bound one call by the client's end.

        Raises:
            ClientClosed: The client was closed meanwhile; `sent` is for the caller to say.
        """
        scope = asyncio.timeout(None)
        is_cut_off = False
        try:
            async with scope:
                self._scopes.add(scope)
                try:
                    yield
                finally:
                    self._scopes.discard(scope)
                    if self.is_over and not self._scopes:
                        self._nothing_under_way.set()
        except TimeoutError:
            if not scope.expired():
                raise
            is_cut_off = True
        if is_cut_off:
            raise ClientClosed("The client was closed while the call was under way.")

    async def end(self) -> None:
        """Refuse new calls and end those under way; returns when they have ended."""
        self.is_over = True
        now = asyncio.get_running_loop().time()
        for scope in list(self._scopes):
            scope.reschedule(now)
        if self._scopes:
            await self._nothing_under_way.wait()
