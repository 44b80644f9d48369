"""Schemas into flat lists: every way of combining them, and no way of unfolding without end."""

from typing import Any

import pytest

from bestdefense_async.openapi import specification as reading
from bestdefense_async.openapi.document import SpecificationError
from bestdefense_async.openapi.specification import Field, read_specification

TEXT = {"type": "string"}


def flat(schema: Any, **components: Any) -> dict[str, Field]:
    """Return the fields of a schema by path; components are referred to as `#/name`."""
    content = {"application/json": {"schema": schema}}
    operation = {"get": {"responses": {"200": {"content": content}}}}
    document = {"openapi": "3.1.0", "paths": {"/x": operation}, **components}
    return {each.path: each for each in read_specification(document).operations[0].answer}


def test_a_schema_is_listed_level_by_level() -> None:
    """A list of the schema itself has the path `[]`; required means all the way down."""
    item = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": TEXT, "tags": {"items": TEXT}},
    }
    schema = {
        "type": "object",
        "required": ["all"],
        "properties": {"all": {"type": "array", "items": item}, "one": item},
    }
    found = flat(schema)
    assert list(found) == [
        *("all", "one"),
        *("all[]", "one.id", "one.tags", "all[].id", "all[].tags", "one.tags[]", "all[].tags[]"),
    ]
    required = [path for path, each in found.items() if each.is_required]
    assert required == ["all", "all[]", "all[].id"]
    assert found["all[].tags"].kinds == {"array"}
    assert list(flat({"type": "array", "items": item}))[:2] == ["[]", "[].id"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"], "enum": ["x", None]},
        {"type": "string", "nullable": True, "enum": ["x"]},
        {"oneOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]},
        {"anyOf": [{"type": "null"}, {"$ref": "#/Id"}]},
        {"allOf": [{"$ref": "#/Id"}, {"description": "An id"}]},
        {"$ref": "#/Id"},
        {"$ref": "#/Again"},
        {"$ref": "#/Id", "description": "beside it"},
    ],
)
def test_null_and_detours_make_no_difference(schema: Any) -> None:
    """Every version has a way of its own to say that there may be nothing."""
    found = flat(
        {"properties": {"a": schema}},
        Id={"type": "string", "enum": ["x"]},
        Again={"$ref": "#/Id"},
    )
    assert found["a"] == Field(path="a", kinds=frozenset({"string"}), values=("x",))


def test_parts_of_a_whole_add_up() -> None:
    """`allOf` demands what any part demands; choices demand nothing, unless there is only one."""
    one = {"required": ["a", "b"], "properties": {"a": TEXT, "b": TEXT}}
    other = {"required": ["a"], "properties": {"a": TEXT, "c": {"enum": ["x"]}}}
    whole = flat({"allOf": [one, {"$ref": "#/Other"}]}, Other=other)
    choice = flat({"oneOf": [one, {"$ref": "#/Other"}]}, Other=other)
    assert {path for path, each in whole.items() if each.is_required} == {"a", "b"}
    only = flat({"anyOf": [{"$ref": "#/Other"}, {"type": "null"}]}, Other=other)
    assert [path for path, each in choice.items() if each.is_required] == []
    assert [path for path, each in only.items() if each.is_required] == ["a"]
    assert whole.keys() == choice.keys() == {"a", "b", "c"}
    assert choice["c"].values == ("x",)
    assert flat({"properties": {"a": {"const": "x"}}})["a"].values == ("x",)


def test_a_schema_in_itself_ends() -> None:
    """A comment has replies, which are comments; what is the same as itself is nothing."""
    comment = {"properties": {"text": TEXT, "replies": {"items": {"$ref": "#/Comment"}}}}
    found = flat({"$ref": "#/Comment"}, Comment=comment)
    assert list(found)[:5] == [
        "text",
        "replies",
        "replies[]",
        "replies[].text",
        "replies[].replies",
    ]
    assert len(found) < 20
    assert flat({"$ref": "#/A"}, A={"allOf": [{"$ref": "#/B"}]}, B={"$ref": "#/A"}) == {}


@pytest.mark.parametrize("schema", [None, True, "x", [], {"properties": []}, {"required": "a"}])
def test_what_is_no_schema_has_no_members(schema: Any) -> None:
    """A truth may be one: anything goes."""
    assert flat(schema) == {}


def test_a_name_that_would_be_taken_for_a_path_is_left_out() -> None:
    """Two different things must not have one path."""
    assert list(flat({"properties": {"a.b": TEXT, "c[]": TEXT, "d": TEXT}})) == ["d"]


def test_the_width_and_depth_of_a_listing_are_bounded() -> None:
    """Few schemas that refer to the next one several times unfold to very many."""
    components: dict[str, Any] = {
        f"L{at}": {"properties": {name: {"$ref": f"#/L{at + 1}"} for name in "abcde"}}
        for at in range(40)
    }
    found = flat({"$ref": "#/L0"}, **components)
    assert len(found) == 500
    assert {"a", "b", "a.a", "b.b"} <= found.keys()


def test_combinations_that_unfold_are_read_once() -> None:
    """Nine times the next one, and so on: each describes the same value."""
    components = {f"L{at}": {"allOf": [{"$ref": f"#/L{at + 1}"}] * 9} for at in range(30)}
    end = {"properties": {"a": TEXT}}
    assert list(flat({"$ref": "#/L0"}, **components, L30=end)) == ["a"]


def test_a_schema_that_is_met_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one in each of very many operations."""
    monkeypatch.setattr(reading, "_MOST_STEPS", 20_000)
    parts = [{"properties": {"a": TEXT}}] * 3_000
    components = {"Large": {"allOf": parts}, "parts": {"allOf": [{"$ref": "#/Large"}, {}]}}
    with pytest.raises(SpecificationError, match="unfolds to more than a specification has"):
        flat({"properties": {f"p{at}": {"$ref": "#/Large"} for at in range(9)}}, **components)


def test_a_member_that_several_schemas_describe_is_one() -> None:
    """An envelope with an open `data`, refined by `allOf`, in either order."""
    envelope = {"properties": {"success": {"type": "boolean"}, "data": {"type": "object"}}}
    refined = {"properties": {"data": {"properties": {"sites": {"type": "array"}}}}}
    for parts in ([envelope, refined], [refined, envelope]):
        assert "data.sites" in flat({"allOf": parts})
