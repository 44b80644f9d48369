"""Bindings: an operation in the host's words, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bestdefense_async.core.binding import Binding, bind
from bestdefense_async.core.request import Request, build_request
from bestdefense_async.core.route import ROUTES, Body, Grade
from bestdefense_async.errors import ConfigError

SCHEDULE = {"siteId": "s-1", "types": ["security"], "cadence": "weekly", "testUsers": ["anna"]}


def test_a_request_goes_out_in_the_words_of_the_host() -> None:
    """Method, path and names are the host's; what is not renamed stays; never sent twice."""
    bound = bind(
        "schedules.create",
        Binding(
            method="PUT",
            template="/api/v2/{siteId}/plans",
            request={"cadence": "plan.interval", "testUsers[]": "plan.logins[]"},
        ),
    )
    request: Request[Any] = bound.request_there(
        build_request(ROUTES["schedules.create"], json=SCHEDULE)
    )
    assert (request.route.method, request.path) == ("PUT", "/api/v2/s-1/plans")
    assert request.json == {
        "types": ["security"],
        "plan": {"interval": "weekly", "logins": ["anna"]},
    }
    assert request.route.grade is Grade.BOUND
    assert not request.route.may_repeat
    assert request.route.permission == "manage scheduled reports"


def test_a_part_of_the_path_may_move_into_query_or_body() -> None:
    """Where a host wants it there."""
    delete: Request[Any] = build_request(
        ROUTES["schedules.delete"], {"schedule_id": "x 1".replace(" ", "-")}
    )
    names = {"schedule_id": "id"}
    by_query = bind("schedules.delete", Binding(method="DELETE", template="/a", request=names))
    by_body = bind("schedules.delete", Binding(method="POST", template="/a/b", request=names))
    assert by_query.request_there(delete).path == "/a?id=x-1"
    there = by_body.request_there(delete)
    assert (there.path, there.json, there.subject) == ("/a/b", {"id": "x-1"}, "x-1")


def test_names_in_a_query_are_renamed() -> None:
    """A page has another word for its size, and keeps the number."""
    asked: Request[Any] = build_request(
        ROUTES["reports.list"], query={"limit": 20, "after": "r 1&x=2"}
    )
    bound = bind(
        "reports.list", Binding(method="GET", template="/r/", request={"limit": "itemsPerPage"})
    )
    assert bound.request_there(asked).path == "/r/?after=r%201%26x%3D2&itemsPerPage=20"


def test_an_answer_comes_back_in_our_words() -> None:
    """Lists are gone through member by member; what we do not know stays for `extra`."""
    bound = bind(
        "reports.list",
        Binding(
            method="GET",
            template="/r",
            answer={
                "reports[].id": "items[].uuid",
                "reports[].siteId": "items[].site.id",
                "reports[].hostname": "items[].site.host",
            },
        ),
    )
    there = {
        "items": [
            {"uuid": "1", "site": {"id": "s", "host": "h", "owner": "o"}, "types": ["dns"]},
            {"uuid": "2", "site": {"id": "t"}},
        ],
        "next": None,
    }
    assert bound.answer_here(there) == {
        "reports": [
            {"id": "1", "siteId": "s", "hostname": "h", "site": {"owner": "o"}, "types": ["dns"]},
            {"id": "2", "siteId": "t"},
        ],
        "next": None,
    }
    assert bound.answer_here({"items": []}) == {"reports": []}


@pytest.mark.parametrize(
    ("answer", "there", "ours"),
    [
        ({"reports[]": "[]"}, [{"id": "1"}], {"reports": [{"id": "1"}]}),
        ({"reports[].id": "[].key"}, [{"key": "1"}], {"reports": [{"id": "1"}]}),
        ({"reports": ""}, [], {"reports": []}),
    ],
)
def test_an_answer_may_be_a_list_itself(
    answer: dict[str, str], there: object, ours: object
) -> None:
    """The empty path is the whole answer."""
    bound = bind("reports.list", Binding(method="GET", template="/r", answer=answer))
    assert bound.answer_here(there) == ours


@pytest.mark.parametrize("payload", [None, [], "text", 7, {"items": None}, {"items": [None, 7]}])
def test_an_answer_of_another_shape_passes_through_for_the_codec(payload: object) -> None:
    """The translation never fails: what is missing is missed later, by name."""
    bound = bind(
        "reports.list",
        Binding(method="GET", template="/r", answer={"reports[].id": "items[].uuid"}),
    )
    bound.answer_here(payload)


