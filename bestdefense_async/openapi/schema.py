"""A schema into the flat list of its members: what may stand where, and of what type.

Schemas are graphs: they refer to each other and to themselves. A reference is followed once on the
way down, so a tree of comments is listed one level deep. The number of schemas read is capped, for
few of them can unfold to very many. References are resolved inside the document; none is fetched.

Libraries that were considered, and what decided:

- `openapi-spec-validator` (and `openapi-core` on top of it) drags in pydantic, pydantic-settings
  and 20 MB, and fetches remote references unless told otherwise. It refuses a document over the
  smallest slip, and generated ones have slips; for comparing only what we read need be right.
- `prance` unfolds references into copies, which a schema that refers to itself has no end of, and
  brings `requests` to fetch what is elsewhere.
- `referencing`, which jsonschema itself is built on, resolves pointers lazily and knows no network:
  a resource that was not handed in does not exist. It knows nothing of OpenAPI, and need not.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from bestdefense_async.errors import clean_text
from bestdefense_async.openapi.document import SpecificationError
from bestdefense_async.openapi.model import Field

if TYPE_CHECKING:
    from collections.abc import Iterator


_MOST_REMARKS: Final = 100
_LONGEST_CHAIN: Final = 32


class References:
    """Resolves the references of one document, and remembers what it could not follow."""

    def __init__(self, document: dict[str, Any]) -> None:
        registry: Registry[Any] = Registry().with_resource("", Resource.opaque(document))
        self._resolver = registry.resolver()
        self._known: dict[str, Any] = {}
        self.remarks: dict[str, None] = {}
        """Sentences, each once, in order."""

    def resolve(self, reference: str) -> Any:  # noqa: ANN401  # any part of a document
        """Return what a reference leads to, None when it leads nowhere in this document."""
        if reference not in self._known:
            self._known[reference] = self._find(reference)
        return self._known[reference]

    def follow(self, value: object) -> dict[str, Any]:
        """Return an object, or what it refers to; empty when that is no object."""
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self.resolve(reference)
        self._remark("A reference leads back to itself.")
        return {}

    def _find(self, reference: str) -> Any:  # noqa: ANN401  # any part of a document
        shown = clean_text(reference, longest=120)
        if not reference.startswith("#"):
            self._remark(f"{shown} stands outside the document and is not fetched.")
            return None
        try:
            return self._resolver.lookup(reference).contents
        except (Unresolvable, ValueError, TypeError, LookupError, AttributeError):
            # The library steps into whatever is on the way, also into null and numbers.
            self._remark(f"{shown} leads nowhere.")
        return None

    def _remark(self, sentence: str) -> None:
        if len(self.remarks) < _MOST_REMARKS:
            self.remarks[sentence] = None


_DEEPEST: Final = 10
"""Names in a path; ours have four."""
_MOST_FIELDS: Final = 500
_MOST_STEPS: Final = 1_000_000


@define(kw_only=True)
class _Shape:
    """A schema with its references and combinations resolved."""

    kinds: set[str] = field(factory=set)
    format: str | None = None
    pattern: str | None = None
    values: list[str] = field(factory=list)
    required: set[str] = field(factory=set)
    properties: dict[str, tuple[Any, frozenset[str]]] = field(factory=dict)
    """Schema of each member, and the references on the way to it."""
    items: tuple[Any, frozenset[str]] | None = None


@frozen(kw_only=True)
class _Node:
    """A schema and where it stands."""

    path: str
    schema: object
    refs: frozenset[str]
    """The references on the way to it."""
    is_required: bool


@define
class Flattener:
    """Lists the members of schemas of one specification."""

    references: References
    _steps: int = 0

    def fields(self, schema: object) -> tuple[Field, ...]:
        """Return the members of what `schema` describes, level by level, at most 500.

        A list of the schema itself has the path `[]`.

        Raises:
            SpecificationError: The specification's schemas unfold without end.
        """
        found: list[Field] = []
        waiting = deque([_Node(path="", schema=schema, refs=frozenset(), is_required=True)])
        while waiting and len(found) < _MOST_FIELDS:
            node = waiting.popleft()
            shape = self._shape(node.schema, node.refs)
            if node.path:
                found.append(_field(node.path, shape, is_required=node.is_required))
            if node.path.count(".") + node.path.count("[]") < _DEEPEST:
                waiting.extend(_below(node, shape))
        return tuple(found)

    def one(self, name: str, schema: object, *, is_required: bool) -> Field:
        """Return a parameter as a field."""
        shape = self._shape(schema, frozenset())
        return _field(name, shape, is_required=is_required)

    def _shape(self, schema: object, refs: frozenset[str]) -> _Shape:
        shape = _Shape()
        self._add(shape, schema, refs)
        return shape

    def _add(self, shape: _Shape, schema: object, refs: frozenset[str]) -> None:
        """Add what a schema says to `shape`."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise SpecificationError("Its schemas unfold to more than a specification has.")
        if not isinstance(schema, dict):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in refs:
            self._add(shape, self.references.resolve(reference), refs | {reference})
        _add_keywords(shape, schema)
        for name, inner in _mapping(schema.get("properties")).items():
            known, seen = shape.properties.get(name, (None, refs))
            # What several schemas of an `allOf` say of one member holds together.
            both = inner if known is None else {"allOf": [known, inner]}
            shape.properties[name] = (both, seen | refs)
        if "items" in schema and shape.items is None:
            shape.items = (schema["items"], refs)
            shape.kinds.add("array")
        shape.required |= {name for name in _list(schema.get("required")) if isinstance(name, str)}
        for inner in _list(schema.get("allOf")):
            self._add(shape, inner, refs)
        self._add_choices(shape, schema, refs)
        if shape.properties:
            shape.kinds.add("object")

    def _add_choices(self, shape: _Shape, schema: dict[str, Any], refs: frozenset[str]) -> None:
        """Add what one of several schemas may say: only what all demand is required."""
        for keyword in ("oneOf", "anyOf"):
            choices = [self._shape(each, refs) for each in _list(schema.get(keyword))]
            choices = [each for each in choices if each != _Shape()]
            if not choices:
                continue
            for choice in choices:
                shape.kinds |= choice.kinds
                shape.format = shape.format or choice.format
                shape.pattern = shape.pattern or choice.pattern
                shape.values += choice.values
                shape.items = shape.items or choice.items
                shape.properties = {**choice.properties, **shape.properties}
            shape.required |= set.intersection(*(each.required for each in choices))


