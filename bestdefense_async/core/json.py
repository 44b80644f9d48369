"""JSON without surprises: strict UTF-8, finite numbers, no duplicate keys, bounded depth.

Parsers differ in what they let through (NaN, 1e999, lone surrogates, a byte-order mark, nesting);
here each of these is an error, on every Python version.
"""

import json
import math
from typing import Any, Final, NoReturn

from bestdefense_async.errors import DecodeError

DEEPEST: Final = 64
"""Levels of nesting; the API needs six."""


def decode_json(body: bytes) -> Any:  # noqa: ANN401  # JSON has no narrower type
    """Return the one JSON value that `body` holds.

    Raises:
        DecodeError: It holds none, or more than one, or something strict JSON does not know.
            Names the kind of fault, never a value.
    """
    fault = None
    value = None
    try:
        value = _DECODER.decode(body.decode("utf-8"))
        if body.count(b"[") + body.count(b"{") > DEEPEST and _is_too_deep(value):
            fault = f"it is nested deeper than {DEEPEST} levels"
        if b"\\ud" in body or b"\\uD" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        fault = "it is not valid UTF-8"
    except UnicodeEncodeError:
        fault = "it contains half a surrogate pair"
    except RecursionError:
        fault = f"it is nested deeper than {DEEPEST} levels"
    except json.JSONDecodeError as error:
        fault = f"{_reason(error)} at character {error.pos}" if body.strip() else "it is empty"
    except _StrictnessError as error:
        fault = error.args[0]
    except ValueError:
        fault = "it contains a number of too many digits"
    if fault is not None:
        raise DecodeError(f"The body is not strict JSON: {fault}.")
    return value


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


class _StrictnessError(Exception):
    """A fault that the stock parser lets through; the message is ours."""


def _reason(error: json.JSONDecodeError) -> str:
    return error.msg[:1].lower() + error.msg[1:]


def _refuse_constant(_: str) -> NoReturn:
    raise _StrictnessError("it contains NaN or an infinity")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _StrictnessError("it contains a number that overflows")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _StrictnessError("an object names the same member twice")
    return members


_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant,
    parse_float=_finite,
    object_pairs_hook=_without_duplicates,
)


def _is_too_deep(value: Any) -> bool:  # noqa: ANN401  # JSON has no narrower type
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for container in level
            if isinstance(container, dict | list)
            for child in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True
