"""A document into a flat list of operations: OpenAPI 3.0 to 3.2 and Swagger 2.0, with indulgence.

Generated documents have slips. What is not as it should be is left out or remarked upon; only a
document of which nothing can be read is refused. Schemas are graphs, so what is listed of one is
bounded in depth and width, and the schemas read are counted: few can unfold to very many.
"""

from __future__ import annotations

import re
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urldefrag, urlsplit

from attrs import define, evolve, frozen

from bestdefense_async.errors import clean_text
from bestdefense_async.openapi.document import SpecificationError, resolved_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PATH_SIGN: Final = re.compile(r"[.\[\]]")
_BRACES: Final = re.compile(r"{([^{}/]+)}")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_VERSION: Final = re.compile(r"2\.0|3\.[0-2](?:\.\d+)?(?:-[\w.]+)?")
_FORMAT_SUFFIX: Final = re.compile(r"\.?{_format}$")
_SUCCESS: Final = re.compile(r"2(?:\d\d|XX)", re.IGNORECASE)
_OWN_HEADERS: Final = frozenset({"authorization", "accept", "content-type"})
_BELOW: Final = re.compile(r"data(?:\.|(?=\[\]))")
WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})
"""Methods that send their members in the query."""
_LONGEST_CHAIN: Final = 32
"""References that lead on to each other."""
_DEEPEST: Final = 7
"""Names and lists in a path below the first; ours have four, in an envelope."""
_MOST_FIELDS: Final = 500
_MOST_STEPS: Final = 3_000_000
"""Schemas read in all, each as often as it is met."""
_MOST_PATHS: Final = 5_000


@frozen(kw_only=True)
class Field:
    """One member of a body, or one parameter."""

    path: str
    """Dots go down, `[]` stands for each member of a list: `data.sites[].id`."""
    kinds: frozenset[str] = frozenset()
    """JSON types it may have, null left out; empty when the specification does not say."""
    values: tuple[str, ...] = ()
    """The values it may have, where they are listed."""
    first: object = None
    """What it is when it is not sent, else the least it may be; None where neither is said."""
    is_required: bool = False
    """Whether it and all above it must be there."""


_FILE: Final = (Field(path="file"),)
"""The answer that is a file."""


@define(kw_only=True, eq=False, slots=False)
class Operation:
    """One operation of a host, as its specification has it, read as far as it is asked for."""

    method: str
    path: str
    """From the root of the API, with `{parts}` under the host's names."""
    _item: dict[str, Any]
    _schemas: Schemas

    @property
    def name(self) -> str:
        """How a person names it."""
        return f"{self.method} {self.path}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the path's variable parts, in order."""
        return tuple(_BRACES.findall(self.path))

    @property
    def is_deprecated(self) -> bool:
        """Whether it says so."""
        return self._entry.get("deprecated") is True

    @property
    def _entry(self) -> dict[str, Any]:
        return _mapping(self._item[self.method.lower()])

    @cached_property
    def _parameters(self) -> dict[str, dict[str, Field]]:
        """What is sent, by place and name: those of the operation replace those of its path."""
        rows: dict[str, dict[str, Field]] = {"query": {}, "formData": {}, "body": {}}
        for each in (*_list(self._item.get("parameters")), *_list(self._entry.get("parameters"))):
            parameter = self._schemas.follow(each)
            where, name = _text(parameter.get("in")), _text(parameter.get("name"))
            value, *members = self._schemas.fields(parameter.get("schema", parameter))
            if where == "header" and name.lower() not in _OWN_HEADERS:
                where, name = "query", f"the header {name}"
            if where == "body":
                rows["body"] = {member.path: member for member in members}
            elif where in rows and name:
                is_required = parameter.get("required") is True
                rows[where][name] = evolve(value, path=name, is_required=is_required)
        return rows

    @property
    def query(self) -> tuple[Field, ...]:
        """What may stand in the query, and the headers that no other call has: `the header X`."""
        return tuple(self._parameters["query"].values())

    @cached_property
    def body(self) -> tuple[Field, ...]:
        """Members of the body that is sent; empty without one."""
        request = self._schemas.follow(self._entry.get("requestBody"))
        old = self._parameters["body"] or self._parameters["formData"]
        return self._schemas.fields(_schema_of(request))[1:] or tuple(old.values())

    @property
    def sent(self) -> tuple[Field, ...]:
        """What a call may send: in the query where there is no body."""
        return self.query if self.method in WITHOUT_BODY else self.body

    @cached_property
    def answer(self) -> tuple[Field, ...]:
        """Members of a success; empty where it is not specified, and the path `file` for a file."""
        responses = _mapping(self._entry.get("responses"))
        good = sorted(status for status in responses if _SUCCESS.fullmatch(str(status)))
        for status in good or ["default"]:
            response = self._schemas.follow(responses.get(status))
            schema = response.get("schema", _schema_of(response))
            shape = self._schemas.follow(schema)
            is_file = schema is None and bool(_mapping(response.get("content")))
            if is_file or shape.get("type") == "file" or shape.get("format") == "binary":
                return _FILE
            if fields := self._schemas.fields(schema)[1:]:
                return fields
        return ()

    @property
    def form(self) -> str | None:
        """What a success is: `file`, else its envelope as a binding says it; None for unsaid.

        Without `success` there is no envelope of ours, also where a member is called `data`.
        """
        names = {each.path for each in self.answer}
        if self.answer is _FILE or not names:
            return "file" if names else None
        return ("data" if "data" in names else "top") if "success" in names else "none"

    @property
    def payload(self) -> tuple[Field, ...]:
        """The members of the payload."""
        if self.form == "data":
            below = (each for each in self.answer if _BELOW.match(each.path))
            return tuple(evolve(each, path=_BELOW.sub("", each.path, count=1)) for each in below)
        envelope = {"file": {"file"}, "top": {"success", "error"}}.get(str(self.form), ())
        return tuple(each for each in self.answer if each.path not in envelope)


