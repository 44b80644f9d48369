"""Proposals: right on hosts of several styles, and never a guess that writes."""

import copy
from typing import Any

import pytest
from attrs import evolve

from bestdefense_async.core.route import ROUTES, Grade
from bestdefense_async.openapi.propose import Proposal, consider, propose
from bestdefense_async.openapi.specification import read_specification
from bestdefense_async.sandbox.handlers.docs import document
from tests.support.moved_host import MOVES, openapi, swagger
from tests.support.styled_hosts import BARE, PLATFORM, VENDOR
from tests.support.written_hosts import API_PLATFORM, NELMIO, Host
from tests.support.written_hosts_2 import BY_HAND, FASTAPI, LARAVEL, NEST
from tests.support.written_hosts_3 import GO, SPRING
from tests.support.written_hosts_4 import ASP, HUMA

HOSTS: dict[str, tuple[dict[str, Any], Any]] = {
    **{
        host.name: (host.document(), host.places)
        for host in (NELMIO, API_PLATFORM, LARAVEL, BY_HAND, FASTAPI, NEST, SPRING, GO, HUMA, ASP)
    },
    **{style.name: (style.document, style.paths) for style in (VENDOR, PLATFORM, BARE)},
}


def proposed(spec: dict[str, Any], **constants: str) -> dict[str, Proposal]:
    """Return the proposals for a document by operation."""
    found = propose(evolve(read_specification(spec), location="there"), constants)
    return {each.route.name: each for each in found}


def first(proposal: Proposal) -> str | None:
    """Return where it is proposed first."""
    return proposal.candidates[0].operation.name if proposal.candidates else None


@pytest.mark.parametrize(
    "constants", [{}, {"organization": "42", "org": "42"}], ids=["", "with --set"]
)
@pytest.mark.parametrize(("spec", "places"), HOSTS.values(), ids=HOSTS.keys())
def test_nothing_wrong_is_taken_and_nothing_that_writes(
    spec: dict[str, Any], places: dict[str, str | None], constants: dict[str, str]
) -> None:
    """What nobody was asked about is a reading operation, and the right one."""
    for name, proposal in proposed(spec, **constants).items():
        if proposal.sure is not None:
            assert proposal.sure.operation.method == "GET"
            assert name not in places or proposal.sure.operation.name == places[name]


@pytest.mark.parametrize(("spec", "places"), HOSTS.values(), ids=HOSTS.keys())
def test_the_right_place_comes_first_and_what_is_absent_is_a_doubt(
    spec: dict[str, Any], places: dict[str, str | None]
) -> None:
    """At least 95 of 100, whatever the framework."""
    found = {name: each for name, each in proposed(spec).items() if name in places}
    there = [name for name in found if places[name] is not None]
    right = [name for name in there if first(found[name]) == places[name]]
    assert len(right) >= 0.95 * len(there), {*there} - {*right}
    for name in found.keys() - {*there}:
        assert all(each.doubts for each in found[name].candidates)


@pytest.mark.parametrize("host", [SPRING, GO, HUMA, ASP], ids=lambda host: host.name)
def test_what_is_read_and_described_is_sure(host: Host) -> None:
    """Also below two versions, in any media type of JSON, in capitals; but for a lonely file."""
    found = proposed(host.document(), org="42")
    there = {name for name, place in host.places.items() if place and place.startswith("GET")}
    sure = {name for name in there if found[name].sure is not None}
    assert there - sure <= {"agents.download"}


@pytest.mark.parametrize("spec", [openapi(), swagger()], ids=["OpenAPI", "Swagger"])
def test_a_host_that_has_moved_everything_is_found_out(spec: dict[str, Any]) -> None:
    """In either form of its specification."""
    found = proposed(spec)
    assert {name: first(found[name]) for name in MOVES} == {
        name: f"{move.method} {move.path}" for name, move in MOVES.items()
    }
    assert {name for name in MOVES if found[name].sure is None} == {
        name for name, move in MOVES.items() if move.method != "GET"
    }


def test_where_nothing_has_moved_the_bindings_translate_nothing() -> None:
    """And what is documented needs none."""
    found = proposed(document())
    assert found.keys() == {name for name, row in ROUTES.items() if row.grade is Grade.DESCRIBED}
    for each in found.values():
        binding = each.candidates[0].binding
        assert binding is not None
        assert (binding.method, binding.template) == (each.route.method, each.route.template)
        assert (binding.request, binding.answer, binding.values) == ({}, {}, {})
        assert (binding.unsent, binding.pages, binding.source) == ((), None, "there")


