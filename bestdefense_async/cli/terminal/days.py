"""Days, as they are typed and told."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

SOON: Final = 7
"""Days before an end at which it is warned of."""

_SPAN: Final = re.compile(r"([0-9]{1,5})d")
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def today() -> date:
    """Return the day it is, in UTC."""
    return datetime.now(UTC).date()


def day(text: str) -> date:
    """Return a day written like `2027-01-31`, or like `90d` for that many days from today.

    Raises:
        ValueError: It is written otherwise, or lies before today; the message fits after "must
            be".
    """
    span = _SPAN.fullmatch(text)
    try:
        found = today() + timedelta(int(span[1])) if span else None
        if found is None and _ISO.fullmatch(text):
            found = date.fromisoformat(text)
    except (ValueError, OverflowError):
        found = None
    if found is None or found < today():
        raise ValueError("a day from today on, like 2027-01-31 or 90d")
    return found


def in_days(end: date) -> str:
    """Return when a day is: `in 3 days`, `today`, or `since 2 days`."""
    days = (end - today()).days
    if days == 0:
        return "today"
    count = f"{abs(days)} day{'' if abs(days) == 1 else 's'}"
    return f"in {count}" if days > 0 else f"{count} ago"
