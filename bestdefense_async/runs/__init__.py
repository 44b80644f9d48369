"""Many scans at once: the group that runs them, and what it takes and yields."""

from bestdefense_async.runs.group import ScanGroup
from bestdefense_async.runs.inputs import ExistingScan, Handle, IndexedInput
from bestdefense_async.runs.store.null_journal import NullJournal
from bestdefense_async.runs.store.protocol import (
    ClaimAnswer,
    Journal,
    RunInfo,
    Store,
    UnknownScan,
)
from bestdefense_async.runs.store.sqlite import SqliteStore
from bestdefense_async.runs.targets import Target, decode_lines, read_targets

__all__ = [
    "ClaimAnswer",
    "ExistingScan",
    "Handle",
    "IndexedInput",
    "Journal",
    "NullJournal",
    "RunInfo",
    "ScanGroup",
    "SqliteStore",
    "Store",
    "Target",
    "UnknownScan",
    "decode_lines",
    "read_targets",
]
