"""What the API talks about, as frozen attrs classes that know nothing of the wire."""

from bestdefense_async.models.agent import AgentFile, AgentManifest
from bestdefense_async.models.finding import SEVERITIES, Alerts, Finding, RiskSummary, Severity
from bestdefense_async.models.options import Registration, ScanOptions
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
