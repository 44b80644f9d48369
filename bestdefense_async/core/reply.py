"""The two values that cross the seam to the wire: what leaves, and what came back."""

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class Outgoing:
    """One HTTP request, ready to be sent."""

    method: str
    path: str
    """Encoded, from the root of the API, perhaps with a query."""
    body: bytes | None = None
    """JSON, or None for no body."""
    may_repeat: bool = True
    """Whether it may safely arrive twice."""


@frozen(kw_only=True)
class Reply:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several values the first."""
    body: bytes
    """Decoded."""
    is_cut: bool = False
    """Whether the body goes on beyond the cap: only with a status of 400 or more."""
