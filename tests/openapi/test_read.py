"""Documents of every version into one form; slips are remarked upon, nonsense is refused."""

from typing import Any

import pytest

from bestdefense_async.openapi.document import SpecificationError, absolute_references
from bestdefense_async.openapi.specification import (
    Operation,
    Specification,
    read_specification,
)

TEXT = {"type": "string"}


def spec(paths: dict[str, Any], **more: Any) -> Specification:
    """Read a document of OpenAPI 3.1 with these paths."""
    return read_specification({"openapi": "3.1.0", "paths": paths, **more})


def only(paths: dict[str, Any], **more: Any) -> Operation:
    """Read a document with one operation."""
    (operation,) = spec(paths, **more).operations
    return operation


def answer(schema: Any) -> dict[str, Any]:
    """Return the responses of an operation that answers `schema`."""
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


NEW = {
    "openapi": "3.0.3",
    "info": {"title": "Acme", "version": 2.1},
    "servers": [
        {
            "url": "https://{host}/base/v{n}",
            "variables": {"host": {"default": "a.example"}, "n": {"default": "1"}},
        }
    ],
    "paths": {
        "/things/{id}": {
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "integer"}}],
            "post": {
                "operationId": "makeThing",
                "tags": ["things"],
                "summary": "Make one",
                "deprecated": True,
                "parameters": [
                    {"$ref": "#/components/parameters/dry"},
                    {"name": "X-Org", "in": "header", "required": True, "schema": TEXT},
                    {"name": "Authorization", "in": "header", "required": True, "schema": TEXT},
                ],
                "requestBody": {"$ref": "#/components/requestBodies/Thing"},
                "responses": {"404": {}, "201": {"$ref": "#/components/responses/Made"}},
            },
        }
    },
    "components": {
        "parameters": {"dry": {"name": "dry", "in": "query", "schema": {"type": "boolean"}}},
        "requestBodies": {
            "Thing": {
                "content": {
                    "application/json; charset=utf-8": {
                        "schema": {"$ref": "#/components/schemas/Thing"}
                    }
                }
            }
        },
        "responses": {
            "Made": {
                "content": {
                    "application/hal+json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                }
            }
        },
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": TEXT, "kind": {"enum": ["a", "b", None]}},
            }
        },
    },
}
OLD = {
    "swagger": "2.0",
    "info": {"title": "Acme", "version": "2.1"},
    "host": "a.example",
    "basePath": "/base/v1",
    "paths": {
        "/things/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "type": "integer"}],
            "post": {
                "operationId": "makeThing",
                "tags": ["things"],
                "summary": "Make one",
                "deprecated": True,
                "parameters": [
                    {"name": "dry", "in": "query", "type": "boolean"},
                    {"name": "X-Org", "in": "header", "required": True, "type": "string"},
                    {"name": "body", "in": "body", "schema": {"$ref": "#/definitions/Thing"}},
                ],
                "responses": {"201": {"schema": {"$ref": "#/definitions/Thing"}}},
            },
        }
    },
    "definitions": {"Thing": NEW["components"]["schemas"]["Thing"]},  # type: ignore[index]
}


@pytest.mark.parametrize("document", [NEW, OLD], ids=["OpenAPI 3", "Swagger 2.0"])
def test_both_families_say_the_same_in_one_form(document: dict[str, Any]) -> None:
    """References followed, paths from the root of the host, our own headers left out."""
    found = read_specification(document)
    assert found.title == "Acme 2.1"
    assert found.servers == ("https://a.example/base/v1",)
    (operation,) = found.operations
    assert operation.name == "POST /base/v1/things/{id}"
    assert operation.is_deprecated
    assert operation.parts == ("id",)
    query = [(each.path, each.is_required) for each in operation.query]
    assert query == [("dry", False), ("the header X-Org", True)]
    for fields in (operation.body, operation.answer):
        assert [(each.path, each.is_required) for each in fields] == [
            ("name", True),
            ("kind", False),
        ]
        assert fields[1].values == ("a", "b")
    assert [*found.remarks] == []


