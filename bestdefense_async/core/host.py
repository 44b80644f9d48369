"""Host names: the one form in which two of them are compared, and what a list of them allows.

Names are mapped by UTS 46 without its transitional rules, like browsers do: `faß.de` is a host of
its own and not `fass.de`, as IDNA 2003 has it.

Source: https://www.unicode.org/reports/tr46/
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from bestdefense_async.core.check import check_several, check_text
from bestdefense_async.errors import ConfigError, clean_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from urllib.parse import SplitResult

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_HOST: Final = 253
"""Characters of a host name in DNS, without the trailing dot."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_URL: Final = re.compile(r"https://[!-~]+")
_STANDARD_PORTS: Final = {"http": 80, "https": 443}


def normalise_host(host: str) -> str:
    """Return a host name or an address as it is compared and sent.

    A name is in lower case and ASCII, without the trailing dot. An IPv6 address has no brackets.

    Raises:
        ValueError: This cannot be the name or the address of a host.
    """
    if ":" in host:
        return ipaddress.IPv6Address(host).compressed
    if len(host) > LONGEST_HOST + 1:  # before any work that grows with it
        raise ValueError("a host name has at most 253 characters")
    name = (host if host.isascii() else _to_ascii(host)).lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("a label of a host name has 1 to 63 letters, digits and hyphens")
    if labels[-1].isdigit():
        return ipaddress.IPv4Address(name).compressed
    return name


def comparable_host(host: str) -> str:
    """Return what a host name is compared by, also one that no host can have.

    The API may know a site by any name: such a one equals only itself.
    """
    bare = host.strip()
    try:
        return normalise_host(bare)
    except ValueError:
        return bare


def written_host(netloc: str) -> str:
    """Return the host of `[user@]host[:port]` as it was written, an IPv6 address without brackets.

    `urlsplit(...).hostname` is in lower case by Python's rules, which are not those of host names.
    """
    bare = netloc.rpartition("@")[2]
    return bare[1:].partition("]")[0] if bare.startswith("[") else bare.partition(":")[0]


def authority(parts: SplitResult) -> str:
    """Return host and port of a URL as they are compared: without the port of its scheme.

    Raises:
        ValueError: There is no host, or the host or the port is none.
    """
    host, port = normalise_host(written_host(parts.netloc)), parts.port
    shown = f"[{host}]" if ":" in host else host
    return shown if port in {None, _STANDARD_PORTS.get(parts.scheme)} else f"{shown}:{port}"


def _to_ascii(host: str) -> str:
    import idna  # noqa: PLC0415  # large tables, and nearly every name is ASCII

    mapped = idna.uts46_remap(host, std3_rules=False)
    # Label by label: an underscore elsewhere in the name is none of its business.
    return ".".join(
        label if label.isascii() else idna.alabel(label).decode("ascii")
        for label in mapped.split(".")
    )


def checked_hosts(hosts: Collection[str]) -> frozenset[str]:
    """Return hosts that downloads may be redirected to, as `redirect_target` compares them.

    Raises:
        ConfigError: One of them is not of the form `cdn.example.com` or `cdn.example.com:8443`.
    """
    several = check_several("download_hosts", hosts, like="['cdn.example.com']")
    return frozenset(map(_checked_host, several))


def _checked_host(host: str) -> str:
    with contextlib.suppress(ValueError):
        parts = urlsplit(f"https://{host}")
        if parts.netloc == host and "@" not in host:
            return authority(parts)
    raise ConfigError(f"{clean_text(host, longest=80)!r} is no host like cdn.example.com.")


def redirect_target(location: str, hosts: Collection[str]) -> str | None:
    """Return the URL that a redirect of a download points to, None when it is not to be followed.

    Followed are https URLs without user name at one of `hosts`, and nothing else.
    """
    try:
        parts = urlsplit(location)
        is_known = authority(parts) in hosts
    except ValueError:
        return None
    is_plain = _URL.fullmatch(location) and "@" not in parts.netloc and "\\" not in location
    return location.partition("#")[0] if is_plain and is_known else None


class Scope:
    """What an organization may scan, whatever its token would be able to start.

    It is a list of host names, `*.` and a domain for all names below it, addresses and networks.

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
