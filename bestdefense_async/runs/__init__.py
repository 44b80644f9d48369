"""Many scans at once: the group that runs them, and what it takes and yields."""

from bestdefense_async.runs.group import ScanGroup
from bestdefense_async.runs.inputs import Created, Handle, Planned
from bestdefense_async.runs.outcome import (
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
from bestdefense_async.runs.store.directory import RunInfo, RunStore
from bestdefense_async.runs.store.protocol import Journal, NullJournal
from bestdefense_async.runs.store.reads import Snapshot, UnknownScan, read_journal
from bestdefense_async.runs.store.sqlite import SqliteJournal
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

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
