"""What a network scan is asked to scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.commands.network import read_range
from bestdefense_async.errors import TargetError

if TYPE_CHECKING:
    from bestdefense_async.testing.process import SandboxProcess
    from tests.support.inside import Inside

RANGES = [
    ("10.0.0.0/24", "10.0.0.0/24", 256, False),
    ("10.1.2.3", "10.1.2.3", 1, False),
    ("192.168.0.0/16", "192.168.0.0/16", 65_536, False),
    ("8.8.8.8", "8.8.8.8", 1, True),
    ("0.0.0.0/0", "0.0.0.0/0", 2**32, True),
    ("fe80::/64", "fe80::/64", 2**64, False),
    ("2001:4860::1", "2001:4860::1", 1, True),
    ("::/0", "::/0", 2**128, True),
    ("Host-1.Example.", "host-1.example", 1, False),
]


@pytest.mark.parametrize(("text", "sent", "addresses", "is_public"), RANGES)
def test_a_range_is_counted(text: str, sent: str, addresses: int, *, is_public: bool) -> None:
    """And is public when any of it is."""
    assert read_range(text) == (sent, addresses, is_public)


@pytest.mark.parametrize(
    "text", ["1.2.3", "256.0.0.1", "10.0.0.0/33", "::1/129", "a b", "a/24", "-x", "", "10.0.0.0/"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(TargetError, match="is no "):
        read_range(text)


def test_a_network_with_an_address_in_front_says_what_may_be_meant() -> None:
    """Guessing would scan 256 addresses where one was meant."""
    with pytest.raises(TargetError, match=r"did you mean 10\.0\.0\.0/24"):
        read_range("10.0.0.5/24")


@pytest.mark.parametrize("target", ["0.0.0.0/0", "10.0.0.0/23", "8.8.8.8"])
def test_large_and_public_networks_are_asked_about(
    inside: Inside, served: SandboxProcess, target: str
) -> None:
    """A script has to say -y; a dry run starts nothing."""
    before = served.count("network.start")
    refused = inside("network", "start", target, env=served.env)
    assert refused.code == 2
    assert "Add -y to agree" in refused.err
    assert inside("network", "start", target, "--dry-run", env=served.env).code == 0
    assert served.count("network.start") == before

    agreed = inside("network", "start", target, "-y", "-f", "json", env=served.env)
    assert agreed.code == 0, agreed.err
    assert served.count("network.start") == before + 1
