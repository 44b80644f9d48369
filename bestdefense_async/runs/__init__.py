"""Many scans at once: the group that runs them, and what it takes and yields."""

from bestdefense_async.runs.group import ScanGroup
from bestdefense_async.runs.inputs import ExistingScan, Handle, IndexedInput
from bestdefense_async.runs.store.directory import RunInfo, RunStore
from bestdefense_async.runs.store.protocol import Journal, NullJournal
from bestdefense_async.runs.store.reads import Snapshot, UnknownScan, read_journal
from bestdefense_async.runs.store.sqlite import SqliteJournal
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

__all__ = [
    "ExistingScan",
    "Handle",
    "IndexedInput",
    "Journal",
    "NullJournal",
    "RunInfo",
    "RunStore",
    "ScanGroup",
    "Snapshot",
    "SqliteJournal",
    "Target",
    "UnknownScan",
    "decode_lines",
    "read_journal",
    "read_targets",
]
