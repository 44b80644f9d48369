"""Quoted text is shown on one line with nothing hidden in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.report.text import (
    counted,
    duration,
    joined,
    middle_cut,
    moment,
    visible,
    without_scheme,
)


@given(st.text(alphabet=st.characters(codec=None)), st.integers(min_value=8, max_value=40))
def test_whatever_comes_is_printable_and_short(text: str, longest: int) -> None:
    """No text steers a terminal, breaks an encoding or fills a page."""
    shown = visible(text, longest=longest)

    assert shown.isprintable()
    assert len(shown) <= longest
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("\x1b[2J", "\\x1b[2J", id="a terminal sequence"),
        pytest.param("a\u202eb", "a\\u202eb", id="a bidirectional override"),
        pytest.param("a\r\nb", "a\\r\\nb", id="line breaks"),
        pytest.param("\ud800", "\\ud800", id="a lone surrogate"),
        pytest.param("e\u0301\u0301\u0301\u0301", "e\u0301\u0301", id="piled marks"),
        pytest.param("  ", "(blank)", id="only spaces"),
        pytest.param("", "", id="nothing"),
        pytest.param("München 東京", "München 東京", id="letters of any language"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """What is hidden becomes visible, what is readable stays."""
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (59.44, "59.4 s"),
        (59.5, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_900, "1 h 5 min"),
        (90_000, "1 d 1 h"),
        (None, "unknown"),
        (float("nan"), "unknown"),
        (-1, "unknown"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    """A duration is shown in the two units that matter."""
    assert duration(seconds) == text


def test_small_words() -> None:
    """Counts, lists, moments, long names and addresses read as a person would write them."""
    assert counted(1, "site") == "1 site"
    assert counted(2_000, "site") == "2,000 sites"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined([]) == ""
    assert moment(1_790_000_000.9) == "2026-09-21 14:13:20 UTC"
    assert moment(None) == moment(float("inf")) == moment(-1) == "unknown"
    assert middle_cut("abcdefghij", longest=5) == "ab…ij"
    assert without_scheme("HTTPS://a.example/b") == "a.example/b"
