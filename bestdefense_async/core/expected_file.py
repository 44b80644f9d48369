"""What a file must be to be stored, and what headers say about it.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.5 (If-Range) and 14.4 (Content-Range).
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

from bestdefense_async.errors import IntegrityError

LARGEST_FILE: Final = 2 * 2**30
"""Bytes; an agent is a few MiB, and a body without end must not fill the disk."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ETAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_BEYOND: Final = re.compile(r"bytes \*/([0-9]{1,15})")


@frozen(kw_only=True)
class ExpectedFile:
    """What is known of a file before it comes."""

    sha256: str | None
    """64 hexadecimal digits in lower case; None takes whatever comes."""
    size: int | None = None
    """Bytes, None when unknown."""

    @property
    def most(self) -> int:
        """How many bytes may come at all."""
        return LARGEST_FILE if self.size is None else min(self.size, LARGEST_FILE)


@frozen(kw_only=True)
class Range:
    """The bytes that a 206 says it holds."""

    first: int
    last: int
    total: int
    """Bytes of the whole file."""


def checked_digest(text: str | None, *, is_required: bool = True) -> str | None:
    """Return a SHA-256 digest in lower case; None when there is none and none is required.

    Raises:
        IntegrityError: There is none, or it is not 64 hexadecimal digits: what cannot be checked
            is not stored. One that is there and malformed is never taken for none.
    """
    if text is None and not is_required:
        return None
    digest = "" if text is None else text.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise IntegrityError(
            "The manifest gives no SHA-256 for this file, so it cannot be checked: not stored."
            if text is None
            else "What the manifest gives as SHA-256 of this file is none: it is not stored."
        )
    return digest


def strong_etag(text: str | None) -> str | None:
    """Return an ETag that stands for exactly these bytes, None when it is weak or malformed."""
    return text if text is not None and _ETAG.fullmatch(text) else None


def parse_content_range(text: str | None) -> Range | None:
    """Return which bytes a 206 holds; None when it does not say so completely and sensibly."""
    match = _CONTENT_RANGE.fullmatch(text or "")
    if match is None:
        return None
    first, last, total = map(int, match.groups())
    return Range(first=first, last=last, total=total) if first <= last < total else None


def size_beyond(text: str | None) -> int | None:
    """Return the size of the file in the Content-Range of a 416, None when it has none."""
    match = _BEYOND.fullmatch(text or "")
    return None if match is None else int(match[1])
