"""A document into a flat list of operations: OpenAPI 3.0 to 3.2 and Swagger 2.0, with indulgence.

Generated documents have slips. What is not as it should be is left out and remarked upon; only a
document of which nothing can be read is refused. Tried and dropped: to validate the whole
document, which refuses good ones for faults in parts that are not read here.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from attrs import evolve, frozen

from bestdefense_async.errors import clean_text
from bestdefense_async.openapi.document import SpecificationError
from bestdefense_async.openapi.schema import Field, Schemas, as_list, as_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BRACES: Final = re.compile(r"{([^{}/]+)}")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_VERSION: Final = re.compile(r"3\.[0-2](?:\.\d+)?(?:-[\w.]+)?")
_FORMAT_SUFFIX: Final = re.compile(r"\.?{_format}$")
_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json|\*/\*")
_SUCCESS: Final = re.compile(r"2(?:\d\d|XX)", re.IGNORECASE)
_OWN_HEADERS: Final = frozenset({"authorization", "accept", "content-type"})
_BELOW: Final = re.compile(r"data(?:\.|\[\])")
WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})
"""Methods that send their members in the query."""
_MOST_OPERATIONS: Final = 5_000


@frozen(kw_only=True)
class Operation:
    """One operation of a host, as its specification has it."""

    method: str
    path: str
    """From the root of the API, with `{parts}` under the host's names."""
    query: tuple[Field, ...] = ()
    headers: tuple[str, ...] = ()
    """Names of the headers it demands, but for authentication."""
    body: tuple[Field, ...] = ()
    """Members of the body that is sent; empty without one."""
    answer: tuple[Field, ...] = ()
    """Members of the whole answer to a success; empty when it is not JSON, or not specified."""
    is_file: bool = False
    """Whether a success is a file."""
    is_deprecated: bool = False

    @property
    def name(self) -> str:
        """How a person names it."""
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the path's variable parts, in order."""
        return tuple(_BRACES.findall(self.path))

    @property
    def sent(self) -> tuple[Field, ...]:
        """What a call may send: in the query where there is no body."""
        return self.query if self.method in WITHOUT_BODY else self.body

    @property
    def payload(self) -> tuple[tuple[Field, ...], str | None]:
        """The members of the payload, and how it is wrapped: `data`, `top`, `none`.

        None where the answer is not described. Without `success` there is no envelope of ours,
        also where a member is called `data`.
        """
        names = {each.path for each in self.answer}
        if {"success", "data"} <= names:
            below = (each for each in self.answer if _BELOW.match(each.path))
            return tuple(
                evolve(each, path=each.path.removeprefix("data").removeprefix("."))
                for each in below
            ), "data"
        if "success" in names:
            rest = (each for each in self.answer if each.path not in {"success", "error"})
            return tuple(rest), "top"
        return self.answer, "none" if names else None


@frozen(kw_only=True)
class Specification:
    """A whole specification."""

    version: str
    """Of OpenAPI, like `3.1.0`."""
    title: str = ""
    release: str = ""
    """The API's own version."""
    servers: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    remarks: tuple[str, ...] = ()
    """What could not be followed or read, one sentence each."""

    def find(self, method: str, template: str) -> Operation | None:
        """Return the operation at a path, whatever its parts are called."""
        wanted = _shape_of(template)
        there = (each for each in self.operations if each.method == method)
        return next((each for each in there if _shape_of(each.path) == wanted), None)

    def methods_of(self, template: str) -> tuple[str, ...]:
        """Return the methods that a path has."""
        wanted = _shape_of(template)
        return tuple(each.method for each in self.operations if _shape_of(each.path) == wanted)


def _shape_of(template: str) -> str:
    """Return a path without the names of its parts."""
    return _BRACES.sub("{}", template.rstrip("/"))


def read_specification(
    document: dict[str, Any],
    *,
    prefix: str = "",
    location: str = "",
    linked: Mapping[str, Any] | None = None,
) -> Specification:
    """Return what a document says about an API.

    Args:
        document: As it was decoded.
        prefix: Path in front of every route on this host: operations' paths begin behind it.
        location: The address of the document, which references are relative to.
        linked: Other documents that it refers to, by address.

    Raises:
        SpecificationError: Its version is unknown, it has no paths, or its schemas have no end.
    """
    version = _version(document)
    if not isinstance(document.get("paths"), dict):
        raise SpecificationError("It has no paths: that is no specification of an API.")
    schemas = Schemas({location: document, **(linked or {})})
    read = _Reader(document, schemas, prefix).operations(location)
    operations = tuple(islice(read, _MOST_OPERATIONS + 1))
    if len(operations) > _MOST_OPERATIONS:
        raise SpecificationError(f"It has more than {_MOST_OPERATIONS} operations, as no API has.")
    info = as_mapping(document.get("info"))
    return Specification(
        version=version,
        title=_text(info.get("title")),
        release=_text(info.get("version")),
        servers=tuple(_servers(document)),
        operations=operations,
        remarks=tuple(schemas.remarks),
    )