@pytest.mark.parametrize("turned", [False, True])
def test_a_member_can_leave_an_object_that_moves_itself(*, turned: bool) -> None:
    """The inner one is taken out first and put in last, in whatever order the pairs stand."""
    answer = {"schedule": "", "schedule.siteId": "target.id", "schedule.id": "uid"}
    pairs = dict(reversed(answer.items())) if turned else answer
    bound = bind("schedules.create", Binding(method="POST", template="/s", answer=pairs))
    there = {"uid": "1", "id": "theirs", "target": {"id": "s", "port": 80}, "cadence": "daily"}
    assert bound.answer_here(there) == {
        "schedule": {"id": "1", "siteId": "s", "target": {"port": 80}, "cadence": "daily"}
    }


def test_a_request_can_lose_its_outer_object() -> None:
    """Everything below `options` stands at the top there, and joins what is there already."""
    names = {"options": "", "options.security.options.scanIntensity": "scan.depth"}
    bound = bind("reports.create", Binding(method="POST", template="/r/{site_id}", request=names))
    body = {
        "note": 1,
        "options": {"security": {"enabled": True, "options": {"scanIntensity": "quick"}}},
    }
    request: Request[Any] = build_request(ROUTES["reports.create"], {"site_id": "s"}, body)
    assert bound.request_there(request).json == {
        "note": 1,
        "security": {"enabled": True},
        "scan": {"depth": "quick"},
    }


def test_names_can_be_swapped() -> None:
    """All is taken out before anything is put in."""
    bound = bind(
        "remediation.get",
        Binding(
            method="GET",
            template="/r/{remediation_id}",
            answer={
                "remediation.id": "remediation.reportId",
                "remediation.reportId": "remediation.id",
            },
        ),
    )
    assert bound.answer_here({"remediation": {"id": "a", "reportId": "b"}}) == {
        "remediation": {"id": "b", "reportId": "a"}
    }


def test_a_binding_may_say_that_there_is_no_envelope() -> None:
    """Then the payload stands beside `success`."""
    there = Binding(method="POST", template="/s", envelope="top")
    assert bind("schedules.create", there).route.body is Body.TOP_LEVEL


def test_a_constant_stands_in_path_or_body_and_the_call_counts_more() -> None:
    """What is the same in every call is said once."""
    bound = bind(
        "schedules.create",
        Binding(
            method="POST",
            template="/api/{org}/schedules",
            constants={"org": "42", "plan.time": "03:00", "cadence": "weekly"},
        ),
    )
    request: Request[Any] = bound.request_there(
        build_request(ROUTES["schedules.create"], json={"siteId": "s", "cadence": "daily"})
    )
    assert request.path == "/api/42/schedules"
    assert request.json == {"siteId": "s", "cadence": "daily", "plan": {"time": "03:00"}}
    listed = bind(
        "reports.list", Binding(method="GET", template="/r", constants={"per_page": 100, "x": True})
    )
    assert listed.request_there(build_request(ROUTES["reports.list"])).path == (
        "/r?per_page=100&x=true"
    )


def test_what_a_host_does_not_take_is_left_away() -> None:
    """Also an object, without what was taken out of it first."""
    bound = bind(
        "reports.create",
        Binding(
            method="POST",
            template="/targets/{site_id}/scan",
            request={"options.security.options.scanIntensity": "profile"},
            unsent=["options"],
            values={"scanIntensity": {"quick": "QUICK"}},
        ),
    )
    body = {"options": {"dns": {}, "security": {"options": {"scanIntensity": "quick"}}}}
    request: Request[Any] = build_request(ROUTES["reports.create"], {"site_id": "s"}, body)
    assert bound.request_there(request).json == {"profile": "QUICK"}


