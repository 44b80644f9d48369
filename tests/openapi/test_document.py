"""Bytes and pages become plain data, strictly: JSON, YAML, and what an API page embeds."""

import json

import pytest

from bestdefense_async.openapi.document import LARGEST, SpecificationError, read_document

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
    document, links = read_document(body)
    assert links == []
    assert (document["openapi"], document["info"]) == ("3.0.0", {"version": "1"})


def test_yaml_gives_what_json_could() -> None:
    """A date stays text, and `200` and `yes` are names: of a response, of a property."""
    document, _ = read_document(
        b"on: 2026-01-02\nresponses: {200: {description: ok}}\nno: 1.5\nlist: [~, true]"
    )
    assert document == {
        "on": "2026-01-02",
        "responses": {"200": {"description": "ok"}},
        "no": 1.5,
        "list": [None, True],
    }


REFUSED = {
    "nothing": (b" \n", "It is empty"),
    "a page": (b"\n<!DOCTYPE html><p>openapi: 3.0.0", "It is a page that names no document"),
    "a broken page": (b"<script type='application/json'>{", "It is a page that names no document"),
    "a page that is no text": (b"<\xff\xfe\x00<!--", "line 1: this is not UTF-8"),
    "a list": (b"[1, 2]", "not an object"),
    "text": (b"Not Found", "not an object"),
    "broken JSON": (b'{"a": 1,}', "not strict JSON"),
    "a member twice in JSON": (b'{"a": 1, "a": 2}', "the same member twice"),
    "a member twice in YAML": (
        b"b: 0\na: 1\na: 2\n",
        "line 3: an object names the same member twice",
    ),
    "NaN": (b'{"a": NaN}', "NaN"),
    "JSON that is no UTF-8": (b'{"a": "\xff"}', "In line 1: this is not UTF-8."),
    "YAML that is no UTF-8": (b"a: 1\nb: \xff\n", "In line 2: this is not UTF-8."),
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
        read_document(body)
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
}


@pytest.mark.parametrize("page", EMBEDDED.values(), ids=EMBEDDED.keys())
def test_an_embedded_specification_is_found(page: str) -> None:
    """As data; what stands within a program is not looked for."""
    document, links = read_document(f"<html><body>{page}</body></html>".encode())
    assert (document["paths"], links) == ({}, [])


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
    document, links = read_document(page.encode())
    assert document == {}
    assert [link.partition("?")[0] for link in links] == ["/s.json"]


def test_what_a_tool_names_comes_before_what_a_person_may_click() -> None:
    """And each address once."""
    page = (
        '<a href="/api/openapi.yaml">YAML</a><link rel="stylesheet" href="/a.css">'
        '<link rel="alternate" type="application/rss+xml" href="/feed">'
        '<script src="/x.js"></script><script>const url = "/no.json"</script>'
        '<redoc spec-url="/s.json"></redoc><div data-url="/s.json">'
    )
    assert read_document(page.encode())[1] == ["/s.json", "/api/openapi.yaml"]


def test_settings_of_swagger_ui_lead_on() -> None:
    """`configUrl` of a page names them."""
    settings = {"urls": [{"url": "/a.json", "name": "A"}, 7], "configUrl": "/b.json", "url": 1}
    assert read_document(json.dumps(settings).encode()) == (settings, ["/b.json", "/a.json"])


def test_a_large_page_without_an_end_is_soon_read() -> None:
    """No search goes over the same text twice."""
    for piece in ("<script json>[", "configUrl: ", 'href="', f"href='{'a.json' * 300}"):
        with pytest.raises(SpecificationError, match="names no document"):
            read_document(b"<p>" + piece.encode() * (1_000_000 // len(piece)))
