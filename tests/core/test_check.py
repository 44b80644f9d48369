"""What callers pass in is refused with one sentence, before anything is sent."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from attrs import field, frozen

from bestdefense_async.core.check import (
    check_flag,
    check_id,
    check_mapping,
    check_number,
    check_seconds,
    check_several,
    check_text,
    check_whole,
    validated,
)
from bestdefense_async.errors import ConfigError

Check = Callable[[str, object], object]


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [
        *(
            pytest.param(check, value, reason, id=f"{check.__name__}: {reason}")
            for check in (check_seconds, check_number)
            for value, reason in (
                ("30", "not a text"),
                (True, "not True"),
                (None, "not None"),
                (math.nan, "not nan"),
                (math.inf, "not inf"),
                (-1, "not -1"),
                (0, "above 0"),
                (10**400, "not one so large"),
                (1 - 10**15, r"not -1e\+15"),
                (-(10**15), "not one so large"),
                (Fraction(1, 2), "not a Fraction"),
            )
        ),
        pytest.param(check_whole, 1.0, "not 1", id="a float is no whole number"),
        pytest.param(check_whole, True, "not True", id="True is no whole number"),
        pytest.param(check_whole, 0, "from 1 on", id="zero is below one"),
        pytest.param(check_whole, "3", "not a text", id="digits are no number"),
        pytest.param(check_flag, 1, "True or False", id="1 is no flag"),
        pytest.param(check_text, 5, "not 5", id="a number is no text"),
        pytest.param(check_text, b"x", "not a bytes", id="bytes are no text"),
        pytest.param(check_text, "", "empty", id="no text at all"),
        pytest.param(check_text, "a\ud800", "surrogate", id="half a surrogate pair"),
        pytest.param(check_id, None, "not None", id="None is no id"),
        pytest.param(check_id, 7, "not 7", id="a number is no id"),
        pytest.param(check_id, "", "part of a path", id="an empty id"),
        pytest.param(check_id, "..", "part of a path", id="two dots"),
        pytest.param(check_id, "a/b", "part of a path", id="a slash"),
        pytest.param(check_id, "a\n", "part of a path", id="a line break at the end"),
        pytest.param(check_id, "x" * 129, "part of a path", id="129 characters"),
        pytest.param(check_id, "\ud800", "part of a path", id="a lone surrogate in an id"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_argument_s_name(
    check: Check, value: object, reason: str
) -> None:
    """One sentence says which argument, what it must be and what it was."""
    with pytest.raises(ConfigError, match=f"^an_argument .*{reason}.*\\.$"):
        check("an_argument", value)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_seconds, 0.001),
        (check_seconds, 3),
        (check_number, 1e-9),
        (check_whole, 1),
        (check_flag, False),
        (check_text, "a \U0001f600"),
        (check_id, "a-B_9.~"),
        (check_id, "x" * 128),
    ],
)
def test_what_makes_sense_comes_back(check: Check, value: object) -> None:
    """So a check can stand where the value is used."""
    assert check("an_argument", value) == value


def test_bounds_belong_to_what_is_allowed() -> None:
    """Both ends of a range, and zero seconds where zero is fine."""
    assert [check_whole("n", n, least=0, most=2) for n in (0, 1, 2)] == [0, 1, 2]
    assert check_seconds("t", 0, or_zero=True) == 0.0
    for wrong in (-1, 3):
        with pytest.raises(ConfigError, match=f"n must be a whole number from 0 to 2, not {wrong}"):
            check_whole("n", wrong, least=0, most=2)


def test_any_collection_is_several_and_a_text_or_a_mapping_is_none() -> None:
    """The letters of a text are never taken for its members."""
    assert check_several("hosts", ["a", "b"], like="['a']") == ("a", "b")
    assert check_several("hosts", iter({"a": 1}), like="['a']") == ("a",)
    for wrong, named in (
        ("ab", "a text"),
        (b"ab", "a bytes"),
        ({"a": 1}, "a dict"),
        (None, "None"),
    ):
        with pytest.raises(
            ConfigError, match=rf"^hosts must be a list, such as \['a'\], not {named}"
        ):
            check_several("hosts", wrong, like="['a']")


def test_no_mapping_is_an_empty_one() -> None:
    """Anything else that is none is refused."""
    assert check_mapping("headers", {"a": 1}, like="{}") == {"a": 1}
    assert check_mapping("headers", None, like="{}") == {}
    with pytest.raises(ConfigError, match=r"^headers must be a mapping, such as .*, not a list\.$"):
        check_mapping("headers", [("a", 1)], like="{}")


def test_a_refused_text_is_not_repeated() -> None:
    """Somebody may have swapped a token and a number."""
    for check in (check_seconds, check_number, check_whole, check_flag):
        with pytest.raises(ConfigError) as caught:
            check("timeout", "s3cret-token")
        assert "s3cret" not in str(caught.value)


def test_a_check_becomes_an_attrs_validator() -> None:
    """The attribute's name stands in the message."""

    @frozen
    class Policy:
        attempts: Any = field(validator=validated(check_whole, most=9))

    assert Policy(9).attempts == 9
    with pytest.raises(ConfigError, match=r"^attempts must be a whole number from 1 to 9"):
        Policy(10)