def test_a_host_without_them_gets_no_proposal() -> None:
    """What is documented is not given to what is not: its alerts are not the network's."""
    spec = document()
    kept = {
        "/api/sites",
        "/api/report/vortex/{security_id}/alerts",
        "/api/report/{report_id}/progress",
    }
    spec = {**spec, "paths": {path: item for path, item in spec["paths"].items() if path in kept}}
    assert [each.candidates for each in proposed(spec).values()] == [()] * len(proposed(spec))


FOREIGN = (
    ("delete", "/api/maintenance-schedules/{id}"),
    ("delete", "/api/backup/schedules/{id}"),
    ("delete", "/api/sites/{id}/schedules"),
    ("post", "/api/schedules/{id}/pause"),
    ("post", "/api/remediations/{id}/merge"),
    ("post", "/api/network-scans/stop-all"),
)


@pytest.mark.parametrize(("method", "path"), FOREIGN)
def test_a_foreign_word_is_a_doubt_and_a_writer_is_never_sure(method: str, path: str) -> None:
    """A DELETE that was adopted by guess was worse than none."""
    spec = {"openapi": "3.1.0", "paths": {path: {method: {}}}}
    for proposal in proposed(spec).values():
        assert proposal.sure is None
        for each in proposal.candidates:
            assert any(doubt.startswith("Its path says") for doubt in each.doubts), each.operation


def test_a_deletion_without_any_doubt_is_still_for_a_person() -> None:
    """It is proposed, with a binding that an answer or --bind takes."""
    spec = {"openapi": "3.1.0", "paths": {"/api/v2/schedules/{id}": {"delete": {}}}}
    proposal = proposed(spec)["schedules.delete"]
    assert proposal.candidates[0].doubts == ()
    assert proposal.candidates[0].binding is not None
    assert proposal.sure is None


def test_a_reader_with_a_deleting_name_is_doubted() -> None:
    """Some hosts delete with a GET."""
    path = "/api/scheduled-reports/{id}/delete"
    spec = {"openapi": "3.1.0", "paths": {path: {"get": {}}}}
    assert [each.sure for each in proposed(spec).values() if each.sure is not None] == []


@pytest.mark.parametrize(("path", "more"), [("/reports", "amount"), ("/fixes", "patch")])
def test_a_noun_and_an_id_alone_are_a_doubt(path: str, more: str) -> None:
    """Reports of a billing system have both."""
    row = {"type": "object", "properties": {"id": TEXT, more: TEXT}}
    media = {"application/json": {"schema": {"type": "array", "items": row}}}
    spec = {
        "openapi": "3.0.0",
        "paths": {path: {"get": {"responses": {"200": {"content": media}}}}},
    }
    assert [each.sure for each in proposed(spec).values() if each.sure is not None] == []


def test_two_that_are_as_likely_are_left_to_a_person() -> None:
    """Both are on the list."""
    spec = copy.deepcopy(document())
    paths = spec["paths"]
    for path in ("/api/v1/schedules", "/api/v2/schedules"):
        paths[path] = copy.deepcopy(paths["/api/schedules"])
    del paths["/api/schedules"]
    found = proposed(spec)["schedules.list"]
    assert found.sure is None
    there = [each.operation.name for each in found.candidates if not each.doubts]
    assert there == ["GET /api/v1/schedules", "GET /api/v2/schedules"]


def test_the_right_place_is_found_among_very_many() -> None:
    """Those with foreign words are not even looked into."""
    spec = copy.deepcopy(document())
    entry = spec["paths"].pop("/api/schedules")
    spec["paths"] |= {f"/api/foreign{chr(97 + at % 26) * at}/schedules": entry for at in range(200)}
    spec["paths"]["/api/zzz/v9/scan-schedules"] = entry
    spec["paths"]["/api/v9/scan-schedules"] = entry
    found = proposed(spec)["schedules.list"]
    assert first(found) == "GET /api/v9/scan-schedules"
    assert found.sure is not None


