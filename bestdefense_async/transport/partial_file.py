"""What is there of a file so far: `NAME.part` beside its final place. Blocking; runs in threads.

`NAME.part.json` says what the part belongs to: the digest and size that were wanted and the ETag
that came. A part is gone on with only when these fit, and it is read and hashed again first, so
the digest covers every byte of the file, whoever wrote them. The part is locked for as long as
somebody works on it, and only who holds the lock moves it to the final place or removes it.

Nothing here follows a link or writes into a file that has a second name: what stands in the way
of the part is unlinked, what stands at the final place is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from attrs import define, field

from bestdefense_async.core.expected_file import ExpectedFile, strong_etag
from bestdefense_async.errors import (
    DownloadError,
    IntegrityError,
    ResponseTooLarge,
    clean_text,
)
from bestdefense_async.files import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

P = ParamSpec("P")
T = TypeVar("T")

SUFFIX: Final = ".part"
VERSION: Final = 1

_BLOCK: Final = 1 << 20
_BLOCKS: Final = 32
"""Blocks hashed at a time, so that whoever waits can be cancelled in between."""
_LARGEST_FACTS: Final = 4096
_NO_SURPRISES: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe in the way must not keep us waiting
    | getattr(os, "O_BINARY", 0)
)
"""Flags of `os.open`."""

_ATTEMPTS: Final = 10
"""How often something else may turn up at the place while we open it."""


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
    raise DownloadError(f"{_quoted(path)} cannot be written: {problem}.")


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


@define
class PartialFile:
    """The part of one file; `close` it in any case."""

    final: Path
    wanted: ExpectedFile
    etag: str | None = None
    """What the server calls exactly these bytes, None when it has no word for them."""
    total: int | None = None
    """Bytes of the whole file, None while unknown."""
    size: int = 0
    """Bytes that are there and hashed."""
    is_finished: bool = False
    _descriptor: int = -1
    """Open and locked, -1 before and after."""
    _hash: hashlib._Hash = field(factory=hashlib.sha256, repr=False)
    _unread: int = 0
    """Bytes on the disk from `size` on that are still to be hashed."""
    _left: tuple[int, int] = (0, 0)
    """Size and time of change as we left the file."""

    def open(self) -> None:
        """Take the place, with what an earlier run left where that fits.

        Raises:
            DownloadError: It is taken already, it cannot be used, or the disk has no room.
            OSError: The file system does not let us.
        """
        if self.final.is_dir() and not self.final.is_symlink():
            raise DownloadError(f"{_quoted(self.final)} is a directory: the file is not stored.")
        self._descriptor = _open_locked(_beside(self.final, SUFFIX))
        self._adopt()
        self.check_room()

    def check_room(self) -> None:
        """Compare what is still to come with the free space.

        Raises:
            DownloadError: It does not fit.
        """
        total = self.wanted.size if self.total is None else self.total
        if total is None:
            return
        missing = total - self.size - self._unread
        free = shutil.disk_usage(self.final.parent).free
        if missing > free:
            raise DownloadError(
                f"{_quoted(self.final)} needs {missing} more bytes, and its disk has {free}."
            )

    def look(self) -> None:
        """See whether anybody else has written here; if so, all of it is to be hashed again."""
        found = os.fstat(self._descriptor)
        if (found.st_size, found.st_mtime_ns) != self._left:
            self.size = 0
            self._hash = hashlib.sha256()
            self._unread = found.st_size
            self._left = (found.st_size, found.st_mtime_ns)

    def rehash(self) -> bool:
        """Hash some of the bytes that are there and not hashed; False when none are left."""
        os.lseek(self._descriptor, self.size, os.SEEK_SET)
        for _ in range(_BLOCKS):
            block = os.read(self._descriptor, min(_BLOCK, self._unread))
            self._hash.update(block)
            self.size += len(block)
            self._unread = self._unread - len(block) if block else 0
            if not self._unread:
                break
        return self._unread > 0

    def restart(self, *, etag: str | None = None, total: int | None = None) -> None:
        """Begin at the first byte, with what the server says about the file that comes now.

        Raises:
            DownloadError: The disk has no room for it.
        """
        os.ftruncate(self._descriptor, 0)
        self.size = self._unread = 0
        self._hash = hashlib.sha256()
        self._leave()
        self.etag, self.total = etag, total
        self.check_room()
        facts = {"version": VERSION, "sha256": self.wanted.sha256, "size": total, "etag": etag}
        _write_facts(_beside(self.final, f"{SUFFIX}.json"), facts)

    def write(self, pieces: Iterable[bytes]) -> None:
        """Add what came.

        Raises:
            ResponseTooLarge: It is more than may come.
        """
        self._catch_up()
        os.lseek(self._descriptor, self.size, os.SEEK_SET)
        for piece in pieces:
            if self.size + len(piece) > self.wanted.most:
                raise ResponseTooLarge(f"The file is larger than {self.wanted.most} bytes.")
            view = memoryview(piece)
            while view:
                count = os.write(self._descriptor, view)
                self._hash.update(view[:count])
                self.size += count
                view = view[count:]
        self._leave()

    def finish(self) -> None:
        """Check the whole file and move it to its final place.

        Raises:
            IntegrityError: Size or digest are not those that are wanted. The part is emptied.
        """
        self._catch_up()
        wanted = self.wanted
        problem = None
        if wanted.size is not None and wanted.size != self.size:
            problem = f"The file has {self.size} bytes instead of {wanted.size}."
        elif wanted.sha256 is not None and self._hash.hexdigest() != wanted.sha256:
            problem = "The file does not have the SHA-256 that the manifest gives."
        if problem is not None:
            self.restart()
            raise IntegrityError(problem)
        os.fsync(self._descriptor)
        if os.name == "nt":  # which moves no file that is open
            self._close()
        part = _beside(self.final, SUFFIX)
        os.replace(part, self.final)  # noqa: PTH105  # takes a link's place, never follows it
        self.is_finished = True
        _beside(self.final, f"{SUFFIX}.json").unlink(missing_ok=True)
        _sync_directory(self.final.parent)

    def close(self, *, keep: bool) -> None:
        """Let go of the part; unless it is to be kept and holds something, nothing is left."""
        is_held = self._descriptor >= 0 and not self.is_finished
        if is_held and not (keep and self.size + self._unread):
            for suffix in (SUFFIX, f"{SUFFIX}.json"):
                with contextlib.suppress(OSError):
                    _beside(self.final, suffix).unlink()
        self._close()

    def _catch_up(self) -> None:
        self.look()
        while self._unread:
            self.rehash()

    def _leave(self) -> None:
        found = os.fstat(self._descriptor)
        self._left = (found.st_size, found.st_mtime_ns)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _adopt(self) -> None:
        """Take over what an earlier run left, if it is a part of the file that is wanted."""
        if hasattr(os, "fchmod"):
            os.fchmod(self._descriptor, 0o600)
        there = os.fstat(self._descriptor).st_size
        facts = _read_facts(_beside(self.final, f"{SUFFIX}.json"))
        etag, size = facts.get("etag"), facts.get("size")
        etag = strong_etag(etag if isinstance(etag, str) else None)
        size = size if type(size) is int else None
        fits = (
            facts.get("version") == VERSION
            and facts.get("sha256") == self.wanted.sha256
            and (self.wanted.size is None or size in {None, self.wanted.size})
            and there <= (self.wanted.most if size is None else size)
        )
        if fits:
            self._unread, self.etag, self.total = there, etag, size
        else:
            os.ftruncate(self._descriptor, 0)
        self._leave()


def is_stored(final: Path, wanted: ExpectedFile) -> bool:
    """Whether the wanted file stands at its place already; without a digest nobody can tell."""
    try:
        found = final.lstat()
        if not stat.S_ISREG(found.st_mode) or wanted.size not in {None, found.st_size}:
            return False
        with final.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wanted.sha256
    except OSError:
        return False


def _beside(final: Path, suffix: str) -> Path:
    return final.with_name(final.name + suffix)


def _read_facts(path: Path) -> dict[str, object]:
    """Return what stands beside a part; nothing when that cannot be used."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_SURPRISES)
    except OSError:
        return {}
    try:
        facts = json.loads(os.read(descriptor, _LARGEST_FACTS))
    except (OSError, ValueError, RecursionError):
        facts = None
    finally:
        os.close(descriptor)
    return facts if isinstance(facts, dict) else {}


