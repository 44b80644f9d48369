"""Agreement and drift, operation by operation, against the sandbox's own specification."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from bestdefense_async.core.binding import Binding
from bestdefense_async.core.route import ROUTES
from bestdefense_async.openapi.check import Comparison, compare, translated
from bestdefense_async.openapi.specification import read_specification
from bestdefense_async.sandbox.handlers.docs import document

CREATE = "/api/report/create/for-target/{site_id}"
PROGRESS = "/api/report/{report_id}/progress"


def compared(
    change: Callable[[dict[str, Any]], object], bindings: dict[str, Binding] | None = None
) -> dict[str, Comparison]:
    """Compare with the sandbox's specification after a change to it."""
    spec = copy.deepcopy(document())
    change(spec)
    rows = compare(read_specification(spec), bindings or {})
    assert [row.route.name for row in rows] == list(ROUTES)
    return {row.route.name: row for row in rows}


def data_of(spec: dict[str, Any], path: str, method: str = "get") -> dict[str, Any]:
    """Return the schema of an answer's payload."""
    media = spec["paths"][path][method]["responses"]["200"]["content"]["application/json"]
    schema: dict[str, Any] = media["schema"]["properties"]["data"]
    return schema


def test_the_sandbox_agrees_with_our_table() -> None:
    """All operations, with every field and every type."""
    rows = compared(len)
    assert {row.standing for row in rows.values()} == {"agrees"}
    said = [(row.problems, row.unsaid, row.missing) for row in rows.values()]
    assert said == [([], [], [])] * len(ROUTES)


def _rename_answer(spec: dict[str, Any]) -> None:
    properties = data_of(spec, PROGRESS)["properties"]
    properties["done"] = properties.pop("isCompleted")


def _rename_request(spec: dict[str, Any]) -> None:
    properties = spec["components"]["schemas"]["ScanOptions"]["properties"]
    properties["checks"] = properties.pop("security")