@frozen(kw_only=True)
class Specification:
    """A whole specification."""

    version: str
    """Of OpenAPI, like `3.1.0`."""
    title: str
    """With the API's own version."""
    servers: tuple[str, ...]
    operations: tuple[Operation, ...]
    remarks: dict[str, None]
    """What could not be followed or had so far, one sentence each."""
    location: str = ""
    """The address or the file it was found at."""

    def at(self, template: str) -> dict[str, Operation]:
        """Return the operations at a path by method, whatever its parts are called."""
        wanted = _shape_of(template)
        return {each.method: each for each in self.operations if _shape_of(each.path) == wanted}


def _shape_of(template: str) -> str:
    """Return a path without the names of its parts."""
    return _BRACES.sub("{}", template.rstrip("/"))


def read_specification(
    document: dict[str, Any],
    *,
    prefix: str = "",
    location: str = "",
    documents: Mapping[str, Any] | None = None,
    remarks: Iterable[str] = (),
) -> Specification:
    """Return what a document says about an API.

    Args:
        document: As it was decoded.
        prefix: Path in front of every route on this host: operations' paths begin behind it.
        location: Where it was found.
        documents: All that references may lead into, by address; None for this one alone.
        remarks: What could not be had of them.

    Raises:
        SpecificationError: Its version is unknown, or it has no paths.
    """
    version = document.get("swagger", document.get("openapi"))
    if not _VERSION.fullmatch(str(version)):
        shown = "no version" if version is None else f"version {clean_text(version, longest=40)!r}"
        raise SpecificationError(
            f"It names {shown}: OpenAPI 3.0 to 3.2 and Swagger 2.0 are understood."
        )
    paths = document.get("paths")
    if not isinstance(paths, dict) or len(paths) > _MOST_PATHS:
        most = f"It has no paths, or more than {_MOST_PATHS}"
        raise SpecificationError(f"{most}: that is no specification of an API.")
    schemas = Schemas({"": document} if documents is None else documents, remarks)
    info = _mapping(document.get("info"))
    return Specification(
        version=str(version),
        title=f"{_text(info.get('title')) or 'no title'} {_text(info.get('version'))}".strip(),
        servers=tuple(_servers(document)),
        operations=tuple(_operations(document, schemas, prefix)),
        remarks=schemas.remarks,
        location=location,
    )


def _operations(document: dict[str, Any], schemas: Schemas, prefix: str) -> Iterator[Operation]:
    """Yield every operation, in the document's order."""
    for path, entry in document["paths"].items():
        item = schemas.follow(entry) if isinstance(path, str) and path.startswith("/") else {}
        for method in (each for each in _METHODS if isinstance(item.get(each), dict)):
            holders = (item[method], item, document)
            server = next((url for each in holders for url in _servers(each)), "")
            whole = urlsplit(resolved_link("https://host/", server)).path.rstrip("/")
            whole += _FORMAT_SUFFIX.sub("", path)
            at = whole.removeprefix(prefix) if whole.startswith(f"{prefix}/") else whole
            yield Operation(method=method.upper(), path=at, item=item, schemas=schemas)


def _servers(holder: dict[str, Any]) -> Iterator[str]:
    """Yield the addresses that a document, path or operation names."""
    host, base = _text(holder.get("host")), _text(holder.get("basePath"))
    if host or base:
        yield f"https://{host}{base}" if host else base
    for server in map(_mapping, _list(holder.get("servers"))):
        url = _text(server.get("url"))
        for name, variable in _mapping(server.get("variables")).items():
            url = url.replace(f"{{{name}}}", _text(_mapping(variable).get("default")))
        if url:
            yield url


