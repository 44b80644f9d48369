"""What is to be scanned, as people write it: one target, or a list of them."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from bestdefense_async.core.host import normalise_host, written_host
from bestdefense_async.errors import TargetError
from bestdefense_async.files import encoding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


LONGEST_TARGET: Final = 2048
"""Characters of one target, a URL included."""

_SITE_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")


@frozen
class Target:
    """One thing to scan: a host name, a URL of it, or a site id (UUID).

    A site is known by its host name, so the port and the path of a URL do not matter.

    Raises:
        TargetError: The text is none of these. The message names the line.
    """

    text: str
    """As it was written, without white space around it."""
    line: int | None = None
    """Line number in a list, from 1; None when it came from elsewhere."""
    host: str | None = field(init=False, default=None)
    """The normalised host name; None for a site id."""

    def __attrs_post_init__(self) -> None:
        text = self.text.strip()
        object.__setattr__(self, "text", text)

        def refuse(why: str, *, shown: str = text) -> TargetError:
            return TargetError(why, target=shown, line=self.line)

        if not text:
            raise refuse("The target is empty.")
        if len(text) > LONGEST_TARGET:
            raise refuse(f"The target has more than {LONGEST_TARGET} characters.")
        if _UNSEEN.search(text):
            raise refuse(f"{text!r} contains a space, a control or an invisible character.")
        if text.startswith("-"):
            raise refuse(f"{text!r} begins with a hyphen: no host name does, and no option is.")
        if not _SITE_ID.fullmatch(text):
            object.__setattr__(self, "host", _host_of(text, refuse))

    def __str__(self) -> str:
        """Return it as it was written, and the host that is meant where that reads differently."""
        is_plain = self.host is None or self.host == self.text.lower()
        return self.text if is_plain else f"{self.text} ({self.host})"

    @property
    def site_id(self) -> str | None:
        """The site id, as it was written; None for a host name or a URL."""
        return self.text if self.host is None else None


def _host_of(text: str, refuse: Callable[..., TargetError]) -> str:
    """Return the normalised host name of a URL, `host` or `host:port`."""
    has_scheme = "://" in text
    host: str | None = None
    why = "not a host name, a URL or a site id"
    try:
        parts = urlsplit(text if has_scheme else f"//{text}")
        if "@" in parts.netloc:
            why = "it contains user information"
        elif has_scheme and parts.scheme not in {"http", "https"}:
            why = "only http and https can be scanned"
        elif not has_scheme and (parts.path or parts.query or parts.fragment):
            why = "a path needs the whole URL, with https:// in front"
        elif parts.port != 0 and parts.hostname:  # `port` raises on nonsense
            host = normalise_host(written_host(parts.netloc))
    except ValueError as error:
        why = "its host name is too long or malformed" if isinstance(error, UnicodeError) else why
    if host is None:
        if "@" in text:  # it may be a password
            raise refuse(f"A target cannot be used: {why}.", shown="")
        raise refuse(f"{text!r} cannot be used: {why}.")
    return host


CHUNK_BYTES: Final = 1 << 16
"""How much of a list is in memory at once."""
LONGEST_LINE: Final = LONGEST_TARGET + 1024
"""Characters of a line that are kept: a target and a comment."""

_COMMENT: Final = re.compile(r"(^|\s)#.*", re.DOTALL)


def read_targets(lines: Iterable[str]) -> Iterator[Target | TargetError]:
    """Yield what each line names: a target, or the error that says what is wrong with it.

    Blank lines and comments are skipped: `#` at the start of a line or after white space.
    Duplicates are yielded like others; a `ScanGroup` recognises them by their site. One line is
    in memory at a time.
    """
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff") if number == 1 else line
        if len(text) > LONGEST_LINE:
            yield TargetError(f"The line has more than {LONGEST_LINE} characters.", line=number)
            continue
        text = _COMMENT.sub("", text).strip(" \t\r\n")
        if text:
            yield _parse(text, number)


def _parse(text: str, number: int) -> Target | TargetError:
    try:
        return Target(text, number)
    except TargetError as error:
        return error.with_traceback(None)


def decode_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a list in UTF-8, or in UTF-16 when it begins with its mark.

    Reads 64 KiB at a time. A line is cut above `LONGEST_LINE` characters, so that memory is
    bounded whatever comes; `read_targets` refuses what was cut. A byte that is not text becomes
    U+FFFD, which no target contains, so the error names the line.

    Reading blocks as the stream does: hand a pipe or a terminal to a thread.
    """
    head = stream.read(CHUNK_BYTES)
    decoder = codecs.getincrementaldecoder(encoding_of(head))(errors="replace")
    pending = ""
    while head:
        *complete, rest = (pending + decoder.decode(head)).split("\n")
        yield from complete
        pending = rest[: LONGEST_LINE + 1]
        head = stream.read(CHUNK_BYTES)
    pending += decoder.decode(b"", final=True)
    if pending:
        yield pending
