"""Runs for the tests of the outputs: small ones by hand, fleets by a seed."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

from attrs import evolve

from bestdefense_async.models import SEVERITIES, Finding, Outcome, RiskSummary, Severity
from bestdefense_async.report.result import RunResult
from bestdefense_async.report.saved import error_from

if TYPE_CHECKING:
    from bestdefense_async.errors import BestDefenseError

START = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC."""

WEAKNESSES = (
    ("critical", "CWE-89", "SQL Injection", "Search parameter is executed as SQL"),
    ("critical", "CWE-78", "OS Command Injection", "Diagnostic endpoint runs shell commands"),
    ("high", "CWE-79", "Cross-site Scripting", "Text from the address is run as script"),
    ("high", "CWE-918", "Server-Side Request Forgery", "Image proxy reaches internal addresses"),
    ("high", "CWE-22", "Path Traversal", "Download endpoint leaves its directory"),
    ("medium", "CWE-352", "Cross-Site Request Forgery", "Form changes data without a token"),
    ("medium", "CWE-601", "Open Redirect", "Login returns to any address"),
    ("medium", "CWE-1021", "Improper Restriction of Rendered UI Layers", "Page can be framed"),
    ("low", "CWE-614", "Sensitive Cookie Without Secure Attribute", "Cookie without Secure"),
    ("low", "CWE-693", "Protection Mechanism Failure", "No content security policy"),
    ("informational", "CWE-200", "Exposure of Information", "Server names its version"),
    ("informational", "CWE-1104", "Unmaintained Component", "Library is past its end of life"),
)

PAYLOADS = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><svg onload=alert(1)>",
    "javascript:alert(document.domain)",
    "\x1b[2J\x1b[1;1Hscan passed\x1b[0m",
    "\x1b]8;;https://attacker.example\x1b\\report\x1b]8;;\x1b\\",
    "\x9b31mred",
    "invoice\u202efdp.exe\u2066 hidden\u2069",
    "zero\u200bwidth\u2060and\ufefftag\U000e0041",
    "=cmd|' /C calc'!A0",
    "first line\r\n::error::injected annotation",
    "[bold red]markup[/] [link=https://attacker.example]here[/link]",
    "| a | b |\n|---|---|\n[here](javascript:alert(1)) ![x](//attacker.example/p.png)",
    "{{7*7}} ${7*7} %(x)s {0.__class__}",
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>&x;",
    "Z" + "a\u0301\u0302\u0303\u0304\u0305" * 2_000,
    "W" * 10_000,
    "\x00null\x01\x08\x7f control \ufffe\uffff \ud800",
    "   ",
)
"""Texts that attack whoever shows them."""


def done(target: str, **counts: int) -> Outcome:
    """Return a target with a verdict and, of each severity, as many findings as `counts` says."""
    return Outcome(
        target=target,
        status="done",
        site_id=f"site-{target}",
        report_id=f"report-{target}",
        risk=RiskSummary(**counts),  # type: ignore[arg-type]
        findings=tuple(
            finding(target, severity, number)
            for severity, many in counts.items()
            for number in range(many)
        ),
        started_at=START,
        finished_at=START + 30.0,
    )


def finding(target: str, severity: str, number: int) -> Finding:
    """Return one finding; the same arguments give the same one."""
    known = [row for row in WEAKNESSES if row[0] == severity]
    _, cwe, weakness, title = known[number % len(known)]
    return Finding(
        severity=Severity(severity),
        id=f"{target}-{severity}-{number}",
        title=title,
        url=f"https://{target}/path/{number}",
        evidence=f"Seen on {target}.",
        guidance="Mend it.",
        cwe=cwe,
        weakness=weakness,
    )


def error(kind: str, message: str) -> BestDefenseError:
    """Return an error of any kind, as a saved run gives it back."""
    found = error_from({"kind": kind, "message": message})
    assert found is not None
    return found


def failed(target: str, kind: str = "ServerError", message: str = "503 from the API") -> Outcome:
    """Return a target that was started and has no verdict."""
    return Outcome(
        target=target,
        status="failed",
        site_id=f"site-{target}",
        error=error(kind, message),
        started_at=START + 5.0,
        finished_at=START + 9.0,
    )


