"""Points in time as servers write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A number from here on counts milliseconds: as seconds it would lie in the year 5138."""


def parse_time(value: object) -> datetime:
    """Return a point in time with its zone.

    ISO 8601 in any of its forms, where one without a zone is UTC, or a number of seconds or
    milliseconds since the epoch. (inferred: no time format is documented)

    Raises:
        ValueError: It is neither.
        OverflowError: It lies outside the years 1 to 9999.
    """
    if isinstance(value, str):
        parsed = datetime.fromisoformat(value.strip())
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    if type(value) in {int, float}:
        seconds = float(value)  # type: ignore[arg-type]
        if math.isfinite(seconds):
            if abs(seconds) >= _MILLISECONDS_FROM:
                seconds /= 1000
            return _EPOCH + timedelta(seconds=seconds)
    raise ValueError("not a time")