def test_words_are_translated_on_both_ways() -> None:
    """Each member of a list, too; what is not listed goes as it is."""
    values: dict[str, dict[str, str | list[str]]] = {
        "types": {"security": "SEC"},
        "cadence": {"daily": ["DAY", "EVERY_DAY"]},
    }
    create: Request[Any] = bind(
        "schedules.create", Binding(method="POST", template="/s", values=values)
    ).request_there(
        build_request(
            ROUTES["schedules.create"], json={"types": ["security", "dns"], "cadence": "daily"}
        )
    )
    assert create.json == {"types": ["SEC", "dns"], "cadence": "DAY"}
    listed = bind("schedules.list", Binding(method="GET", template="/s", values=values))
    there = {"schedules": [{"types": ["SEC"], "cadence": "EVERY_DAY"}, {"cadence": "hourly"}]}
    assert listed.answer_here(there) == {
        "schedules": [{"types": ["security"], "cadence": "daily"}, {"cadence": "hourly"}]
    }


@pytest.mark.parametrize(
    ("state", "is_completed"), [("DONE", True), ("FAILED", True), ("RUNNING", False)]
)
def test_a_state_says_whether_it_is_complete(state: str, *, is_completed: bool) -> None:
    """And stays readable, so that an end in failure is one."""
    bound = bind(
        "reports.progress",
        Binding(
            method="GET",
            template="/r/{report_id}",
            answer={"isCompleted": "status"},
            values={"isCompleted": {"true": ["DONE", "FAILED"]}},
        ),
    )
    assert bound.answer_here({"status": state}) == {"isCompleted": is_completed, "status": state}


def test_what_a_call_knows_besides_can_stand_in_the_path() -> None:
    """And is sent nowhere else."""
    bound = bind(
        "agents.download",
        Binding(
            method="GET",
            template="/agents/{version}/{os}/{arch}",
            unsent=("filename",),
            values={"arch": {"amd64": "x86_64"}},
        ),
    )
    request: Request[Any] = build_request(
        ROUTES["agents.download"],
        {"filename": "agent"},
        given={"version": "1.2", "os": "linux", "arch": "amd64", "platform": "linux-amd64"},
    )
    assert bound.request_there(request).path == "/agents/1.2/linux/x86_64"
    without: Request[Any] = build_request(ROUTES["agents.download"], {"filename": "agent"})
    with pytest.raises(ConfigError, match="version belongs into the path"):
        bound.request_there(without)


PAGES: dict[str, tuple[str, Any, Any, str, Any]] = {
    "by number": ("page", None, {"reports": [{}]}, "/r?after=1", {"after": 2}),
    "the last number": ("page", 3, {"reports": []}, "/r?after=3", None),
    "from zero": ("page0", None, {"reports": [{}]}, "/r?after=0", {"after": 1}),
    "by offset": ("offset", 2, {"reports": [{}, {}], "total": 9}, "/r?after=2", {"after": 4}),
    "the last offset": ("offset", 2, {"reports": [{}], "total": 3}, "/r?after=2", None),
    "a cursor": ("next", None, {"reports": [{}], "next": "c"}, "/r", {"after": "c"}),
    "no cursor": ("next", "c", {"reports": [{}], "next": None}, "/r?after=c", None),
    "an address": ("next", None, {"next": "/r?page=2"}, "/r", "/r?page=2"),
}


@pytest.mark.parametrize(
    ("pages", "after", "answer", "path", "following"), PAGES.values(), ids=PAGES.keys()
)
def test_a_binding_says_how_a_list_goes_on(
    pages: str, after: Any, answer: Any, path: str, following: Any
) -> None:
    """The answer then has what the next page is asked with."""
    bound = bind("reports.list", Binding(method="GET", template="/r", pages=pages))
    query = {} if after is None else {"after": after}
    request = bound.request_there(
        build_request(ROUTES["reports.list"], query=query, read=lambda payload: payload)
    )
    assert request.path == path
    assert request.read is not None
    assert request.read(answer)["next"] == following