def _version(document: dict[str, Any]) -> str:
    given = str(document.get("swagger", document.get("openapi", "")))
    if not {"swagger", "openapi"} & document.keys():
        raise SpecificationError(
            "It names no version of OpenAPI or Swagger, so it is no specification."
        )
    if given != "2.0" if "swagger" in document else not _VERSION.fullmatch(given):
        shown = clean_text(given, longest=40)
        raise SpecificationError(
            f"It is of version {shown!r}; OpenAPI 3.0 to 3.2 and Swagger 2.0 are understood."
        )
    return given


def _servers(holder: dict[str, Any]) -> Iterator[str]:
    """Yield the addresses that a document, path or operation names."""
    host, base = _text(holder.get("host")), _text(holder.get("basePath"))
    if host or base:
        yield f"https://{host}{base}" if host else base
    for server in map(as_mapping, as_list(holder.get("servers"))):
        url = _text(server.get("url"))
        for name, variable in as_mapping(server.get("variables")).items():
            url = url.replace(f"{{{name}}}", _text(as_mapping(variable).get("default")))
        if url:
            yield url


@frozen
class _Reader:
    """Reads both families in one way: what only one of them has is absent in the other."""

    document: dict[str, Any]
    schemas: Schemas
    prefix: str

    def operations(self, base: str) -> Iterator[Operation]:
        """Yield every operation, in the order of the document at `base`."""
        for path, entry in self.document["paths"].items():
            if isinstance(path, str) and path.startswith("/"):
                item, there = self.schemas.follow(entry, base)
                for method in _METHODS:
                    if isinstance(item.get(method), dict):
                        yield self._operation(method, path, item, there)

    def _operation(self, method: str, path: str, item: dict[str, Any], base: str) -> Operation:
        entry = item[method]
        query, headers, body = self._sent(item, entry, base)
        answer, is_file = self._answer(entry, base)
        return Operation(
            method=method.upper(),
            path=self._path(path, item, entry),
            query=query,
            headers=headers,
            body=body,
            answer=answer,
            is_file=is_file,
            is_deprecated=entry.get("deprecated") is True,
        )

    def _path(self, path: str, item: dict[str, Any], entry: dict[str, Any]) -> str:
        """Return a path from the root of the API: behind the server's, without our prefix."""
        server = next((url for each in (entry, item, self.document) for url in _servers(each)), "")
        base = ""
        with suppress(ValueError):
            base = urlsplit(urljoin("https://host/", server)).path.rstrip("/")
        whole = base + _FORMAT_SUFFIX.sub("", path)
        return whole.removeprefix(self.prefix) if whole.startswith(f"{self.prefix}/") else whole

    def _sent(
        self, item: dict[str, Any], entry: dict[str, Any], base: str
    ) -> tuple[tuple[Field, ...], tuple[str, ...], tuple[Field, ...]]:
        """Return what stands in the query, the headers that are demanded, and the body."""
        request, there = self.schemas.follow(entry.get("requestBody"), base)
        body = self.schemas.fields(_schema_of(request), there)
        parameters = (*as_list(item.get("parameters")), *as_list(entry.get("parameters")))
        # By place and name: those of the operation replace those of its path.
        rows: dict[str, dict[str, Field]] = {"query": {}, "header": {}, "formData": {}}
        for parameter, there in (self.schemas.follow(each, base) for each in parameters):
            where, name = _text(parameter.get("in")), _text(parameter.get("name"))
            schema, is_required = (
                parameter.get("schema", parameter),
                parameter.get("required") is True,
            )
            if where == "body":
                body = self.schemas.fields(schema, there)
            elif where in rows and name:
                rows[where][name] = self.schemas.parameter(
                    name, schema, there, is_required=is_required
                )
        headers = (name for name, each in rows["header"].items() if each.is_required)
        demanded = tuple(name for name in headers if name.lower() not in _OWN_HEADERS)
        return tuple(rows["query"].values()), demanded, body or tuple(rows["formData"].values())

    def _answer(self, entry: dict[str, Any], base: str) -> tuple[tuple[Field, ...], bool]:
        """Return the members of a success, and whether it is a file."""
        responses = as_mapping(entry.get("responses"))
        good = sorted(status for status in responses if _SUCCESS.fullmatch(str(status)))
        for status in good or ["default"]:
            response, there = self.schemas.follow(responses.get(status), base)
            schema = response.get("schema", _schema_of(response))
            shape = self.schemas.follow(schema, there)[0]
            is_file = schema is None and bool(as_mapping(response.get("content")))
            is_file = is_file or shape.get("type") == "file" or shape.get("format") == "binary"
            fields = () if is_file else self.schemas.fields(schema, there)
            if fields or is_file:
                return fields, is_file
        return (), False


def _schema_of(holder: dict[str, Any]) -> Any:  # noqa: ANN401  # a schema is an object or a truth
    """Return the schema of the JSON among the contents, None when there is none."""
    for kind, media in as_mapping(holder.get("content")).items():
        if _JSON.fullmatch(str(kind).partition(";")[0].strip().lower()):
            return as_mapping(media).get("schema")
    return None


def _text(value: object) -> str:
    """Return text as it is shown, empty for anything else; a version may be written as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return clean_text(str(value), longest=300)
