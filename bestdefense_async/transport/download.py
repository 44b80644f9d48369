"""Put a file in its place whole, checked, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from typing import TYPE_CHECKING, Final

from attrs import define, field

from bestdefense_async.errors import (
    BestDefenseError,
    DownloadError,
    IntegrityError,
    ResponseTooLarge,
    clean_text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LARGEST_FILE: Final = 2 * 2**30
"""Bytes; an agent is a few MiB, and a body without end must not fill the disk."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def checked_digest(text: str | None) -> str:
    """Return a SHA-256 digest in lower case.

    Raises:
        IntegrityError: There is none, or it is not 64 hexadecimal digits: what cannot be checked
            is not stored.
    """
    digest = "" if text is None else text.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise IntegrityError(
            "The manifest gives no usable SHA-256 for this file: it is not stored."
        )
    return digest


@define
class _Temporary:
    """An unfinished file beside its final place."""

    path: str
    descriptor: int
    hash: hashlib._Hash = field(factory=hashlib.sha256)
    size: int = 0

    @classmethod
    def open(cls, final: Path) -> _Temporary:
        descriptor, path = tempfile.mkstemp(prefix=".bestdefense-", dir=final.parent)
        return cls(path, descriptor)

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > LARGEST_FILE:
            raise ResponseTooLarge(f"The file is larger than {LARGEST_FILE} bytes.")
        self.hash.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def finish(self, final: Path, *, sha256: str, size: int | None) -> None:
        if size is not None and size != self.size:
            raise IntegrityError(f"The file has {self.size} bytes instead of {size}.")
        if self.hash.hexdigest() != sha256:
            raise IntegrityError("The file does not have the SHA-256 that the manifest gives.")
        os.fsync(self.descriptor)
        os.replace(self.path, final)  # noqa: PTH105  # takes a link's place, never follows it

    def close(self) -> None:
        """Remove what was not finished."""
        os.close(self.descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # noqa: PTH108  # the path came from mkstemp as text


async def store(
    chunks: AsyncIterator[bytes], final: Path, *, sha256: str, size: int | None
) -> None:
    """Write `chunks` to `final`, in threads, and check them.

    The file appears at its place complete and with the right digest; it is readable by its owner
    alone and never executable. Whatever goes wrong, also a cancellation, leaves nothing behind.

    Raises:
        IntegrityError: Size or digest differ.
        ResponseTooLarge: There is more than a file may have.
        DownloadError: The disk does not take it.
    """
    problem: str
    try:
        temporary = await asyncio.to_thread(_Temporary.open, final)
        try:
            async for chunk in chunks:
                await asyncio.to_thread(temporary.write, chunk)
            await asyncio.to_thread(temporary.finish, final, sha256=sha256, size=size)
        finally:
            temporary.close()
    except BestDefenseError:
        raise
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        return
    where = clean_text(str(final), longest=200)
    raise DownloadError(f"{where!r} cannot be written: {problem}.")
