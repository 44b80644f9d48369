"""Where a specification is looked for, and who gets to see the token."""

from __future__ import annotations

import io
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.cli.commands.spec_source import (
    CANDIDATES,
    Fetcher,
    load_specification,
    origin_of,
)
from bestdefense_async.cli.exits import MissingToken
from bestdefense_async.cli.options.connection import Connection
from bestdefense_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    PermissionDenied,
    ServerError,
)
from bestdefense_async.openapi.document import LARGEST, SpecificationError
from tests.support.docs_host import DocsHost, Shown, docs_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = {"openapi": "3.0.0", "info": {"title": "Acme"}, "paths": {}}
BODY = json.dumps(SPEC).encode()
YAML = b"openapi: 3.0.0\ninfo: {title: Acme}\npaths: {}"
TOKEN = "live-0123456789abcdef"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A token in the environment, and a home without anything."""
    monkeypatch.setenv("BD_API_TOKEN", TOKEN)
    monkeypatch.delenv("BD_BASE_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def host() -> Iterator[DocsHost]:
    """The host of the API."""
    with docs_host() as served:
        yield served


@pytest.fixture
def other() -> Iterator[DocsHost]:
    """Another host; it is never to see the token."""
    with docs_host() as served:
        yield served
    assert served.tokens <= {None}


def at(host: DocsHost, prefix: str = "") -> Connection:
    """Return a connection to a host."""
    return Connection(host.url + prefix, None)


@pytest.mark.parametrize("path", CANDIDATES[:-1])
async def test_each_candidate_is_looked_at(host: DocsHost, path: str) -> None:
    """In order, and without the token, which nobody asked for."""
    host.shown[path] = Shown(body=BODY)
    found = await load_specification(at(host), None)
    assert (found.title, found.location) == ("Acme", host.url + path)
    assert [each for each, _ in host.asked] == [*CANDIDATES[: CANDIDATES.index(path) + 1]]
    assert host.tokens == {None}


async def test_a_host_below_a_path_keeps_it_there(host: DocsHost) -> None:
    """All paths begin behind the one of the base URL."""
    host.shown["/tenant/api/docs.json"] = Shown(body=BODY)
    assert (await load_specification(at(host, "/tenant"), None)).title == "Acme"


@pytest.mark.parametrize(
    ("page", "where"),
    [
        (b'<script type="application/json">' + BODY + b"</script>", None),
        (b'<redoc spec-url="spec.json"></redoc>', "/api/spec.json"),
        (b'<redoc spec-url="/files/spec.json?v=1&x=%20y"></redoc>', "/files/spec.json?v=1&x=%20y"),
        (b'<div data-url="/gone.json"></div><div data-url="/s.json">', "/s.json"),
    ],
)
async def test_the_page_for_people_leads_to_it(
    host: DocsHost, page: bytes, where: str | None
) -> None:
    """It embeds the document or links to it."""
    host.shown["/api/docs"] = Shown(body=page, kind="text/html")
    if where is not None:
        host.shown[where] = Shown(body=BODY)
    found = await load_specification(at(host), None)
    assert found.title == "Acme"
    assert found.location == host.url + (where or "/api/docs")
    assert host.tokens == {None}


@pytest.mark.parametrize("name", ["url", "urls"])
async def test_the_settings_of_a_page_lead_to_it(
    host: DocsHost, other: DocsHost, name: str
) -> None:
    """`configUrl` of Swagger UI, on this host alone."""
    page = b'<script>SwaggerUIBundle({configUrl: "/settings.json"})</script>'
    host.shown["/api/docs"] = Shown(body=page, kind="text/html")
    for url in ("/v3/spec.json", f"{other.url}/spec.json"):
        settings = {"url": url} if name == "url" else {"urls": [{"url": url, "name": "API"}]}
        host.shown["/settings.json"] = Shown(body=json.dumps(settings).encode())
        host.shown["/v3/spec.json"] = Shown(body=BODY)
        if url.startswith("/"):
            assert (await load_specification(at(host), None)).title == "Acme"
        else:
            with pytest.raises(SpecificationError, match="other hosts are not followed"):
                await load_specification(at(host), None)
    assert other.asked == []


async def test_settings_that_lead_in_a_circle_end(host: DocsHost) -> None:
    """Each is asked for once."""
    for name, other in (("a", "b"), ("b", "a")):
        settings = json.dumps({"configUrl": f"/{other}.json"}).encode()
        host.shown[f"/{name}.json"] = Shown(body=settings)
    host.shown["/api/docs"] = Shown(body=b'<redoc spec-url="/a.json">', kind="text/html")
    with pytest.raises(SpecificationError, match="and nothing there leads to one"):
        await load_specification(at(host), None)
    assert [path for path, _ in host.asked][-2:] == ["/a.json", "/b.json"]


def referring(*references: str) -> bytes:
    """Return a specification of paths that refer to other documents."""
    return json.dumps(
        {**SPEC, "paths": {f"/{at}": {"$ref": each} for at, each in enumerate(references)}}
    ).encode()


async def test_the_documents_that_a_specification_is_spread_over_are_read(
    host: DocsHost, other: DocsHost
) -> None:
    """Of this host, each once, relative to where they stand, with the token once it was wanted."""
    body = referring("parts/a.yaml#/Site", "./parts/a.yaml#/Report", f"{other.url}/x.json#/a")
    part = b"Site: {$ref: '../b.json#/Id'}\nReport: {put: {}}"
    host.shown["/api/docs.json"] = Shown(body=body, token=TOKEN)
    host.shown["/api/parts/a.yaml"] = Shown(body=part, token=TOKEN)
    back = b'{"Id": {"$ref": "docs.json#/paths/~11"}}'
    host.shown["/api/b.json"] = Shown(body=back, token=TOKEN)
    found = await load_specification(at(host), None)
    assert [each.name for each in found.operations] == ["PUT /0", "PUT /1"]
    (remark,) = found.remarks
    assert remark.startswith(f"{other.url}/x.json#/a stands outside the document")
    assert len(host.asked) == 4
    assert other.asked == []


async def test_a_reference_calls_nothing_but_documents(host: DocsHost) -> None:
    """A specification that lies does not make us ask the API, which would see the token."""
    host.shown["/api/docs.json"] = Shown(body=referring("/api/sites", "/logout?x=.json#/a"))
    assert (await load_specification(at(host), None)).operations == ()
    assert [path for path, _ in host.asked] == ["/api/docs.json"]


async def test_a_document_that_is_none_is_a_remark(host: DocsHost) -> None:
    """The rest is read."""
    names = ("gone.json", "page.json", "text.yaml", "away.json")
    host.shown["/api/docs.json"] = Shown(body=referring(*names))
    host.shown["/api/page.json"] = Shown(body=b"<p>Hello", kind="text/html")
    host.shown["/api/text.yaml"] = Shown(body=b"just text")
    host.shown["/api/away.json"] = Shown(status=302, location="https://a.example/x.json")
    found = await load_specification(at(host), None)
    assert found.operations == ()
    gone, page, text, away, *_ = found.remarks
    assert gone == f"{host.url}/api/gone.json answers with status 404."
    assert page.startswith(f"{host.url}/api/page.json cannot be read as a specification. It is a")
    assert text.startswith(f"{host.url}/api/text.yaml cannot be read as a specification. It is not")
    assert away == f"{host.url}/api/away.json answers with status 302."


async def test_all_documents_together_are_no_larger_than_one_may_be(host: DocsHost) -> None:
    """Many small ones would fill the memory, too."""
    large = b'{"x": "' + b"x" * (7 << 20) + b'"}'
    host.shown["/api/docs.json"] = Shown(body=referring("a.json", "b.json", "c.json"))
    for name in "abc":
        host.shown[f"/api/{name}.json"] = Shown(body=large)
    found = await load_specification(at(host), None)
    first, *_ = found.remarks
    assert f"{host.url}/api/c.json cannot be read" in first
    assert "larger than 16 MB" in first


async def test_the_token_is_sent_once_it_is_wanted(host: DocsHost) -> None:
    """To the host of the API, which it is for; and then right away."""
    host.shown["/api/docs"] = Shown(
        body=b'<redoc spec-url="/s.json">', kind="text/html", token=TOKEN
    )
    host.shown["/s.json"] = Shown(body=BODY, token=TOKEN)
    assert (await load_specification(at(host), None)).title == "Acme"
    assert host.asked[-3:] == [("/api/docs", None), ("/api/docs", BEARER), ("/s.json", BEARER)]


async def test_a_page_for_signing_in_is_taken_for_a_refusal(host: DocsHost) -> None:
    """That is what frameworks do to whoever has no session."""
    host.shown["/api/docs.json"] = Shown(status=302, location="/login?next=docs")
    host.shown["/login?next=docs"] = Shown(body=b"<form>", kind="text/html")
    with pytest.raises(SpecificationError, match=r"login.*a page that names no document"):
        await load_specification(at(host), None)
    assert ("/api/docs.json", BEARER) in host.asked


async def test_a_redirect_is_followed_at_home_only(host: DocsHost, other: DocsHost) -> None:
    """The other host is not even asked."""
    host.shown["/api/docs.json"] = Shown(status=301, location="/v2/docs.json")
    host.shown["/v2/docs.json"] = Shown(body=BODY)
    assert (await load_specification(at(host), None)).location == f"{host.url}/v2/docs.json"
    host.shown["/api/docs.json"] = Shown(status=307, location=f"{other.url}/api/docs.json")
    with pytest.raises(SpecificationError, match=f"points to {other.url}/.* --from"):
        await load_specification(at(host), None)
    host.shown["/api/docs.json"] = Shown(status=302, location="/api/docs.json")
    with pytest.raises(SpecificationError, match="nothing there leads to one"):
        await load_specification(at(host), None)
    assert other.asked == []


async def test_a_link_to_another_host_is_not_followed(host: DocsHost, other: DocsHost) -> None:
    """A person can name it, and then it is asked without the token."""
    link = f'<redoc spec-url="{other.url}/s.json"></redoc>'.encode()
    host.shown["/api/docs"] = Shown(body=link, kind="text/html", token=TOKEN)
    other.shown["/s.json"] = Shown(body=BODY, token="never")
    with pytest.raises(SpecificationError, match=f"points to {other.url}/s.json"):
        await load_specification(at(host), None)
    assert other.asked == []
    with pytest.raises(AuthError):
        await load_specification(at(host), f"{other.url}/s.json")
    other.shown["/s.json"] = Shown(body=BODY)
    assert (await load_specification(at(host), f"{other.url}/s.json")).title == "Acme"


async def test_an_address_of_the_own_host_may_want_the_token(host: DocsHost) -> None:
    """It is the host that the token is for."""
    host.shown["/x.yaml?a=b"] = Shown(
        body=b"openapi: 3.0.0\ninfo: {title: Acme}\npaths: {}\n", token=TOKEN
    )
    found = await load_specification(at(host), f"{host.url}/x.yaml?a=b")
    assert found.title == "Acme"
    assert host.asked == [("/x.yaml?a=b", None), ("/x.yaml?a=b", BEARER)]


async def test_a_page_that_shows_the_token_does_not_pass_it_on(host: DocsHost) -> None:
    """What is read may be printed and stored."""
    echo = json.dumps({**SPEC, "info": {"title": f"Hello {TOKEN}"}}).encode()
    host.shown["/api/docs.json"] = Shown(body=echo, token=TOKEN)
    assert (await load_specification(at(host), None)).title == "Hello [token]"


async def test_the_sandboxs_token_goes_nowhere_else(
    host: DocsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with every other call; a sandbox is asked with it when it wants it."""
    sandbox_token = "bd_sandbox_0123456789"
    monkeypatch.setenv("BD_API_TOKEN", sandbox_token)
    host.shown["/api/docs.json"] = Shown(body=BODY, token=sandbox_token)
    assert (await load_specification(at(host), None)).title == "Acme"
    host.asked.clear()
    elsewhere = Connection("https://acme.example", None)
    async with aclosing(Fetcher(elsewhere, host.url)) as fetcher:
        fetcher.is_api = True
        with pytest.raises(ConfigError, match="the sandbox's: it is not sent to any other host"):
            await fetcher.get(f"{host.url}/api/docs.json")
    assert host.tokens == {None}


