"""Blocking work off the loop."""

import asyncio
import threading
from pathlib import Path

import pytest

from bestdefense_async.errors import DownloadError
from bestdefense_async.transport.disk import on_disk


async def test_a_cancellation_waits_for_the_thread(tmp_path: Path) -> None:
    """A file must not be closed, and its number given to another, while a thread writes to it."""
    may_end = threading.Event()
    has_ended = threading.Event()

    def work() -> None:
        may_end.wait(10)
        has_ended.set()

    task = asyncio.create_task(on_disk(tmp_path, work))
    for _ in range(3):  # an impatient person
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_ended.is_set()


async def test_an_error_of_the_disk_is_one_sentence(tmp_path: Path) -> None:
    """With the file it is about, and the reason of the system."""
    with pytest.raises(DownloadError, match=r"nothing' cannot be written: No such file"):
        await on_disk(tmp_path / "nothing", (tmp_path / "nothing").read_bytes)