class Schemas:
    """The schemas of some documents, in both families alike.

    Args:
        documents: By the address that references have.
        remarks: What could not be had of them.
    """

    def __init__(self, documents: Mapping[str, Any], remarks: Iterable[str]) -> None:
        self._documents = documents
        self.remarks: dict[str, None] = dict.fromkeys(remarks)
        """Sentences, each once, in order."""
        self._steps = 0
        self._listed: dict[str, tuple[Field, ...]] = {}

    def follow(self, value: object) -> dict[str, Any]:
        """Return an object, or the one it refers to; empty when that is none."""
        for _ in range(_LONGEST_CHAIN):
            reference = _mapping(value).get("$ref")
            if not isinstance(reference, str):
                return _mapping(value)
            value = self._found(reference)
        self.remarks["A reference leads back to itself."] = None
        return {}

    def _found(self, reference: str) -> object:
        """Return what a reference leads to, None for nothing."""
        url, pointer = urldefrag(reference)
        value, (start, *keys) = self._documents.get(url), pointer.split("/")
        for key in map(unquote, keys):
            name = key.replace("~1", "/").replace("~0", "~")
            rows = {str(at): each for at, each in enumerate(_list(value))} or _mapping(value)
            value = rows.get(name)
        if value is None or start:
            how = "leads nowhere" if url in self._documents else "stands outside the document"
            self.remarks[f"{clean_text(reference, longest=120)} {how} and is not followed."] = None
        return None if start else value

    def fields(self, schema: object) -> tuple[Field, ...]:
        """Return what `schema` describes, its path empty, and its members, level by level.

        A value is described by all that its schema refers to and is combined of, together. Of
        choices, nothing is demanded unless there is only one.
        """
        whole = _mapping(schema)
        key = str(whole["$ref"]) if whole.keys() == {"$ref"} else ""
        if key in self._listed:  # many operations answer the same component
            return self._listed[key]
        parts: dict[str, list[dict[str, Any]]] = {}
        demanded, seen = {""}, set[tuple[str, str]]()
        waiting = deque([("", schema, True)])
        while waiting and len(parts) <= _MOST_FIELDS:
            path, value, is_sure = waiting.popleft()
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise SpecificationError("It unfolds to more than a specification has.")
            part = _mapping(value)
            parts.setdefault(path, []).append(part)
            demanded |= {f"{path}.{name}" for name in _list(part.get("required")) if is_sure}
            reference = part.get("$ref")
            if isinstance(reference, str) and (path, reference) not in seen:
                seen.add((path, reference))
                waiting.appendleft((path, self._found(reference), is_sure))
            for keyword in ("allOf", "oneOf", "anyOf"):
                listed = [each for each in _list(part.get(keyword)) if each != {"type": "null"}]
                is_one = keyword == "allOf" or len(listed) == 1
                waiting.extendleft((path, each, is_sure and is_one) for each in listed)
            if path.count(".") + path.count("[]") < _DEEPEST:
                members = _mapping(part.get("properties"))
                # A name with a dot or brackets could be taken for a path.
                names = (name for name in members if not _PATH_SIGN.search(str(name)))
                waiting += ((f"{path}.{name}", members[name], True) for name in names)
                waiting += [(f"{path}[]", part["items"], True)] if "items" in part else []
        found: dict[str, Field] = {}
        for path, described in parts.items():
            above = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
            is_there = not path or found[above].is_required
            is_there = is_there and (path in demanded or path.endswith("[]"))
            found[path] = _field(path.removeprefix("."), described, is_required=is_there)
        if key:
            self._listed[key] = tuple(found.values())
        return tuple(found.values())


def _field(path: str, parts: list[dict[str, Any]], *, is_required: bool) -> Field:
    kinds, values = set[str](), dict[str, None]()
    first: object = None
    for part in parts:
        kinds |= {"object"} if "properties" in part else {"array"} if "items" in part else set()
        kind = part.get("type")
        kinds |= {each for each in _list(kind) or [kind] if isinstance(each, str)} - {"null"}
        listed = [part["const"]] if "const" in part else _list(part.get("enum"))
        values |= {value: None for value in listed if isinstance(value, str)}
        first = part.get("default", part.get("minimum")) if first is None else first
    told = frozenset(kinds), tuple(values)
    return Field(path=path, kinds=told[0], values=told[1], first=first, is_required=is_required)


def _schema_of(holder: dict[str, Any]) -> Any:  # noqa: ANN401  # a schema is an object or a truth
    """Return the schema of the JSON among the contents, None when there is none."""
    for kind, media in _mapping(holder.get("content")).items():
        if "json" in str(kind).lower() or str(kind).startswith("*/*"):
            return _mapping(media).get("schema") or {}
    return None


def _mapping(value: object) -> dict[str, Any]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return text as it is shown, empty for anything else; a version may be written as a number."""
    is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return clean_text(str(value), longest=300) if is_text else ""
