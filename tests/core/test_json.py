"""Strict JSON: what other parsers let through is an error here."""

import pytest

from bestdefense_async.core.json import DEEPEST, decode_json, encode_json
from bestdefense_async.errors import DecodeError


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
        pytest.param(b"\xef\xbb\xbf{}", "expecting value", id="a byte-order mark"),
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