def considered(name: str, method: str, path: str, constants: Any = None, **entry: Any) -> Any:
    """Consider one operation of a host for one of ours."""
    spec = {"openapi": "3.1.0", "paths": {path: {method: entry}}}
    (operation,) = read_specification(spec).operations
    return consider(ROUTES[name], operation, "there", constants)


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


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": True, "schema": TEXT}


DOUBTS: dict[str, tuple[dict[str, Any], str]] = {
    "a field is demanded": (
        {"requestBody": body("owner", owner=TEXT, **SENT)},
        "It demands owner, which we do not send.",
    ),
    "a query is demanded": (
        {"requestBody": body(**SENT), "parameters": [_parameter("org", "query")]},
        "It demands org, which we do not send.",
    ),
    "a header is demanded": (
        {"requestBody": body(**SENT), "parameters": [_parameter("X-Org", "header")]},
        "It demands the header X-Org, which we do not send.",
    ),
    "the answer lacks the id": (
        {"requestBody": body(**SENT), "responses": responses(cadence=TEXT, siteId=TEXT)},
        "It answers no id.",
    ),
    "the answer is not described": (
        {"requestBody": body(**SENT)},
        "The specification does not say what it answers.",
    ),
    "the body is not described": ({}, "The specification does not say what it takes."),
    "it is deprecated": ({"requestBody": body(**SENT), "deprecated": True}, "It is deprecated"),
}


@pytest.mark.parametrize(("entry", "says"), DOUBTS.values(), ids=DOUBTS.keys())
def test_what_a_person_should_check_is_a_doubt(entry: dict[str, Any], says: str) -> None:
    """It can still be bound, when a person says so."""
    found = considered("schedules.create", "post", "/api/schedules", **entry)
    assert any(doubt.startswith(says) for doubt in found.doubts), found.doubts
    assert found.binding is not None


def test_an_owner_in_the_path_is_filled_once_it_is_said() -> None:
    """`--set org=42`, and then it is a constant of the binding."""
    path = "/api/v2/organizations/{org}/schedules/{id}"
    asked = considered("schedules.delete", "delete", path)
    assert asked.binding is None
    assert asked.doubts == ("Its path has {org}: say what it is with --set org=VALUE.",)
    said = considered("schedules.delete", "delete", path, {"org": "42"})
    assert said.doubts == ()
    assert said.binding.template == "/api/v2/organizations/{org}/schedules/{schedule_id}"
    assert said.binding.constants == {"org": "42"}


def test_a_part_may_have_a_name_that_is_no_word() -> None:
    """A template of ours and `--set` write it with underscores."""
    path = "/v2/orgs/{org-id}/schedules/{schedule-id}"
    for name in ("org-id", "org_id"):
        said = considered("schedules.delete", "delete", path, {name: "42"})
        assert said.binding.template == "/v2/orgs/{org_id}/schedules/{schedule_id}"
        assert said.binding.constants == {"org_id": "42"}


def test_a_deletion_without_its_id_cannot_be_bound() -> None:
    """The first doubt says why."""
    found = considered("schedules.delete", "delete", "/api/schedules")
    assert found.binding is None
    assert found.doubts[0].startswith("The binding of schedules.delete leaves schedule_id out")


def test_our_arguments_become_parts_of_a_path() -> None:
    """A jump box, a finding that stands for its report, the version and platform of a file."""
    start = considered(
        "network.start", "post", "/api/jump-boxes/{box}/network-scans", requestBody=body(hosts=LIST)
    )
    assert start.binding.template == "/api/jump-boxes/{jumpBox}/network-scans"
    assert start.binding.request == {"targets": "hosts"}
    fix = considered("remediation.trigger", "post", "/api/findings/{alert}/remediate")
    assert fix.binding.template == "/api/findings/{findingId}/remediate"
    assert fix.binding.unsent == ("reportId",)
    file = considered("agents.download", "get", "/agents/{version}/{os}/{arch}/download")
    assert file.binding.template == "/agents/{version}/{os}/{arch}/download"
    assert file.binding.unsent == ("filename",)


