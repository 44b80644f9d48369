"""Strict JSON: what other parsers let through is an error here."""

import json
import random
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from bestdefense_async.core.json import DEEPEST, decode_json, encode_json
from bestdefense_async.errors import DecodeError
from tests.support.mutations import mutated


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "empty", id="nothing at all"),
        pytest.param(b" \n ", "empty", id="only white space"),
        pytest.param(b"<html>", "expecting value", id="a page"),
        pytest.param(b"NaN", "NaN", id="not a number"),
        pytest.param(b"[-Infinity]", "infinity", id="an infinity"),
        pytest.param(b"1e999", "overflows", id="a float that overflows"),
        pytest.param(b"9" * 5000, "too many digits", id="an integer of 5,000 digits"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "nested", id="100,000 brackets"),
        pytest.param(
            b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "nested", id="one level too deep"
        ),
        pytest.param(b'{"a":1,"a":2}', "twice", id="a member named twice"),
        pytest.param(b'"\xff"', "UTF-8", id="a byte that is no UTF-8"),
        pytest.param(b"\xef\xbb\xbf" * 2 + b"{}", "expecting value", id="two byte-order marks"),
        pytest.param(b'"\\ud800"', "surrogate", id="half a surrogate pair"),
        pytest.param(b"{} {}", "extra data", id="two documents"),
        pytest.param(b"cb({})", "expecting value", id="JSONP"),
        pytest.param(b")]}',{}", "expecting value", id="a guard prefix"),
        pytest.param(b"{}\0", "extra data", id="a trailing NUL"),
        pytest.param(b'{"a":', "expecting value", id="a cut object"),
        pytest.param(b'"a\nb"', "control character", id="a raw line break in text"),
    ],
)
def test_what_is_not_strict_json_is_refused(body: bytes, reason: str) -> None:
    """Each fault is named by its kind."""
    with pytest.raises(DecodeError, match="(?i)" + reason):
        decode_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b"null", None, id="null"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"a": 1}, id="a byte-order mark in front"),
        pytest.param(b' {"a": [1, 2.5, "\xc3\xa9"]} ', {"a": [1, 2.5, "é"]}, id="an object"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="a whole surrogate pair"),
        pytest.param(b"18446744073709551616", 2**64, id="an integer beyond 64 bits"),
        pytest.param(b"[" * 5 + b"]" * 5, [[[[[]]]]], id="some nesting"),
        pytest.param(b"[" + b"{}," * 200 + b"{}]", [{}] * 201, id="many brackets side by side"),
    ],
)
def test_strict_json_is_read(body: bytes, value: object) -> None:
    """Values come out as they are."""
    assert decode_json(body) == value


def test_an_error_never_repeats_a_value() -> None:
    """A body may hold secrets, so only the kind of fault and its place are told."""
    with pytest.raises(DecodeError) as caught:
        decode_json(b'{"token": "s3cret-value"')
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_nan_cannot_be_sent() -> None:
    """What we refuse to read we do not write."""
    with pytest.raises(ValueError, match="JSON"):
        encode_json({"a": float("nan")})


@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf", b"\xef\xbb\xbf "], ids=["a mark alone", "a mark and a space"]
)
def test_a_byte_order_mark_is_no_value(body: bytes) -> None:
    """It is ignored, and then nothing is left."""
    with pytest.raises(DecodeError):
        decode_json(body)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("ISO-8859-1", "latin-1"),
        ("iso-8859-15", "iso-8859-15"),
        ('"Windows-1252"', "cp1252"),
        ("Shift_JIS", "shift_jis"),
        ("utf-16", "utf-16"),
        ("UTF-16", "utf-16-be"),
        ("UTF-16", "utf-16-le"),
        ("UTF-16LE", "utf-16-le"),
        ("utf-16be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("utf-32", "utf-32-be"),
        ("utf-32", "utf-32-le"),
    ],
)
def test_a_declared_charset_is_used(charset: str, encoding: str) -> None:
    """A proxy may have recoded the answer, and says so."""
    text = '{"a": "\uff76"}' if encoding == "shift_jis" else '{"a": "\xe9"}'
    body = text.encode(encoding)
    assert decode_json(body, f"application/json; Charset={charset}") == json.loads(text)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/json; charset=ISO-8859-1",
        "application/json; charset=UTF-16",
        "application/json; charset=utf-32be",
        "application/json; charset=rot13",
        "application/json; charset=none-such",
        "application/json;;;=",
        "charset=",
        "",
    ],
)
def test_a_charset_that_is_untrue_or_unknown_changes_nothing(content_type: str) -> None:
    """Servers declare charsets by habit, and a codec that is none must not be run."""
    assert decode_json(b'{"a": "\xc3\xa9"}', content_type) == {"a": "é"}
    with pytest.raises(DecodeError):
        decode_json(b'{"a": "\xff"', content_type)
    if "8859" not in content_type:
        with pytest.raises(DecodeError, match="UTF-8"):
            decode_json(b'{"a": "\xff"}', content_type)


def _refuse(word: str) -> NoReturn:
    raise ArithmeticError(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        _refuse("twice")
    return dict(pairs)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if abs(number) < float("inf") else _refuse("overflows")


def _height(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_height, inner if isinstance(value, dict | list) else ()), default=0)


def reference(body: bytes) -> Any:
    """Decode by the front door of the standard library, with the same hooks."""
    value = json.loads(
        body.decode("utf-8").removeprefix("\ufeff"),
        parse_constant=_refuse,
        parse_float=_finite,
        object_pairs_hook=_unique,
    )
    json.dumps(value, ensure_ascii=False).encode()
    return value if _height(value) <= DEEPEST else _refuse("nested")


def outcome(decode: Callable[[bytes], Any], body: bytes) -> str:
    """Return what came out, or where a fault of the syntax was seen, or that there was a fault."""
    try:
        return repr(decode(body))
    except DecodeError as error:
        return _syntax(str(error))
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
        return _syntax("it is empty" if not body.strip() else reason)
    except (ArithmeticError, ValueError, RecursionError):
        return "a fault"


def _syntax(message: str) -> str:
    """Return the syntax fault in a message, or that it is another one."""
    place = message.removeprefix("The body is not strict JSON: ").removesuffix(".")
    return place if " at character " in place or place == "it is empty" else "a fault"


def test_mutated_bodies_are_read_like_the_standard_library_reads_them() -> None:
    """The scanner is called directly here, and every way it ends must be caught."""
    chance = random.Random(20)
    seen = set()
    for _ in range(30_000):
        body = mutated(chance)
        found = outcome(decode_json, body)
        assert found == outcome(reference, body), body
        seen.add(found.partition(" at character ")[0][:20])
    assert len(seen) > 10  # the mutations reach many ways to end
