"""A scan of a network: a report of its own, with an id space of its own."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class NetworkScan:
    """A network scan that has been started.

    That there are network scans is described; the members are inferred.
    """

    id: str
    targets: tuple[str, ...] = ()
    """Host names, addresses or networks, as the server took them."""
    jump_box: str | None = None
    """The machine inside the network it goes through; None for a direct scan."""
    extra: Mapping[str, Any] = field(factory=dict)
    """Members of the answer that this class does not name."""
