"""Retry-After and rate headers, in every form servers and CDNs send them."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.limiting.hints import (
    RateHint,
    parse_rate_headers,
    parse_retry_after,
)

NOW = datetime(2030, 1, 15, 12, 0, 0, tzinfo=UTC).timestamp()


def retry_after(value: str) -> float | None:
    """Parse one Retry-After value at NOW."""
    return parse_retry_after({"retry-after": value}, wall_clock=NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("5", 5.0, id="seconds"),
        pytest.param(" \t5 ", 5.0, id="white space around it"),
        pytest.param("007", 7.0, id="leading zeros"),
        pytest.param("1.5", 1.5, id="a decimal fraction"),
        pytest.param("86400", 86_400.0, id="a day"),
        pytest.param(str(int(NOW) + 30), 30.0, id="a Unix timestamp"),
        pytest.param(f"{int(NOW) + 30}000", 30.0, id="a Unix timestamp in milliseconds"),
        pytest.param("Tue, 15 Jan 2030 12:00:10 GMT", 10.0, id="an IMF date"),
        pytest.param("tue, 15 jan 2030 12:00:10 gmt", 10.0, id="an IMF date in lower case"),
        pytest.param("Tuesday, 15-Jan-30 12:00:10 GMT", 10.0, id="an RFC 850 date"),
        pytest.param("Tue Jan 15 12:00:10 2030", 10.0, id="an asctime date"),
        pytest.param("Fri Feb  1 12:00:00 2030", 17 * 86_400.0, id="asctime pads the day"),
        pytest.param("1, 3", 3.0, id="two values"),
        pytest.param("5,10 , soon, -1", 10.0, id="several values, some of them useless"),
        pytest.param(
            "Tue, 15 Jan 2030 12:00:10 GMT, 4, Tuesday, 15-Jan-30 12:00:20 GMT",
            20.0,
            id="dates and seconds",
        ),
        pytest.param("9" * 20, 1e10, id="20 digits"),
        pytest.param("9" * 400, 1e10, id="400 digits"),
        pytest.param("1e400", 1e10, id="an overflow"),
        pytest.param("1.5E+12", 1e10, id="an overflow with a point and a sign"),
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 1e10, id="the last year there is"),
    ],
)
def test_a_usable_hint_becomes_seconds_from_now(value: str, seconds: float) -> None:
    """Seconds, the three HTTP dates and a Unix timestamp all say the same thing."""
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank"),
        pytest.param("0", id="zero"),
        pytest.param("0.0", id="zero with a point"),
        pytest.param("-5", id="negative"),
        pytest.param("+5", id="signed"),
        pytest.param("5s", id="with a unit"),
        pytest.param(",", id="two values that are none"),
        pytest.param("0x10", id="hexadecimal"),
        pytest.param("1_000", id="with underscores"),
        pytest.param("1e3", id="with an exponent"),
        pytest.param("\u0665", id="Arabic digits"),
        pytest.param("\uff15", id="full-width digits"),
        pytest.param("nan", id="not a number"),
        pytest.param("inf", id="infinity"),
        pytest.param("Infinity", id="infinity in words"),
        pytest.param("5\n", id="a line break"),
        pytest.param("2030-01-15T12:00:10Z", id="an ISO date"),
        pytest.param("Mon, 32 Jan 2030 12:00:00 GMT", id="a day that does not exist"),
        pytest.param("Thu, 30 Feb 2030 12:00:00 GMT", id="the 30th of February"),
        pytest.param("Mon, 01 Jan 99999 12:00:00 GMT", id="the year 99999"),
        pytest.param("Mon, 01 Jan 0000 12:00:00 GMT", id="the year 0"),
        pytest.param("Tue, 15 Jan 2030 25:00:10 GMT", id="25 o'clock"),
        pytest.param("Tue, 15 Jan 2030 12:00:60 GMT", id="a leap second"),
        pytest.param("Tue, 15 Jan 2030 12:00:10 PST", id="another time zone"),
        pytest.param("Tue, 15 Foo 2030 12:00:10 GMT", id="a month that does not exist"),
        pytest.param("Tue, 15 Jan 2030 12:00:00 GMT", id="a date that is now"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", id="a date in the past"),
        pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", id="an RFC 850 date in the past"),
        pytest.param(str(int(NOW) - 30), id="a timestamp in the past"),
        pytest.param("\udc80\ud800", id="lone surrogates"),
        pytest.param("\x00", id="a null character"),
    ],
)
def test_anything_else_is_no_hint(value: str) -> None:
    """Garbage, the past and zero leave the waiting to our own backoff."""
    assert retry_after(value) is None


@pytest.mark.parametrize("ahead", [-120.0, 0.0, 120.0, -86_400.0 * 400])
def test_points_in_time_are_read_against_the_answer_s_own_clock(ahead: float) -> None:
    """A server whose clock is two minutes off means the same seconds."""
    headers = {
        "date": "Tue, 15 Jan 2030 12:00:00 GMT",
        "retry-after": "Tue, 15 Jan 2030 12:00:04 GMT",
        "x-ratelimit-retry-after": str(int(NOW) + 3),
    }
    assert parse_retry_after(headers, wall_clock=NOW + ahead) == 4.0
    del headers["retry-after"]
    assert parse_retry_after(headers, wall_clock=NOW + ahead) == 3.0
    headers |= {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 9)}
    hint = parse_rate_headers(headers, wall_clock=NOW + ahead)
    assert hint == RateHint(remaining=0, limit=None, reset=9.0)


@pytest.mark.parametrize("date", ["", "now", "Tue, 32 Jan 2030 12:00:00 GMT", "15"])
def test_a_date_that_cannot_be_read_leaves_our_own_clock(date: str) -> None:
    """No clock of the server, so ours."""
    headers = {"date": date, "retry-after": "Tue, 15 Jan 2030 12:00:04 GMT"}
    assert parse_retry_after(headers, wall_clock=NOW) == 4.0


def test_two_digit_years_are_at_most_fifty_years_ahead() -> None:
    """RFC 9110 reads a year that seems further ahead as the last century's."""
    ahead = retry_after("Monday, 15-Jan-79 12:00:00 GMT")
    assert ahead is not None
    assert 48 < ahead / 31_556_952 < 50
    assert retry_after("Monday, 15-Jan-81 12:00:00 GMT") is None


