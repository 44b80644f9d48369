"""A token cannot be shown by accident."""

import copy
import json
import pickle

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


def test_it_redacts_itself() -> None:
    """Servers quote what they were sent."""
    secret = Secret(TOKEN)
    assert TOKEN not in secret.redact(f"a {TOKEN} b {TOKEN}")
    assert TOKEN.encode() not in secret.redact_bytes(b"x" + TOKEN.encode())


def test_tokens_are_told_apart_by_a_hash() -> None:
    """Limits are kept under it; it does not contain the token."""
    assert Secret(TOKEN) == Secret(TOKEN)
    assert Secret(TOKEN).token_key != Secret(TOKEN + "x").token_key
    assert Secret(TOKEN).token_key not in TOKEN
