"""An API page for people into what a program wants: the specification in it, or where it stands.

Swagger UI, Redoc, RapiDoc, Scalar and the pages of Symfony's API bundles each say it in their own
way; every way found is handed back, nothing is fetched here.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any, Final

from attrs import frozen

from bestdefense_async.core.strict_json import decode_json
from bestdefense_async.errors import DecodeError
from bestdefense_async.specification.document import SpecificationError

_ATTRIBUTES: Final = ("data-spec-url", "spec-url", "apidescriptionurl", "data-url")
"""Attributes that hold the address of a specification, whatever the element."""
_RELATIONS: Final = frozenset({"service-desc", "describedby", "alternate"})
_FILE: Final = re.compile(r"\.(?:json|jsonopenapi|ya?ml)(?:[?#]|$)")
_NAMED: Final = re.compile(r"openapi|swagger|api.*doc|doc.*api|spec", re.IGNORECASE)
_CALL_URL: Final = re.compile(r"""\burl["']?\s*:\s*["']([^"'\s]{1,2000})["']""")
_REDOC: Final = re.compile(r"""Redoc\.init\(\s*["']([^"'\s]{1,2000})["']""")
_CALL_SPEC: Final = re.compile(r"""\bspec["']?\s*[:=]\s*(?={)""")


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
    reader = _Reader()
    reader.feed(body.decode("utf-8", "replace"))
    reader.close()
    links = [*reader.links, *reader.anchors]
    return Page(documents=tuple(reader.documents), links=tuple(dict.fromkeys(links)))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.documents: list[dict[str, Any]] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self._script: list[str] | None = None
        self._is_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an address, and whether a script begins."""
        given = {name: value.strip() for name, value in attrs if value}
        self.links += [given[name] for name in _ATTRIBUTES if name in given]
        href = given.get("href", "")
        if tag == "link" and _RELATIONS & set(given.get("rel", "").lower().split()):
            kind = given.get("type", "").lower()
            if _FILE.search(href) or "openapi" in kind or "swagger" in kind:
                self.links.append(href)
        if tag == "a" and _FILE.search(href) and _NAMED.search(href):
            self.anchors.append(href)
        if tag == "script":
            self._script = []
            self._is_data = "json" in given.get("type", "")

    def handle_data(self, data: str) -> None:
        """Keep the text of a script."""
        if self._script is not None:
            self._script.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Look at a script that is complete."""
        if tag != "script" or self._script is None:
            return
        text, self._script = "".join(self._script), None
        if self._is_data:
            self._take_data(text)
        else:
            self._take_code(text)

    def _take_data(self, text: str) -> None:
        if '"openapi"' not in text and '"swagger"' not in text:
            return
        problem = ""
        try:
            self._take(decode_json(text.strip().encode("utf-8", "replace")))
        except DecodeError as error:
            problem = str(error).partition(": ")[2]
        if problem:
            raise SpecificationError(f"The page embeds a specification that is no JSON: {problem}")

    def _take_code(self, text: str) -> None:
        self.links += _REDOC.findall(text)
        if "SwaggerUI" not in text and "openapi" not in text and "swagger" not in text:
            return
        for match in _CALL_SPEC.finditer(text):
            try:
                value, _ = json.JSONDecoder().raw_decode(text, match.end())
            except (ValueError, RecursionError):
                continue
            # Once more, strictly.
            self._take_data(json.dumps(value))
        self.links += _CALL_URL.findall(text)

    def _take(self, value: object) -> None:
        """Keep a specification, also one that stands under `spec`."""
        for candidate in (value, value.get("spec") if isinstance(value, dict) else None):
            if isinstance(candidate, dict) and {"openapi", "swagger"} & candidate.keys():
                self.documents.append(candidate)
                return
