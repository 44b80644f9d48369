"""Checks of what callers pass in, before anything is sent: each refuses with one sentence.

A refused value is not repeated where it may be a secret: a text is only named as one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from attrs import Attribute

_SHOWN: Final = 10**15
"""Whole numbers from here on are not repeated in messages."""
_ID: Final = re.compile(r"[A-Za-z0-9_~.-]{1,128}")


def check_seconds(name: str, value: object, *, or_zero: bool = False) -> float:
    """Return `value` when it is a finite number of seconds above zero.

    Args:
        name: What the caller calls it.
        value: What the caller passed.
        or_zero: Whether zero is fine, too.

    Raises:
        ConfigError: It is none.
    """
    seconds = _finite(value)
    if seconds is None or seconds < 0 or (seconds == 0 and not or_zero):
        least = "0 or more" if or_zero else "above 0"
        raise ConfigError(
            f"{name} must be a finite number of seconds {least}, not {_named(value)}."
        )
    return seconds


def check_number(name: str, value: object) -> float:
    """Return `value` when it is a finite number above zero.

    Raises:
        ConfigError: It is none.
    """
    number = _finite(value)
    if number is None or number <= 0:
        raise ConfigError(f"{name} must be a finite number above 0, not {_named(value)}.")
    return number


def check_whole(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """Return `value` when it is a whole number within bounds.

    Raises:
        ConfigError: It is none: True and False are none either.
    """
    if type(value) is int and least <= value and (most is None or value <= most):
        return value
    bounds = f"from {least} on" if most is None else f"from {least} to {most}"
    raise ConfigError(f"{name} must be a whole number {bounds}, not {_named(value)}.")


def check_flag(name: str, value: object) -> bool:
    """Return `value` when it is True or False.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{name} must be True or False, not {_named(value)}.")


def check_several(name: str, value: object, *, like: str) -> tuple[Any, ...]:
    """Return the members of a list or another collection, of which a text is none here.

    Args:
        name: What the caller calls it.
        value: What the caller passed.
        like: An example, as it is written.

    Raises:
        ConfigError: It is none, or a mapping.
    """
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return tuple(value)
    raise ConfigError(f"{name} must be a list, such as {like}, not {_named(value)}.")


def check_mapping(name: str, value: object, *, like: str) -> Mapping[Any, Any]:
    """Return `value` when it is a mapping, and an empty one for None.

    Args:
        name: What the caller calls it.
        value: What the caller passed.
        like: An example, as it is written.

    Raises:
        ConfigError: It is neither.
    """
    if value is None or isinstance(value, Mapping):
        return {} if value is None else value
    raise ConfigError(f"{name} must be a mapping, such as {like}, not {_named(value)}.")


def check_text(name: str, value: object) -> str:
    """Return `value` when it is a text that can be sent: not empty, no half surrogate pair.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not {_named(value)}.")
    if not value:
        raise ConfigError(f"{name} must not be empty.")
    if not value.isascii() and re.search("[\ud800-\udfff]", value):
        raise ConfigError(f"{name} contains half a surrogate pair, which cannot be sent.")
    return value


def check_id(name: str, value: object) -> str:
    """Return `value` when it may stand as one part of a path.

    Raises:
        ConfigError: It is not a text, is empty, `.` or `..`, or has a character outside the
            allow-list `A-Z a-z 0-9 _ ~ . -`: quoting would not keep it from reaching another
            resource.
    """
    if isinstance(value, str):
        if _ID.fullmatch(value) and value not in {".", ".."}:
            return value
        shown = clean_text(value, longest=80)
        raise ConfigError(f"{name} {shown!r} cannot be part of a path.")
    raise ConfigError(f"{name} must be given as text, not {_named(value)}.")


def validated(
    check: Callable[..., object],
    **rules: Any,  # noqa: ANN401  # those of the check
) -> Callable[[object, Attribute[Any], Any], None]:
    """Return an attrs validator that applies one of these checks under the attribute's name."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        check(attribute.name, value, **rules)

    return validate


def _finite(value: object) -> float | None:
    """Return a finite number as float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _named(value: object) -> str:
    """Return how a message names a refused value: a number as it is, else its type."""
    if isinstance(value, bool):
        return str(value)
    if not isinstance(value, int | float):
        return type_of(value)
    return f"{value:.6g}" if abs(value) < _SHOWN or isinstance(value, float) else "one so large"


def type_of(value: object) -> str:
    """Return the type of a value with its article, for a sentence that must not repeat it."""
    if value is None:
        return "None"
    name = "text" if isinstance(value, str) else type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
