"""A stretch of one task that can be cut short, at its deadline or from outside.

Every call enters two of them, so they are `asyncio.timeout` without what that one costs beside
an HTTP request: no coroutine to enter and to leave, no enum of states. The rules are the same: a
cut is a cancellation, and it becomes `TimeoutError` only where nobody else cancels the task too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Scope:
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
