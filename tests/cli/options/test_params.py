"""What counts as a number, a time or a list of types on the command line."""

from __future__ import annotations

import pytest

from bestdefense_async.cli.options import params

NO_NUMBERS = {
    "an underscore": "1_000",
    "arabic digits": "\u0661\u0662",
    "white space": " 5 ",
    "not a number": "nan",
    "infinity": "inf",
    "a sign": "+5",
    "a minus": "-5",
    "nothing": "",
    "an exponent": "1e3",
    "a superscript": "\u00b2",
    "a line break at the end": "5\n",
}


@pytest.mark.parametrize("text", NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_only_plain_ascii_digits_are_a_number(text: str) -> None:
    """Whatever else Python would read as a number is a mistake in a script."""
    for parse in (params.whole_number, params.seconds, params.allowance):
        with pytest.raises(ValueError, match=r"like|whole"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90.0), ("90s", 90.0), ("2.5m", 150.0), ("1h", 3600.0), ("1d", 86_400.0)],
)
def test_a_time_may_carry_a_unit(text: str, expected: float) -> None:
    """People write 15m where programs write 900."""
    assert params.seconds(text) == expected


@pytest.mark.parametrize("text", ["0", "0s", "0.0h"])
def test_a_time_of_nothing_is_refused(text: str) -> None:
    """A timeout of zero would end a run before it begins."""
    with pytest.raises(ValueError, match="above 0"):
        params.seconds(text)


def test_a_number_out_of_range_is_refused() -> None:
    """The message names the range."""
    with pytest.raises(ValueError, match="from 1 to 9"):
        params.whole_number("10", least=1, most=9)


def test_types_are_told_apart_by_commas_and_counted_once() -> None:
    """The order is kept, repetitions are not."""
    assert params.types("dns, Security,dns") == ("dns", "security")


@pytest.mark.parametrize("text", ["", "security,", "ports"])
def test_an_unknown_type_is_refused(text: str) -> None:
    """A misspelt type must not become a scan of something else."""
    with pytest.raises(ValueError, match="security,seo,dns,whois"):
        params.types(text)


@pytest.mark.parametrize("text", ["101%", "5 %", "1.5", "%"])
def test_an_impossible_allowance_is_refused(text: str) -> None:
    """More than everything cannot be missing."""
    with pytest.raises(ValueError, match="5%"):
        params.allowance(text)
