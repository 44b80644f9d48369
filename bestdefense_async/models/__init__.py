"""What the API talks about, as frozen attrs classes that know nothing of the wire.

What a client does not need for its first call is imported when it is first used: making these
classes is a good part of the time of a start.
"""

import importlib
from typing import TYPE_CHECKING

from bestdefense_async.models.finding import SEVERITIES, Alerts, Finding, RiskSummary, Severity
from bestdefense_async.models.options import Registration, ScanOptions
from bestdefense_async.models.remediation import Remediation, RemediationList, Stage, Triggered
from bestdefense_async.models.report import (
    NetworkScan,
    Overview,
    Progress,
    Report,
    ReportSummary,
    Schedule,
    Site,
)

if TYPE_CHECKING:
    from bestdefense_async.models.agent import AgentFile, AgentManifest
    from bestdefense_async.models.outcome import (
        Outcome,
        OutcomeStatus,
        ScanEvent,
        ScanFinished,
        ScanStarted,
        StartingPaused,
        StartingResumed,
        TargetAccepted,
        TargetRejected,
        error_as_dict,
        status_of,
    )

__all__ = [
    "SEVERITIES",
    "AgentFile",
    "AgentManifest",
    "Alerts",
    "Finding",
    "NetworkScan",
    "Outcome",
    "OutcomeStatus",
    "Overview",
    "Progress",
    "Registration",
    "Remediation",
    "RemediationList",
    "Report",
    "ReportSummary",
    "RiskSummary",
    "ScanEvent",
    "ScanFinished",
    "ScanOptions",
    "ScanStarted",
    "Schedule",
    "Severity",
    "Site",
    "Stage",
    "StartingPaused",
    "StartingResumed",
    "TargetAccepted",
    "TargetRejected",
    "Triggered",
    "error_as_dict",
    "status_of",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name that stands in another module on its first use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = "agent" if name.startswith("Agent") else "outcome"
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        return globals().setdefault(name, value)
