"""References inside one document, by the library `referencing`; none is ever fetched.

Libraries looked at, with what made the choice:

- `openapi-spec-validator` (and `openapi-core` on top of it) drags in pydantic, pydantic-settings
  and 20 MB, and fetches remote references unless told otherwise. It refuses a document over the
  smallest slip, and generated ones have slips; for comparing only what we read need be right.
- `prance` unfolds references into copies, which a schema that refers to itself has no end of, and
  brings `requests` to fetch what is elsewhere.
- `referencing`, which jsonschema itself is built on, resolves pointers lazily and knows no network:
  a resource that was not handed in does not exist. It knows nothing of OpenAPI, and need not.
"""

from __future__ import annotations

from typing import Any, Final

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from bestdefense_async.errors import clean_text

_MOST_REMARKS: Final = 100
_LONGEST_CHAIN: Final = 32


class References:
    """Looks up the references of one document, and remembers what it could not follow."""

    def __init__(self, document: dict[str, Any]) -> None:
        registry: Registry[Any] = Registry().with_resource("", Resource.opaque(document))
        self._resolver = registry.resolver()
        self._known: dict[str, Any] = {}
        self.remarks: dict[str, None] = {}
        """Sentences, each once, in order."""

    def look_up(self, reference: str) -> Any:  # noqa: ANN401  # any part of a document
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
            value = self.look_up(reference)
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
