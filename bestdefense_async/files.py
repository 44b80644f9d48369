"""Small files: read whole under a cap, written whole or not at all; and locks on files.

Whoever reads a file of a person's reads it here, so `-` is stdin everywhere, the marks of Windows'
editors harm nowhere, and each error says the same.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

STDIN: Final = "-"
"""What stands for stdin in place of a file name. `Path("-")` is a file of that name."""

LARGEST: Final = 1 << 20
"""Bytes of a file that a person writes by hand."""

_NO_NAME: Final = "no file can be called so"

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def shown(path: os.PathLike[str] | str) -> str:
    """Return how an error names a file, whatever bytes its name has."""
    if path == STDIN:
        return "on stdin"
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        name = os.fspath(path).encode("utf-8", "backslashreplace")
    return clean_text(name.decode("utf-8", "backslashreplace"), longest=200)


def is_name(path: os.PathLike[str] | str) -> bool:
    """Return whether a file can be called so: without a NUL, and in letters of the file system."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def is_there(path: Path) -> bool:
    """Return whether something stands at `path`; also where that cannot be told.

    Reading it then says why.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def encoding_of(head: bytes) -> str:
    """Return Python's name of the encoding of a text that begins with `head`.

    The mark, which Windows' shells and editors put there, is left out when it is decoded.
    """
    return "utf-16" if head.startswith(_UTF16_MARKS) else "utf-8-sig"


def decode_file(content: bytes) -> str:
    """Return the text of a whole file.

    Raises:
        ValueError: It is none. The message names the line and reads on after the name of the file.
    """
    encoding = encoding_of(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:  # which holds the content, so it is not passed on
        line = content[: error.start].decode(encoding, "replace").count("\n") + 1
    raise ValueError(f"line {line}: this is not {encoding.removesuffix('-sig').upper()}")


@contextlib.contextmanager
def opened(path: Path | str, *, what: str) -> Iterator[BinaryIO]:
    """Give the bytes of a file, or of stdin.

    Args:
        path: The file, `-` for stdin.
        what: What it should hold, as an error begins: `The list`.

    Raises:
        ConfigError: The file system does not let us, now or while it is read.
    """
    problem = ""
    try:
        with _stream(path) as stream:
            yield stream
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise ConfigError(f"{what} {shown(path)} cannot be read: {problem}.")


def read_bytes(path: Path | str, *, what: str, largest: int = LARGEST) -> bytes:
    """Return what a file of at most `largest` bytes holds, or stdin.

    Raises:
        ConfigError: It cannot be read, or is larger.
    """
    with opened(path, what=what) as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        size = f"{largest >> 20} MB" if largest >> 20 else f"{largest:,} bytes"
        raise ConfigError(f"{what} {shown(path)} cannot be read: it is larger than {size}.")
    return content


def read_text(path: Path | str, *, what: str, largest: int = LARGEST) -> str:
    """Return the text of a file of at most `largest` bytes, or of stdin: UTF-8 or UTF-16.

    Raises:
        ConfigError: It cannot be read, is larger, or is no text; then the message names the line.
    """
    content = read_bytes(path, what=what, largest=largest)
    try:
        return decode_file(content)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(f"{shown(path)}, {problem}.")


def replace_file(
    path: Path | str, content: bytes, *, is_private: bool = False, is_durable: bool = True
) -> None:
    """Put `content` in the place of a file, whole or not at all.

    A link is followed where it is ours. What stands there keeps its permissions, and what is no
    plain file, like a pipe, is written to as it stands.

    Args:
        path: The file; its directory must be there.
        content: All of it.
        is_private: Only the owner may read it, whatever stood there before.
        is_durable: Wait until the disk has it, so that a power cut leaves the old or the new one.

    Raises:
        OSError: It cannot be written; what stood there still does.
    """
    if not is_name(path):
        raise OSError(errno.EINVAL, _NO_NAME)
    path = followed(Path(path))
    mode = _mode_of(path)
    if mode is not None and not stat.S_ISREG(mode):
        path.write_bytes(content)
        return
    wanted = 0o600 if is_private else _usual_mode() if mode is None else stat.S_IMODE(mode)
    handle, made = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    part = Path(made)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        if wanted != 0o600:  # noqa: PLR2004  # what a temporary file has
            part.chmod(wanted)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


@contextlib.contextmanager
def _stream(path: Path | str) -> Iterator[BinaryIO]:
    if path != STDIN:
        if not is_name(path):
            raise OSError(errno.EINVAL, _NO_NAME)
        with Path(path).open("rb") as file:
            yield file
    elif sys.stdin is None:
        raise OSError(errno.EBADF, "stdin is closed")
    else:
        yield sys.stdin.buffer


def followed(path: Path) -> Path:
    """Return what a link at `path` leads to; `path` itself when it is none.

    Raises:
        OSError: The link is somebody else's, which may lead anywhere, or it leads nowhere.
    """
    if not path.is_symlink():
        return path
    if hasattr(os, "geteuid") and path.lstat().st_uid not in {0, os.geteuid()}:
        raise PermissionError(errno.EPERM, "it is a link that somebody else has made")
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _usual_mode() -> int:
    """Return the permissions a new file gets here."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


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
