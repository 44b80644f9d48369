"""What is written about one scan, each in the transaction that is open.

All but `create` is for the owner of the run only, which is not asked here. An answer to a creation
is knowledge, not a decision, and is welcome from an earlier owner too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bestdefense_async.errors import JournalError, TargetError, clean_text
from bestdefense_async.models import Site
from bestdefense_async.runs.store.codec import key_of, write_error, write_result
from bestdefense_async.runs.targets import LONGEST_TARGET, Target

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from bestdefense_async.errors import BestDefenseError
    from bestdefense_async.models import Outcome

PlannedItem: TypeAlias = Target | Site | TargetError
"""What may stand in the plan of a run."""


def plan(connection: sqlite3.Connection, items: Iterable[PlannedItem]) -> None:
    """Write the inputs of a run, with their indexes from 0."""
    for index, item in enumerate(items):
        if isinstance(item, Site):
            take_in(connection, index, target=item.hostname, site_id=item.id)
            continue
        error = write_error(item) if isinstance(item, TargetError) else None
        text = item.target if isinstance(item, TargetError) else item.text
        connection.execute(
            "INSERT INTO scan (input_index, target, line, error) VALUES (?, ?, ?, ?)",
            (index, _storable(text), item.line, error),
        )


def take_in(connection: sqlite3.Connection, index: int, *, target: str, site_id: str) -> None:
    """Make sure that the input has a row that names its site.

    A site is wanted once in a run: a second row that names it is marked as a duplicate.
    """
    key = key_of(site_id)
    row = connection.execute("SELECT site_key FROM scan WHERE input_index = ?", (index,)).fetchone()
    if row == (key,):
        return
    first = connection.execute(
        "SELECT input_index FROM scan WHERE site_key = ? AND is_duplicate = 0", (key,)
    ).fetchone()
    error = None
    if first is not None:
        again = TargetError(f"It names the same site as target {first[0]}.", target=target)
        error = write_error(again)
    connection.execute(
        "INSERT INTO scan (input_index, target, site_id, site_key, is_duplicate, error)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (input_index)"
        " DO UPDATE SET site_id = excluded.site_id,"
        " site_key = excluded.site_key, is_duplicate = excluded.is_duplicate,"
        " error = excluded.error, finished_at = NULL WHERE state = 'new'",
        (index, _storable(target), site_id, key, first is not None, error),
    )


def reject(
    connection: sqlite3.Connection,
    index: int,
    *,
    target: str,
    error: BestDefenseError,
    is_duplicate: bool,
    at: float,
) -> None:
    """Record why an input is not scanned."""
    line = error.line if isinstance(error, TargetError) else None
    connection.execute(
        "INSERT INTO scan (input_index, target, line, is_duplicate, error, finished_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (input_index) DO UPDATE SET error = excluded.error,"
        " is_duplicate = max(is_duplicate, excluded.is_duplicate),"
        " finished_at = excluded.finished_at WHERE state = 'new'",
        (index, _storable(target), line, is_duplicate, write_error(error), at),
    )


def claim(
    connection: sqlite3.Connection, index: int, *, site_id: str, attempt: str, at: float
) -> bool:
    """Claim the scan of an input; False when it is not to be claimed."""
    row = connection.execute(
        "UPDATE scan SET state = 'claimed', attempt = ?, claimed_at = ?, error = NULL,"
        " finished_at = NULL"
        " WHERE input_index = ? AND site_key = ? AND is_duplicate = 0 AND state = 'new'",
        (attempt, at, index, key_of(site_id)),
    )
    return row.rowcount == 1


def create(connection: sqlite3.Connection, index: int, *, report_id: str, attempt: str) -> None:
    """Record the scan that an attempt has created, also when another owner has the run now.

    Raises:
        JournalError: The scan of that input is another one.
    """
    # A person may have forgotten an attempt (`new`) whose answer comes after all.
    row = connection.execute(
        "UPDATE scan SET state = 'created', report_id = ?, error = NULL, finished_at = NULL"
        " WHERE input_index = ? AND attempt = ? AND state IN ('new', 'claimed', 'unknown')",
        (report_id, index, attempt),
    )
    if row.rowcount == 0:
        _check_known(connection, index, report_id)


def refuse(
    connection: sqlite3.Connection, index: int, *, attempt: str, error: BestDefenseError, at: float
) -> None:
    """Make a claimed scan new again, and count the refusal.

    Raises:
        JournalError: The scan is not claimed by this attempt.
    """
    row = connection.execute(
        "UPDATE scan SET state = 'new', attempt = NULL, claimed_at = NULL,"
        " refusals = refusals + 1, error = ?, finished_at = ?"
        " WHERE input_index = ? AND attempt = ? AND state = 'claimed'",
        (write_error(error), at, index, attempt),
    )
    if row.rowcount == 0:
        raise _contradiction(index)


def lose(
    connection: sqlite3.Connection, index: int, *, attempt: str, error: BestDefenseError, at: float
) -> None:
    """Make a claimed scan unknown.

    Raises:
        JournalError: The scan is not claimed by this attempt.
    """
    row = connection.execute(
        "UPDATE scan SET state = 'unknown', error = ?, finished_at = ?"
        " WHERE input_index = ? AND attempt = ? AND state = 'claimed'",
        (write_error(error), at, index, attempt),
    )
    if row.rowcount == 0:
        raise _contradiction(index)


def finish(connection: sqlite3.Connection, outcome: Outcome) -> None:
    """Record outcome and findings together. Only what is done is final.

    It counts also where the scan's id could not be written before, as on a disk that was full.

    Raises:
        JournalError: The scan of that input is another one.
    """
    is_done = outcome.error is None
    index, report_id = outcome.index, outcome.report_id or ""
    take_in(connection, index, target=outcome.target, site_id=outcome.site_id or "")
    row = connection.execute(
        "UPDATE scan SET state = ?, report_id = ?, claimed_at = coalesce(claimed_at, ?),"
        " finished_at = ?, error = ?, result = ?"
        " WHERE input_index = ? AND state <> 'finished' AND (report_id IS NULL OR report_id = ?)",
        (
            "finished" if is_done else "created",
            report_id,
            outcome.started_at,
            outcome.finished_at,
            None if outcome.error is None else write_error(outcome.error),
            write_result(outcome) if is_done else None,
            index,
            report_id,
        ),
    )
    if row.rowcount == 0:
        _check_known(connection, index, report_id)


def take_over(connection: sqlite3.Connection, *, token_key: str, at: float) -> None:
    """Become the owner of a run: what was claimed and not answered is unknown from here on."""
    connection.execute("UPDATE run SET fence = fence + 1, token_key = ?", (token_key,))
    connection.execute(
        "UPDATE scan SET state = 'unknown', finished_at = ? WHERE state = 'claimed'", (at,)
    )
    connection.execute("UPDATE scan SET was_left = 1 WHERE state = 'created'")


def find(connection: sqlite3.Connection, index: int, *, report_id: str) -> None:
    """Record the scan that was found for an unknown creation.

    Raises:
        JournalError: The creation is not unknown, or the scan belongs to another input.
    """
    owner = connection.execute(
        "SELECT input_index FROM scan WHERE report_id = ? AND input_index <> ?", (report_id, index)
    ).fetchone()
    if owner is not None:
        raise JournalError(f"Report {report_id} is the scan of input {owner[0]} already.")
    row = connection.execute(
        "UPDATE scan SET state = 'created', report_id = ?, was_left = 1, error = NULL,"
        " finished_at = NULL WHERE input_index = ? AND state = 'unknown'",
        (report_id, index),
    )
    if row.rowcount == 0:
        raise JournalError(f"Input {index} is not unknown: nothing was written.")


def forget(connection: sqlite3.Connection, index: int) -> None:
    """Make an unknown scan new: it will be created, perhaps a second time.

    Raises:
        JournalError: The creation is not unknown.
    """
    # The attempt stays: should its answer come after all, nothing is created twice.
    row = connection.execute(
        "UPDATE scan SET state = 'new', claimed_at = NULL, error = NULL, finished_at = NULL"
        " WHERE input_index = ? AND state = 'unknown'",
        (index,),
    )
    if row.rowcount == 0:
        raise JournalError(f"Input {index} is not unknown: nothing was written.")


def _check_known(connection: sqlite3.Connection, index: int, report_id: str) -> None:
    known = connection.execute(
        "SELECT report_id FROM scan WHERE input_index = ?", (index,)
    ).fetchone()
    if known != (report_id,):
        raise _contradiction(index)


def _contradiction(index: int) -> JournalError:
    return JournalError(
        f"The journal knows something else about the scan of input {index}: nothing was written."
    )


def _storable(target: str) -> str:
    """Return a target without what cannot be stored as text; the rest of it stays as it is."""
    return clean_text(target, longest=LONGEST_TARGET)
