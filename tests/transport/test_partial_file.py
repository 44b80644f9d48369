"""The unfinished file beside its final place: whose it is, what stands in its way, what is left."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import shutil
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async import DownloadError
from bestdefense_async.errors import IntegrityError, Truncated
from bestdefense_async.transport.partial_file import on_disk
from tests.support.byte_server import STALL
from tests.support.downloads import (
    ALL,
    CONTENT,
    FILE,
    HALF,
    OTHER,
    TAG,
    asked,
    left_in,
    rest,
    serving,
    unknown,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PART = f"{FILE.filename}.part"
FACTS = f"{PART}.json"


def leave(
    directory: Path, content: bytes = CONTENT[:HALF], *, mode: int = 0o600, **facts: object
) -> None:
    """Leave what an earlier run would have left."""
    usual = {"version": 1, "sha256": FILE.sha256, "size": FILE.size, "etag": TAG}
    (directory / FACTS).write_text(json.dumps({**usual, **facts}))
    (directory / PART).write_bytes(content)
    (directory / PART).chmod(mode)


async def test_a_kept_part_is_gone_on_with(tmp_path: Path) -> None:
    """The first call leaves it, the second asks for the rest; whole, it is for its owner alone."""
    async with serving(*[whole(cut=HALF), *[rest(HALF, cut=0)] * 2], rest(HALF)) as (bd, server):
        with pytest.raises(Truncated):
            await bd.agents.download(FILE, tmp_path, keep_part=True)
        assert set(left_in(tmp_path)) == {PART, FACTS}
        assert json.loads((tmp_path / FACTS).read_text())["etag"] == TAG
        assert stat.S_IMODE((tmp_path / PART).stat().st_mode) == 0o600
        stored = await bd.agents.download(FILE, tmp_path)
        assert asked(server)[3:] == [f"bytes={HALF}-"]
    assert left_in(tmp_path) == ALL
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


async def test_a_part_that_is_complete_needs_no_request(tmp_path: Path) -> None:
    """It was killed between the last byte and the renaming; requests are few."""
    leave(tmp_path, CONTENT)
    async with serving() as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert server.requests == []
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"X" + CONTENT[1:HALF], id="one byte"),
        pytest.param(OTHER[:HALF], id="all of it"),
    ],
)
async def test_a_part_that_was_tampered_with_is_found_out(tmp_path: Path, content: bytes) -> None:
    """The digest covers every byte, not only those that came in this run."""
    leave(tmp_path, content)
    async with serving(rest(HALF), whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [f"bytes={HALF}-", None]
    assert left_in(tmp_path) == ALL


async def test_a_complete_part_that_was_tampered_with_is_found_out(tmp_path: Path) -> None:
    """It is taken for nothing."""
    leave(tmp_path, OTHER)
    async with serving(whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [None]
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize("moment", [HALF, len(CONTENT)])
async def test_tampering_while_we_download_is_found_out(tmp_path: Path, moment: int) -> None:
    """What is on the disk is what counts, not what we remember of it."""
    is_done = False

    def tamper(done: int, _: int | None) -> None:
        nonlocal is_done
        if done == moment and not is_done:
            is_done = True
            os.utime(tmp_path / PART, (1, 1))
            with (tmp_path / PART).open("r+b") as file:
                file.write(b"X")

    async with serving(whole(cut=HALF), rest(HALF), whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path, on_progress=tamper)
        assert len(server.requests) == 3
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"sha256": "0" * 64}, id="of another version"),
        pytest.param({"sha256": None}, id="of an unverified download"),
        pytest.param({"size": HALF}, id="of a shorter file"),
        pytest.param({"version": 2}, id="of a later release"),
    ],
)
async def test_a_part_of_another_file_is_not_gone_on_with(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    """The manifest has moved on: everything is asked for."""
    leave(tmp_path, **facts)
    async with serving(whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [None]
    assert left_in(tmp_path) == ALL


@pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"version": 1}'])
async def test_a_part_without_readable_facts_is_not_gone_on_with(
    tmp_path: Path, text: bytes | None
) -> None:
    """Nobody knows what it is a part of."""
    leave(tmp_path)
    (tmp_path / FACTS).unlink()
    if text is not None:
        (tmp_path / FACTS).write_bytes(text)
    async with serving(whole()) as (bd, server):
        await bd.agents.download(FILE, tmp_path)
        assert asked(server) == [None]
    assert left_in(tmp_path) == ALL


async def test_an_unverified_part_needs_the_servers_etag(tmp_path: Path) -> None:
    """Without a digest and an ETag, two halves would be put together on trust."""
    leave(tmp_path, sha256=None, etag=None)
    async with serving(whole()) as (bd, server):
        await bd.agents.download(unknown(sha256=None), tmp_path, allow_unverified=True)
        assert asked(server) == [None]


def _link(directory: Path, victim: Path, name: str) -> None:
    (directory / name).symlink_to(victim)


def _second_name(directory: Path, victim: Path, name: str) -> None:
    (directory / name).hardlink_to(victim)


def _pipe(directory: Path, _: Path, name: str) -> None:
    os.mkfifo(directory / name)


def _dangling(directory: Path, _: Path, name: str) -> None:
    (directory / name).symlink_to(directory / "nowhere")


@pytest.mark.parametrize("name", [PART, FACTS, FILE.filename])
@pytest.mark.parametrize("plant", [_link, _second_name, _pipe, _dangling])
async def test_what_stands_in_the_way_is_replaced_and_never_written_to(
    tmp_path: Path, plant: Callable[[Path, Path, str], None], name: str
) -> None:
    """A link, a second name of another file, a pipe: somebody may have planted it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "place"
    place.mkdir()
    plant(place, victim, name)
    async with serving(whole()) as (bd, _):
        await bd.agents.download(FILE, place)
    assert left_in(place) == ALL
    assert not (place / FILE.filename).is_symlink()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", [PART, FILE.filename])
