"""Read a run that was saved: as a journal, as an event log or as a JSON document.

A saved run may stop anywhere: it was resumed, killed, goes on, or the disk was full. What has no
outcome then gets one that has no verdict, and so does, as one target, the rest that the run had
not come to. So a run that was cut off never passes the gate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field

from bestdefense_async.core.text import encoding_of
from bestdefense_async.errors import JournalMismatch
from bestdefense_async.files import STDIN, read_bytes
from bestdefense_async.report.formats.json import SCHEMA_VERSION, problem_from, row_from
from bestdefense_async.report.run import Problem, Row, Run, finite
from bestdefense_async.runs.store.file import is_database
from bestdefense_async.runs.store.reads import read_journal


def run_from_journal(path: Path) -> Run:
    """Return the run as its journal knows it now. Nothing is sent and nothing is changed.

    A target without an outcome has one that says so, and no verdict.

    Raises:
        JournalMismatch: It is no journal, or one of a newer version.
        JournalError: It is not there, damaged, or cannot be read.
    """
    snapshot = read_journal(path)
    return Run(
        name=path.stem,
        rows=tuple(map(Row.of, snapshot.outcomes)),
        started_at=snapshot.run.created_at,
        finished_at=snapshot.ended_at,
        base_url=snapshot.run.base_url,
        options=snapshot.run.options,
    )


_LARGEST_FILE: Final = 1 << 30
"""Bytes of a document or a log: some millions of findings."""
_CUT_OFF: Final = Problem("Interrupted", "The run ended before this target had an outcome.")


def read_run(path: Path | str) -> Run:
    """Return the run saved at `path`: a journal, a document in `.json`, or else an event log.

    `-` is stdin, which may be a document or a log.

    Raises:
        JournalMismatch: The file is not such a run, of another version, or damaged.
        JournalError: A journal cannot be read.
        ConfigError: The file cannot be read.
    """
    if path != STDIN and is_database(Path(path)):
        return run_from_journal(Path(path))
    content = read_bytes(path, what="The run", largest=_LARGEST_FILE)
    text = content.decode(encoding_of(content), errors="replace")  # the end may be cut off
    name = "stdin" if path == STDIN else Path(path).name
    if _is_document(path, text):
        return _from_document(_parsed(text, where=name))
    reader = _Reader()
    for record in _records(text, where=name):
        reader.take(record)
    return reader.run(name="scan" if path == STDIN else Path(path).stem)


def _is_document(path: Path | str, text: str) -> bool:
    """Return whether this is no log; on stdin, whether its first line is no event."""
    if path != STDIN:
        return Path(path).suffix.lower() == ".json"
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return True
    return not (isinstance(first, dict) and "event" in first)


def _parsed(text: str, *, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise JournalMismatch(f"{where} is not a saved run: it is not JSON.") from None
    if not isinstance(value, dict):
        raise JournalMismatch(f"{where} is not a saved run: an object is expected.")
    if value.get("schema_version") != SCHEMA_VERSION:
        raise JournalMismatch(f"{where} is not a saved run of version {SCHEMA_VERSION}.")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _records(text: str, *, where: str) -> Iterator[dict[str, Any]]:
    """Yield the records of an event log; a last line without its line break was cut off."""
    *whole, _cut = text.split("\n")
    if not whole:
        raise JournalMismatch(f"{where} is not a saved run: it holds no whole line.")
    for number, line in enumerate(whole, start=1):
        if line.strip():
            yield _parsed(line, where=f"{where}, line {number}")


def _from_document(value: Mapping[str, Any]) -> Run:
    rows = value.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise JournalMismatch("The document holds no rows.")
    found = tuple(row_from(row) for row in rows)
    return _run(value, (*found, *_rest(found, value)), value)


def _rest(rows: tuple[Row, ...], end: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return a row for the targets that are not there, none when all are."""
    total = end.get("targets")
    if isinstance(total, int) and total <= len(rows):
        return ()
    many = "The rest" if not isinstance(total, int) else f"{total - len(rows)} more"
    problem = Problem("Interrupted", "The saved run ends before all its targets are told.")
    return (Row(target=f"({many} of the targets)", outcome="not_started", error=problem),)


def _run(start: Mapping[str, Any], rows: tuple[Row, ...], end: Mapping[str, Any]) -> Run:
    options = start.get("options")
    return Run(
        name=str(start.get("name") or "scan"),
        rows=rows,
        started_at=finite(start.get("started_at")),
        finished_at=finite(end.get("finished_at")),
        base_url=str(start.get("base_url") or ""),
        options=options if isinstance(options, Mapping) else None,
        throttled=_spans(end.get("throttled")),
    )


def _spans(value: object) -> tuple[tuple[float, float], ...]:
    spans = []
    for pair in value if isinstance(value, list) else ():
        match pair:
            case [int() | float() as begin, int() | float() as end]:
                spans.append((float(begin), float(end)))
            case _:
                raise JournalMismatch("A throttled span is not two numbers.")
    return tuple(spans)


@define
class _Reader:
    """Gathers the targets of an event log in the order in which they first occur."""

    _start: Mapping[str, Any] = field(factory=dict)
    _end: Mapping[str, Any] = field(factory=dict)
    _rows: dict[object, Row] = field(factory=dict)
    _duplicates: set[object] = field(factory=set)

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in one event; events of a later minor version are passed over."""
        event = record.get("event")
        if event == "run.started":
            self._start = self._start or record
        elif event == "run.summary":
            self._end = record
        elif event in {"target.accepted", "target.rejected", "scan.started", "scan.finished"}:
            self._take_target(str(event), record)

    def _take_target(self, event: str, record: Mapping[str, Any]) -> None:
        key = record.get("index", record.get("target"))
        if event == "scan.finished":
            self._rows[key] = row_from(record)
            return
        if event == "target.rejected" and record.get("reason") == "duplicate":
            self._duplicates.add(key)
        known = self._rows.get(key)
        if known is not None and known.error is not _CUT_OFF:
            return
        is_started = event == "scan.started"
        self._rows[key] = Row(
            target=str(record.get("target", "")),
            outcome="unknown" if is_started else "not_started",
            site_id=_text(record.get("site_id")),
            report_id=_text(record.get("report_id")),
            error=problem_from(record.get("error")) or _CUT_OFF,
            started_at=finite(record.get("started_at")),
        )

    def run(self, *, name: str) -> Run:
        """Return the run. A target that was named twice is one target."""
        if not self._start:
            raise JournalMismatch(f"{name} is not a saved run: it does not begin as one.")
        rows = tuple(row for key, row in self._rows.items() if key not in self._duplicates)
        run = _run(self._start, (*rows, *_rest(rows, self._end)), self._end)
        return evolve(run, name=run.name or name)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
