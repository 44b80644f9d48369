"""The bytes of a specification into plain data: JSON or YAML, strictly, and never a bomb.

YAML is read with PyYAML's safe loader, so no tag makes an object. Before it builds anything, the
stream of events is counted: how deep it nests, and how many values it has once every alias is
written out.

An API page for people may embed a specification or link to it. Swagger UI, Redoc, RapiDoc, Scalar
and the pages of Symfony's API bundles each do it in their own way; everything that was found is
returned, nothing is fetched here.
"""

from __future__ import annotations

import codecs
import json
import re
from contextlib import suppress
from html import unescape
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import yaml
from attrs import frozen

from bestdefense_async.core.json import DEEPEST, decode_json
from bestdefense_async.errors import ConfigError, DecodeError, clean_text
from bestdefense_async.files import encoding_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST: Final = 16 << 20
"""Bytes of a specification; the largest published ones have 12 MB."""
_MOST_VALUES: Final = 2_000_000
"""Values of a YAML document with every alias written out."""
_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "tag:yaml.org,2002:merge"


class SpecificationError(ConfigError):
    """A specification cannot be read."""


def decode(body: bytes) -> dict[str, Any]:
    """Return the object that a specification is, from JSON or YAML.

    Raises:
        SpecificationError: It is too large, a page, neither JSON nor YAML, or not an object.
    """
    if len(body) > LARGEST:
        raise too_large()
    text = _in_utf8(body).strip()
    if not text:
        raise SpecificationError("It is empty.")
    if is_page(text):
        raise SpecificationError("It is a page, not a specification.")
    value = _json(text) if text[:1] in {b"{", b"["} else _yaml(text)
    if not isinstance(value, dict):
        raise SpecificationError("It is not an object, so it cannot be a specification.")
    return value


def is_page(body: bytes) -> bool:
    """Return whether this looks like HTML or XML."""
    return _in_utf8(body).lstrip()[:1] == b"<"


def _in_utf8(body: bytes) -> bytes:
    """Return a text in UTF-8, without its mark."""
    if encoding_of(body) == "utf-16":
        return body.decode("utf-16", "replace").encode()
    return body.removeprefix(codecs.BOM_UTF8)


def too_large() -> SpecificationError:
    """Return the error for a specification above the cap."""
    return SpecificationError(f"It is larger than {LARGEST >> 20} MB, which no specification is.")


def _json(text: bytes) -> Any:  # noqa: ANN401  # JSON has no narrower type
    try:
        return decode_json(text)
    except DecodeError as error:
        problem = str(error).partition(": ")[2]
        raise SpecificationError(f"It is not strict JSON: {problem}") from None


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader, for JSON's kinds of value: a date stays text, a key stands once."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own table, without one row
        first: [(tag, pattern) for tag, pattern in rows if tag != "tag:yaml.org,2002:timestamp"]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        """Return a mapping whose keys are text, like JSON's.

        Raises:
            yaml.constructor.ConstructorError: A key stands twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                # `200` of a response and `yes` of a property are names, no number and no truth.
                key.tag = _TEXT
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, "an object names the same member twice", key.start_mark
                    )
                seen.add(key.value)
        built: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return built


def _yaml(text: bytes) -> Any:  # noqa: ANN401  # YAML has no narrower type
    try:
        words = text.decode("utf-8")
        _measure(yaml.parse(words, Loader=_Loader))
        return yaml.load(words, Loader=_Loader)  # noqa: S506  # a safe loader, see above
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        problem = f"line {line} is not UTF-8"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = "" if mark is None else f"line {mark.line + 1}: "
        problem += clean_text(getattr(error, "problem", None) or "it cannot be read", longest=120)
    except SpecificationError:
        raise
    except (RecursionError, ValueError):
        problem = "it holds a value that cannot be read"
    raise SpecificationError(f"It is neither JSON nor YAML: {problem}.")


def _measure(events: Iterable[Any]) -> None:
    """Check how deep and how large a document is, aliases written out.

    Raises:
        SpecificationError: It is too deep or too large, or holds itself.
    """
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # of each open collection: anchor, values before it
    total = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise SpecificationError("It holds an alias to what the alias stands in.")
            total += sizes.get(str(event.anchor), 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[str(anchor)] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            sizes[str(event.anchor)] = 1
        if len(opened) > DEEPEST:
            raise SpecificationError(f"It is nested deeper than {DEEPEST} levels.")
        if total > _MOST_VALUES:
            raise SpecificationError("Its aliases unfold to more values than a specification has.")


_ATTRIBUTE: Final = re.compile(
    r"""\b(?:spec-url|data-url|apidescriptionurl)\s*=\s*["']\s*([^"'\s]{1,2000})""", re.IGNORECASE
)
"""Attributes that hold the address of a specification, whatever the element."""
_CALL: Final = re.compile(
    r"""(?:\b(?:url|configUrl)["']?\s*:|Redoc\.init\()\s*["']([^"'\s]{1,2000})["']"""
)
_LINK: Final = re.compile(
    r"""<(a|link)\b([^<>]{0,2000}?)\bhref=["']([^"'<>]{1,2000})["']([^<>]{0,2000})""", re.IGNORECASE
)
_RELATED: Final = re.compile(r"service-desc|describedby|alternate", re.IGNORECASE)
_FILE: Final = re.compile(r"\.(?:json|jsonopenapi|ya?ml)(?:[?#]|$)")
_NAMED: Final = re.compile(r"openapi|swagger|api.*doc|doc.*api|spec", re.IGNORECASE)
_TOOL: Final = re.compile(r"openapi|swagger|redoc", re.IGNORECASE)
_EMBEDDED: Final = re.compile(r"""(?:\A\s*|\bspec["']?\s*[:=]\s*)(?={)""")
"""What stands before a specification in a script."""
_MOST_OBJECTS: Final = 20
"""Objects of a script that are tried: broken ones within each other cost much."""


