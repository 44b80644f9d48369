"""The writes about scans: many of a kind in one statement, or one alone that says who is to blame.

A statement gives the interpreter's lock away and takes it back, which costs more than the database
does for a row. So the writes of a transaction become one statement of many rows for each kind, and
the fences of all shards are checked by one more. That is the way without surprises: a statement
that changes another number of rows than it was given raises `Surprise`. Then everything is undone,
and each write is done alone, in a savepoint of its own.

Every write may be done twice: each attempt to create a scan has an id of its own.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define

from bestdefense_async.errors import IntegrityError, JournalError, JournalLost, TargetError
from bestdefense_async.models import error_as_dict
from bestdefense_async.runs.store.protocol import ClaimAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable

Shard: TypeAlias = tuple[int, int, int]
"""A run's number, the shard's, and the fencing number of who writes."""

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a statement: few sizes, so that each is prepared once and kept."""


class Surprise(Exception):
    """A statement has changed another number of rows than it was given."""


@define(eq=False, weakref_slot=False)
class Write:
    """One row of a kind, handed in to be written."""

    kind: Kind
    shard: Shard
    row: tuple[Any, ...]
    """The run's number and the input's index first."""
    future: asyncio.Future[Any]
    """Gets what `kind` answers, once that is on the disk."""
    result: str | None = None
    """What is stored in the table of results."""
    site: tuple[str, str] = ("", "")
    """Target and site id, for a scan that the record has never heard of."""

    def alone(self, connection: sqlite3.Connection) -> Any:  # noqa: ANN401 - what the kind answers
        """Write it by itself, or raise what is wrong with it."""
        if self.kind.is_fenced:
            check_fence(connection, self.shard)
        if self.kind.alone is not None:
            return self.kind.alone(connection, self)
        if not self.kind.one(connection, self.row):
            raise contradiction(self.row[1])
        return None


