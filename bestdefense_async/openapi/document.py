"""The bytes of a specification into plain data: JSON or YAML, strictly, and never a bomb.

YAML is read with PyYAML's safe loader, so no tag makes an object. Before it builds anything, its
events are counted: how deep they nest, and how many values there are with every alias written out.
"""

from __future__ import annotations

import re
from contextlib import suppress
from html import unescape
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import urldefrag, urljoin

import yaml

from bestdefense_async.core.json import DEEPEST, decode_json
from bestdefense_async.errors import ConfigError, DecodeError, clean_text
from bestdefense_async.files import decode_file

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST: Final = 16 << 20
"""Bytes of a specification; the largest published ones have 12 MB."""
_MOST_VALUES: Final = 2_000_000
"""Values of a YAML document with every alias written out."""
_MOST_SCRIPTS: Final = 200
"""Scripts of a page that are looked at."""
_ADDRESS: Final = re.compile(
    r"""(?i)\b(?:(?:spec-url|data-url|apiDescriptionUrl)\s*=|(?:configU|u)rl["']?\s*:|Redoc\.init\()"""
    r"""\s*["']\s*([^"'\s]{1,2000})"""
)
"""How Swagger UI, Redoc, RapiDoc, Scalar and Stoplight are told an address."""
_LINK: Final = re.compile(
    r"""(?i)\bhref=["']([^"'<>\s?#]{1,2000}\.(?:json|jsonopenapi|ya?ml)(?:[?#][^"'\s]{0,2000})?)["']"""
)


class SpecificationError(ConfigError):
    """A specification cannot be read."""


def read_document(body: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the object that a document is, and the addresses that it leads to.

    A page for people may hold a specification as JSON data, or the address of one, or of the
    settings of Swagger UI (`configUrl`), which lead on.

    Raises:
        SpecificationError: It is too large, neither JSON nor YAML, not an object, or a page that
            leads nowhere.
    """
    if len(body) > LARGEST:
        raise SpecificationError(too_large())
    try:
        text = decode_file(body).strip()
    except ValueError as error:
        raise SpecificationError(f"In {error}.") from None
    if text.startswith("<"):
        return _page(text)
    value = (_json if text.startswith(("{", "[")) else _yaml)(text)
    if not isinstance(value, dict):
        what = "not an object" if text else "empty"
        raise SpecificationError(f"It is {what}, so it cannot be a specification.")
    listed = value.get("urls")
    rows = [value, *(listed if isinstance(listed, list) else [])]
    links = [row.get(key) for row in rows if isinstance(row, dict) for key in ("url", "configUrl")]
    return value, [each for each in links if isinstance(each, str)]


def too_large() -> str:
    """Return what is wrong with more bytes than there may be."""
    return f"It is larger than {LARGEST >> 20} MB, which no specification is."


def is_specification(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a document says that it is a specification."""
    return isinstance(value, dict) and bool({"openapi", "swagger"} & value.keys())


def _page(text: str) -> tuple[dict[str, Any], list[str]]:
    # Cut first, so that no search goes over the same text twice.
    for piece in re.split(r"(?i)<script\b", text, maxsplit=_MOST_SCRIPTS)[1:]:
        head, _, rest = piece.partition(">")
        with suppress(SpecificationError):
            value = _json(rest.partition("</script")[0]) if "json" in head else None
            for each in (value, value.get("spec") if isinstance(value, dict) else None):
                if is_specification(each):
                    return each, []
    links = dict.fromkeys((*_ADDRESS.findall(text), *_LINK.findall(text)))
    if not links:
        raise SpecificationError("It is a page that names no document: give that with --from.")
    return {}, [unescape(link) for link in links]


def _json(text: str) -> Any:  # noqa: ANN401  # JSON has no narrower type
    try:
        return decode_json(text.encode("utf-8", "surrogatepass"))
    except DecodeError as error:
        problem = str(error).partition(": ")[2]
        raise SpecificationError(f"It is not strict JSON: {problem}") from None


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader, for JSON's kinds of value: a date stays text, a key stands once."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own table, without one row
        first: [row for row in rows if not row[0].endswith(":timestamp")]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        """Return a mapping whose keys are text, like JSON's, and stand once."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                # `200` of a response and `yes` of a property are names, no number and no truth.
                key.tag = "tag:yaml.org,2002:str"
                if key.value in seen:
                    problem = "an object names the same member twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        built: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return built


def _yaml(text: str) -> Any:  # noqa: ANN401  # YAML has no narrower type
    try:
        _measure(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader, see above
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = "" if mark is None else f"line {mark.line + 1}: "
        problem += clean_text(getattr(error, "problem", None) or "it cannot be read", longest=120)
    except SpecificationError:
        raise
    except (RecursionError, ValueError):
        problem = "it holds a value that cannot be read"
    raise SpecificationError(f"It is neither JSON nor YAML: {problem}.")


def _measure(text: str) -> None:
    """Check how deep and how large a YAML document is, aliases written out."""
    sizes: dict[str | None, int] = {}
    opened: list[tuple[str | None, int]] = []  # of each open collection: anchor, values before it
    total = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise SpecificationError("It holds an alias to what the alias stands in.")
            total += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, total))
            sizes[event.anchor] = 1
            total += 1
        if len(opened) > DEEPEST:
            raise SpecificationError(f"It is nested deeper than {DEEPEST} levels.")
        if total > _MOST_VALUES:
            raise SpecificationError("Its aliases unfold to more values than a specification has.")


def absolute_references(document: object, base: str) -> Iterator[str]:
    """Write every reference of a document with its whole address, and yield the documents'."""
    waiting, seen = [document], set[int]()
    for value in waiting:  # it grows
        if id(value) in seen or not isinstance(value, dict | list):
            continue  # YAML's aliases make one object stand in many places
        seen.add(id(value))
        waiting += value.values() if isinstance(value, dict) else value
        if isinstance(value, dict) and isinstance(value.get("$ref"), str):
            value["$ref"] = resolved_link(base, value["$ref"])
            yield urldefrag(value["$ref"])[0]


def resolved_link(base: str, link: str) -> str:
    """Return the address that a link at `base` leads to; empty when it is none."""
    try:
        return urljoin(base, link)
    except ValueError:
        return ""