@pytest.mark.parametrize(
    ("servers", "prefix", "path"),
    [
        ([], "", "/api/x"),
        ([{"url": "/"}], "", "/api/x"),
        ([{"url": "/v1/"}], "", "/v1/api/x"),
        ([{"url": "https://a.example/tenant"}], "/tenant", "/api/x"),
        ([{"url": "https://a.example/tenants"}], "/tenant", "/tenants/api/x"),
        ([{"url": "https://[bad"}], "", "/api/x"),
        ([{"url": None}, {"url": "/v3"}], "", "/v3/api/x"),
    ],
)
def test_a_path_begins_at_the_root_of_the_api(servers: Any, prefix: str, path: str) -> None:
    """Behind the server's own path, and without what the base URL has already."""
    document = {"openapi": "3.0.0", "servers": servers, "paths": {"/api/x": {"get": {}}}}
    assert read_specification(document, prefix=prefix).operations[0].path == path


def test_an_operation_may_have_a_server_of_its_own() -> None:
    """The closest one counts."""
    item = {"servers": [{"url": "/b"}], "get": {"servers": [{"url": "/c"}]}, "post": {}}
    found = spec({"/x": item}, servers=[{"url": "/a"}])
    assert [each.name for each in found.operations] == ["GET /c/x", "POST /b/x"]


@pytest.mark.parametrize("path", ["/api/x.{_format}", "/api/x{_format}"])
def test_the_format_suffix_of_symfony_is_no_part(path: str) -> None:
    """Without it the path answers JSON."""
    parameter = {"name": "_format", "in": "path", "required": True, "schema": TEXT}
    operation = only({path: {"get": {"parameters": [parameter]}}})
    assert (operation.path, operation.parts) == ("/api/x", ())


