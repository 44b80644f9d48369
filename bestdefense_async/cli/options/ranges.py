"""What a network scan is asked to scan: names, addresses and networks, and how many that is."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

from bestdefense_async.core.host import normalise_host
from bestdefense_async.errors import TargetError, clean_text

_LIKE_ADDRESS: Final = re.compile(r"[0-9.]+(?:/.*)?|.*:.*|.*/.*")


class NetworkRange(NamedTuple):
    """One target of a network scan."""

    text: str
    """As it is sent."""
    addresses: int
    """How many addresses it is; 1 for a name."""
    is_public: bool
    """Whether any of them can be reached from everywhere; of a name nobody knows."""


def read_range(text: str) -> NetworkRange:
    """Return what a target of a network scan is.

    Raises:
        TargetError: It is no host name, address or network.
    """
    shown = clean_text(text, longest=80)
    if not _LIKE_ADDRESS.fullmatch(text):
        try:
            return NetworkRange(normalise_host(text), 1, is_public=False)
        except ValueError:
            pass
        raise TargetError(f"{shown!r} is no host name, address or network.", target=text)
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network is None:
        raise TargetError(_meant(text, shown), target=text)
    plain = str(network.network_address) if network.num_addresses == 1 else str(network)
    return NetworkRange(plain, network.num_addresses, is_public=_is_public(network))


def _is_public(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Return whether a network reaches beyond what is private, also when it is wider."""
    return network.is_global or not (network.is_private or network.is_link_local)


def _meant(text: str, shown: str) -> str:
    try:
        return f"{shown!r} is no network: did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return f"{shown!r} is no address or network."