@frozen(kw_only=True)
class Page:
    """What a page holds and points to."""

    documents: tuple[dict[str, Any], ...]
    """Specifications that stand in the page itself."""
    links: tuple[str, ...]
    """Addresses as they are written, the likeliest first."""


def read_page(body: bytes) -> Page:
    """Return the specifications that a page embeds, and the addresses it gives for them.

    Raises:
        SpecificationError: It embeds one that is no strict JSON.
    """
    text = body.decode(encoding_of(body), "replace")
    links = _ATTRIBUTE.findall(text)
    documents: list[dict[str, Any]] = []
    # Cut first, so that no search goes over the same text twice.
    for piece in re.split(r"<script\b", text, flags=re.IGNORECASE)[1:]:
        script = piece.partition(">")[2].partition("</script")[0]
        if _TOOL.search(script):
            documents += _embedded(script)
            links += _CALL.findall(script)
    for tag, before, href, after in _LINK.findall(text):
        told = _RELATED.search(before + after) if tag.lower() == "link" else _NAMED.search(href)
        links += [href] if told and _FILE.search(href) else []
    found = dict.fromkeys(unescape(link) for link in links)
    return Page(documents=tuple(documents), links=tuple(found))


def _embedded(script: str) -> Iterator[dict[str, Any]]:
    """Yield the specifications that a script is, or has under `spec`."""
    problem, end = "", 0
    for match in islice(_EMBEDDED.finditer(script), _MOST_OBJECTS):
        with suppress(ValueError, RecursionError, DecodeError):
            if match.end() < end:
                continue
            _, end = json.JSONDecoder().raw_decode(script, match.end())
            problem = "It names a member twice, or is not strict JSON otherwise."
            value = decode_json(script[match.end() : end].encode("utf-8", "replace"))
            problem = ""
            yield from filter(is_specification, (value, value.get("spec")))
    if problem:
        raise SpecificationError(f"The page embeds a specification that is no JSON: {problem}")


def is_specification(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a document says that it is a specification."""
    return isinstance(value, dict) and bool({"openapi", "swagger"} & value.keys())


def links_of(settings: dict[str, Any]) -> list[str]:
    """Return the addresses that settings of Swagger UI name; none for a specification."""
    listed = settings.get("urls")
    rows = [settings, *(listed if isinstance(listed, list) else [])]
    links = [row.get(key) for row in rows if isinstance(row, dict) for key in ("url", "configUrl")]
    return [] if is_specification(settings) else [each for each in links if _is_link(each)]


def _is_link(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)


def references_of(document: object) -> Iterator[str]:
    """Yield the references of a document that lead out of it, each as it is written."""
    waiting, seen = [document], set[int]()
    for value in waiting:  # it grows
        if id(value) in seen or not isinstance(value, dict | list):
            continue  # YAML's aliases make one object stand in many places
        seen.add(id(value))
        waiting += value.values() if isinstance(value, dict) else value
        reference = value.get("$ref") if isinstance(value, dict) else None
        if _is_link(reference) and not reference.startswith("#"):
            yield reference
