"""The words of the API, in its order: each is spelled here and nowhere else.

The enumerations are open, so a word that is not here may come from the server and may be sent.

Source: api-facts, "Severities", "Scan options", "Remediation". (documented, but for the cadences)
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
CADENCES: Final = ("daily", "weekly", "monthly")
"""How often a schedule scans, the most often first. (inferred)"""
STAGES: Final = ("Review", "Approved", "Blocked", "Rejected")
"""Where a remediation stands."""
