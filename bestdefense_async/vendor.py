"""The words of the API, in its order: each is spelled here and nowhere else.

The enumerations are open, so a word that is not here may come from the server and may be sent.

Source: api-facts, "Severities", "Scan options", "Remediation". (documented, but for cadences and
days)
"""

from typing import Final

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
"""What a scan takes a site for. (web is documented, api plausible)"""
CADENCES: Final = ("daily", "weekly", "monthly")
"""How often a schedule scans, the most often first. (inferred)"""
WEEKDAYS: Final = (*("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),)
"""The days on which a weekly schedule scans. (inferred)"""
STAGES: Final = ("Review", "Approved", "Blocked", "Rejected")
"""Where a remediation stands."""
FINDING_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "title": ("name", "headline", "summary", "alertName"),
    "url": ("location", "affectedUrl", "uri", "path", "endpoint"),
    "evidence": ("proof", "proofOfConcept", "poc", "details"),
    "guidance": (
        *("recommendation", "solution", "remediationGuidance", "remediation", "mitigation"),
        "advice",
    ),
    "cwe": ("cweId", "cweCode"),
    "weakness": ("weaknessType", "weaknessName", "cweName", "category"),
    "severity": ("risk", "riskLevel"),
}
"""What the members of a finding may be called besides, the likeliest first: that there are
findings is documented, their members are not. Spelled in any case, with `_` or `-` or neither.
(inferred)"""
