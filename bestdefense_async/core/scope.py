"""What an organization may scan: its own list, whatever its token would be able to start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from bestdefense_async.core.check import check_text
from bestdefense_async.core.host import normalise_host
from bestdefense_async.errors import ConfigError, clean_text

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Scope:
    """Host names, `*.` and a domain for all names below it, addresses and networks.

    Raises:
        ConfigError: An entry is none of these.
    """

    def __init__(self, allow: Iterable[str]) -> None:
        if isinstance(allow, str) or not isinstance(allow, Iterable):
            raise ConfigError("allow is a list of host names, such as ['*.acme.example'].")
        self._names: set[str] = set()
        self._domains: set[str] = set()
        self._networks: list[_Network] = []
        for entry in allow:
            self._add(check_text("allow", entry))

    def _add(self, entry: str) -> None:
        network = _network_of(entry)
        if network is not None:
            self._networks.append(network)
            return
        names = self._domains if entry.startswith("*.") else self._names
        try:
            names.add(normalise_host(entry.removeprefix("*.")))
        except ValueError:
            shown = clean_text(repr(entry), longest=100)
            raise ConfigError(
                f"{shown} cannot be allowed: write a host name, *.domain or a network."
            ) from None

    def covers(self, host: str) -> bool:
        """Return whether a host name, an address or a network lies within."""
        network = _network_of(host)
        if network is not None:
            return any(
                network.version == each.version and network.subnet_of(each)  # type: ignore[arg-type]
                for each in self._networks
            )
        try:
            name = normalise_host(host)
        except ValueError:
            return False
        parents = (name.split(".", count)[-1] for count in range(1, name.count(".") + 1))
        return name in self._names or any(parent in self._domains for parent in parents)


def _network_of(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
