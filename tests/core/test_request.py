"""Requests as values: what may stand in a path."""

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.request import Request, build_request, lower_headers, raw_request
from bestdefense_async.core.route import ROUTES, Grade
from bestdefense_async.errors import ConfigError

PROGRESS = ROUTES["reports.progress"]


def test_a_path_is_filled_in() -> None:
    """The id stands where the template says."""
    request: Request[Any] = build_request(PROGRESS, {"report_id": "a-B_9.~"})
    assert request.path == "/api/report/a-B_9.~/progress"
    assert request.subject == "a-B_9.~"
    assert (request.method, request.body) == ("GET", None)
    assert request.parts == {"report_id": "a-B_9.~"}


def test_a_body_is_ready_for_the_wire() -> None:
    """It is encoded once, however often the request is sent."""
    request: Request[Any] = build_request(ROUTES["schedules.create"], json={"a": ["é", 1.5, None]})
    assert request.body == b'{"a":["\\u00e9",1.5,null]}'


@pytest.mark.parametrize(
    "json",
    [{1, 2}, {"a": float("nan")}, {"a": "\ud800"}, {"a": b"x"}],
    ids=["a set", "not a number", "half a surrogate pair", "bytes"],
)
def test_a_body_that_is_no_json_is_refused(json: Any) -> None:
    """Before anything is sent, for every kind of request."""
    with pytest.raises(ConfigError, match="not a JSON value"):
        build_request(ROUTES["schedules.create"], json=json)
    with pytest.raises(ConfigError, match="not a JSON value"):
        raw_request("POST", "/api/schedules", json)


@pytest.mark.parametrize("value", ["", "\ud800", None, 1.5])
def test_a_query_that_cannot_be_sent_is_refused(value: Any) -> None:
    """The member is named."""
    with pytest.raises(ConfigError, match="after"):
        build_request(ROUTES["reports.list"], query={"after": value})


class Taken:
    """A claim, as far as a request is concerned."""

    async def take(self) -> None:
        """Take it."""

    async def give_back(self) -> None:
        """Give it back."""


def test_a_binding_keeps_the_claim_and_gives_up_models_where_names_differ() -> None:
    """What must be held before sending is the same on every host; what comes back is not."""
    claim = Taken()
    ours: Request[Any] = build_request(ROUTES["sites.list"], items={"sites": str}, claim=claim)

    def there(**answer: str) -> Request[Any]:
        return bind(
            "sites.list", Binding(method="GET", template="/v2", answer=answer)
        ).request_there(ours)

    assert (there().path, there().claim, there().items) == ("/v2", claim, {"sites": str})
    assert (there(sites="items").claim, there(sites="items").items) == (claim, {})


def test_header_names_come_in_lower_case_and_the_first_value_counts() -> None:
    """All values that ask to wait are kept."""
    several = CIMultiDict([("X-A", "1"), ("x-a", "2"), ("Retry-After", "1"), ("retry-after", "3")])
    plain = CIMultiDict([("Content-Type", "a"), ("DATE", "b")])
    for _ in range(2):  # the second time the names are known
        assert lower_headers(CIMultiDictProxy(several)) == {"x-a": "1", "retry-after": "1, 3"}
        assert lower_headers(CIMultiDictProxy(plain)) == {"content-type": "a", "date": "b"}
        assert lower_headers({"A": "1", "a": "2"}) == {"a": "1"}


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
        None,
        7,
    ],
)
def test_a_part_that_could_reach_another_resource_is_refused(part: Any) -> None:
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
