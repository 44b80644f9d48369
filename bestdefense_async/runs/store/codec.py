"""What the rows of a journal mean: the run it is of, errors, and results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.errors import BestDefenseError, JournalError, JournalMismatch
from bestdefense_async.models import ScanOptions, error_as_dict
from bestdefense_async.report.record import error_from, result_from

if TYPE_CHECKING:
    import sqlite3

    from bestdefense_async.models import Finding, Outcome, RiskSummary


@frozen(kw_only=True)
class RunRecord:
    """What a journal says about its run."""

    id: str
    created_at: float
    """Seconds since the epoch."""
    base_url: str
    options: ScanOptions
    """Without the callback secret, which is never stored."""
    fence: int
    """How often the run was opened, from 1: the number that every write must carry."""


def read_run_record(connection: sqlite3.Connection) -> RunRecord:
    """Return what the journal says about its run."""
    row = connection.execute("SELECT id, created_at, base_url, options, fence FROM run").fetchone()
    run_id, created_at, base_url, options, fence = row
    return RunRecord(
        id=run_id,
        created_at=created_at,
        base_url=base_url,
        options=ScanOptions(**json.loads(options)),
        fence=fence,
    )


def key_of(site_id: str) -> str:
    """Return a site id as it is compared: the letter case does not make another site."""
    return site_id.lower()


def check_owner(
    connection: sqlite3.Connection, *, base_url: str, token_key: str, site_keys: set[str] | None
) -> None:
    """Make sure that the run is of this server and organization.

    Raises:
        JournalMismatch: It is of another one, or that cannot be decided.
    """
    known_url, known_key = connection.execute("SELECT base_url, token_key FROM run").fetchone()
    if known_url != base_url:
        raise JournalMismatch(f"The journal is of a run at {known_url}, not at {base_url}.")
    if known_key == token_key:
        return
    if site_keys is None:
        raise JournalMismatch("The journal is of another token, perhaps of another organization.")
    rows = connection.execute("SELECT site_key FROM scan WHERE site_key IS NOT NULL").fetchall()
    if rows and not any(site_key in site_keys for (site_key,) in rows):
        raise JournalMismatch("The journal is of another organization: none of its sites is here.")


def check_fence(connection: sqlite3.Connection, fence: int) -> None:
    """Raise JournalError when another owner has taken the run over."""
    (current,) = connection.execute("SELECT fence FROM run").fetchone()
    if current != fence:
        raise JournalError("This run was taken over by another process: it is left to that one.")


def write_error(error: BestDefenseError) -> str:
    """Return an error as JSON."""
    return json.dumps(error_as_dict(error))


def read_error(text: str) -> BestDefenseError:
    """Return the error that `write_error` wrote."""
    return error_from(json.loads(text)) or BestDefenseError("no reason is recorded")


def write_result(outcome: Outcome) -> str:
    """Return what a scan found as JSON."""
    record = outcome.as_dict()
    return json.dumps({"risk": record["risk"], "findings": record["findings"]})


def read_result(text: str) -> tuple[RiskSummary | None, tuple[Finding, ...]]:
    """Return what `write_result` wrote."""
    return result_from(json.loads(text))
