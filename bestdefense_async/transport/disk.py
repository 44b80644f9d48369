"""Blocking work on a file, off the event loop."""

from __future__ import annotations

import asyncio
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
