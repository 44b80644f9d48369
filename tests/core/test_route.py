"""The table of operations, beside the sandbox's own: written twice, by different hands."""

from typing import Any

import pytest

from bestdefense_async.core.binding import last
from bestdefense_async.core.route import ELSEWHERE, ROUTES, Grade, Route
from bestdefense_async.sandbox.handlers.docs import document
from bestdefense_async.sandbox.schemas import BARE, COMPONENTS, DATA, REQUESTS
from bestdefense_async.sandbox.world.routes import OPERATIONS

PLAYED = {operation.name: operation for operation in OPERATIONS if operation.name != "reports.page"}
CREATIONS = {
    "reports.create",
    "schedules.create",
    "remediation.trigger",
    "network.start",
    "registrations.create",
}


def has_field(schema: dict[str, Any], path: str) -> bool:
    """Whether a schema of the sandbox describes the field at `path`."""
    while "$ref" in schema or "oneOf" in schema:
        if "properties" in schema:
            break
        schema = (
            COMPONENTS[schema["$ref"].rpartition("/")[2]]
            if "$ref" in schema
            else schema["oneOf"][0]
        )
    head, _, rest = path.partition(".")
    if head.removesuffix("[]") not in schema["properties"]:
        return False
    inner = schema["properties"][head.removesuffix("[]")]
    if head.endswith("[]"):
        inner = inner["items"]
    return has_field(inner, rest) if rest else True


def test_only_creations_may_not_repeat() -> None:
    """Each starts work, or spends a credit."""
    assert {name for name, row in ROUTES.items() if not row.may_repeat} == CREATIONS


def test_the_table_names_what_the_sandbox_plays() -> None:
    """One row per operation, under its own name."""
    assert ROUTES.keys() == PLAYED.keys()
    assert all(name == row.name for name, row in ROUTES.items())


@pytest.mark.parametrize("row", ROUTES.values(), ids=list(ROUTES))
def test_a_row_says_what_the_sandbox_says(row: Route) -> None:
    """Method, path, grade, and the permission to do something."""
    played = PLAYED[row.name]
    assert (row.method, row.template, str(row.grade)) == (
        played.method,
        played.template,
        played.grade,
    )
    assert row.permission in {played.permission, None}
    assert row.grade in {Grade.DOCUMENTED, Grade.DESCRIBED}


@pytest.mark.parametrize("row", ROUTES.values(), ids=list(ROUTES))
def test_every_field_of_a_row_is_one_of_the_sandbox(row: Route) -> None:
    """A specification check reads these paths."""
    query = {
        each["name"]
        for each in document()["paths"][row.template][row.method.lower()].get("parameters", ())
    }
    sent = REQUESTS.get(row.name, {"properties": {}})
    read = DATA.get(row.name) or BARE.get(row.name) or {"properties": {}}
    answered = [path for path in row.answer_fields if last(path) not in ELSEWHERE]
    assert [path for path in answered if not has_field(read, path)] == []
    taken = [path for path in row.request_fields if path not in {*ELSEWHERE, *query}]
    assert [path for path in taken if not has_field(sent, path)] == []
