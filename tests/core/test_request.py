"""Requests as values: what may stand in a path."""

import pytest

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.request import build_request, raw_request
from bestdefense_async.core.route import ROUTES, Grade
from bestdefense_async.errors import ConfigError

PROGRESS = ROUTES["reports.progress"]


def test_a_path_is_filled_in() -> None:
    """The id stands where the template says."""
    request = build_request(PROGRESS, {"report_id": "a-B_9.~"})
    assert request.path == "/api/report/a-B_9.~/progress"
    assert request.subject == "a-B_9.~"


@pytest.mark.parametrize(
    "part",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "%2e%2e",
        "..%2fadmin",
        "a#f",
        "a?x=1",
        "a b",
        "a\n",
        "é",
        "x" * 129,
    ],
)
def test_a_part_that_could_reach_another_resource_is_refused(part: str) -> None:
    """Quoting leaves `..` on the wire and cuts at `#`, so there is an allow-list."""
    with pytest.raises(ConfigError, match="report_id"):
        build_request(PROGRESS, {"report_id": part})


def test_a_raw_request_uses_the_table_where_it_can() -> None:
    """Limits, envelope and the never-twice rule hold for raw requests too."""
    assert raw_request("post", "/api/report/create/for-target/s1").route is ROUTES["reports.create"]
    assert raw_request("GET", "/api/sites?x=1").route is ROUTES["sites.list"]


def test_a_raw_request_outside_the_table_is_cautious() -> None:
    """Nobody knows whether it may arrive twice, unless it is a GET."""
    assert raw_request("GET", "/api/else").route.may_repeat
    assert not raw_request("DELETE", "/api/else").route.may_repeat
    assert raw_request("GET", "/api/else").route.grade is Grade.CALLER


@pytest.mark.parametrize(
    "path",
    ["", "api", "//host/x", "/a/../b", "/a/./b", "https://x/y", "/a#b", "/a b", "/a\r\nX: y", "/ä"],
)
def test_a_raw_path_must_be_plain(path: str) -> None:
    """A path that could leave the API, or split a request, is not sent."""
    with pytest.raises(ConfigError):
        raw_request("GET", path)


def test_a_method_the_api_does_not_have_is_refused() -> None:
    """CONNECT and friends are not for an API."""
    with pytest.raises(ConfigError):
        raw_request("CONNECT", "/api/sites")


def test_a_raw_request_goes_by_the_table_it_is_given() -> None:
    """Where an operation stands elsewhere, that is its path, and the old one is anybody's."""
    there = bind("sites.list", Binding(method="GET", template="/v2/sites")).route
    routes = {**ROUTES, "sites.list": there}
    assert raw_request("GET", "/v2/sites?x=1", routes=routes).route is there
    assert raw_request("GET", "/api/sites", routes=routes).route.grade is Grade.CALLER
