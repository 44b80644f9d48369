"""Lists go on where the host says how, and a list that is cut is told of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.errors import EnvelopeError, UnknownSite
from bestdefense_async.resources.reports import Reports
from bestdefense_async.resources.sites import Sites
from bestdefense_async.runs.site_index import SiteIndex
from bestdefense_async.runs.targets import Target, read_targets

if TYPE_CHECKING:
    from bestdefense_async.core.request import Request


class Host:
    """A host that answers one page after the other."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = [*pages]
        self.asked: list[str] = []

    async def send(self, request: Request[Any], *, timeout: float | None = None) -> Any:
        """Return what the request reads from the next page."""
        self.asked.append(request.path)
        assert request.read is not None
        return request.read(self.pages[min(len(self.asked), len(self.pages)) - 1])

    async def download(self, *_: Any, **__: Any) -> None:
        """Nothing here is a file."""


def page(*ids: str, **more: Any) -> dict[str, Any]:
    """Return one page of sites."""
    return {"sites": [{"id": each, "hostname": f"{each}.example"} for each in ids], **more}


def reports(page: dict[str, Any]) -> Reports:
    """Return the reports of a host that shows this page."""
    unused: Any = None
    return Reports(Host(page), unused, unused, unused)


async def test_the_address_of_the_next_page_is_followed() -> None:
    """Its query is taken, and never its host."""
    host = Host(
        page("a", next="https://elsewhere.example/other?page=2&size=1"), page("b", next=None)
    )
    assert [each.id for each in await Sites(host).list()] == ["a", "b"]
    assert host.asked == ["/api/sites", "/api/sites?page=2&size=1"]


async def test_a_page_is_asked_for_when_it_is_needed() -> None:
    """Whoever stops early costs the host no more requests."""
    host = Host(page("a", "b", next="?page=2"), page("c"))
    pages = Sites(host).iterate()
    assert [(await anext(pages)).id, (await anext(pages)).id] == ["a", "b"]
    assert len(host.asked) == 1
    await pages.aclose()


@pytest.mark.parametrize("following", ["c2", 7, True, "", [], "https://[", None])
async def test_what_is_no_address_is_not_guessed_at(following: Any) -> None:
    """Under which name a cursor is sent is not known."""
    host = Host(page("a", next=following))
    assert len(await Sites(host).list()) == 1
    assert len(host.asked) == 1


async def test_a_list_that_is_cut_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Twenty of forty-five sites must not look like all of them."""
    with caplog.at_level(logging.WARNING):
        listed = await Sites(Host(page("a", "b", total=45))).list()
        whole = await Sites(Host(page("a", "b", total=2))).list()
        whole_page = {"reports": [{"id": "a"}], "total": 45}
        assert len(await reports(whole_page).list(limit=1)) == 1
        assert len(await reports(whole_page).list(limit=2)) == 1
    assert (listed.missing, whole.missing) == (43, 0)
    assert [each.message for each in caplog.records] == [
        "sites.list shows 2 of the 45 that the host says there are",
        "reports.list shows 1 of the 45 that the host says there are",
    ]


async def test_no_site_of_a_cut_list_is_said_to_be_absent_without_it() -> None:
    """The site may be among those that the host keeps back."""
    cut = "The host shows only 2 of the 45 it has."
    with pytest.raises(UnknownSite, match=cut):
        await Sites(Host(page("a", "b", total=45))).find("s30.example")
    (target,) = read_targets(["s30.example"])
    assert isinstance(target, Target)
    index = SiteIndex(Sites(Host(page("a", "b", total=45))).list)
    with pytest.raises(UnknownSite, match=cut):
        await index.resolve(target)
    with pytest.raises(UnknownSite) as told:
        await Sites(Host(page("a", "b", total=2))).find("s30.example")
    assert "shows only" not in str(told.value)


async def test_a_host_that_shows_the_same_page_again_is_no_loop() -> None:
    """The second time ends it."""
    host = Host(page("a", next="?page=2"))
    with pytest.raises(EnvelopeError, match="the same page of"):
        await Sites(host).list()
    assert len(host.asked) == 2
