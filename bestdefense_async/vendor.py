"""The words of the API, in its order: each is spelled here and nowhere else.

The enumerations are open, so a word that is not here may come from the server and may be sent.

Source: api-facts, "Severities", "Scan options", "Remediation". (documented, but for the cadences)
"""

from typing import Any, Final

SEVERITIES: Final = ("critical", "high", "medium", "low", "informational")
"""The worst first."""
FAIL_ON: Final = (*SEVERITIES[:-1], "none")
"""Least severities that fail a check; nothing fails on a mere information."""
TYPES: Final = ("security", "seo", "dns", "whois")
"""What a scan looks at."""
INTENSITIES: Final = ("quick", "standard", "thorough")
"""How hard a scan tries, the mildest first; quick is on every plan."""
MODES: Final = ("analog", "ai")
"""The engines of a scan."""
TESTING_TYPES: Final = ("web", "api")
"""What a scan takes a site for. (the second plausible)"""
CADENCES: Final = ("daily", "weekly", "monthly")
"""How often a schedule scans, the most often first. (inferred)"""
STAGES: Final = ("Review", "Approved", "Blocked", "Rejected")
"""Where a remediation stands."""
FINDING_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "title": ("name", "headline", "summary"),
    "url": ("location", "affectedUrl", "affected_url", "uri", "path", "endpoint"),
    "evidence": ("proof", "proofOfConcept", "proof_of_concept", "poc", "details"),
    "guidance": ("recommendation", "solution", "remediationGuidance", "remediation", "advice"),
    "cwe": ("cweId", "cwe_id", "cweCode"),
    "weakness": ("weaknessType", "weakness_type", "weaknessName", "cweName", "category"),
    "severity": ("risk", "riskLevel", "risk_level"),
}
"""What the members of a finding may be called besides, the likeliest first: that there are
findings is documented, their members are not. (inferred)"""


def with_our_names(finding: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return a finding with other spellings under our names, where ours are missing."""
    if not isinstance(finding, dict):
        return finding
    there = finding
    for ours, names in FINDING_NAMES.items() if FINDING_NAMES.keys() - finding.keys() else ():
        for name in names if ours not in finding else ():
            value = finding.get(name)
            if isinstance(value, str) or (ours == "cwe" and type(value) is int):
                there = {ours if key == name else key: each for key, each in there.items()}
                break
    return {**there, "cwe": f"CWE-{there['cwe']}"} if type(there.get("cwe")) is int else there