def test_without_the_header_there_is_no_hint() -> None:
    """No header, no hint."""
    assert parse_retry_after({"date": "now"}, wall_clock=NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"x-ratelimit-retry-after": str(int(NOW) + 12)}, 12.0, id="alone"),
        pytest.param(
            {"retry-after": "3", "x-ratelimit-retry-after": str(int(NOW) + 12)},
            12.0,
            id="longer than Retry-After",
        ),
        pytest.param(
            {"retry-after": "30", "x-ratelimit-retry-after": str(int(NOW) + 12)},
            30.0,
            id="shorter than Retry-After",
        ),
        pytest.param(
            {"retry-after": "soon", "x-ratelimit-retry-after": "7"}, 7.0, id="beside garbage"
        ),
    ],
)
def test_the_longer_of_both_headers_counts(headers: dict[str, str], seconds: float) -> None:
    """Symfony's own header is a Unix timestamp and may say more than Retry-After."""
    assert parse_retry_after(headers, wall_clock=NOW) == seconds


@given(st.text(), st.floats(min_value=-1e12, max_value=1e12))
def test_no_text_raises_or_gives_a_useless_number(value: str, wall_clock: float) -> None:
    """Whatever arrives, the answer is None or a finite number of seconds above zero."""
    headers = {"retry-after": value, "x-ratelimit-retry-after": value, "x-ratelimit-reset": value}
    wait = parse_retry_after(headers, wall_clock=wall_clock)
    assert wait is None or (math.isfinite(wait) and wait > 0)


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        pytest.param(
            {"x-ratelimit-remaining": "3", "x-ratelimit-limit": "60"},
            RateHint(remaining=3, limit=60, reset=None),
            id="Symfony's",
        ),
        pytest.param(
            {"ratelimit-remaining": "0", "ratelimit-limit": "60", "ratelimit-reset": "17"},
            RateHint(remaining=0, limit=60, reset=17.0),
            id="the IETF draft's",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 9)},
            RateHint(remaining=0, limit=None, reset=9.0),
            id="a reset as a timestamp",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) - 9)},
            RateHint(remaining=0, limit=None, reset=None),
            id="a reset in the past is ignored",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "-1", "x-ratelimit-limit": "60"},
            RateHint(remaining=None, limit=60, reset=None),
            id="a negative rest is ignored",
        ),
        pytest.param(
            {"x-ratelimit-remaining": "5", "x-ratelimit-limit": "0"},
            RateHint(remaining=5, limit=None, reset=None),
            id="a limit of zero is ignored",
        ),
        pytest.param({"x-ratelimit-remaining": "NaN"}, None, id="not a number"),
        pytest.param({"x-ratelimit-remaining": "3.5"}, None, id="a fraction"),
        pytest.param({"x-ratelimit-remaining": "9" * 30}, None, id="30 digits"),
        pytest.param({"x-ratelimit-remaining": ""}, None, id="empty"),
        pytest.param({"x-ratelimit-reset": "5"}, None, id="a reset alone"),
        pytest.param({"content-type": "application/json"}, None, id="none of them"),
    ],
)
def test_rate_headers_say_what_is_left(headers: dict[str, str], hint: RateHint | None) -> None:
    """Each header that makes no sense is ignored by itself."""
    assert parse_rate_headers(headers, wall_clock=NOW) == hint


@given(
    st.dictionaries(
        st.sampled_from(["x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset"]),
        st.text(),
    )
)
def test_no_rate_header_raises(headers: dict[str, str]) -> None:
    """Garbage in rate headers gives no hint, or one whose numbers can be used."""
    hint = parse_rate_headers(headers, wall_clock=NOW)
    assert hint is None or hint.reset is None or hint.reset > 0
