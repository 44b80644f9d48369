"""What a scan finds, and the answer that holds it.

A host has the same findings every time, and other findings than the next host. Location, evidence,
severity, guidance and CWE of a finding are documented in prose. Its keys (`id title severity url
evidence guidance cwe weakness`) and the two keys that hold summary and list (`riskSummary`,
`alerts`) are inferred; only the path of the answer is documented.

The texts are made into JSON once per weakness and path; answering fills in host and id, so that
thousands of scans cost little.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import define, field, frozen

from bestdefense_async.sandbox.data import read_table
from bestdefense_async.sandbox.replies import Reply, encoded, wrapped
from bestdefense_async.sandbox.world.chance import digest

SEVERITIES = ("critical", "high", "medium", "low", "informational")
"""Worst first. (documented)"""

_CACHED_ANSWERS = 256


@frozen
class Weakness:
    """One kind of finding."""

    severity: str
    cwe: int
    name: str
    title: str
    paths: tuple[str, ...]
    evidence: str
    guidance: str
    scheme: str = "https"
    """Scheme of the affected location; paths of `tcp` are ports."""


def _weaknesses(rows: list[dict[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[Weakness]:
    """Yield the weaknesses of a table, in which `paths` may name a group of paths."""
    for row in rows:
        paths = row["paths"]
        paths = groups[paths] if isinstance(paths, str) else paths
        yield Weakness(**{**row, "paths": tuple(paths)})


_TABLE = read_table("weaknesses.toml")
_OF_NETWORKS = tuple(_weaknesses(_TABLE["network"], _TABLE["paths"]))
OF_SITES: Mapping[str, tuple[Weakness, ...]] = {
    severity: tuple(
        weakness
        for weakness in _weaknesses(_TABLE["site"], _TABLE["paths"])
        if weakness.severity == severity
    )
    for severity in SEVERITIES
}
_HEALTH = read_table("fleet.toml")["health"]


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
    health = next(health for health in _HEALTH if share < health["up_to"])
    for rank, severity in enumerate(SEVERITIES):
        low, high = health[severity]
        known = OF_SITES[severity]
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
    for index, weakness in enumerate(_OF_NETWORKS):
        # From one target in 32 for the worst to one in four for the least.
        if chance[index] < 8 << index:
            path = weakness.paths[chance[8 + index] % len(weakness.paths)]
            identity = digest("finding", target, weakness.cwe, path, size=8).hex()
            yield Finding(identity, weakness, path)


@lru_cache(maxsize=4096)
def _template(weakness: Weakness, path: str) -> str:
    """Return a finding's JSON with marks for host and id."""
    return encoded(
        {
            "id": "@ID@",
            "title": weakness.title,
            "severity": weakness.severity,
            "url": f"{weakness.scheme}://@HOST@{path}",
            "evidence": weakness.evidence,
            "guidance": weakness.guidance,
            "cwe": f"CWE-{weakness.cwe}",
            "weakness": weakness.name,
        }
    ).decode()


def _documented(finding: Finding, host: str) -> str:
    """Return a finding as JSON; host names need no escape in it."""
    text = _template(finding.weakness, finding.path)
    return text.replace("@HOST@", host).replace("@ID@", finding.id)


_HOSTILE = read_table("hostile.toml")

HOSTILE_MESSAGE: str = _HOSTILE["message"]

HOSTILE_TEXTS = tuple(
    each if isinstance(each, str) else each["start"] + each["repeated"] * each["times"]
    for each in _HOSTILE["texts"]
)


def _hostile(finding: Finding, host: str) -> str:
    """Return a finding whose texts attack whoever shows them."""
    start = int(finding.id[:4], 16)
    texts = [HOSTILE_TEXTS[(start + step) % len(HOSTILE_TEXTS)] for step in range(5)]
    return encoded(
        {
            "id": finding.id,
            "title": texts[0],
            "severity": finding.weakness.severity,
            "url": f"{finding.weakness.scheme}://{host}{finding.path}?q={texts[1]}",
            "evidence": texts[2],
            "guidance": texts[3],
            "cwe": f"CWE-{finding.weakness.cwe}",
            "weakness": texts[4],
        }
    ).decode()


_RENAMED = {"critical": "CATASTROPHIC", "high": "High", "informational": "info"}
"""One severity nobody knows, one in another letter case, one in its short form."""


def _drifted(finding: Finding, host: str) -> str:
    """Return a finding as a later release of the API might send it."""
    weakness = finding.weakness
    return encoded(
        {
            "id": int(finding.id[:12], 16),
            "title": weakness.title,
            "severity": _RENAMED.get(weakness.severity, weakness.severity),
            "url": f"{weakness.scheme}://{host}{finding.path}",
            "evidence": weakness.evidence.replace("@HOST@", host),
            "remediation": {"text": weakness.guidance, "effort": "unknown"},
            "cwe": f"CWE-{weakness.cwe}",
            "weakness": weakness.name,
            "cvss": {"version": "4.0", "score": None},
            "status": "RESURFACED",
        }
    ).decode()


@frozen
class AlertFormat:
    """How the answer that holds findings is written."""

    alert: Callable[[Finding, str], str]
    """From finding and host to JSON."""

    summary: str = "riskSummary"
    """Key of the counts."""

    listing: str = "alerts"
    """Key of the findings."""

    severity: Callable[[str], str] = str
    """From our name of a severity to the summary's key."""


ALERT_FORMATS: Mapping[str, AlertFormat] = {
    "documented": AlertFormat(_documented),
    "hostile": AlertFormat(_hostile),
    "drifted": AlertFormat(
        _drifted,
        summary="risk_summary",
        listing="findings",
        severity=lambda name: _RENAMED.get(name, name.upper()),
    ),
}


@define
class AlertAnswers:
    """Writes the answers that hold findings, and keeps the latest."""

    seed: int
    format: AlertFormat
    _kept: OrderedDict[tuple[object, ...], Reply] = field(factory=OrderedDict, repr=False)

    def payload(self, found: Collection[tuple[Finding, str]]) -> bytes:
        """Return summary and list of findings, each with its host, as JSON without the envelope."""
        counts = Counter(finding.weakness.severity for finding, _ in found)
        summary = {self.format.severity(name): counts[name] for name in SEVERITIES}
        rows = ",".join(self.format.alert(finding, host) for finding, host in found)
        text = f'{{"{self.format.summary}":%b,"{self.format.listing}":[%b]}}'
        return text.encode() % (encoded(summary), rows.encode())

    def findings(self, host: str, given: tuple[Finding, ...] | None) -> Iterable[Finding]:
        """Return what a complete scan of `host` finds: the planted findings, or the seeded ones."""
        return findings_of(self.seed, host) if given is None else given

    def answer(self, host: str, percentage: int, given: tuple[Finding, ...] | None) -> Reply:
        """Return the answer for a scan of `host` that has come so far (0 to 100).

        A scan under way shows the share of its findings that it has come to. (inferred)
        """
        key = (host, percentage, given)
        reply = self._kept.get(key)
        if reply is None:
            found = [(finding, host) for finding in self.findings(host, given)]
            # The worst are found last: a report read too early looks better than it is.
            shown = found[len(found) - len(found) * percentage // 100 :]
            reply = self._kept[key] = Reply(200, wrapped(self.payload(shown)))
            if len(self._kept) > _CACHED_ANSWERS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return reply
