"""Proposals: right on hosts of several styles, and undecided where a person must decide."""

import copy
from typing import Any

import pytest

from bestdefense_async.core.route import ROUTES
from bestdefense_async.openapi.adopt import Proposal, consider, propose
from bestdefense_async.openapi.read import read_specification
from bestdefense_async.sandbox.handlers.docs import document
from tests.support.styled_hosts import BARE, PLATFORM, VENDOR


def proposed(spec: dict[str, Any]) -> dict[str, Proposal]:
    """Return the proposals for a document by operation."""
    return {each.route.name: each for each in propose(read_specification(spec), source="there")}


def proposed_paths(proposals: dict[str, Proposal]) -> dict[str, str | None]:
    """Return where each is proposed to stand."""
    return {
        name: None if each.best is None else each.best.operation.name
        for name, each in proposals.items()
    }


@pytest.mark.parametrize("style", [VENDOR, PLATFORM, BARE], ids=lambda style: style.name)
def test_every_operation_is_found_in_another_style(style: Any) -> None:
    """Sure only where the specification says enough."""
    found = proposed(style.document)
    assert proposed_paths(found) == style.paths
    assert {name for name, each in found.items() if each.sure is None} == style.undecided


def test_where_nothing_has_moved_all_is_sure() -> None:
    """And the bindings translate nothing."""
    for each in proposed(document()).values():
        assert each.sure is not None
        binding = each.sure.binding
        assert binding is not None
        assert (binding.method, binding.template) == (each.route.method, each.route.template)
        assert (binding.request, binding.answer) == ({}, {})
        assert binding.source == "there"


def test_a_host_without_them_gets_no_proposal() -> None:
    """What is documented is not given to what is not: its alerts are not the network's."""
    spec = document()
    kept = {
        "/api/sites",
        "/api/report/vortex/{security_id}/alerts",
        "/api/report/{report_id}/progress",
    }
    spec = {**spec, "paths": {path: item for path, item in spec["paths"].items() if path in kept}}
    assert set(proposed_paths(proposed(spec)).values()) == {None}


def test_two_that_are_as_likely_are_left_to_a_person() -> None:
    """Both are named."""
    spec = copy.deepcopy(document())
    paths = spec["paths"]
    for path in ("/api/v1/schedules", "/api/v2/schedules"):
        paths[path] = copy.deepcopy(paths["/api/schedules"])
    del paths["/api/schedules"]
    found = proposed(spec)["schedules.create"]
    assert found.best is not None
    assert found.sure is None
    there = {found.best.operation.name, *(each.operation.name for each in found.rivals)}
    assert there == {"POST /api/v1/schedules", "POST /api/v2/schedules"}


def test_each_of_theirs_is_given_away_once() -> None:
    """To the one of ours that it fits best."""
    found = [
        path for path in proposed_paths(proposed(VENDOR.document)).values() if path is not None
    ]
    assert len(found) == len(set(found))


def considered(name: str, method: str, path: str, **entry: Any) -> Any:
    """Consider one operation of a host for one of ours."""
    spec = {"openapi": "3.1.0", "paths": {path: {method: entry}}}
    (operation,) = read_specification(spec).operations
    return consider(ROUTES[name], operation, source="there")


