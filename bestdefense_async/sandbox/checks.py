"""Checks of what a sandbox is told: a `ValueError` that names the field and what it must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrs import Attribute

Validator = Callable[[object, "Attribute[Any]", Any], None]


def must_be(wanted: str, fits: Callable[[Any], object]) -> Validator:
    """Return an attrs validator that refuses what does not fit; None always does where it is usual.

    Args:
        wanted: What the field must be, as the rest of a sentence.
        fits: Whether a value is that; a TypeError means that it is not.
    """

    def validate(_: object, attribute: Attribute[Any], value: Any) -> None:  # noqa: ANN401
        if value is None and attribute.default is None:
            return
        try:
            is_fitting = fits(value)
        except TypeError:
            is_fitting = False
        if not is_fitting:
            message = f"{attribute.name} must be {wanted}, not {value!r}"
            raise ValueError(message)

    return validate


def one_of(*words: str) -> Validator:
    """Return an attrs validator that knows some words."""
    return must_be(f"one of {', '.join(words)}", lambda value: value in words)


IS_TEXT = must_be("a text", lambda value: isinstance(value, str))
COUNT = must_be("zero or more", lambda value: type(value) is int and value >= 0)
SECONDS = must_be("seconds, zero or more", lambda value: 0 <= value < math.inf)
SECONDS_OR_NEVER = must_be("seconds, zero or more", lambda value: value >= 0)
ABOVE_ZERO = must_be("above zero", lambda value: 0 < value < math.inf)
