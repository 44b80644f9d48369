"""A site of the organization."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class Site:
    """A web application or API that can be scanned.

    Source: api-facts, "list sites". (documented)
    """

    id: str
    """The site's UUID, kept as text."""
    hostname: str
    """Its host name, as the API writes it."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""
