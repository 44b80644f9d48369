"""Bytes and pages become plain data, strictly: JSON, YAML, and what an API page embeds."""

import json

import pytest

from bestdefense_async.openapi.document import LARGEST, SpecificationError, decode, read_page

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"openapi": "3.0.0", "info": {"version": "1"}}',
        b'\xef\xbb\xbf  {"openapi": "3.0.0", "info": {"version": "1"}}\n',
        b"openapi: 3.0.0\ninfo: {version: '1'}\n",
        b"%YAML 1.2\n---\nopenapi: '3.0.0'\ninfo:\n  version: \"1\"\n...\n",
        b"x: &v {version: '1'}\nopenapi: 3.0.0\ninfo:\n  <<: *v\n",
    ],
)
def test_json_and_yaml_give_the_same(body: bytes) -> None:
    """Whatever it is called and however it begins."""
    document = decode(body)
    assert (document["openapi"], document["info"]) == ("3.0.0", {"version": "1"})


def test_yaml_gives_what_json_could() -> None:
    """A date stays text, and `200` and `yes` are names: of a response, of a property."""
    document = decode(
        b"on: 2026-01-02\nresponses: {200: {description: ok}}\nno: 1.5\nlist: [~, true]"
    )
    assert document == {
        "on": "2026-01-02",
        "responses": {"200": {"description": "ok"}},
        "no": 1.5,
        "list": [None, True],
    }


REFUSED = {
    "nothing": (b" \n", "It is empty."),
    "a page": (b"\n<!DOCTYPE html><p>openapi: 3.0.0", "It is a page"),
    "a list": (b"[1, 2]", "not an object"),
    "text": (b"Not Found", "not an object"),
    "broken JSON": (b'{"a": 1,}', "not strict JSON"),
    "a member twice in JSON": (b'{"a": 1, "a": 2}', "the same member twice"),
    "a member twice in YAML": (
        b"b: 0\na: 1\na: 2\n",
        "line 3: an object names the same member twice",
    ),
    "NaN": (b'{"a": NaN}', "NaN"),
    "JSON that is no UTF-8": (b'{"a": "\xff"}', "not valid UTF-8"),
    "YAML that is no UTF-8": (b"a: 1\nb: \xff\n", "line 2 is not UTF-8"),
    "a tab": (b"a:\n\tb: 1\n", "line 2: "),
    "two documents": (b"a: 1\n---\nb: 2\n", "another document"),
    "a tag that makes an object": (
        b"a: !!python/object/apply:os.system ['exit 1']",
        "could not determine a constructor",
    ),
    "deep JSON": (b'{"a": ' * 70 + b"1" + b"}" * 70, "nested deeper than 64"),
    "very deep JSON": (b'{"a": ' * 100_000, "nested deeper than 64"),
    "deep YAML": (b"- " * 70 + b"x", "nested deeper than 64"),
    "very deep YAML": (b"a: " + b"[" * 100_000, "nest"),
    "aliases that unfold": (BOMB.encode(), "unfold to more values"),
    "an alias to itself": (b"a: &a {b: [*a]}", "an alias to what the alias stands in"),
    "an unknown alias": (b"a: *b", "undefined alias"),
    "a key that is a list": (b"? [a]\n: b\n", "unhashable key"),
    "a number without end": (b"a: " + b"9" * 5000, "cannot be read"),
    "a set": (b"!!set {a, b}", "not an object"),
    "something huge": (b"{" + b" " * LARGEST, "larger than 16 MB"),
}