def _demand(spec: dict[str, Any]) -> None:
    schema = spec["paths"][CREATE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema["properties"]["projectId"] = {"type": "string"}
    schema["required"].append("projectId")


def _demand_header(spec: dict[str, Any]) -> None:
    header = {"name": "X-Org", "in": "header", "required": True, "schema": {"type": "string"}}
    spec["paths"][CREATE]["post"]["parameters"].append(header)


def _move(spec: dict[str, Any]) -> None:
    spec["paths"]["/api/v2/create/{site_id}"] = spec["paths"].pop(CREATE)


def _other_method(spec: dict[str, Any]) -> None:
    spec["paths"][CREATE] = {"put": spec["paths"][CREATE]["post"]}


def _wrap(spec: dict[str, Any]) -> None:
    media = spec["paths"][CREATE]["post"]["responses"]["200"]["content"]["application/json"]
    inner = media["schema"]
    media["schema"] = {"properties": {"success": {"type": "boolean"}, "data": inner}}


def _unwrap(spec: dict[str, Any]) -> None:
    media = spec["paths"][PROGRESS]["get"]["responses"]["200"]["content"]["application/json"]
    media["schema"] = {"properties": {"success": {}, "isCompleted": {"type": "boolean"}}}


def _file(spec: dict[str, Any]) -> None:
    spec["paths"][PROGRESS]["get"]["responses"]["200"]["content"] = {"text/csv": {}}


DRIFT: dict[str, tuple[Callable[[dict[str, Any]], None], str, str]] = {
    "an answer's field is gone": (_rename_answer, "reports.progress", "It answers no isCompleted."),
    "a request's field is gone": (
        _rename_request,
        "reports.create",
        "It takes no options.security.enabled.",
    ),
    "something is demanded": (
        _demand,
        "reports.create",
        "It demands projectId, which we do not send.",
    ),
    "a header is demanded": (
        _demand_header,
        "reports.create",
        "It demands the header X-Org, which we do not send.",
    ),
    "the path is gone": (_move, "reports.create", "The specification has no such path."),
    "the method is another": (_other_method, "reports.create", "The path is there with PUT only."),
    "there is an envelope": (
        _wrap,
        "reports.create",
        "It answers success and data, not success without data.",
    ),
    "there is no envelope": (
        _unwrap,
        "reports.progress",
        "It answers success without data, not success and data.",
    ),
    "it is no JSON": (_file, "reports.progress", "It answers a file, not success and data."),
}


@pytest.mark.parametrize(("change", "name", "says"), DRIFT.values(), ids=DRIFT.keys())
def test_a_contradiction_is_drift(
    change: Callable[[dict[str, Any]], None], name: str, says: str
) -> None:
    """Of that operation, and with a sentence that says what."""
    rows = compared(change)
    assert says in rows[name].problems
    assert {row.route.name for row in rows.values() if row.standing == "drift"} == {name}


def _forget(spec: dict[str, Any]) -> None:
    spec["paths"][PROGRESS]["get"]["responses"] = {"200": {"description": "OK"}}
    del spec["paths"][CREATE]["post"]["requestBody"]


def _open(spec: dict[str, Any]) -> None:
    spec["components"]["schemas"]["ScanOptions"] = {"type": "object"}
    data_of(spec, PROGRESS).clear()


def _spare(spec: dict[str, Any]) -> None:
    del data_of(spec, PROGRESS)["properties"]["percentage"]
    spec["paths"]["/api/reports"]["get"]["parameters"] = [{"name": "limit", "in": "query"}]


@pytest.mark.parametrize("change", [_forget, _open, _spare])
def test_what_is_left_open_or_can_be_done_without_is_no_drift(
    change: Callable[[dict[str, Any]], None],
) -> None:
    """A specification that says less than it could contradicts nothing."""
    rows = compared(change)
    assert {row.standing for row in rows.values()} == {"agrees"}


def test_what_is_missing_is_noted() -> None:
    """For who wants to know."""
    spare = compared(_spare)
    assert spare["reports.progress"].missing == ["It answers no percentage."]
    assert spare["reports.list"].missing == []  # pages are of use where they are there
    forgotten = compared(_forget)
    assert forgotten["reports.create"].unsaid == ["The specification does not say what it takes."]
    assert forgotten["reports.progress"].unsaid == [
        "The specification does not say what it answers."
    ]


def test_a_guess_that_stands_nowhere_is_no_drift_unless_it_is_bound() -> None:
    """Nothing claims that it is there; a binding does."""

    def change(spec: dict[str, Any]) -> None:
        spec["paths"]["/api/v2/plans"] = spec["paths"].pop("/api/schedules")

    rows = compared(change)
    assert rows["schedules.list"].standing == "not found"
    bindings = {
        "schedules.list": Binding(method="GET", template="/api/v2/plans"),
        "schedules.create": Binding(method="POST", template="/api/v3/plans"),
    }
    bound = compared(change, bindings)
    assert bound["schedules.list"].standing == "agrees"
    assert bound["schedules.list"].known == "bound"
    assert bound["schedules.create"].standing == "drift"
    assert bound["schedules.create"].location == "POST /api/v3/plans"


def test_a_binding_is_compared_in_the_names_of_the_host() -> None:
    """Fields that are moved, parts that became fields, and a binding that is out of date."""

    def change(spec: dict[str, Any]) -> None:
        entry = spec["paths"].pop("/api/schedules")
        post = entry["post"]
        schema = post["requestBody"]["content"]["application/json"]["schema"]
        del schema["properties"]["siteId"]
        schema["required"].remove("siteId")
        schema["properties"]["plan"] = {
            "type": "object",
            "properties": {"every": schema["properties"].pop("cadence")},
        }
        schema["required"][schema["required"].index("cadence")] = "plan"
        spec["paths"]["/api/sites/{site}/plans"] = {"post": post}

    binding = Binding(
        method="POST", template="/api/sites/{siteId}/plans", request={"cadence": "plan.every"}
    )
    rows = compared(change, {"schedules.create": binding})
    assert rows["schedules.create"].standing == "agrees", rows["schedules.create"]
    stale = Binding(method="POST", template="/api/sites/{siteId}/plans")
    rows = compared(change, {"schedules.create": stale})
    assert rows["schedules.create"].problems == [
        "It takes no cadence.",
        "It demands plan, which we do not send.",
    ]


@pytest.mark.parametrize(
    ("ours", "there"),
    [
        ("schedules[].siteId", "items[].site.id"),
        ("schedules[].cadence", "items[].cadence"),
        ("schedules[]", "items[]"),
        ("other", "other"),
        ("schedule.id", "id"),
        ("schedule.stage", "meta.stage"),
    ],
)
def test_a_field_is_translated_with_what_it_stands_in(ours: str, there: str) -> None:
    """Unless it has a pair of its own."""
    names = {
        "schedules": "items",
        "schedules[].siteId": "items[].site.id",
        "schedule": "",
        "schedule.stage": "meta.stage",
    }
    assert translated(ours, names) == there
