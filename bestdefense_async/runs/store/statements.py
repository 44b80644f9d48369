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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from bestdefense_async.errors import (
    IntegrityError,
    JournalError,
    JournalLost,
    TargetError,
    clean_text,
)
from bestdefense_async.models import error_as_dict
from bestdefense_async.runs.store.connection import Shard, StoreConnection
from bestdefense_async.runs.store.protocol import ClaimAnswer
from bestdefense_async.runs.targets import LONGEST_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable


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

    def alone(self, connection: StoreConnection) -> Any:  # noqa: ANN401 - what the kind answers
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
    types: tuple[str, ...]
    """The types of a row's values, as PostgreSQL calls them."""
    end: str
    """What stands after them; the values of a row are `column1` and so on."""
    alone: Callable[[StoreConnection, Write], Any] | None = None
    """Writes one row and says what is wrong; None where only the state can be."""
    answer: Any = None
    """What is answered where all goes well."""
    is_fenced: bool = True
    """Whether only the owner of the run may write it."""
    then: Callable[[StoreConnection, Sequence[Write]], None] | None = None
    """What is written beside them."""

    def write(self, connection: StoreConnection, writes: Sequence[Write]) -> None:
        """Write them all.

        Raises:
            Surprise: A row was not there, or was not as it should be.
        """
        rows = [each.row for each in writes]
        if not connection.write_rows(self.start, self.types, self.end, rows):
            raise Surprise
        if self.then is not None:
            self.then(connection, writes)

    def one(self, connection: StoreConnection, row: tuple[Any, ...]) -> bool:
        """Write one row, and return whether it was as it should be."""
        return connection.write_rows(self.start, self.types, self.end, [row])


def perform(connection: StoreConnection, writes: Iterable[Write]) -> None:
    """Do all writes, kind by kind; those about one input stay in their order.

    Raises:
        Surprise: One of them must be looked at alone.
        Exception: It cannot be done.
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


def check_fences(connection: StoreConnection, shards: set[Shard]) -> None:
    """Make sure that all of them are still held by who writes; a transaction keeps others out.

    Raises:
        Surprise: One is not.
    """
    if connection.count_held(list(shards)) != len(shards):
        raise Surprise


def check_fence(connection: StoreConnection, shard: Shard, *, is_ended: bool = False) -> None:
    """Raise JournalLost when another owner has taken the run over.

    Args:
        connection: Where a transaction is open.
        shard: What is said to be held.
        is_ended: Late answers are kept out too, since the shard is ended next.
    """
    if connection.count_held([shard], is_alone=is_ended) != 1:
        raise JournalLost("This run was taken over by another owner: it is left to that one.")


def key_of(site_id: str) -> str:
    """Return a site id as it is compared: the letter case does not make another site.

    The same object where possible, for there are many.
    """
    lowered = site_id.lower()
    return site_id if lowered == site_id else lowered


def storable(target: str) -> str:
    """Return a target without what cannot be stored as text; the rest of it stays as it is."""
    return clean_text(target, longest=LONGEST_TARGET)


def contradiction(index: int) -> JournalError:
    """Return the error of a write that does not fit to what is known."""
    return JournalError(
        f"The record knows something else about the scan of input {index}: nothing was written."
    )


def _accept_alone(connection: StoreConnection, write: Write) -> None:
    take_in(connection, write.row)


def take_in(connection: StoreConnection, row: tuple[Any, ...]) -> None:
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
        " WHERE scan.state = 'new'",
        (run, index, shard, target, site_id, site_key, int(first is not None), error),
    )


def _first_of(connection: StoreConnection, run: int, site_key: str) -> int | None:
    row = connection.execute(
        "SELECT input_index FROM scan WHERE run = ? AND site_key = ? AND is_duplicate = 0",
        (run, site_key),
    ).fetchone()
    return None if row is None else row[0]


def _claim_alone(connection: StoreConnection, write: Write) -> ClaimAnswer:
    take_in(connection, write.row)
    run, index, site_key = write.row[0], write.row[1], write.row[5]
    if CLAIMED.one(connection, write.row):
        return ClaimAnswer.OURS
    first = _first_of(connection, run, site_key)
    if first is None or first == index:
        return ClaimAnswer.TAKEN
    return ClaimAnswer(is_ours=False, duplicate_of=first)


def _create_alone(connection: StoreConnection, write: Write) -> None:
    """Record an answer, also when another owner has the run now: it is followed by that one."""
    run, index, report_id = write.row[0], write.row[1], write.row[3]
    connection.lock_input(run, index)
    _write_unique(connection, CREATED, write, report_id)
    state = _known(connection, write.row[:2], report_id)
    if state == "created":
        connection.execute(
            "UPDATE shard SET state = 'ready' WHERE run = ? AND state = 'ended'"
            " AND shard = (SELECT shard FROM scan WHERE run = ? AND input_index = ?)",
            (run, run, index),
        )
    elif state != "finished":
        raise contradiction(index)


def _finish_alone(connection: StoreConnection, write: Write) -> None:
    """Record an end. It counts also where the scan's id could not be written before."""
    report_id = write.row[3]
    target, site_id = write.site
    row = (*write.row[:2], write.shard[1], storable(target), site_id, write.row[2])
    take_in(connection, row)
    if _write_unique(connection, FINISHED, write, report_id):
        _write_results(connection, [write])
    elif _known(connection, write.row[:2], report_id) != "finished":
        raise contradiction(write.row[1])