def body(*required: str, **properties: Any) -> dict[str, Any]:
    """Return a body of a request."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"content": {"application/json": {"schema": schema}}}


def responses(**properties: Any) -> dict[str, Any]:
    """Return an answer in the envelope."""
    schema = {"properties": {"success": {}, "data": {"properties": properties}}}
    return {"200": {"content": {"application/json": {"schema": schema}}}}


TEXT = {"type": "string"}
LIST = {"type": "array", "items": TEXT}
SENT = {"siteId": TEXT, "types": LIST, "cadence": TEXT}

DOUBTS = {
    "a field is demanded": (
        {"requestBody": body("owner", owner=TEXT, **SENT)},
        "It demands owner, which we do not send.",
    ),
    "a query is demanded": (
        {
            "requestBody": body(**SENT),
            "parameters": [{"name": "org", "in": "query", "required": True, "schema": TEXT}],
        },
        "It demands org, which we do not send.",
    ),
    "a header is demanded": (
        {
            "requestBody": body(**SENT),
            "parameters": [{"name": "X-Org", "in": "header", "required": True, "schema": TEXT}],
        },
        "It demands header X-Org, which we do not send.",
    ),
    "two fields fit": (
        {"requestBody": body(target=TEXT, target_id=TEXT, types=LIST, cadence=TEXT)},
        "siteId may be target_id or target.",
    ),
    "the answer lacks the id": (
        {"requestBody": body(**SENT), "responses": responses(cadence=TEXT, siteId=TEXT)},
        "Its answer has no id",
    ),
    "the answer is not described": (
        {"requestBody": body(**SENT)},
        "The specification does not say what it answers.",
    ),
    "the body is not described": ({}, "The specification does not say what it takes."),
}


@pytest.mark.parametrize(("entry", "says"), DOUBTS.values(), ids=DOUBTS.keys())
def test_what_a_person_should_check_is_a_doubt(entry: dict[str, Any], says: str) -> None:
    """It can still be bound, when a person says so."""
    found = considered("schedules.create", "post", "/api/schedules", **entry)
    assert any(doubt.startswith(says) for doubt in found.doubts), found.doubts
    assert found.binding is not None


@pytest.mark.parametrize(
    ("name", "method", "path", "entry", "says"),
    [
        (
            "schedules.create",
            "post",
            "/api/schedules",
            {"requestBody": body(cadence=TEXT, types=LIST)},
            "It has no place for siteId.",
        ),
        (
            "schedules.list",
            "get",
            "/api/accounts/{account}/schedules",
            {},
            "Its path has a part that we cannot fill.",
        ),
        (
            "schedules.delete",
            "delete",
            "/api/schedules",
            {},
            "The binding of schedules.delete leaves schedule_id out",
        ),
    ],
)
def test_what_cannot_be_expressed_has_no_binding(
    name: str, method: str, path: str, entry: dict[str, Any], says: str
) -> None:
    """The first doubt says why."""
    found = considered(name, method, path, **entry)
    assert found.binding is None
    assert found.doubts[0].startswith(says)


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("remediation.trigger", "post", "/api/remediations/merge"),
        ("schedules.create", "put", "/api/schedules/pause"),
        ("network.start", "post", "/api/network-scans/stop"),
        ("schedules.delete", "delete", "/api/schedules/{id}/restore"),
    ],
)
def test_a_path_that_names_something_else_is_never_sure(name: str, method: str, path: str) -> None:
    """To approve a remediation is not to request one."""
    entry = {
        "requestBody": body(**{**SENT, "reportId": TEXT, "findingId": TEXT, "targets": LIST}),
        "responses": responses(id=TEXT, siteId=TEXT, reportId=TEXT, targets=LIST),
    }
    found = considered(name, method, path, **entry)
    assert any(doubt.startswith("Its path says") for doubt in found.doubts)


def test_a_part_with_a_name_of_its_own_is_taken_only_with_a_doubt() -> None:
    """The only part of theirs may be the only one of ours."""
    found = considered("schedules.delete", "delete", "/api/schedules/{slug}")
    assert found.binding.template == "/api/schedules/{schedule_id}"
    assert found.doubts == ("{slug} in its path is taken for schedule_id.",)
    sites = considered("schedules.delete", "delete", "/api/sites/{id}/schedules")
    assert sites.doubts == ("{id} in its path is taken for schedule_id.",)


def test_what_is_deleted_by_a_post_must_say_so() -> None:
    """A POST at the thing itself changes it."""
    says = considered("schedules.delete", "post", "/api/schedules/{id}/cancel")
    silent = considered("schedules.delete", "post", "/api/schedules/{id}")
    assert says.fit.score > 0.6
    assert silent.fit.score < 0.45  # not proposed at all


def test_a_part_of_ours_may_go_into_the_body() -> None:
    """Where their path has no place for it."""
    found = considered(
        "schedules.delete", "post", "/api/schedules/delete", requestBody=body("id", id=TEXT)
    )
    assert found.binding.template == "/api/schedules/delete"
    assert found.binding.request == {"schedule_id": "id"}
