"""A token cannot be shown by accident."""

import copy
import json
import pickle
from typing import Any

import pytest
from attrs import asdict, frozen

from bestdefense_async.core.secret import Secret
from bestdefense_async.errors import ConfigError

TOKEN = "abc-123.DEF_456~789+/="


@frozen
class Holder:
    """Something that holds a token."""

    secret: Secret


def test_no_way_of_showing_it_shows_it() -> None:
    """repr, str, format, asdict and a debugger's vars see a mask."""
    secret = Secret(TOKEN)
    shown = f"{secret!r} {secret!s} {secret} {asdict(Holder(secret))} {Holder(secret)}"
    assert TOKEN not in shown
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        json.dumps(asdict(Holder(secret)))


def test_it_cannot_be_pickled() -> None:
    """A pickle is a file with the token in it."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(TOKEN))


def test_copies_are_the_same_object() -> None:
    """There is one place to forget."""
    secret = Secret(TOKEN)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_one_line_break_at_the_end_is_dropped() -> None:
    """Editors and `echo` put one there."""
    assert Secret(TOKEN + "\n").reveal() == Secret(TOKEN + "\r\n").reveal() == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("  \n", id="only spaces"),
        pytest.param(TOKEN + "\n\n", id="two line breaks"),
        pytest.param("abc\ndef", id="a line break inside"),
        pytest.param("abc\0def", id="a NUL"),
        pytest.param("abc\x7f", id="a DEL"),
        pytest.param("abc def", id="a space inside"),
        pytest.param("Bearer abc", id="the word Bearer in front"),
        pytest.param("'abc'", id="single quotes"),
        pytest.param('"abc', id="one double quote"),
        pytest.param("\u201cabc\u201d", id="typographic quotes"),
        pytest.param('"Bearer abc"', id="a quoted header"),
        pytest.param("é" * 10, id="letters no header has"),
        pytest.param("x" * 9000, id="nine thousand characters"),
    ],
)
def test_what_cannot_be_a_token_is_refused_without_repeating_it(text: str) -> None:
    """The message says what is wrong with it, not what it is."""
    with pytest.raises(ConfigError) as caught:
        Secret(text)
    assert not text.strip() or text.strip() not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("quoted", ['"abc-123-def"', "'abc-123-def'", "`abc-123-def`"])
def test_quotation_marks_around_a_token_are_named(quoted: str) -> None:
    """They are copied along from a shell script or a page, and the server says only 401."""
    with pytest.raises(ConfigError, match="quotation marks"):
        Secret(quoted)


@pytest.mark.parametrize("wrong", [None, 7, b"abc-123-def"])
def test_what_is_no_text_is_no_token(wrong: Any) -> None:
    """The type is named, the value is not."""
    with pytest.raises(ConfigError, match=r"not (None|an int|a bytes)"):
        Secret(wrong)


def test_a_short_token_is_refused_where_it_could_not_be_masked() -> None:
    """Seven characters stand by chance in what is not the token."""
    Secret("x" * 8).check_length()
    with pytest.raises(ConfigError, match="8 characters"):
        Secret("x" * 7).check_length()


def test_it_redacts_itself() -> None:
    """Servers quote what they were sent."""
    secret = Secret(TOKEN)
    for token in (TOKEN, TOKEN.lower(), TOKEN.upper()):
        assert secret.redact(f"a {token} b {token}") == "a [token] b [token]"
        assert secret.redact_bytes(b"\xff" + token.encode()) == b"\xff[token]"
    assert secret.redact_bytes(b"\xff") == b"\xff"
    assert Secret("x").redact_bytes(b"x") == b"x"


@pytest.mark.parametrize(
    ("token", "body", "is_in"),
    [
        pytest.param(TOKEN, f'["{TOKEN}"]'.encode(), True, id="as it is"),
        pytest.param(TOKEN, f'["{TOKEN.upper()}"]'.encode(), True, id="in upper case"),
        pytest.param(TOKEN, '["a"]'.encode("utf-16"), True, id="UTF-16 is decoded first"),
        pytest.param(TOKEN, '["a"]'.encode("utf-32-be"), True, id="UTF-32 is decoded first"),
        pytest.param(TOKEN, b'["a", "\0"]', False, id="a NUL further on is no encoding"),
        pytest.param(TOKEN, TOKEN.replace("/", r"\/").encode(), True, id="with an escaped slash"),
        pytest.param(TOKEN, rb'["\u0041"]', True, id="an escaped letter may be one of its own"),
        pytest.param(TOKEN, rb'["\n \u003c /"]', False, id="escapes of what it does not have"),
        pytest.param('abc"defgh', rb'["\""]', True, id="its quotation mark is always escaped"),
        pytest.param('abc"defgh', rb'["\n\\n"]', False, id="other marks are escaped"),
        pytest.param(r"abc\defgh", rb'["\\"]', True, id="its backslash is always escaped"),
        pytest.param("abcdefg", b'["abcdefg"]', False, id="too short to be masked"),
        pytest.param("abcdefgh", b'["abcdefgh"]', True, id="just long enough"),
    ],
)
def test_a_text_that_may_hold_it_is_told_from_one_that_cannot(
    token: str, body: bytes, *, is_in: bool
) -> None:
    """Only a text that may hold the token is searched value by value."""
    assert Secret(token).is_in(body) is is_in


def test_it_redacts_every_text_of_a_json_value() -> None:
    """Names of members are texts too; what is no text stays."""
    value = {TOKEN: [f"a {TOKEN}", {"b": TOKEN.upper()}, 1, None, True]}
    assert Secret(TOKEN).redact_json(value) == {
        "[token]": ["a [token]", {"b": "[token]"}, 1, None, True]
    }


@pytest.mark.parametrize(("length", "is_accepted"), [(4096, True), (4097, False)])
def test_a_token_has_at_most_4096_characters(length: int, *, is_accepted: bool) -> None:
    """Servers refuse headers above some 8 KiB."""
    if is_accepted:
        assert len(Secret("x" * length).reveal()) == length
    else:
        with pytest.raises(ConfigError, match="longer than 4096"):
            Secret("x" * length)


def test_the_header_line_is_ready() -> None:
    """It is written as it is, so it ends its line."""
    line = Secret(TOKEN).header_line()
    assert line == f"Authorization: Bearer {TOKEN}\r\n".encode()


def test_tokens_are_told_apart_by_a_hash() -> None:
    """Limits are kept under it; it does not contain the token."""
    assert Secret(TOKEN) == Secret(TOKEN)
    assert Secret(TOKEN).token_key != Secret(TOKEN + "x").token_key
    assert Secret(TOKEN).token_key not in TOKEN
