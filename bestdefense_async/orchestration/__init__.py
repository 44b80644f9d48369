"""Many scans at once: the group that runs them, and what it takes and yields."""

from bestdefense_async.orchestration.journal import Journal, NullJournal
from bestdefense_async.orchestration.journal_reads import Snapshot, UnknownScan, read_journal
from bestdefense_async.orchestration.outcome import (
    Done,
    Event,
    Failed,
    NotStarted,
    Outcome,
    ScanFinished,
    ScanStarted,
    TargetAccepted,
    TargetRejected,
    Unknown,
)
from bestdefense_async.orchestration.run_store import RunInfo, RunStore
from bestdefense_async.orchestration.scan import Created, Handle, Planned
from bestdefense_async.orchestration.scan_group import ScanGroup
from bestdefense_async.orchestration.sqlite_journal import SqliteJournal
from bestdefense_async.orchestration.target_list import decode_lines, read_targets
from bestdefense_async.orchestration.targets import Target

__all__ = [
    "Created",
    "Done",
    "Event",
    "Failed",
    "Handle",
    "Journal",
    "NotStarted",
    "NullJournal",
    "Outcome",
    "Planned",
    "RunInfo",
    "RunStore",
    "ScanFinished",
    "ScanGroup",
    "ScanStarted",
    "Snapshot",
    "SqliteJournal",
    "Target",
    "TargetAccepted",
    "TargetRejected",
    "Unknown",
    "UnknownScan",
    "decode_lines",
    "read_journal",
    "read_targets",
]
