"""Whatever a host shows: it is read, or refused in one sentence; nothing else happens."""

import contextlib
import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.openapi.check import compare
from bestdefense_async.openapi.document import SpecificationError, read_document
from bestdefense_async.openapi.propose import propose
from bestdefense_async.openapi.specification import read_specification
from tests.support.moved_host import openapi, swagger
from tests.support.styled_hosts import VENDOR

WHOLE = (openapi(), swagger(), VENDOR.document)
REFERENCES = ("#", "", "#/paths", "#/components/schemas/Site", "http://x.invalid/#/a", "#/a/0/b")
WORDS = ("type", "properties", "$ref", "allOf", "items", "schema", "in", "name", "/x/{id}", "200")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from([*REFERENCES, *WORDS, "object", "array", "string", "path", "query", "{"])
    | st.builds(lambda ref: {"$ref": ref}, st.sampled_from(REFERENCES))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a document."""
    found = [path] if path else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        found += _places(inner, (*path, key)) if isinstance(inner, dict | list) else [(*path, key)]
    return found


PLACES = [_places(document) for document in WHOLE]


@pytest.mark.slow(timeout=300)
@given(data=st.data())
@settings(max_examples=25)
def test_a_damaged_specification_is_read_or_refused(data: st.DataObject) -> None:
    """With any value anywhere in it."""
    which = data.draw(st.integers(0, len(WHOLE) - 1))
    spec = copy.deepcopy(WHOLE[which])
    for way in data.draw(st.lists(st.sampled_from(PLACES[which]), min_size=1, max_size=4)):
        holder: Any = spec
        with contextlib.suppress(LookupError, TypeError):
            for key in way[:-1]:
                holder = holder[key]
            holder[way[-1]] = data.draw(VALUES)
    with contextlib.suppress(SpecificationError):
        found = read_specification(spec, prefix="/api")
        compare(found, {})
        for proposal in propose(found):
            for each in proposal.candidates:
                assert each.binding is not None or each.doubts


def _cut(at: int, junk: bytes) -> bytes:
    """Return the beginning of a YAML document with something behind it."""
    return yaml.safe_dump(VENDOR.document)[:at].encode() + junk


TEXTS = st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8"))


@given(body=TEXTS | st.builds(_cut, st.integers(0, 400), TEXTS))
@settings(max_examples=60)
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    """JSON, YAML, a page, or nothing of it."""
    with contextlib.suppress(SpecificationError):
        document, links = read_document(body)
        assert isinstance(document, dict)
        assert all(isinstance(link, str) for link in links)


@pytest.mark.parametrize("document", WHOLE, ids=["OpenAPI", "Swagger", "vendor"])
def test_json_and_yaml_of_a_document_are_the_same(document: dict[str, Any]) -> None:
    """Down to the last value."""
    as_json, _ = read_document(json.dumps(document).encode())
    assert as_json == read_document(yaml.safe_dump(document).encode())[0]
    assert as_json == json.loads(json.dumps(document))