def _write_unique(connection: StoreConnection, kind: Kind, write: Write, report_id: str) -> bool:
    try:
        return kind.one(connection, write.row)
    except connection.NotUnique:
        raise IntegrityError(
            f"Report {report_id} or its result is the one of another scan of this run."
        ) from None


def _known(connection: StoreConnection, place: tuple[Any, ...], report_id: str) -> str | None:
    """Return the state of an input when it has that scan, else None."""
    row = connection.execute(
        "SELECT state, report_id FROM scan WHERE run = ? AND input_index = ?", place
    ).fetchone()
    return row[0] if row is not None and row[1] == report_id else None


def _give_back_alone(connection: StoreConnection, write: Write) -> None:
    if GIVEN_BACK.one(connection, write.row):
        return
    row = connection.execute(
        "SELECT state FROM scan WHERE run = ? AND input_index = ?", write.row[:2]
    ).fetchone()
    if row != ("new",):  # done before
        raise contradiction(write.row[1])


def _reject_alone(connection: StoreConnection, write: Write) -> None:
    REJECTED.one(connection, write.row)  # where a scan exists it is no news


def _write_results(connection: StoreConnection, writes: Sequence[Write]) -> None:
    rows = [(*each.row[:2], each.result) for each in writes if each.result is not None]
    if rows:
        connection.write_rows(
            "INSERT INTO result (run, input_index, result) VALUES ",
            (*_INPUT, "text"),
            " ON CONFLICT (run, input_index) DO UPDATE SET result = excluded.result",
            rows,
        )


to_text: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":")
).encode
"""Returns plain values as they are stored."""

_INPUT: Final = ("bigint", "integer")
"""A run's number and an input's index."""
_MOMENT: Final = "float8"

_HERE: Final = " AS new WHERE scan.run = new.column1 AND scan.input_index = new.column2"

ACCEPTED: Final = Kind(
    "INSERT INTO scan (run, input_index, shard, target, site_id, site_key) VALUES ",
    (*_INPUT, "integer", "text", "text", "text"),
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
    (*_INPUT, "integer", "text", "integer", "integer", "text", _MOMENT),
    " ON CONFLICT (run, input_index) DO UPDATE SET error = excluded.error,"
    " is_duplicate = scan.is_duplicate | excluded.is_duplicate,"
    " finished_at = excluded.finished_at WHERE scan.state = 'new'",
    _reject_alone,
)
"""run, index, shard, target, line, is_duplicate, error, at"""

