"""How long a call and a client may last, and how an end reaches what is under way.

`CancelScope`: a stretch of one task that can be cut short, at its deadline or from outside.

Every call enters two of them, so they are `asyncio.timeout` without what that one costs beside
an HTTP request: no coroutine to enter and to leave, no enum of states. The rules are the same: a
cut is a cancellation, and it becomes `TimeoutError` only where nobody else cancels the task too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from bestdefense_async.errors import ClientClosed, WrongLoop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class CancelScope:
    """Use it once, as `with`, inside a task.

    Args:
        seconds: From entering until it is cut; None waits for `cut_soon`.

    Raises:
        TimeoutError: On leaving, when it was cut and nobody else cancelled the task.
    """

    __slots__ = ("_cancelling", "_handle", "_seconds", "_task", "is_cut")

    is_cut: bool
    """Whether the cancellation came from here."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._handle: asyncio.Handle | None = None
        self.is_cut = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("A scope belongs to a task.")
        self._task = task
        self._cancelling = task.cancelling()
        if self._seconds is not None:
            self._handle = task.get_loop().call_later(self._seconds, self._cut)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if (
            self.is_cut
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def cut_soon(self) -> None:
        """Cut it in the next turn of the loop, unless it is left by then."""
        if self.is_cut:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._task.get_loop().call_soon(self._cut)

    def _cut(self) -> None:
        self._handle = None
        self.is_cut = True
        self._task.cancel()


class Lifetime:
    """Belongs to the process that made it and the first loop that uses it, until it ends.

    Whatever must not outlive it runs in a `CancelScope` that is registered here between `enter` and
    `leave`: the end cuts them all at once.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._scopes: set[CancelScope] = set()
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

    def enter(self, scope: CancelScope) -> None:
        """Register a scope that is about to be entered."""
        self._scopes.add(scope)

    def leave(self, scope: CancelScope) -> None:
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
        scope = CancelScope(None)
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