def _write_facts(path: Path, facts: Mapping[str, object]) -> None:
    """Write what stands beside a part; half of it, after a crash, is as good as none."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(facts, file)


def _quoted(path: Path) -> str:
    """Return a path as an error quotes it."""
    return repr(clean_text(str(path), longest=200))


def _open_locked(path: Path) -> int:
    """Return a descriptor of the file at `path`, made if need be, that we alone hold.

    A link, a pipe, somebody else's file or one with a second name is unlinked and never written to.

    Raises:
        DownloadError: Somebody else holds it.
        OSError: The file system does not let us.
    """
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_SURPRISES, 0o600)
        except OSError:
            if not path.is_symlink():
                raise
            path.unlink(missing_ok=True)
            continue
        try:
            if _is_ours(descriptor):
                if not try_lock(descriptor):
                    raise DownloadError(
                        f"{_quoted(path)} is in use: somebody else is downloading this file."
                    )
                if _is_at(descriptor, path):
                    descriptor, locked = -1, descriptor
                    return locked
            else:
                path.unlink(missing_ok=True)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    raise DownloadError(f"{_quoted(path)} changes all the time: somebody else uses this place.")


def _is_ours(descriptor: int) -> bool:
    """Whether this is a plain file of ours without a second name; it may have just lost its own."""
    found = os.fstat(descriptor)
    is_mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and is_mine


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still stands at its place: its last holder may have moved it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sync_directory(path: Path) -> None:
    """Make sure that the new name outlives a power cut, where the system can say so."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