CLAIMED: Final = Kind(
    "INSERT INTO scan (run, input_index, shard, target, site_id, site_key, attempt, claimed_at,"
    " state) VALUES ",
    (*_INPUT, "integer", "text", "text", "text", "text", _MOMENT, "text"),
    " ON CONFLICT (run, input_index) DO UPDATE SET site_id = excluded.site_id,"
    " site_key = excluded.site_key, state = 'claimed', attempt = excluded.attempt,"
    " claimed_at = excluded.claimed_at, error = NULL, finished_at = NULL"
    " WHERE scan.is_duplicate = 0"
    " AND (scan.site_key IS NULL OR scan.site_key = excluded.site_key)"
    " AND (scan.state = 'new' OR (scan.state = 'claimed' AND scan.attempt = excluded.attempt))",
    _claim_alone,
    answer=ClaimAnswer.OURS,
)
"""run, index, shard, target, site id, site key, attempt, at, `claimed`"""

GIVEN_BACK: Final = Kind(
    "UPDATE scan SET state = 'new', attempt = NULL, claimed_at = NULL, refusals = refusals + 1"
    " FROM (VALUES ",
    (*_INPUT, "text"),
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state = 'claimed'",
    _give_back_alone,
)
"""run, index, attempt"""

CREATED: Final = Kind(
    "UPDATE scan SET state = 'created', report_id = new.column4, error = NULL, finished_at = NULL"
    " FROM (VALUES ",
    (*_INPUT, "text", "text"),
    # A person may have forgotten an attempt (`new`) whose answer comes after all.
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state IN ('new', 'claimed', 'unknown')",
    _create_alone,
    is_fenced=False,
)
"""run, index, attempt, report id"""

REFUSED: Final = Kind(
    "UPDATE scan SET state = 'new', claimed_at = NULL, error = new.column4,"
    " finished_at = new.column5, refusals = refusals"
    " + CASE WHEN scan.state = 'claimed' THEN 1 ELSE 0 END,"
    " attempt = CASE WHEN scan.state = 'claimed' THEN NULL ELSE attempt END FROM (VALUES ",
    (*_INPUT, "text", "text", _MOMENT),
    f"){_HERE} AND (scan.state = 'new' OR (scan.state = 'claimed' AND scan.attempt = new.column3))",
)
"""run, index, attempt or None after it was given back, error, at"""

LOST: Final = Kind(
    "UPDATE scan SET state = 'unknown', error = new.column4, finished_at = new.column5"
    " FROM (VALUES ",
    (*_INPUT, "text", "text", _MOMENT),
    f"){_HERE} AND scan.attempt = new.column3 AND scan.state IN ('claimed', 'unknown')",
)
"""run, index, attempt, error, at"""

FINISHED: Final = Kind(
    "UPDATE scan SET state = new.column5, report_id = new.column4,"
    " claimed_at = coalesce(scan.claimed_at, new.column6), finished_at = new.column7,"
    " error = new.column8, security_id = new.column9 FROM (VALUES ",
    (*_INPUT, "text", "text", "text", _MOMENT, _MOMENT, "text", "bigint"),
    f"){_HERE} AND scan.state <> 'finished' AND scan.site_key = new.column3"
    " AND (scan.report_id IS NULL OR scan.report_id = new.column4)",
    _finish_alone,
    then=_write_results,
)
"""run, index, site key, report id, state, begun at, ended at, error, security id"""

SPAN: Final = Kind(
    "INSERT INTO span (run, kind, begun, ended, error) VALUES ",
    ("bigint", "text", _MOMENT, _MOMENT, "text"),
    " ON CONFLICT (run, kind, begun) DO UPDATE SET ended = excluded.ended, error = excluded.error",
)
"""run, kind, begun, ended, error"""