@define(eq=False)
class Kind:
    """A statement for many rows at once, and the way to do the same for one row."""

    start: str
    """What stands before the rows."""
    row: str
    """One row, with a question mark for each value."""
    end: str
    """What stands after them; the values of a row are `column1` and so on."""
    alone: Callable[[sqlite3.Connection, Write], Any] | None = None
    """Writes one row and says what is wrong; None where only the state can be."""
    answer: Any = None
    """What is answered where all goes well."""
    is_fenced: bool = True
    """Whether only the owner of the run may write it."""
    then: Callable[[sqlite3.Connection, Sequence[Write]], None] | None = None
    """What is written beside them."""

    def write(self, connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
        """Write them all.

        Raises:
            Surprise: A row was not there, or was not as it should be.
        """
        _in_parts(connection, self.start, self.row, self.end, [each.row for each in writes])
        if self.then is not None:
            self.then(connection, writes)

    def one(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
        """Write one row, and return whether it was as it should be."""
        return connection.execute(self.start + self.row + self.end, row).rowcount == 1


def _in_parts(
    connection: sqlite3.Connection, start: str, row: str, end: str, rows: list[tuple[Any, ...]]
) -> None:
    for first in range(0, len(rows), _SIZES[-1]):
        part = rows[first : first + _SIZES[-1]]
        size = next(each for each in _SIZES if each >= len(part))
        # The last one fills it up: written twice it changes nothing. An insertion counts it twice.
        values = tuple(chain.from_iterable(chain(part, repeat(part[-1], size - len(part)))))
        changed = connection.execute(start + ", ".join([row] * size) + end, values).rowcount
        if changed != (size if start.startswith("INSERT") else len(part)):
            raise Surprise


def perform(connection: sqlite3.Connection, writes: Iterable[Write]) -> None:
    """Do all writes, kind by kind; those about one input stay in their order.

    Raises:
        Surprise: One of them must be looked at alone.
        sqlite3.Error: It cannot be done.
    """
    pending: dict[Kind, dict[tuple[int, int], Write]] = {}
    last: dict[tuple[int, int], Kind] = {}

    def flush() -> None:
        for kind, waiting in pending.items():
            if waiting:
                kind.write(connection, list(waiting.values()))
        pending.clear()
        last.clear()

    writes = list(writes)
    check_fences(connection, {each.shard for each in writes})
    for each in writes:
        place = each.row[:2]
        before = last.get(place)
        if before is ACCEPTED and each.kind is CLAIMED:
            del pending[ACCEPTED][place]  # the claim writes both
        elif before is not None:
            flush()
        last[place] = each.kind
        pending.setdefault(each.kind, {})[place] = each
    flush()


def check_fences(connection: sqlite3.Connection, shards: set[Shard]) -> None:
    """Make sure that all of them are still held by who writes; a transaction keeps others out.

    Raises:
        Surprise: One is not.
    """
    rows = list(shards)
    for first in range(0, len(rows), _SIZES[-1]):
        part = rows[first : first + _SIZES[-1]]
        size = next(each for each in _SIZES if each >= len(part))
        values = tuple(chain.from_iterable(chain(part, repeat((0, 0, 0), size - len(part)))))
        (held,) = connection.execute(
            f"WITH asked (run, shard, fence) AS (VALUES {', '.join(['(?, ?, ?)'] * size)})"  # noqa: S608 - ours
            " SELECT count(*) FROM asked CROSS JOIN shard"
            " ON shard.run = asked.run AND shard.shard = asked.shard"
            " AND shard.fence = asked.fence AND shard.state = 'held'",
            values,
        ).fetchone()
        if held != len(part):
            raise Surprise


def check_fence(connection: sqlite3.Connection, shard: Shard) -> None:
    """Raise JournalLost when another owner has taken the run over."""
    row = connection.execute(
        "SELECT state FROM shard WHERE run = ? AND shard = ? AND fence = ?", shard
    ).fetchone()
    if row != ("held",):
        raise JournalLost("This run was taken over by another owner: it is left to that one.")


def to_text(record: object) -> str:
    """Return plain values as they are stored."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def contradiction(index: int) -> JournalError:
    """Return the error of a write that does not fit to what is known."""
    return JournalError(
        f"The record knows something else about the scan of input {index}: nothing was written."
    )


def _accept_alone(connection: sqlite3.Connection, write: Write) -> None:
    _take_in(connection, write.row)


def _take_in(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    """Make sure that the input has a row that names its site.

    A site is wanted once in a run: a second row that names it is marked as a duplicate.
    """
    run, index, shard, target, site_id, site_key = row[:6]
    known = connection.execute(
        "SELECT site_key FROM scan WHERE run = ? AND input_index = ?", (run, index)
    ).fetchone()
    if known is not None and known[0] == site_key:
        return
    first = _first_of(connection, run, site_key)
    error = None
    if first is not None:
        again = TargetError(f"It names the same site as target {first}.", target=target)
        error = to_text(error_as_dict(again))
    connection.execute(
        "INSERT INTO scan (run, input_index, shard, target, site_id, site_key, is_duplicate, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, input_index)"
        " DO UPDATE SET site_id = excluded.site_id, site_key = excluded.site_key,"
        " is_duplicate = excluded.is_duplicate, error = excluded.error, finished_at = NULL"
        " WHERE state = 'new'",
        (run, index, shard, target, site_id, site_key, first is not None, error),
    )


def _first_of(connection: sqlite3.Connection, run: int, site_key: str) -> int | None:
    row = connection.execute(
        "SELECT input_index FROM scan WHERE run = ? AND site_key = ? AND is_duplicate = 0",
        (run, site_key),
    ).fetchone()
    return None if row is None else row[0]


def _claim_alone(connection: sqlite3.Connection, write: Write) -> ClaimAnswer:
    _take_in(connection, write.row)
    run, index, site_key = write.row[0], write.row[1], write.row[5]
    if CLAIMED.one(connection, write.row):
        return ClaimAnswer.OURS
    first = _first_of(connection, run, site_key)
    if first is None or first == index:
        return ClaimAnswer.TAKEN
    return ClaimAnswer(is_ours=False, duplicate_of=first)


def _create_alone(connection: sqlite3.Connection, write: Write) -> None:
    """Record an answer, also when another owner has the run now: it is followed by that one."""
    run, shard, _ = write.shard
    index, report_id = write.row[1], write.row[3]
    _write_unique(connection, CREATED, write, report_id)
    state = _known(connection, write.row[:2], report_id)
    if state == "created":
        connection.execute(
            "UPDATE shard SET state = 'ready' WHERE run = ? AND shard = ? AND state = 'ended'",
            (run, shard),
        )
    elif state != "finished":
        raise contradiction(index)


def _finish_alone(connection: sqlite3.Connection, write: Write) -> None:
    """Record an end. It counts also where the scan's id could not be written before."""
    report_id = write.row[3]
    target, site_id = write.site
    _take_in(connection, (*write.row[:2], write.shard[1], target, site_id, write.row[2]))
    if _write_unique(connection, FINISHED, write, report_id):
        _write_results(connection, [write])
    elif _known(connection, write.row[:2], report_id) != "finished":
        raise contradiction(write.row[1])


def _write_unique(connection: sqlite3.Connection, kind: Kind, write: Write, report_id: str) -> bool:
    try:
        return kind.one(connection, write.row)
    except sqlite3.IntegrityError:
        raise IntegrityError(
            f"Report {report_id} or its result is the one of another scan of this run."
        ) from None


def _known(connection: sqlite3.Connection, place: tuple[Any, ...], report_id: str) -> str | None:
    """Return the state of an input when it has that scan, else None."""
    row = connection.execute(
        "SELECT state, report_id FROM scan WHERE run = ? AND input_index = ?", place
    ).fetchone()
    return row[0] if row is not None and row[1] == report_id else None


def _give_back_alone(connection: sqlite3.Connection, write: Write) -> None:
    if GIVEN_BACK.one(connection, write.row):
        return
    row = connection.execute(
        "SELECT state FROM scan WHERE run = ? AND input_index = ?", write.row[:2]
    ).fetchone()
    if row != ("new",):  # done before
        raise contradiction(write.row[1])


def _reject_alone(connection: sqlite3.Connection, write: Write) -> None:
    REJECTED.one(connection, write.row)  # where a scan exists it is no news


def _write_results(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    rows = [(*each.row[:2], each.result) for each in writes if each.result is not None]
    _in_parts(
        connection,
        "INSERT INTO result (run, input_index, result) VALUES ",
        "(?, ?, ?)",
        " ON CONFLICT (run, input_index) DO UPDATE SET result = excluded.result",
        rows,
    )


_HERE: Final = " AS new WHERE scan.run = new.column1 AND scan.input_index = new.column2"

ACCEPTED: Final = Kind(
    "INSERT INTO scan (run, input_index, shard, target, site_id, site_key) VALUES ",
    "(?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (run, input_index) DO UPDATE SET site_id = excluded.site_id,"
    " site_key = excluded.site_key,"
    " error = CASE WHEN scan.site_key = excluded.site_key THEN scan.error END"
    " WHERE scan.state = 'new' AND scan.is_duplicate = 0"
    " AND (scan.site_key IS NULL OR scan.site_key = excluded.site_key)",
    _accept_alone,
)
"""run, index, shard, target, site id, site key"""

REJECTED: Final = Kind(
    "INSERT INTO scan"
    " (run, input_index, shard, target, line, is_duplicate, error, finished_at) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
    " ON CONFLICT (run, input_index) DO UPDATE SET error = excluded.error,"
    " is_duplicate = max(scan.is_duplicate, excluded.is_duplicate),"
    " finished_at = excluded.finished_at WHERE scan.state = 'new'",
    _reject_alone,
)
"""run, index, shard, target, line, is_duplicate, error, at"""

CLAIMED: Final = Kind(
    "INSERT INTO scan (run, input_index, shard, target, site_id, site_key, attempt, claimed_at,"
    " state) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, 'claimed')",
    " ON CONFLICT (run, input_index) DO UPDATE SET site_id = excluded.site_id,"
    " site_key = excluded.site_key, state = 'claimed', attempt = excluded.attempt,"
    " claimed_at = excluded.claimed_at, error = NULL, finished_at = NULL"
    " WHERE scan.is_duplicate = 0"
    " AND (scan.site_key IS NULL OR scan.site_key = excluded.site_key)"
    " AND (scan.state = 'new' OR (scan.state = 'claimed' AND scan.attempt = excluded.attempt))",
    _claim_alone,
    answer=ClaimAnswer.OURS,
)
"""run, index, shard, target, site id, site key, attempt, at"""

GIVEN_BACK: Final = Kind(
    "UPDATE scan SET state = 'new', attempt = NULL, claimed_at = NULL, refusals = refusals + 1"
    " FROM (VALUES ",
    "(?, ?, ?)",
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state = 'claimed'",
    _give_back_alone,
)
"""run, index, attempt"""

CREATED: Final = Kind(
    "UPDATE scan SET state = 'created', report_id = new.column4, error = NULL, finished_at = NULL"
    " FROM (VALUES ",
    "(?, ?, ?, ?)",
    # A person may have forgotten an attempt (`new`) whose answer comes after all.
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state IN ('new', 'claimed', 'unknown')",
    _create_alone,
    is_fenced=False,
)
"""run, index, attempt, report id"""

REFUSED: Final = Kind(
    "UPDATE scan SET state = 'new', claimed_at = NULL, error = new.column4,"
    " finished_at = new.column5, refusals = refusals + (state = 'claimed'),"
    " attempt = CASE WHEN state = 'claimed' THEN NULL ELSE attempt END FROM (VALUES ",
    "(?, ?, ?, ?, ?)",
    f"){_HERE} AND (scan.state = 'new' OR (scan.state = 'claimed' AND scan.attempt = new.column3))",
)
"""run, index, attempt or None after it was given back, error, at"""

LOST: Final = Kind(
    "UPDATE scan SET state = 'unknown', error = new.column4, finished_at = new.column5"
    " FROM (VALUES ",
    "(?, ?, ?, ?, ?)",
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state IN ('claimed', 'unknown')",
)
"""run, index, attempt, error, at"""

FINISHED: Final = Kind(
    "UPDATE scan SET state = new.column5, report_id = new.column4,"
    " claimed_at = coalesce(scan.claimed_at, new.column6), finished_at = new.column7,"
    " error = new.column8, security_id = new.column9 FROM (VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    f"){_HERE} AND scan.state <> 'finished' AND scan.site_key = new.column3"
    " AND (scan.report_id IS NULL OR scan.report_id = new.column4)",
    _finish_alone,
    then=_write_results,
)
"""run, index, site key, report id, state, begun at, ended at, error, security id"""

SPAN: Final = Kind(
    "INSERT INTO span (run, kind, begun, ended, error) VALUES ",
    "(?, ?, ?, ?, ?)",
    " ON CONFLICT (run, kind, begun) DO UPDATE SET ended = excluded.ended, error = excluded.error",
)
"""run, kind, begun, ended, error"""
