"""What a list of hosts covers."""

import pytest

from bestdefense_async.core.host import Scope
from bestdefense_async.errors import ConfigError

SCOPE = Scope(["*.acme.example", "shop.other.example", "10.1.0.0/16", "2001:db8::/32", "*.FASS.de"])


@pytest.mark.parametrize(
    "host",
    [
        "a.acme.example",
        "A.B.Acme.Example.",
        "shop.other.example",
        "10.1.2.3",
        "10.1.2.0/24",
        "2001:db8::1",
        "www.fass.de",
    ],
)
def test_what_lies_within_is_covered(host: str) -> None:
    """Names in any letter case, names below a domain, addresses and parts of networks."""
    assert SCOPE.covers(host)


@pytest.mark.parametrize(
    "host",
    [
        "acme.example",
        "acme.example.evil.test",
        "evilacme.example",
        "www.shop.other.example",
        "other.example",
        "10.2.0.1",
        "10.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
        "www.faß.de",
        "",
        "*",
        "a b.acme.example",
    ],
)
def test_what_does_not_is_not(host: str) -> None:
    """Neither the domain itself, nor what only looks alike, nor a network that is larger."""
    assert not SCOPE.covers(host)


def test_an_empty_list_covers_nothing() -> None:
    """It is a list, and nothing is on it."""
    assert not Scope([]).covers("a.example")


@pytest.mark.parametrize(
    "allow", ["*.acme.example", ["*"], ["a.*.b"], ["*acme.example"], [""], [3], 5]
)
def test_what_is_no_host_is_refused(allow: object) -> None:
    """A list that means something else than it says is not taken."""
    with pytest.raises(ConfigError):
        Scope(allow)  # type: ignore[arg-type]