async def test_a_directory_in_the_way_is_said_before_anything_is_sent(
    tmp_path: Path, name: str
) -> None:
    """One sentence, and none of the hour's requests is spent."""
    (tmp_path / name).mkdir()
    async with serving() as (bd, server):
        with pytest.raises(DownloadError, match="directory"):
            await bd.agents.download(FILE, tmp_path)
        assert server.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
async def test_a_directory_that_cannot_be_written_is_said_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    """One sentence, and none of the hour's requests is spent."""
    tmp_path.chmod(0o500)
    async with serving() as (bd, server):
        with pytest.raises(DownloadError, match="Permission denied"):
            await bd.agents.download(FILE, tmp_path)
        assert server.requests == []
    tmp_path.chmod(0o700)


async def test_a_part_that_anybody_could_run_ends_as_a_file_that_nobody_can(
    tmp_path: Path,
) -> None:
    """No bit is taken over from what an earlier run, or somebody else, left."""
    leave(tmp_path, mode=0o777)
    async with serving(rest(HALF)) as (bd, _):
        stored = await bd.agents.download(FILE, tmp_path)
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


async def test_one_file_is_downloaded_once_at_a_time(tmp_path: Path) -> None:
    """One of the two wins, the other is told at once, and the winner is not disturbed."""
    async with serving([whole(cut=HALF)[0], STALL], whole()) as (bd, server):
        first = asyncio.create_task(bd.agents.download(FILE, tmp_path))
        await server.heard(1)
        with pytest.raises(DownloadError, match="somebody else"):
            await bd.agents.download(FILE, tmp_path)
        assert len(server.requests) == 1
        assert (tmp_path / PART).exists()
        first.cancel()
        await asyncio.wait({first})
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL


async def test_a_disk_that_fills_up_is_one_sentence_and_is_not_kept_full(tmp_path: Path) -> None:
    """The part is removed, also when it was to be kept; the old file is still there."""
    (tmp_path / FILE.filename).write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with serving(whole()) as (bd, _):
        resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
        try:
            with pytest.raises(DownloadError, match="cannot be written: File too large"):
                await bd.agents.download(FILE, tmp_path, keep_part=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_in(tmp_path) == {FILE.filename: b"old"}


@pytest.mark.parametrize("call", ["fsync", "replace"])
async def test_an_error_at_the_very_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Some disks tell only then that they are full."""
    (tmp_path / FILE.filename).write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with serving(whole()) as (bd, _):
        monkeypatch.setattr(f"bestdefense_async.transport.partial_file.os.{call}", fail)
        with pytest.raises(DownloadError, match="No space left"):
            await bd.agents.download(FILE, tmp_path, keep_part=True)
        monkeypatch.undo()
    assert left_in(tmp_path) == {FILE.filename: b"old"}


@pytest.mark.parametrize(("size", "requests"), [(FILE.size, 0), (None, 1)])
async def test_a_disk_without_room_is_noticed_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None, requests: int
) -> None:
    """Before anything is sent when the manifest tells the size, else before a byte is written."""
    usage = shutil.disk_usage(tmp_path)._replace(free=len(CONTENT) - 1)
    monkeypatch.setattr(
        "bestdefense_async.transport.partial_file.shutil.disk_usage", lambda _: usage
    )
    async with serving(whole()) as (bd, server):
        with pytest.raises(DownloadError, match=f"needs {len(CONTENT)} more bytes"):
            await bd.agents.download(unknown(size=size), tmp_path)
        assert len(server.requests) == requests
    assert left_in(tmp_path) == {}


async def test_what_is_there_already_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it came in an earlier run, and half of it fits."""
    leave(tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=HALF)
    monkeypatch.setattr(
        "bestdefense_async.transport.partial_file.shutil.disk_usage", lambda _: usage
    )
    async with serving(rest(HALF)) as (bd, _):
        await bd.agents.download(FILE, tmp_path)
    assert left_in(tmp_path) == ALL


async def test_a_file_that_is_wrong_twice_is_not_kept(tmp_path: Path) -> None:
    """There is nothing in it to go on with."""
    async with serving(whole(OTHER)) as (bd, _):
        with pytest.raises(IntegrityError):
            await bd.agents.download(FILE, tmp_path, keep_part=True)
    assert left_in(tmp_path) == {}


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
