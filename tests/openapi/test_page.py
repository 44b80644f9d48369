"""The page for people: what it embeds, and where it points to."""

import json

import pytest

from bestdefense_async.openapi.document import SpecificationError, read_page

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
    """As it is written; whoever asked knows what it is relative to."""
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


def test_an_embedded_specification_that_is_broken_is_said() -> None:
    """It was found, so looking elsewhere would hide the reason."""
    page = b'<script type="application/json">{"openapi": "3.0.0", "openapi": 1}</script>'
    with pytest.raises(SpecificationError, match="The page embeds a specification that is no JSON"):
        read_page(page)
