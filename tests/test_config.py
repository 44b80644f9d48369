"""Base URL and token are checked before anything is sent."""

from pathlib import Path
from typing import Any

import pytest

from bestdefense_async.config import (
    DEFAULT_BASE_URL,
    base_url_from,
    find_token,
    parse_base_url,
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
        ("http://localhost:80", "http://localhost"),
        ("https://localhost:443", "https://localhost"),
        ("http://localhost:443", "http://localhost:443"),
    ],
)
def test_a_base_url_is_normalised(text: str, expected: str) -> None:
    """A slash at the end and the port of the scheme are dropped, a path is kept."""
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


def test_a_token_is_looked_up_in_one_order(tmp_path: Path) -> None:
    """The vendor's examples, the vendor's action, then the file, unless that was asked for."""
    file = tmp_path / "token"
    file.write_text("of the file\n".replace(" ", "-"))
    file.chmod(0o600)
    both = {"BD_API_TOKEN": "of-the-examples", "BESTDEFENSE_API_KEY": "of-the-action"}
    second = both | {"BD_API_TOKEN": ""}

    def found(*arguments: Path, **options: Any) -> list[str] | None:
        token = find_token(*arguments, **options)
        return None if token is None else [token.secret.reveal(), token.origin]

    examples = ["of-the-examples", "the environment variable BD_API_TOKEN"]
    in_file = ["of-the-file", f"the file {file}"]
    assert found(environ=both) == found(file, environ=both) == examples
    assert found(environ=second) == [
        "of-the-action",
        "the environment variable BESTDEFENSE_API_KEY",
    ]
    assert found(file, environ=both, is_file_first=True) == found(file, environ={}) == in_file
    assert found(environ={}) is None
