"""What the API talks about, as frozen attrs classes that know nothing of the wire."""

from bestdefense_async.models.agent import AgentFile, AgentManifest
from bestdefense_async.models.finding import Alerts, Finding, RiskSummary
from bestdefense_async.models.network import NetworkScan
from bestdefense_async.models.options import ScanOptions
from bestdefense_async.models.registration import Registration
from bestdefense_async.models.remediation import Remediation, RemediationList, Stage, Triggered
from bestdefense_async.models.report import Overview, Progress, Report, ReportSummary
from bestdefense_async.models.schedule import Schedule
from bestdefense_async.models.severity import SEVERITIES, Severity
from bestdefense_async.models.site import Site

__all__ = [
    "SEVERITIES",
    "AgentFile",
    "AgentManifest",
    "Alerts",
    "Finding",
    "NetworkScan",
    "Overview",
    "Progress",
    "Registration",
    "Remediation",
    "RemediationList",
    "Report",
    "ReportSummary",
    "RiskSummary",
    "ScanOptions",
    "Schedule",
    "Severity",
    "Site",
    "Stage",
    "Triggered",
]
