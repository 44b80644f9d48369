"""A file at a place where anybody may have put anything: opened so that only our own is touched."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from bestdefense_async.errors import DownloadError, clean_text
from bestdefense_async.transport.disk import try_lock

if TYPE_CHECKING:
    from pathlib import Path

NO_SURPRISES: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe in the way must not keep us waiting
    | getattr(os, "O_BINARY", 0)
)
"""Flags of `os.open`."""

_ATTEMPTS: Final = 10
"""How often something else may turn up at the place while we open it."""


def quoted_path(path: Path) -> str:
    """Return a path as an error quotes it."""
    return repr(clean_text(str(path), longest=200))


def open_locked(path: Path) -> int:
    """Return a descriptor of the file at `path`, made if need be, that we alone hold.

    A link, a pipe, somebody else's file or one with a second name is unlinked and never written to.

    Raises:
        DownloadError: Somebody else holds it.
        OSError: The file system does not let us.
    """
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_SURPRISES, 0o600)
        except OSError:
            if not path.is_symlink():
                raise
            path.unlink(missing_ok=True)
            continue
        try:
            if _is_ours(descriptor):
                if not try_lock(descriptor):
                    raise DownloadError(
                        f"{quoted_path(path)} is in use: somebody else is downloading this file."
                    )
                if _is_at(descriptor, path):
                    descriptor, locked = -1, descriptor
                    return locked
            else:
                path.unlink(missing_ok=True)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    raise DownloadError(f"{quoted_path(path)} changes all the time: somebody else uses this place.")


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


def sync_directory(path: Path) -> None:
    """Make sure that the new name outlives a power cut, where the system can say so."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
