"""Schemas into flat lists of their members: what may stand where, and of what type.

Schemas are graphs: they refer to each other and to themselves. A reference is followed once on the
way down, so a tree of comments is listed one level deep, and the schemas read are counted, for few
of them can unfold to very many. References are resolved by `referencing`, among the documents that
are handed in; it knows no network.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import urldefrag, urljoin

from attrs import define, field, frozen
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from bestdefense_async.errors import clean_text
from bestdefense_async.openapi.document import SpecificationError

_MOST_REMARKS: Final = 100
_LONGEST_CHAIN: Final = 32
_DEEPEST: Final = 10
"""Names in a path; ours have four."""
_MOST_FIELDS: Final = 500
_MOST_STEPS: Final = 3_000_000
"""Schemas read in all, each as often as it is met."""


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


_Node = tuple[object, str, frozenset[str]]
"""A schema, the address that its references are relative to, and those on the way to it."""


@define(kw_only=True)
class _Shape:
    """Schemas of one value with their references and combinations resolved."""

    kinds: set[str] = field(factory=set)
    values: dict[str, None] = field(factory=dict)
    first: object = None
    required: set[str] = field(factory=set)
    properties: dict[str, list[_Node]] = field(factory=dict)
    items: list[_Node] = field(factory=list)

    def field(self, path: str, *, is_required: bool) -> Field:
        """Return what is known of the value at a path."""
        kinds, values = frozenset(self.kinds), tuple(self.values)
        return Field(
            path=path, kinds=kinds, values=values, first=self.first, is_required=is_required
        )


class Schemas:
    """The schemas of some documents, and what could not be followed in them.

    Args:
        documents: By the address that their references are relative to.
    """

    def __init__(self, documents: dict[str, Any]) -> None:
        resources = ((url, Resource.opaque(each)) for url, each in documents.items())
        self._registry: Registry[Any] = Registry().with_resources(resources)
        self.remarks: dict[str, None] = {}
        """Sentences, each once, in order."""
        self._steps = 0
        self._listed: dict[tuple[str, str], tuple[Field, ...]] = {}

    def follow(self, value: object, base: str) -> tuple[dict[str, Any], str]:
        """Return an object, or what it refers to, and its address; empty when that is none."""
        for _ in range(_LONGEST_CHAIN):
            reference = as_mapping(value).get("$ref")
            if not isinstance(reference, str):
                return as_mapping(value), base
            value, base, _ = self._found(reference, base)
        self._remark("A reference leads back to itself.")
        return {}, base

    def _found(self, reference: str, base: str) -> tuple[Any, str, str]:
        """Return what a reference leads to, None for nothing, its document and whole address."""
        shown, whole = clean_text(reference, longest=120), reference
        try:
            whole = urljoin(base, reference)
            there = urldefrag(whole)[0]
            if there in self._registry:
                return self._registry.resolver().lookup(whole or "#").contents, there, whole
            self._remark(f"{shown} stands outside the document and is not fetched.")
        except (Unresolvable, ValueError, TypeError, LookupError, AttributeError):
            # The library steps into whatever is on the way, also into null and numbers.
            self._remark(f"{shown} leads nowhere.")
        return None, base, whole

    def _remark(self, sentence: str) -> None:
        if len(self.remarks) < _MOST_REMARKS:
            self.remarks[sentence] = None

    def fields(self, schema: object, base: str) -> tuple[Field, ...]:
        """Return the members of what `schema` describes, level by level; `[]` for a list itself.

        Raises:
            SpecificationError: The schemas of all documents unfold without end.
        """
        members = as_mapping(schema)
        key = (base, str(members.get("$ref"))) if members.keys() == {"$ref"} else None
        # Many operations answer the same component.
        if key is not None and key in self._listed:
            return self._listed[key]
        found: list[Field] = []
        waiting = deque[tuple[str, list[_Node], bool]]([("", [(schema, base, frozenset())], True)])
        while waiting and len(found) < _MOST_FIELDS:
            path, nodes, is_required = waiting.popleft()
            shape = self._shape(nodes)
            if path:
                found.append(shape.field(path, is_required=is_required))
            if path.count(".") + path.count("[]") >= _DEEPEST:
                continue
            if shape.items:
                waiting.append((f"{path}[]", shape.items, is_required))
            for name, inner in shape.properties.items():
                # A name with a dot or brackets could be taken for a path.
                if not set(".[]") & set(name):
                    below = f"{path}.{name}" if path else name
                    waiting.append((below, inner, is_required and name in shape.required))
        if key is not None:
            self._listed[key] = tuple(found)
        return tuple(found)

    def parameter(self, name: str, schema: object, base: str, *, is_required: bool) -> Field:
        """Return a parameter as a field."""
        shape = self._shape([(schema, base, frozenset())])
        return shape.field(name, is_required=is_required)

    def _shape(self, nodes: list[_Node]) -> _Shape:
        shape = _Shape()
        for node in nodes:
            self._add(shape, node)
        return shape

    def _add(self, shape: _Shape, node: _Node) -> None:
        """Add what a schema says to `shape`."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise SpecificationError("Its schemas unfold to more than a specification has.")
        schema, base, seen = as_mapping(node[0]), *node[1:]
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found, there, whole = self._found(reference, base)
            if whole not in seen:
                self._add(shape, (found, there, seen | {whole}))
        _add_keywords(shape, schema)
        for name, inner in as_mapping(schema.get("properties")).items():
            # What several schemas of an `allOf` say of one member holds together.
            shape.properties.setdefault(str(name), []).append((inner, base, seen))
        if "items" in schema:
            shape.items.append((schema["items"], base, seen))
        for inner in as_list(schema.get("allOf")):
            self._add(shape, (inner, base, seen))
        for choices in (as_list(schema.get("oneOf")), as_list(schema.get("anyOf"))):
            demanded, by_choice = shape.required, list[set[str]]()
            for each in choices:
                shape.required = set()
                self._add(shape, (each, base, seen))
                by_choice.append(shape.required)
            # Of choices, only what all demand is demanded.
            shape.required = demanded.union(set.intersection(*by_choice) if by_choice else ())
        shape.kinds |= {"object"} if shape.properties else set()
        shape.kinds |= {"array"} if shape.items else set()


def _add_keywords(shape: _Shape, schema: dict[str, Any]) -> None:
    kinds = schema.get("type")
    for kind in as_list(kinds) or [kinds]:
        shape.kinds |= {kind} if isinstance(kind, str) and kind != "null" else set()
    values = [schema["const"]] if "const" in schema else as_list(schema.get("enum"))
    shape.values |= {value: None for value in values if isinstance(value, str)}
    shape.required |= {name for name in as_list(schema.get("required")) if isinstance(name, str)}
    if shape.first is None:
        shape.first = schema.get("default", schema.get("minimum"))


def as_mapping(value: object) -> dict[str, Any]:
    """Return an object as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []
