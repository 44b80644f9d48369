"""Base URL and token are checked before anything is sent."""

import pytest

from bestdefense_async.config import (
    DEFAULT_BASE_URL,
    base_url_from,
    parse_base_url,
    token_from_environment,
)
from bestdefense_async.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://app.bestdefense.io", "https://app.bestdefense.io"),
        ("https://app.bestdefense.io/", "https://app.bestdefense.io"),
        ("https://acme.example:8443/bd/", "https://acme.example:8443/bd"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://localhost:1/", "http://localhost:1"),
    ],
)
def test_a_base_url_is_normalised(text: str, expected: str) -> None:
    """A slash at the end is dropped, a path is kept."""
    assert str(parse_base_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("app.bestdefense.io", id="no scheme"),
        pytest.param("//app.bestdefense.io", id="only slashes"),
        pytest.param("ftp://x.example", id="another scheme"),
        pytest.param("https://", id="no host"),
        pytest.param("https://user:hunter2@x.example", id="user info"),
        pytest.param("https://x.example/?token=hunter2", id="a query"),
        pytest.param("https://x.example/?", id="an empty query"),
        pytest.param("https://x.example/#hunter2", id="a fragment"),
        pytest.param("http://x.example", id="plain http"),
        pytest.param("http://127.0.0.1.evil.example", id="a name that looks like loopback"),
        pytest.param("https://" + "a" * 64 + ".example", id="a label of 64 characters"),
        pytest.param("https://a b.example", id="a space"),
        pytest.param("https://a\n.example", id="a line break"),
        pytest.param("https://x.example/a/../b", id="dots in the path"),
        pytest.param("https://x.example:99999", id="a port beyond ports"),
        pytest.param("https://[::1", id="half an address"),
        pytest.param("https://x.example\\@evil.example", id="a backslash"),
    ],
)
def test_a_base_url_that_would_leak_or_mislead_is_refused(text: str) -> None:
    """The message never repeats a password."""
    with pytest.raises(ConfigError) as caught:
        parse_base_url(text)
    assert "hunter2" not in str(caught.value)


def test_settings_come_from_the_argument_else_the_environment() -> None:
    """An empty variable counts as absent."""
    assert (
        str(base_url_from("https://a.example", {"BD_BASE_URL": "https://b.example"}))
        == "https://a.example"
    )
    assert str(base_url_from(None, {"BD_BASE_URL": "https://b.example"})) == "https://b.example"
    assert str(base_url_from(None, {"BD_BASE_URL": ""})) == DEFAULT_BASE_URL


def test_the_token_variables_have_an_order() -> None:
    """The vendor's examples come before the vendor's action."""
    both = {"BD_API_TOKEN": "first", "BESTDEFENSE_API_KEY": "second"}
    assert token_from_environment(both)[1] == "BD_API_TOKEN"
    assert token_from_environment({"BESTDEFENSE_API_KEY": "second"})[0].reveal() == "second"
    with pytest.raises(ConfigError, match="BD_API_TOKEN"):
        token_from_environment({})
