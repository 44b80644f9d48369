"""Bytes that are text: in UTF-8, or in UTF-16 where they begin with its mark."""

from __future__ import annotations

import codecs
from typing import Final

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
