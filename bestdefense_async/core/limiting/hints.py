"""What the headers of an answer say about waiting, in seconds from now; never an exception.

Servers send Retry-After as seconds, as one of the three HTTP dates (RFC 9110, 5.6.7) or, like
Symfony's X-RateLimit-Retry-After, as a Unix timestamp, some in milliseconds. Points in time are
the server's, so they are read against the answer's own Date: the clocks of two machines need not
agree. Of several values the largest counts, and one that is absurdly large still says "not soon".
Whatever else is none of these, lies in the past or is zero is no hint at all: the caller then backs
off on its own, so a broken header can cause neither a hot loop nor an endless sleep.
"""

import calendar
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import frozen

EPOCH_FROM: Final = 1e9
"""Numbers from here on are points in time (2001 and later), not durations (over 31 years)."""

_MILLISECONDS_FROM: Final = 1e12
"""Numbers from here on are points in time in milliseconds, as JavaScript counts: without that, a
server that is ready in a second would not be asked for a day. (inferred)"""

LONGEST_HINT: Final = 1e10
"""Seconds, some 300 years: a longer wait, however it is written, counts as this one."""

RETRY_AFTER_NAMES: Final = ("retry-after", "x-ratelimit-retry-after")
"""Grade: Retry-After documented, the other one inferred from Symfony's documentation."""

REMAINING_NAMES: Final = ("x-ratelimit-remaining", "ratelimit-remaining")
LIMIT_NAMES: Final = ("x-ratelimit-limit", "ratelimit-limit")
RESET_NAMES: Final = ("x-ratelimit-reset", "ratelimit-reset", "x-ratelimit-retry-after")

_COUNT_NAMES: Final = frozenset(REMAINING_NAMES + LIMIT_NAMES)
_WAIT_NAMES: Final = frozenset(RETRY_AFTER_NAMES)

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_WITH_EXPONENT: Final = re.compile(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]+")
# A comma between two values, not the one inside a date.
_BETWEEN: Final = re.compile(r",(?!\s*[0-9]{2}[ -][A-Za-z])")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
# Not from `calendar`, whose names follow the locale.
_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH: Final = f"(?P<month>{_MONTHS})"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DAY: Final = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY: Final = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_DATES: Final = (
    rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
    rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
    rf"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
)
"""Compiled when a server first sends one."""


@frozen
class RateHint:
    """What the rate headers of one answer say. At least one of the three is known."""

    remaining: int | None
    """Calls the server would still have taken when it answered."""

    limit: int | None
    """Calls per period, at least 1; the period itself is not said."""

    reset: float | None
    """Seconds from now, above 0, until calls are possible again."""


def parse_retry_after(headers: Mapping[str, str], *, wall_clock: float) -> float | None:
    """Return how many seconds the server asks to wait, or None without a usable hint.

    Args:
        headers: With names in lower case. Of several values, and of both known headers, the
            longest wait counts.
        wall_clock: The Unix time now, for points in time of an answer without a Date.

    Returns:
        Above 0, at most `LONGEST_HINT`.
    """
    if _WAIT_NAMES.isdisjoint(headers):
        return None
    return _longest(headers, RETRY_AFTER_NAMES, wall_clock)


def has_rate_headers(headers: Mapping[str, str]) -> bool:
    """Return whether an answer says anything about counts."""
    return not _COUNT_NAMES.isdisjoint(headers)


def parse_rate_headers(headers: Mapping[str, str], *, wall_clock: float) -> RateHint | None:
    """Return what the rate headers say, or None without any that can be used.

    Negative, fractional or otherwise strange counts and resets in the past are ignored one by one.
    """
    if not has_rate_headers(headers):
        return None
    remaining = _count(headers, REMAINING_NAMES)
    limit = _count(headers, LIMIT_NAMES)
    if limit == 0:
        limit = None
    if remaining is None and limit is None:
        return None
    return RateHint(
        remaining=remaining, limit=limit, reset=_longest(headers, RESET_NAMES, wall_clock)
    )


def _count(headers: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        text = headers.get(name)
        if text is not None and _COUNT.fullmatch(text.strip(" \t")):
            return int(text)
    return None


def _longest(headers: Mapping[str, str], names: tuple[str, ...], wall_clock: float) -> float | None:
    dated = _http_date(headers.get("date", "").strip(" \t"), wall_clock)
    now = wall_clock if dated is None else dated
    waits = [
        wait
        for name in names
        for text in _BETWEEN.split(headers.get(name, ""))
        if (wait := _wait(text.strip(" \t"), now)) is not None
    ]
    return max(waits, default=None)


def _wait(text: str, now: float) -> float | None:
    if _NUMBER.fullmatch(text):
        wait = float(text)
        if wait >= _MILLISECONDS_FROM:
            wait /= 1000
        if wait >= EPOCH_FROM:
            wait -= now
    elif _WITH_EXPONENT.fullmatch(text):
        # Nobody writes a wait like this but by an overflow.
        wait = LONGEST_HINT if float(text) >= EPOCH_FROM else 0.0
    else:
        moment = _http_date(text, now)
        if moment is None:
            return None
        wait = moment - now
    return min(wait, LONGEST_HINT) if wait > 0 else None


def _http_date(text: str, wall_clock: float) -> float | None:
    matches = (re.fullmatch(form, text, re.IGNORECASE | re.ASCII) for form in _DATES)
    match = next(filter(None, matches), None)
    if match is None:
        return None
    part = match.groupdict()
    year = int(part["year"])
    if len(part["year"]) == 2:  # noqa: PLR2004 - RFC 850 writes two digits
        year = _full_year(year, wall_clock)
    try:
        moment = datetime(  # noqa: DTZ001 - a plain calendar date, read as UTC below
            year,
            1 + _MONTHS.split("|").index(part["month"].lower()),
            int(part["day"]),
            int(part["hour"]),
            int(part["minute"]),
            int(part["second"]),
        )
    except ValueError:
        return None
    return float(calendar.timegm(moment.timetuple()))


def _full_year(short: int, wall_clock: float) -> int:
    """Return the year ending in `short` that is at most 50 years ahead (RFC 9110, 5.6.7)."""
    this_year = 1970 + int(wall_clock // 31_556_952)
    year = this_year - this_year % 100 + short
    return year - 100 if year > this_year + 50 else year