def _below(node: _Node, shape: _Shape) -> Iterator[_Node]:
    """Yield what stands directly in a node of that shape."""
    path = node.path
    if shape.items is not None:
        schema, refs = shape.items
        yield _Node(path=f"{path}[]", schema=schema, refs=refs, is_required=node.is_required)
    for name, (schema, refs) in shape.properties.items():
        # A name with a dot or brackets could be taken for a path.
        if not set(".[]") & set(name):
            yield _Node(
                path=f"{path}.{name}" if path else name,
                schema=schema,
                refs=refs,
                is_required=node.is_required and name in shape.required,
            )


def _add_keywords(shape: _Shape, schema: dict[str, Any]) -> None:
    given = schema.get("type")
    kinds = [given] if isinstance(given, str) else _list(given)
    shape.kinds |= {kind for kind in kinds if isinstance(kind, str) and kind != "null"}
    values = _list(schema.get("enum"))
    if "const" in schema:
        values = [schema["const"]]
    shape.values += [value for value in values if isinstance(value, str)]
    for name in ("format", "pattern"):
        value = schema.get(name)
        if isinstance(value, str) and getattr(shape, name) is None:
            setattr(shape, name, value)


def _field(path: str, shape: _Shape, *, is_required: bool) -> Field:
    return Field(
        path=path,
        kinds=frozenset(shape.kinds),
        format=shape.format,
        pattern=shape.pattern,
        values=tuple(dict.fromkeys(shape.values)),
        is_required=is_required,
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
