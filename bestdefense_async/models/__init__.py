"""What the API talks about, as frozen attrs classes that know nothing of the wire."""

from bestdefense_async.models.agent import AgentFile, AgentManifest
from bestdefense_async.models.finding import Alerts, Finding, RiskSummary
from bestdefense_async.models.options import ScanOptions
from bestdefense_async.models.report import Overview, Progress, Report
from bestdefense_async.models.severity import SEVERITIES, Severity
from bestdefense_async.models.site import Site

__all__ = [
    "SEVERITIES",
    "AgentFile",
    "AgentManifest",
    "Alerts",
    "Finding",
    "Overview",
    "Progress",
    "Report",
    "RiskSummary",
    "ScanOptions",
    "Severity",
    "Site",
]