def not_started(target: str, kind: str = "PermissionDenied") -> Outcome:
    """Return a target no scan was started for."""
    return Outcome(target=target, status="not_started", error=error(kind, "no scan was started"))


def run_of(*outcomes: Outcome, **changes: object) -> RunResult:
    """Return a run of these outcomes, numbered, that took two minutes."""
    fields: dict[str, object] = {
        "outcomes": tuple(evolve(each, index=index) for index, each in enumerate(outcomes)),
        "name": "nightly",
        "started_at": START,
        "finished_at": START + 120.0,
        "base_url": "https://scanner.example",
        **changes,
    }
    return RunResult(**fields)  # type: ignore[arg-type]


def before(run: RunResult) -> RunResult:
    """Return a run with the same results, of scans that were done before."""
    return evolve(run, outcomes=tuple(map(scanned_before, run.outcomes)))


def scanned_before(outcome: Outcome) -> Outcome:
    """Return the same outcome of an earlier scan."""
    return evolve(outcome, report_id=outcome.report_id and f"{outcome.report_id}-before")


@cache
def fleet(sites: int, *, seed: int = 7, in_flight: int = 40) -> RunResult:
    """Return a run over a made-up fleet: most sites in fair order, some burning, some missing."""
    chance = Random(seed)
    services = ("www", "api", "shop", "login", "portal", "blog", "docs", "vpn", "crm", "billing")
    brands = ("harborline", "northgate-clinic", "tidewater-energy", "larkfield", "copperleaf-bank")
    lanes = [START] * in_flight
    rows = []
    for index in range(sites):
        label = services[index % len(services)] + (f"-{index // 50}" if index >= 50 else "")
        target = f"{label}.{brands[index // 10 % len(brands)]}.example"
        lane = min(range(in_flight), key=lanes.__getitem__)
        begun = lanes[lane]
        lanes[lane] = ended = begun + chance.uniform(20.0, 90.0)
        row = _fleet_row(chance, target, begun, ended)
        rows.append(evolve(row, report_id=row.report_id and f"report-{seed}-{target}"))
    end = max(lanes)
    third = (end - START) / 3
    throttled = ((START + third, START + third * 1.2), (START + third * 2, START + third * 2.1))
    return run_of(*rows, finished_at=end, throttled=throttled)


def _fleet_row(chance: Random, target: str, begun: float, ended: float) -> Outcome:
    fate = chance.random()
    if fate < 0.01:
        return not_started(target)
    if fate < 0.03:
        row = failed(target, "PollTimeout", "not complete after 1800 s")
    else:
        health = chance.random()
        most = (0, 0, 0, 0, 0)
        for edge, quota in (
            (1.0, (0, 0, 0, 2, 5)),
            (0.55, (0, 0, 4, 5, 6)),
            (0.20, (0, 3, 5, 7, 8)),
            (0.06, (3, 6, 8, 9, 9)),
        ):
            if health < edge:
                most = quota
        if health > 0.85:
            most = (0, 0, 0, 0, 0)
        counts = {
            str(word): chance.randint(0, limit)
            for word, limit in zip(SEVERITIES, most, strict=True)
        }
        row = done(target, **counts)
    return evolve(row, started_at=begun, finished_at=ended)


def hostile() -> RunResult:
    """Return a run in which every text a server or a site controls is an attack."""
    rows = []
    for index, payload in enumerate(PAYLOADS):
        rows.append(
            Outcome(
                target=payload,
                status="done",
                site_id=payload,
                report_id=payload,
                risk=RiskSummary(high=1, other={payload: 1}),
                findings=(
                    Finding(
                        severity=Severity("high"),
                        id=payload,
                        title=payload,
                        url=payload,
                        evidence=payload,
                        guidance=payload,
                        cwe=payload,
                        weakness=payload,
                    ),
                    Finding(severity=Severity(payload), title=payload),
                ),
                started_at=START + index,
                finished_at=START + index + 3,
            )
        )
        rows.append(Outcome(target=f"{payload}.", status="failed", error=error(payload, payload)))
    return run_of(*rows, name=PAYLOADS[0], base_url=PAYLOADS[3])
