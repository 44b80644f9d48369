"""One target: what is understood, what is refused, and what is never repeated."""

import pytest

from bestdefense_async.errors import TargetError
from bestdefense_async.runs.targets import Target

SITE_ID = "0b2f6a4e-9C1d-4e57-8a3b-5d6e7f809a1b"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("shop.example.com", "shop.example.com"),
        ("  Shop.Example.COM. ", "shop.example.com"),
        ("https://Shop.example.com/cart?x=1#top", "shop.example.com"),
        ("HTTP://shop.example.com:8080", "shop.example.com"),
        ("shop.example.com:8443", "shop.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("http://[2001:DB8::0:1]:80/", "2001:db8::1"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_a_host_is_read_from_a_name_or_a_url(text: str, host: str) -> None:
    """Letter case, trailing dot, port, path and IDNA do not make another site."""
    target = Target(text)

    assert target.host == host
    assert target.site_id is None
    assert target.text == text.strip()


def test_a_site_id_is_taken_as_it_is() -> None:
    """A UUID is no host name, and its letters are kept."""
    target = Target(SITE_ID)

    assert target.site_id == SITE_ID
    assert target.host is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        ".",
        "..",
        "-",
        "--help",
        "-shop.example",
        "shop-.example",
        "shop..example",
        "two words.example",
        "tab\tin.example",
        "nul\x00.example",
        "bidi\u202e.example",
        "soft\ufffd.example",
        "a/b",
        "a\\b",
        "%2e%2e",
        "..%2fadmin",
        "ftp://shop.example",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "http://[::1",
        "shop.example:99999",
        "shop.example:x",
        "http://shop.example:0",
        "999.0.2.7",
        "1.2.3",
        "a" * 64 + ".example",
        "a." * 130 + "example",
        "h" * 3000,
        "ü" * 300,
    ],
    ids=ascii,
)
def test_nonsense_is_refused(text: str) -> None:
    """What cannot name a site is an error of the target, with its line, before any request."""
    with pytest.raises(TargetError, match=r"^line 7: ") as caught:
        Target(text, 7)

    assert caught.value.line == 7
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize("text", ["https://user:secret@shop.example/", "user:secret@shop.example"])
def test_user_information_is_refused_and_not_repeated(text: str) -> None:
    """A password in a list ends up in no message and no attribute."""
    with pytest.raises(TargetError) as caught:
        Target(text)

    assert "secret" not in repr(caught.value) + str(caught.value) + caught.value.target
