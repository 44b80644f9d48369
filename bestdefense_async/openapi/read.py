"""Plain data into a `Specification`: OpenAPI 3.0 to 3.2 and Swagger 2.0, read with indulgence.

Generated documents have slips. What is not as it should be is left out and remarked upon; only a
document of which nothing can be read is refused. Tried and dropped: to validate the whole
document, which refuses good ones for faults in parts that are not read here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from attrs import define, frozen

from bestdefense_async.errors import clean_text
from bestdefense_async.openapi.document import SpecificationError
from bestdefense_async.openapi.model import Field, Operation, Specification
from bestdefense_async.openapi.schema import Flattener, References

if TYPE_CHECKING:
    from collections.abc import Iterator

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_VERSION: Final = re.compile(r"3\.[0-2](?:\.\d+)?(?:-[\w.]+)?")
_FORMAT_SUFFIX: Final = re.compile(r"\.?{_format}$")
_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json|\*/\*")
_SUCCESS: Final = re.compile(r"2(?:\d\d|XX)")
_MOST_OPERATIONS: Final = 5_000
_OWN_HEADERS: Final = frozenset({"authorization", "accept", "content-type"})


def read_specification(document: dict[str, Any], *, prefix: str = "") -> Specification:
    """Return what a document says about an API.

    Args:
        document: As it was decoded.
        prefix: Path in front of every route on this host: operations' paths begin behind it.

    Raises:
        SpecificationError: Its version is unknown, it has no paths, or its schemas have no end.
    """
    version = _version(document)
    paths = document.get("paths")
    if not isinstance(paths, dict):
        raise SpecificationError("It has no paths: that is no specification of an API.")
    references = References(document)
    reader = _Reader(
        document=document,
        references=references,
        flattener=Flattener(references),
        is_old=version == "2.0",
        prefix=prefix,
    )
    operations = tuple(reader.operations(paths))
    info = _mapping(document.get("info"))
    return Specification(
        version=version,
        title=_text(info.get("title")),
        release=_text(info.get("version")),
        servers=tuple(reader.servers(document)),
        operations=operations,
        remarks=tuple(references.remarks),
    )


def _version(document: dict[str, Any]) -> str:
    if "swagger" in document:
        given, is_known = document["swagger"], str(document["swagger"]) == "2.0"
    elif "openapi" in document:
        given = document["openapi"]
        is_known = _VERSION.fullmatch(str(given)) is not None
    else:
        raise SpecificationError(
            "It names no version of OpenAPI or Swagger, so it is no specification."
        )
    if not is_known:
        shown = clean_text(str(given), longest=40)
        raise SpecificationError(
            f"It is of version {shown!r}; OpenAPI 3.0 to 3.2 and Swagger 2.0 are understood."
        )
    return str(given)


@frozen(kw_only=True)
class _Sent:
    """What an operation takes."""

    parts: tuple[Field, ...]
    query: tuple[Field, ...]
    headers: tuple[str, ...]
    body: tuple[Field, ...]


@define(kw_only=True)
class _Reader:
    """Reads the operations of one document."""

    document: dict[str, Any]
    references: References
    flattener: Flattener
    is_old: bool
    """Whether it is Swagger 2.0."""
    prefix: str

    def servers(self, holder: dict[str, Any]) -> Iterator[str]:
        """Yield the addresses that a document, a path or an operation gives for its servers."""
        if self.is_old:
            host, base = _text(holder.get("host")), _text(holder.get("basePath"))
            if host or base:
                yield (f"https://{host}" if host else "") + base
            return
        for server in _list(holder.get("servers")):
            url = _text(_mapping(server).get("url"))
            for name, variable in _mapping(_mapping(server).get("variables")).items():
                url = url.replace(f"{{{name}}}", _text(_mapping(variable).get("default")))
            if url:
                yield url

    def operations(self, paths: dict[str, Any]) -> Iterator[Operation]:
        """Yield all operations, in the order of the document."""
        count = 0
        for path, item in paths.items():
            entry = self.references.follow(item)
            if not path.startswith("/"):
                continue
            for method in _METHODS:
                operation = entry.get(method)
                if isinstance(operation, dict):
                    count += 1
                    if count > _MOST_OPERATIONS:
                        raise SpecificationError(
                            f"It has more than {_MOST_OPERATIONS} operations, as no API has."
                        )
                    yield self._operation(method, path, entry, operation)

    def _operation(
        self, method: str, path: str, item: dict[str, Any], entry: dict[str, Any]
    ) -> Operation:
        sent = self._sent(item, entry)
        answer, is_file = self._answer(entry)
        return Operation(
            method=method.upper(),
            path=self._path(path, item, entry),
            operation_id=_text(entry.get("operationId")),
            tags=tuple(_text(tag) for tag in _list(entry.get("tags")))[:20],
            summary=_text(entry.get("summary")),
            parameters=sent.parts,
            query=sent.query,
            headers=sent.headers,
            request=sent.body,
            answer=answer,
            is_file=is_file,
            is_deprecated=entry.get("deprecated") is True,
        )

    def _path(self, path: str, item: dict[str, Any], entry: dict[str, Any]) -> str:
        """Return a path from the root of the API: behind the server's, without our prefix."""
        holders = (self.document,) if self.is_old else (entry, item, self.document)
        server = next((url for each in holders for url in self.servers(each)), "")
        try:
            base = urlsplit(urljoin("https://host/", server)).path.rstrip("/")
        except ValueError:
            base = ""
        whole = base + _FORMAT_SUFFIX.sub("", path)
        return whole.removeprefix(self.prefix) if whole.startswith(f"{self.prefix}/") else whole

    def _sent(self, item: dict[str, Any], entry: dict[str, Any]) -> _Sent:
        parameters: dict[tuple[str, str], dict[str, Any]] = {}
        for each in (*_list(item.get("parameters")), *_list(entry.get("parameters"))):
            parameter = self.references.follow(each)
            parameters[_text(parameter.get("in")), _text(parameter.get("name"))] = parameter
        rows: dict[str, list[Field]] = {"path": [], "query": [], "header": [], "formData": []}
        body: tuple[Field, ...] = ()
        for (location, name), parameter in parameters.items():
            if location == "body":
                body = self.flattener.fields(parameter.get("schema"))
            elif location in rows and name:
                schema = parameter if self.is_old else parameter.get("schema")
                is_required = location == "path" or parameter.get("required") is True
                rows[location].append(self.flattener.one(name, schema, is_required=is_required))
        if not self.is_old:
            request = self.references.follow(entry.get("requestBody"))
            body = self.flattener.fields(_schema_of(self.references.follow(request)))
        demanded = [row.path for row in rows["header"] if row.is_required]
        return _Sent(
            parts=tuple(row for row in rows["path"] if row.path != "_format"),
            query=tuple(rows["query"]),
            headers=tuple(name for name in demanded if name.lower() not in _OWN_HEADERS),
            body=body or tuple(rows["formData"]),
        )

    def _answer(self, entry: dict[str, Any]) -> tuple[tuple[Field, ...], bool]:
        """Return the members of a success, and whether it is a file."""
        responses = _mapping(entry.get("responses"))
        good = sorted(status for status in responses if _SUCCESS.fullmatch(status.upper()))
        is_file = False
        for status in [*good, *(["default"] if not good else [])]:
            response = self.references.follow(responses.get(status))
            if self.is_old:
                schema: Any = response.get("schema")
                shape = self.references.follow(schema)
                is_file = shape.get("type") == "file" or shape.get("format") == "binary"
            else:
                schema = _schema_of(response)
                is_file = schema is None and bool(_mapping(response.get("content")))
            fields = () if is_file else self.flattener.fields(schema)
            if fields or is_file:
                return fields, is_file
        return (), is_file


def _schema_of(holder: dict[str, Any]) -> Any:  # noqa: ANN401  # a schema is an object or a truth
    """Return the schema of the JSON among the contents, None when there is none."""
    for kind, media in _mapping(holder.get("content")).items():
        if _JSON.fullmatch(kind.partition(";")[0].strip().lower()):
            return _mapping(media).get("schema")
    return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return text as it is shown, empty for anything else; a version may be written as a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return clean_text(str(value), longest=300)
