"""Lists of targets as people make them: one per line, with comments, from any editor or shell."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, BinaryIO, Final

from bestdefense_async.errors import TargetError
from bestdefense_async.orchestration.targets import LONGEST_TARGET, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES: Final = 1 << 16
"""How much of a list is in memory at once."""
LONGEST_LINE: Final = LONGEST_TARGET + 1024
"""Characters of a line that are kept: a target and a comment."""

_COMMENT: Final = re.compile(r"(^|\s)#.*", re.DOTALL)
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
    encoding = "utf-16" if head.startswith(_UTF16_MARKS) else "utf-8-sig"
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    pending = ""
    while head:
        *complete, rest = (pending + decoder.decode(head)).split("\n")
        yield from complete
        pending = rest[: LONGEST_LINE + 1]
        head = stream.read(CHUNK_BYTES)
    pending += decoder.decode(b"", final=True)
    if pending:
        yield pending