def test_a_host_that_takes_cron_is_told_so() -> None:
    """Instead of cadence, day and time; the zone stays beside it. Short days are translated."""
    days = {"type": "string", "enum": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]}
    by_cron = considered(
        "schedules.create",
        "post",
        "/api/schedules",
        requestBody=body("cron_expression", siteId=TEXT, cron_expression=TEXT, tz=TEXT),
    )
    assert by_cron.binding.request == {"cron": "cron_expression", "timezone": "tz"}
    assert by_cron.binding.unsent == ("cadence", "dayOfWeek", "dayOfMonth", "time")
    assert by_cron.doubts == ("The specification does not say what it answers.",)
    by_day = considered(
        "schedules.create",
        "post",
        "/api/schedules",
        requestBody=body(**SENT, week_day=days, time_of_day=TEXT, engine=TEXT),
    )
    assert by_day.binding.request == {
        "vortexType": "engine",
        "dayOfWeek": "week_day",
        "time": "time_of_day",
    }
    assert by_day.binding.values["dayOfWeek"]["monday"] == "MON"


def test_listed_values_are_translated() -> None:
    """Also where a word has another name, and where a state says whether it is complete."""
    every = {"type": "string", "enum": ["DAY", "WEEK", "MONTH"]}
    made = considered(
        "schedules.create",
        "post",
        "/api/schedules",
        requestBody=body(siteId=TEXT, every=every),
    )
    assert made.binding.request == {"cadence": "every"}
    assert made.binding.values == {
        "cadence": {"daily": "DAY", "weekly": "WEEK", "monthly": "MONTH"}
    }
    state = {"type": "string", "enum": ["RUNNING", "COMPLETED", "FAILED"]}
    asked = considered(
        "reports.progress", "get", "/api/reports/{id}/progress", responses=responses(state=state)
    )
    assert asked.binding.answer == {"isCompleted": "state"}
    assert asked.binding.values == {"isCompleted": {"true": "COMPLETED"}}
    # What lists none of our words is something else.
    other = considered(
        "schedules.create",
        "post",
        "/api/schedules",
        requestBody=body(siteId=TEXT, every={"type": "string", "enum": ["high tide"]}),
    )
    assert "It takes no cadence." in other.doubts
    # A text that lists nothing may say anything.
    open_text = considered(
        "reports.progress", "get", "/api/reports/{id}/progress", responses=responses(state=TEXT)
    )
    assert open_text.doubts == ("It answers no isCompleted.",)


@pytest.mark.parametrize(
    ("query", "answer", "pages"),
    [
        ("page", {}, "page"),
        ("offset", {}, "offset"),
        ("cursor", {"nextCursor": TEXT}, "next"),
        ("cursor", {}, None),
        ("q", {"next": TEXT}, None),
    ],
)
def test_pages_are_known_by_their_names(
    query: str, answer: dict[str, Any], pages: str | None
) -> None:
    """A cursor is of use only where the answer says the next one."""
    row = {"type": "object", "properties": {"id": TEXT}}
    found = considered(
        "reports.list",
        "get",
        "/api/reports",
        parameters=[{"name": query, "in": "query", "schema": TEXT}],
        responses=responses(reports={"type": "array", "items": row}, **answer),
    )
    assert found.binding.pages == pages


def test_a_host_may_count_its_pages_from_0() -> None:
    """The specification says so by the least number, or by what it is when nothing is sent."""
    for said in ({"default": 0}, {"minimum": 0}):
        page = {"name": "page", "in": "query", "schema": {"type": "integer", **said}}
        found = considered("reports.list", "get", "/api/reports", parameters=[page])
        assert found.binding.pages == "page0"


def test_an_id_is_preferred_to_an_address() -> None:
    """`@id` of linked data is an address."""
    row = {"type": "object", "properties": {"@id": TEXT, "id": TEXT}}
    found = considered("reports.get", "get", "/api/reports/{id}", responses=responses(report=row))
    assert found.binding.answer == {}


def test_what_is_deleted_by_a_post_must_say_so() -> None:
    """A POST at the thing itself changes it."""
    for path, names in (
        ("/api/schedules/{id}/cancel", ["POST /api/schedules/{id}/cancel"]),
        ("/api/schedules/{id}", []),
    ):
        spec = {"openapi": "3.1.0", "paths": {path: {"post": {}}}}
        candidates = proposed(spec)["schedules.delete"].candidates
        assert [each.operation.name for each in candidates] == names


def test_a_part_of_ours_may_go_into_the_body() -> None:
    """Where their path has no place for it."""
    found = considered(
        "schedules.delete", "post", "/api/schedules/delete", requestBody=body("id", id=TEXT)
    )
    assert found.binding.template == "/api/schedules/delete"
    assert found.binding.request == {"schedule_id": "id"}