@pytest.mark.parametrize(
    "content",
    [
        {"application/octet-stream": {}},
        {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        {"text/plain": {"schema": TEXT}},
    ],
)
def test_an_answer_that_is_no_json_is_a_file(content: Any) -> None:
    """Whatever it is called."""
    operation = only({"/x": {"get": {"responses": {"200": {"content": content}}}}})
    assert (operation.form, operation.payload) == ("file", ())


def test_a_file_of_swagger_is_one() -> None:
    """Its schema says so."""
    for schema in ({"type": "file"}, {"type": "string", "format": "binary"}):
        responses = {"200": {"schema": schema}}
        document = {"swagger": "2.0", "paths": {"/x": {"get": {"responses": responses}}}}
        assert read_specification(document).operations[0].form == "file"


def test_the_default_answer_counts_only_without_a_success() -> None:
    """Beside one it is the failure."""
    failure = {"content": {"application/json": {"schema": {"properties": {"bad": TEXT}}}}}
    good = answer({"properties": {"good": TEXT}})
    both = only({"/x": {"get": {"responses": {"default": failure, **good}}}})
    alone = only({"/x": {"get": {"responses": {"default": failure}}}})
    assert [each.path for each in both.answer] == ["good"]
    assert [each.path for each in alone.answer] == ["bad"]


def test_a_document_that_was_handed_in_is_followed_into() -> None:
    """Its own references are relative to it, and may lead back."""
    item = {"get": {"responses": answer({"$ref": "parts/b.yaml#/Site"})}}
    document = {
        "openapi": "3.1.0",
        "paths": {"/x": {"$ref": "./parts/a.yaml#/x"}},
        "components": {"schemas": {"Id": TEXT}},
    }
    site = {"properties": {"id": {"$ref": "../docs.json#/components/schemas/Id"}}}
    linked = {
        "https://h.example/parts/a.yaml": {"x": {"$ref": "../items.json"}},
        "https://h.example/items.json": item,
        "https://h.example/parts/b.yaml": {"Site": site},
    }
    documents = {"https://h.example/docs.json": document, **linked}
    for address, each in documents.items():
        assert {*absolute_references(each, address)} <= documents.keys()
    found = read_specification(document, documents=documents)
    (field,) = found.operations[0].answer
    assert (field.path, *field.kinds) == ("id", "string")
    assert [*found.remarks] == []


def test_a_reference_elsewhere_is_never_fetched() -> None:
    """Neither another host nor another file nor the metadata of a cloud: all are remarks."""
    elsewhere = ["http://169.254.169.254/x#/a", "file:///etc/passwd", "other.yaml#/X", "//host/x"]
    schema = {"properties": {f"p{at}": {"$ref": ref} for at, ref in enumerate(elsewhere)}}
    found = spec({"/x": {"get": {"responses": answer(schema)}}})
    assert [each.path for each in found.operations[0].answer] == ["p0", "p1", "p2", "p3"]
    assert len(found.remarks) == 4
    assert all("outside the document and is not followed" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "reference",
    [
        *("#/components/nowhere", "#anchor", "#/paths/~1x/get/responses/x/y", "#/%zz"),
        *("#/x-null/a", "#/x-number/a", "#/x-list/a", "#/x-list/9", "#/x-text/a"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_remark(reference: str) -> None:
    """The rest is read."""
    schema = {"properties": {"a": {"$ref": reference}, "b": TEXT}}
    odd: dict[str, Any] = {"x-null": None, "x-number": 1, "x-list": [], "x-text": "a"}
    found = spec({"/x": {"get": {"responses": answer(schema)}}}, **odd)
    assert [each.path for each in found.operations[0].answer] == ["a", "b"]
    assert [*found.remarks] == [f"{reference} leads nowhere and is not followed."]


def test_references_in_a_circle_end() -> None:
    """Of path items, parameters and bodies; those of schemas are followed once."""
    circle = {"a": {"$ref": "#/components/x/b"}, "b": {"$ref": "#/components/x/a"}}
    operation = {
        "parameters": [{"$ref": "#/components/x/a"}],
        "requestBody": {"$ref": "#/components/x/a"},
        "responses": answer({"$ref": "#/components/x/a"}),
    }
    found = spec({"/x": {"post": operation}}, components={"x": circle})
    (read,) = found.operations
    assert (read.body, read.answer, read.query) == ((), (), ())
    assert [*found.remarks] == ["A reference leads back to itself."]


@pytest.mark.parametrize(
    "slip",
    [
        {"parameters": None},
        {"parameters": {"a": 1}},
        {"parameters": [None, 7, {"name": 3, "in": "path"}, {"in": ["query"]}]},
        {"requestBody": []},
        {"requestBody": {"content": "x"}},
        {"responses": [1]},
        {"responses": {"200": None}},
        {"responses": {"200": {"content": {"application/json": None}}}},
        {"tags": "x", "summary": {}, "operationId": 5, "deprecated": "yes"},
        {"servers": [None, {"url": None}]},
    ],
)
def test_a_slip_costs_no_more_than_itself(slip: dict[str, Any]) -> None:
    """Generated documents have them; the operation is still there."""
    assert only({"/x": {"post": slip}}).name == "POST /x"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "names no version"),
        ({"success": False}, "names no version"),
        ({"openapi": "4.0.0", "paths": {}}, "names version '4.0.0'"),
        ({"openapi": "3.9", "paths": {}}, "names version '3.9'"),
        ({"openapi": None, "paths": {}}, "names no version"),
        ({"swagger": "1.2", "paths": {}}, "names version '1.2'"),
        ({"openapi": "3.0.0\x1b[31m", "paths": {}}, r"3.0.0\\x1b[31m"),
        ({"openapi": "3.1.0"}, "It has no paths"),
        ({"openapi": "3.1.0", "paths": []}, "It has no paths"),
        (
            {"openapi": "3.1.0", "paths": {f"/{at}": {"get": {}} for at in range(5001)}},
            "no paths, or more than 5000",
        ),
    ],
)
def test_what_is_no_specification_is_refused(document: dict[str, Any], says: str) -> None:
    """In one sentence."""
    with pytest.raises(SpecificationError) as caught:
        read_specification(document)
    assert says in str(caught.value)


@pytest.mark.parametrize("version", ["3.0.0", "3.0", "3.1.1", "3.2.0", "3.0.0-rc1", 3.1])
def test_every_version_three_is_read(version: Any) -> None:
    """YAML writes some of them as numbers."""
    assert read_specification({"openapi": version, "paths": {}}).operations == ()


def test_an_operation_is_found_whatever_its_parts_are_called() -> None:
    """And the methods that a path has."""
    found = spec(
        {"/a/{x}/": {"get": {}, "put": {}}, "/b": {"trace": {}, "get": {}}, "x-c": {"get": {}}}
    )
    there = found.at("/a/{site_id}")
    assert [*there] == ["GET", "PUT"]
    assert there["GET"].parts == ("x",)
    assert found.at("/a") == {}
    assert len(found.operations) == 3