def test_a_list_of_numbered_pages_cannot_begin_behind_a_member() -> None:
    """Nothing is sent."""
    bound = bind("reports.list", Binding(method="GET", template="/r", pages="page"))
    with pytest.raises(ConfigError, match="goes page by page on this host"):
        bound.request_there(build_request(ROUTES["reports.list"], query={"after": "some-id"}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("schedules.make", {}),
        ("schedules.create", {"method": "BREW"}),
        ("schedules.create", {"method": ["POST"]}),
        ("schedules.create", {"template": None}),
        ("schedules.create", {"template": ""}),
        ("schedules.create", {"request": [("siteId", "id")]}),
        ("schedules.create", {"request": {"siteId": 7}}),
        ("schedules.create", {"answer": "schedule"}),
        ("schedules.create", {"envelope": "no"}),
        ("schedules.create", {"pages": "page"}),
        ("schedules.create", {"unsent": ["nothing"]}),
        ("schedules.create", {"unsent": "types"}),
        ("schedules.create", {"source": 7}),
        ("schedules.create", {"values": {"cadence": {"daily": 7}}}),
        ("schedules.create", {"values": {"cadence": {"daily": []}}}),
        ("schedules.create", {"values": {"nothing": {"a": "b"}}}),
        ("schedules.create", {"constants": {"org": ["a"]}}),
        ("schedules.create", {"constants": {"a..b": "c"}}),
        ("schedules.create", {"template": "/a/{org}", "constants": {"org": "a/b"}}),
        (
            "schedules.delete",
            {"template": "/a/{schedule_id}", "constants": {"schedule_id": "7"}},
        ),
        ("schedules.delete", {"unsent": ["schedule_id"]}),
        ("agents.download", {"method": "GET", "unsent": ["filename"]}),
        ("reports.list", {"method": "GET", "pages": "odd"}),
        ("reports.list", {"method": "GET", "constants": {"a.b": 1}}),
        ("schedules.create", {"method": "GET"}),
        ("schedules.create", {"template": "https://elsewhere.example/api"}),
        ("schedules.create", {"template": "//elsewhere/api"}),
        ("schedules.create", {"template": "/a/../b"}),
        ("schedules.create", {"template": "/a?x=1"}),
        ("schedules.create", {"template": "/a/{site}"}),
        ("schedules.create", {"template": "/a/{siteId}/{siteId}"}),
        ("schedules.create", {"request": {"site": "target"}}),
        ("schedules.create", {"request": {"siteId": "a..b"}}),
        ("schedules.create", {"request": {"siteId": "x", "cadence": "x"}}),
        ("schedules.create", {"request": {"testUsers[]": "users"}}),
        ("schedules.create", {"answer": {"schedule.color": "colour"}}),
        ("schedules.delete", {"method": "DELETE"}),
        ("reports.list", {"method": "GET", "request": {"limit": "page.size"}}),
        ("reports.list", {"method": "GET", "answer": {"reports[].id": "a[].b[].c"}}),
        (
            "reports.list",
            {"method": "GET", "answer": {"reports[].id": "a[].id", "reports[].types": "b[].t"}},
        ),
    ],
)
def test_a_binding_that_cannot_be_is_refused(name: str, words: dict[str, Any]) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError):
        bind(name, Binding(**{"method": "POST", "template": "/a", **words}))


def test_what_is_no_binding_is_refused() -> None:
    """A table as it stands in a settings file, for example."""
    with pytest.raises(ConfigError, match="must be a Binding"):
        bind("schedules.list", {"method": "GET", "template": "/s"})  # type: ignore[arg-type]


_NAMES = st.text("abcdef", min_size=1, max_size=2)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(".".join)


def _are_apart(paths: list[str]) -> bool:
    """Whether no path is another one or runs through it."""
    return not any(
        one != other and (f"{one}.".startswith(f"{other}.")) for one in paths for other in paths
    ) and len(set(paths)) == len(paths)


def _tree(paths: list[str], values: list[int]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in zip(paths, values, strict=True):
        *parents, last = path.split(".")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return tree


@given(
    theirs=st.lists(_PATHS, min_size=5, max_size=5).filter(_are_apart),
    values=st.lists(st.integers(), min_size=5, max_size=5),
    members=st.integers(0, 3),
)
def test_there_and_back_is_where_it_was(theirs: list[str], values: list[int], members: int) -> None:
    """Whatever names a host has, its answer holds what our request would have said."""
    ours = ["siteId", "types", "scanIntensity", "cadence", "testUsers"]
    out = bind(
        "schedules.create",
        Binding(method="POST", template="/a", request=dict(zip(ours, theirs, strict=True))),
    )
    fields = [f"schedules[].{name}" for name in ours]
    rows = dict(zip(fields, [f"data.rows[].{path}" for path in theirs], strict=True))
    back = bind("schedules.list", Binding(method="GET", template="/a", answer=rows))

    body = dict(zip(ours, values, strict=True))
    there = out.request_there(build_request(ROUTES["schedules.create"], json=body)).json
    assert there == _tree(theirs, values)
    assert back.answer_here({"data": {"rows": [there] * members}}) == {
        "schedules": [body] * members
    }
