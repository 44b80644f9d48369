"""JSON without surprises: finite numbers, no duplicate keys, bounded depth, whole characters.

Parsers differ in what they let through (NaN, 1e999, lone surrogates, nesting); here each of these
is an error, on every Python version. Text is UTF-8 (RFC 8259, 8.1); a byte-order mark is ignored,
and what is not UTF-8 is read in the charset that its Content-Type declares, where that is known.
"""

import json
import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NoReturn

from bestdefense_async.errors import DecodeError

DEEPEST: Final = 64
"""Levels of nesting; the API needs six."""

_CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:-]+)", re.ASCII | re.IGNORECASE)
_NARROW: Final = frozenset(
    (
        *(f"iso-8859-{number}" for number in (*range(1, 11), 13, 14, 15, 16)),
        *(f"windows-125{number}" for number in range(9)),
        *("koi8-r", "koi8-u", "gbk", "gb2312", "gb18030", "big5"),
        *("euc-jp", "euc-kr", "shift_jis"),
    )
)
"""Charsets in which ASCII is ASCII, by names that Python shares."""
_WIDE: Final = re.compile(r"utf-(?:16|32)(?:le|be)?")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
SURROGATE: Final = re.compile(r"\\u[dD]")
"""What begins the escape of a surrogate, and of some others."""
_CONTAINERS: Final[frozenset[type]] = frozenset({dict, list})
BOM: Final = "\ufeff"
"""The mark that some writers put in front of a text."""
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


def decode_json(body: bytes, content_type: str = "") -> Any:  # noqa: ANN401  # JSON has no narrower type
    """Return the one JSON value that `body` holds.

    Args:
        body: The bytes.
        content_type: The header of that name, for a charset in it.

    Raises:
        DecodeError: It holds none, or more than one, or something strict JSON does not know.
            Names the kind of fault, never a value.
    """
    fault = None
    value = None
    try:
        text = decode_text(body, content_type)
        value = _scanned(text)
        if text.count("[") + text.count("{") > DEEPEST:
            check_depth(value)
        if "\\" in text and SURROGATE.search(text):
            check_characters(value)
    except UnicodeDecodeError as error:
        fault = f"it is not valid {error.encoding.upper()}"
    except UnicodeEncodeError:
        fault = "it contains half a surrogate pair"
    except RecursionError:
        fault = f"it is nested deeper than {DEEPEST} levels"
    except json.JSONDecodeError as error:
        fault = f"{_reason(error)} at character {error.pos}" if body.strip() else "it is empty"
    except StrictnessError as error:
        fault = error.args[0]
    except ValueError:
        fault = "it contains a number of too many digits"
    if fault is not None:
        raise DecodeError(f"The body is not strict JSON: {fault}.")
    return value


def decode_text(body: bytes, content_type: str = "") -> str:
    """Return a body as text, without a byte-order mark.

    It is UTF-8 unless it cannot be: a server that declares another charset by habit is not taken
    at its word. UTF-16 and UTF-32 are seen by the NUL beside the first character.

    Raises:
        UnicodeDecodeError: It is neither UTF-8 nor what it is declared to be.
    """
    charset = _declared(content_type) if "=" in content_type else "utf-8"
    if b"\0" in body[:4] and _WIDE.fullmatch(charset):
        if charset in {"utf-16", "utf-32"} and not body.startswith(_WIDE_BOMS):
            charset += "be" if body[0] == 0 else "le"
        return body.decode(charset).removeprefix(BOM)
    try:
        return body.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError:
        if charset not in _NARROW:
            raise
    return body.decode(charset)


@lru_cache(maxsize=64)
def _declared(content_type: str) -> str:
    """Return the charset that a Content-Type names; a server has few of them."""
    found = _CHARSET.search(content_type)
    return "utf-8" if found is None else found[1].lower()


def encode_json(value: Any) -> bytes:  # noqa: ANN401  # JSON has no narrower type
    """Return `value` as compact JSON.

    Raises:
        ValueError, TypeError: It is not a JSON value: NaN and infinities are none, nor is text
            with half a surrogate pair.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return text.encode("ascii")


class StrictnessError(Exception):
    """A fault that the stock parser lets through; the message is ours."""


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg[:1].lower() + error.msg[1:]


def _refuse_constant(_: str) -> NoReturn:
    raise StrictnessError("it contains NaN or an infinity")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise StrictnessError("it contains a number that overflows")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictnessError("an object names the same member twice")
    return members


_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_finite,
    object_pairs_hook=_without_duplicates,
)
scan: Final[Callable[[str, int], tuple[Any, int]]] = _DECODER.scan_once  # type: ignore[attr-defined]
"""Returns the value at a place of a text, and where it ends: strict but for depth and surrogates.

Ends with StopIteration, JSONDecodeError, ValueError, RecursionError or StrictnessError."""


def _scanned(text: str) -> Any:  # noqa: ANN401  # JSON has no narrower type
    """Return the one value of a text, as `json.JSONDecoder.decode` does with three calls more."""
    start = 0 if text[:1] == "{" else skip_space(text, 0)
    try:
        value, end = scan(text, start)
    except StopIteration as stop:  # how the scanner says that no value begins there
        at = stop.value
    else:
        if end == len(text) or (end := skip_space(text, end)) == len(text):
            return value
        raise json.JSONDecodeError("Extra data", text, end)
    raise json.JSONDecodeError("Expecting value", text, at)


def skip_space(text: str, at: int) -> int:
    """Return where the white space that begins at `at`, if any, ends."""
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def check_characters(value: Any) -> None:  # noqa: ANN401  # any JSON value
    """Check a value whose text had escapes of surrogates.

    Raises:
        UnicodeEncodeError: It contains half a surrogate pair.
    """
    json.dumps(value, ensure_ascii=False).encode("utf-8")


def check_depth(value: Any, *, most: int = DEEPEST) -> None:  # noqa: ANN401  # any JSON value
    """Check that nothing in a value is nested in more than `most` others.

    Raises:
        StrictnessError: Something is.
    """
    level: list[Any] = [value] if value.__class__ in _CONTAINERS else []
    for _ in range(most - 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if outer.__class__ is dict else outer)
            if inner.__class__ in _CONTAINERS
        ]
        if not level:
            return
    if any(level):  # what they hold is too deep
        raise StrictnessError(f"it is nested deeper than {DEEPEST} levels")