async def test_without_a_token_only_what_wants_one_is_missing(
    host: DocsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public document needs none."""
    monkeypatch.delenv("BD_API_TOKEN")
    host.shown["/api/docs.json"] = Shown(status=401)
    with pytest.raises(MissingToken):
        await load_specification(at(host), None)
    host.shown["/api/doc.json"] = Shown(body=BODY)
    assert (await load_specification(at(host), None)).title == "Acme"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError),
        (403, PermissionDenied),
        (404, SpecificationError),
        (410, SpecificationError),
        (500, ServerError),
        (503, ServerError),
        (204, SpecificationError),
    ],
)
async def test_a_refusal_is_the_right_error(
    host: DocsHost, status: int, kind: type[Exception]
) -> None:
    """With the exit code that belongs to it."""
    for path in CANDIDATES:
        host.shown[path] = Shown(status=status)
    with pytest.raises(kind) as caught:
        await load_specification(at(host), None)
    assert type(caught.value) is kind
    with pytest.raises(ConfigError if kind is SpecificationError else kind):
        await load_specification(at(host), f"{host.url}/api/docs")


async def test_what_is_broken_says_more_than_what_is_not_there(host: DocsHost) -> None:
    """But a good one further on is taken."""
    host.shown["/api/docs.json"] = Shown(body=b'{"openapi": "3.0.0", "openapi": 1}')
    with pytest.raises(SpecificationError, match=r"/api/docs\.json cannot be read .* same member"):
        await load_specification(at(host), None)
    host.shown["/api/docs"] = Shown(body=b'<redoc spec-url="/s">', kind="text/html")
    host.shown["/s"] = Shown(body=BODY)
    assert (await load_specification(at(host), None)).location == f"{host.url}/s"


async def test_an_application_that_answers_everything_with_its_page_is_no_documentation(
    host: DocsHost,
) -> None:
    """It says 200 to every path."""
    for path in CANDIDATES:
        host.shown[path] = Shown(body=b"<!doctype html><div id=app></div>", kind="text/html")
    with pytest.raises(SpecificationError, match="a page that names no document"):
        await load_specification(at(host), None)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_fifty_megabytes_are_refused_unread(host: DocsHost, *, is_announced: bool) -> None:
    """By their announced length, or when the cap is reached."""
    megabyte = b" " * (1 << 20)
    host.shown["/api/docs.json"] = Shown(body=megabyte, repeat=50, is_announced=is_announced)
    with pytest.raises(SpecificationError, match="larger than 16 MB"):
        await load_specification(at(host), None)
    assert host.sent_bytes < (25 << 20)


async def test_a_host_that_is_not_there_is_the_ordinary_error() -> None:
    """Every command says it alike."""
    with pytest.raises(ConnectError):
        await load_specification(Connection("http://127.0.0.1:9", None), None)


@pytest.mark.parametrize(
    "source",
    [
        "http://host.invalid/spec.json",
        "https://me:secret@host.invalid/spec.json",
        "https://[bad/spec.json",
        "HTTP://host.invalid",
        "https://",
    ],
)
async def test_an_address_that_cannot_be_meant_is_refused(host: DocsHost, source: str) -> None:
    """Plain http over the network could bring anything."""
    with pytest.raises(ConfigError) as caught:
        await load_specification(at(host), source)
    assert "secret" not in str(caught.value)


async def test_a_file_and_stdin_are_read(
    host: DocsHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON, YAML or a saved page; nothing is sent."""
    page = (
        b'<html><script id="swagger-data" type="application/json">{"spec":' + BODY + b"}</script>"
    )
    for name, content in (("a.json", BODY), ("a.yaml", YAML), ("a", page)):
        path = tmp_path / name
        path.write_bytes(content)
        assert (await load_specification(at(host), str(path))).title == "Acme"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert (await load_specification(at(host), "-")).location == "stdin"
    assert host.asked == []


async def test_a_file_that_cannot_be_read_is_said(
    host: DocsHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, a directory, too large, or a stdin that is closed."""
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    for source, says in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "directory"),
        (large, "larger than 16 MB"),
    ):
        with pytest.raises(ConfigError, match=says):
            await load_specification(at(host), str(source))
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConfigError, match="stdin is closed"):
        await load_specification(at(host), "-")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example/x?y", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80/", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://[::1]:8/x", "https://[::1]:8"),
        ("https://me@a.example", "https://a.example"),
        ("//a.example/x", ""),
        ("/x", ""),
        ("javascript:alert(1)", ""),
        ("https://a.example:x", ""),
        ("https://[x", ""),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    """Written in one way, so that two can be compared."""
    assert origin_of(url) == origin