@pytest.mark.parametrize(("body", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_document_is_refused_in_one_sentence(body: bytes, says: str) -> None:
    """Before it is unfolded, whatever it would unfold to."""
    with pytest.raises(SpecificationError) as caught:
        decode(body)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


SPEC = {"openapi": "3.0.0", "paths": {}}
TEXT = json.dumps(SPEC)

EMBEDDED = {
    "NelmioApiDocBundle": (
        f'<script id="swagger-data" type="application/json">{{"spec":{TEXT}}}</script>'
    ),
    "plainly": f'<script type="application/vnd.oai.openapi+json">\n{TEXT}\n</script>',
    "Swagger 2.0": '<script type="application/json">{"swagger":"2.0","paths":{}}</script>',
    "a call of Swagger UI": (
        f"<script>SwaggerUIBundle({{dom_id: '#ui', spec: {TEXT}, deepLinking: true}})</script>"
    ),
}


@pytest.mark.parametrize("page", EMBEDDED.values(), ids=EMBEDDED.keys())
def test_an_embedded_specification_is_found(page: str) -> None:
    """In each way that pages of such tools have it."""
    found = read_page(f"<html><body>{page}</body></html>".encode())
    assert len(found.documents) == 1
    assert found.documents[0]["paths"] == {}


LINKED = {
    "Redoc": '<redoc spec-url="/s.json"></redoc>',
    "Redoc by call": "<script>Redoc.init('/s.json', {}, document.body)</script>",
    "RapiDoc": '<rapi-doc spec-url=" /s.json "></rapi-doc>',
    "Scalar": '<script id="api-reference" data-url="/s.json"></script>',
    "Stoplight": '<elements-api apiDescriptionUrl="/s.json"/>',
    "Swagger UI": '<script>window.ui = SwaggerUIBundle({ url: "/s.json", dom_id: "#x" })</script>',
    "several in Swagger UI": (
        "<script>SwaggerUIBundle({ urls: [{'url': '/s.json', name: 'a'}] })</script>"
    ),
    "data-spec-url": '<div data-spec-url="/s.json"></div>',
    "an alternate": '<link rel="alternate" type="application/json" href="/s.json">',
    "a service description": (
        '<link rel="service-desc" type="application/openapi+json" href="/s.json">'
    ),
    "an anchor": '<p>also as <a href="/s.json?x=spec">OpenAPI</a>',
}


@pytest.mark.parametrize("page", LINKED.values(), ids=LINKED.keys())
def test_a_link_to_a_specification_is_found(page: str) -> None:
    """As it is written; the caller knows what it is relative to."""
    found = read_page(page.encode())
    assert found.documents == ()
    assert [link.partition("?")[0] for link in found.links] == ["/s.json"]


def test_what_a_tool_names_comes_before_what_a_person_may_click() -> None:
    """And each address once."""
    page = (
        '<a href="/api/openapi.yaml">YAML</a><link rel="stylesheet" href="/a.json">'
        '<link rel="alternate" type="application/rss+xml" href="/feed">'
        '<script src="/x.js"></script><script>const url = "/no.json"</script>'
        '<redoc spec-url="/s.json"></redoc><div data-url="/s.json">'
    )
    assert read_page(page.encode()).links == ("/s.json", "/api/openapi.yaml")


def test_a_page_about_something_else_gives_nothing() -> None:
    """Nor does one that is broken, or no text."""
    for page in (b"<h1>Not Found</h1>", b"<script type='application/json'>{", b"<\xff\xfe\x00<!--"):
        found = read_page(page)
        assert (found.documents, found.links) == ((), ())


def test_an_embedded_specification_that_is_broken_is_refused() -> None:
    """It was found, so looking elsewhere would hide the reason."""
    page = b'<script type="application/json">{"openapi": "3.0.0", "openapi": 1}</script>'
    with pytest.raises(SpecificationError, match="The page embeds a specification that is no JSON"):
        read_page(page)


def test_a_script_of_broken_objects_is_soon_left_alone() -> None:
    """Each of them is read to where it breaks, so only the first ones are tried."""
    page = f"<script>openapi {'spec: {broken, ' * 30} spec: {TEXT}</script>"
    assert read_page(page.encode()).documents == ()
    assert read_page(page.replace("spec: {broken, " * 30, "").encode()).documents == (SPEC,)
