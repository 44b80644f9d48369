"""What a scan finds: the same for a host every time, and different between hosts.

Source: location, evidence, severity, guidance and CWE of a finding are documented in prose; how
many findings a site has is our guess at a fleet in which most sites are in fair order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.sandbox.chance import digest
from bestdefense_async.sandbox.weaknesses import BY_SEVERITY, NETWORK, SEVERITIES, Weakness

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEALTH = (
    # Share of sites, then least and most findings by severity, worst first.
    (0.14, ((0, 0), (0, 0), (0, 0), (0, 0), (0, 0))),
    (0.46, ((0, 0), (0, 0), (0, 1), (0, 3), (1, 5))),
    (0.82, ((0, 0), (0, 1), (1, 4), (2, 6), (2, 7))),
    (0.96, ((0, 1), (1, 3), (2, 6), (3, 8), (3, 9))),
    (1.00, ((1, 3), (3, 7), (4, 9), (5, 9), (4, 9))),
)
"""Upper edges of the shares: spotless, tidy, usual, neglected, burning."""


@frozen
class Finding:
    """One finding of one host."""

    id: str
    weakness: Weakness
    path: str


def findings_of(seed: int, host: str) -> Iterator[Finding]:
    """Yield what a complete scan of the host finds, worst first."""
    chance = digest("findings", seed, host, size=32)
    share = (chance[0] * 256 + chance[1]) / 65536
    quotas = next(quota for edge, quota in _HEALTH if share < edge)
    for rank, severity in enumerate(SEVERITIES):
        low, high = quotas[rank]
        known = BY_SEVERITY[severity]
        count = low + chance[2 + rank] % (high - low + 1)
        start = chance[8 + rank]
        for index in range(count):
            weakness = known[(start + index) % len(known)]
            path = weakness.paths[(chance[16 + rank] + index // len(known)) % len(weakness.paths)]
            identity = digest("finding", host, weakness.cwe, path, size=8).hex()
            yield Finding(identity, weakness, path)


def network_findings_of(seed: int, target: str) -> Iterator[Finding]:
    """Yield what a network scan finds at one target, worst first."""
    chance = digest("network", seed, target)
    for index, weakness in enumerate(NETWORK):
        # From one target in 32 for the worst to one in four for the least.
        if chance[index] < 8 << index:
            path = weakness.paths[chance[8 + index] % len(weakness.paths)]
            identity = digest("finding", target, weakness.cwe, path, size=8).hex()
            yield Finding(identity, weakness, path)
