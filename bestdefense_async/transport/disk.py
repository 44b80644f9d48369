"""Files, for a program with an event loop and other processes beside it."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from bestdefense_async.errors import DownloadError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


P = ParamSpec("P")
T = TypeVar("T")


async def on_disk(path: Path, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something with a file in a thread; a cancellation waits until it is done.

    Raises:
        DownloadError: The file system does not let us.
    """
    loop = asyncio.get_running_loop()
    try:
        return await settled(loop.run_in_executor(None, partial(work, *args, **kwargs)))
    except OSError as error:
        problem = error.strerror or type(error).__name__
    where = clean_text(str(path), longest=200)
    raise DownloadError(f"{where!r} cannot be written: {problem}.")


async def settled(work: asyncio.Future[T]) -> T:
    """Return what a thread's work returns; a cancellation waits until it has ended.

    A thread cannot be stopped, and the file must not be closed under its hands.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return work.result()
    work.exception()  # nobody will ask for it any more
    raise cancelled


if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:  # noqa: ARG001  # the other system's signature
        """Return True: processes are not kept apart on this system."""
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Return whether the open file or directory is ours, until it is closed; never waits.

        Raises:
            OSError: The file system has no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
