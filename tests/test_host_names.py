# ruff: noqa: RUF001  -- letters that look alike are the subject
"""Host names have one form, and whoever compares or sends one has that form."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async.cli.commands.spec_source import origin_of
from bestdefense_async.config import parse_base_url
from bestdefense_async.core.host import checked_hosts, normalise_host, redirect_target
from bestdefense_async.core.request import Request
from bestdefense_async.errors import ConfigError, TargetError, UnknownSite
from bestdefense_async.models import Site
from bestdefense_async.resources.sites import Sites
from bestdefense_async.runs.site_index import SiteIndex
from bestdefense_async.runs.targets import Target

HOSTS = {
    "shop.example.com": "shop.example.com",
    "Shop.EXAMPLE.com": "shop.example.com",
    "shop.example.com.": "shop.example.com",
    "a_b.example": "a_b.example",
    "faß.de": "xn--fa-hia.de",
    "FAẞ.de": "xn--fa-hia.de",
    "XN--FA-HIA.de": "xn--fa-hia.de",
    "ΣΑΣ": "xn--mxa9ab",
    "bücher.example": "xn--bcher-kva.example",
    "a_b.bücher.example": "a_b.xn--bcher-kva.example",
    "ｓｈｏｐ．ｅｘａｍｐｌｅ。ｃｏｍ｡": "shop.example.com",
    "１２７.0.0.1": "127.0.0.1",
    "192.0.2.7": "192.0.2.7",
    "a" * 63 + ".example": "a" * 63 + ".example",
}
"""Host names as somebody writes them, and as they are compared and sent."""

NO_HOSTS = [".", "a..b", "-a.example", "a-.example", "a" * 64 + ".example", "ü" * 60 + ".example"]
NO_HOSTS += [
    "a." * 126 + "ab",
    "ü." * 40 + "a",
    "a." * 127 + "b",
    "999.0.2.7",
    "1.2.3",
    "☃.example",
    "a\ufffd.example",
    "a b.example",
]
"""What cannot be the name of a host."""

Found = Callable[[str], Awaitable[str]]


class _SitesOfAnOrganization:
    """A transport that answers with one site, known by a name of our choice."""

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname

    async def send(self, request: Request[Any], *, timeout: float | None = None) -> Any:
        assert request.read is not None
        return request.read({"sites": [{"id": "the id", "hostname": self.hostname}]})

    async def download(self, request: Request[Any], final: Path, **_: Any) -> None:
        raise NotImplementedError


async def _by_target(written: str) -> str:
    return str(Target(f"https://{written}:8443/a").host)


async def _by_base_url(written: str) -> str:
    return parse_base_url(f"https://{written}/").origin.removeprefix("https://")


async def _by_specification(written: str) -> str:
    return origin_of(f"https://{written}:443/a.json").removeprefix("https://")


async def _by_download_hosts(written: str) -> str:
    (host,) = checked_hosts([f"{written}:443"])
    assert redirect_target(f"https://{host}/x", checked_hosts([written])) is not None
    return host


USERS: list[Found] = [_by_target, _by_base_url, _by_specification, _by_download_hosts]


@pytest.mark.parametrize(("written", "host"), HOSTS.items(), ids=ascii)
def test_a_host_name_has_one_form(written: str, host: str) -> None:
    """Case, width, dots and UTS 46 make no other host, and that form stands for itself."""
    assert normalise_host(written) == host
    assert normalise_host(host) == host


@pytest.mark.parametrize(
    ("written", "host"), [("2001:DB8::0:1", "2001:db8::1"), ("::FFFF:1.2.3.4", "::ffff:102:304")]
)
def test_an_ipv6_address_is_compressed(written: str, host: str) -> None:
    """One address is written in many ways."""
    assert normalise_host(written) == host
    assert parse_base_url(f"https://[{written}]:8443").origin == f"https://[{host}]:8443"
    assert origin_of(f"https://[{written}]/") == f"https://[{host}]"
    assert Target(f"http://[{written}]/").host == host


@pytest.mark.parametrize("text", ["", *NO_HOSTS, "2001:db8::x", "[::1]"], ids=ascii)
def test_what_names_no_host_is_refused(text: str) -> None:
    """DNS has rules, and an address that is none is no name either."""
    with pytest.raises(ValueError, match=r"^.+$"):
        normalise_host(text)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("written", "host"), HOSTS.items(), ids=ascii)
async def test_everybody_has_the_same_form(user: Found, written: str, host: str) -> None:
    """Targets, base URL, specification and download hosts agree about every name."""
    assert await user(written) == host


@pytest.mark.parametrize(("written", "host"), HOSTS.items(), ids=ascii)
async def test_a_site_is_found_by_any_form_of_its_name(written: str, host: str) -> None:
    """It does not matter which form the person writes, and which one the API has."""
    for theirs, ours in ((host, written), (written, host)):
        sites = Sites(_SitesOfAnOrganization(theirs))

        assert await sites.find(ours) == Site(id="the id", hostname=theirs)
        assert await SiteIndex(sites.list).resolve(Target(ours)) == "the id"


async def test_another_host_is_never_taken_for_this_one() -> None:
    """IDNA 2003 makes fass.de of faß.de: the site of somebody else would be scanned."""
    sites = Sites(_SitesOfAnOrganization("fass.de"))

    with pytest.raises(UnknownSite, match=r"no site named faß\.de\."):
        await sites.find("faß.de")
    with pytest.raises(UnknownSite, match=r"is called faß\.de \(xn--fa-hia\.de\)\."):
        await SiteIndex(sites.list).resolve(Target("faß.de"))


async def test_a_site_without_a_possible_name_equals_only_itself() -> None:
    """The API may know a site by anything."""
    sites = Sites(_SitesOfAnOrganization("The shop"))

    assert (await sites.find(" The shop ")).id == "the id"
    with pytest.raises(UnknownSite):
        await sites.find("the shop")


@pytest.mark.parametrize("text", NO_HOSTS, ids=ascii)
def test_everybody_refuses_the_same(text: str) -> None:
    """What names no host is refused with what was written."""
    with pytest.raises(TargetError):
        Target(f"https://{text}/")
    with pytest.raises(ConfigError):
        parse_base_url(f"https://{text}/")
    with pytest.raises(ConfigError):
        checked_hosts([text])
    assert origin_of(f"https://{text}/") == ""


@pytest.mark.parametrize("host", ["FAß..de", "-Faß.de"])
def test_a_refusal_quotes_what_was_written(host: str) -> None:
    """Nobody looks for a name in a form they never saw."""
    with pytest.raises(ConfigError, match=host):
        parse_base_url(f"https://{host}")
    with pytest.raises(ConfigError, match=host):
        checked_hosts([host])
    with pytest.raises(ConfigError, match=r"FAß\.de"):
        parse_base_url("http://FAß.de")
