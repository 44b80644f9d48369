"""How long a client may be used, by whom, and how its end reaches what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from bestdefense_async.errors import ClientClosed, WrongLoop
from bestdefense_async.transport.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lifetime:
    """Belongs to the process that made it and the first loop that uses it, until it ends.

    Whatever must not outlive it runs in a `Scope` that is registered here between `enter` and
    `leave`: the end cuts them all at once.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._scopes: set[Scope] = set()
        self._emptied = asyncio.Event()
        self.is_over: bool = False

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the running loop when the client may be used on it.

        Raises:
            ClientClosed: The client is closed.
            WrongLoop: It belongs to another loop, or another process.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        self._check_home(loop)
        if self.is_over:
            raise ClientClosed("The client is closed.")
        return loop

    def enter(self, scope: Scope) -> None:
        """Register a scope that is about to be entered."""
        self._scopes.add(scope)

    def leave(self, scope: Scope) -> None:
        """Forget a scope that has been left."""
        self._scopes.discard(scope)
        if self.is_over and not self._scopes:
            self._emptied.set()

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Bound one call by the client's end.

        Raises:
            ClientClosed: The client was closed meanwhile; `sent` is for the caller to say.
        """
        scope = Scope(None)
        is_cut_off = False
        self.enter(scope)
        try:
            with scope:
                yield
        except TimeoutError:
            if not scope.is_cut:
                raise
            is_cut_off = True
        finally:
            self.leave(scope)
        if is_cut_off:
            raise ClientClosed("The client was closed while the call was under way.")

    async def end(self) -> None:
        """Refuse new calls and end what is under way; returns when it has ended.

        May be called again, also while an earlier call still waits.

        Raises:
            WrongLoop: The client belongs to another loop or process.
        """
        self.is_over = True
        if self._loop is None:
            return
        loop = asyncio.get_running_loop()
        self._check_home(loop)
        for scope in self._scopes:
            scope.cut_soon()
        if self._scopes:
            await self._emptied.wait()

    def _check_home(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._process != os.getpid():
            raise WrongLoop("This client was opened before a fork: open one per process.")
        if self._loop is not loop:
            raise WrongLoop(
                "This client belongs to another event loop (a second asyncio.run, another thread, "
                "or a fixture of another scope): open one per loop."
            )
