"""The run a journal is of, and the questions about its rows that its writes begin with."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from attrs import frozen

from bestdefense_async.errors import JournalError, JournalMismatch
from bestdefense_async.models import ScanOptions, Site
from bestdefense_async.orchestration.scan import Created
from bestdefense_async.orchestration.targets import Target

if TYPE_CHECKING:
    import sqlite3


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


def token_key(token: str) -> str:
    """Return a short hash that tells tokens apart and from which no token can be found."""
    return hashlib.sha256(f"bestdefense-journal:{token}".encode()).hexdigest()[:16]


def read_run(connection: sqlite3.Connection) -> RunRecord:
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


def bind(connection: sqlite3.Connection, target: str, site_id: str) -> None:
    """Make sure the site has a row: its own, the planned one of that target, or a new one."""
    key = key_of(site_id)
    if connection.execute("SELECT 1 FROM scan WHERE site_key = ?", (key,)).fetchone():
        return
    planned = connection.execute(
        "UPDATE scan SET site_id = ?, site_key = ? WHERE place ="
        " (SELECT min(place) FROM scan WHERE target = ? AND site_key IS NULL)",
        (site_id, key, target),
    )
    if planned.rowcount == 0:
        connection.execute(
            "INSERT INTO scan (target, site_id, site_key) VALUES (?, ?, ?)", (target, site_id, key)
        )


def item_of(
    target: str,
    line: int | None,
    site_id: str | None,
    report_id: str | None,
    claimed_at: float | None,
) -> Target | Site | Created:
    """Return what a group is fed to go on with a scan that is new or created."""
    if site_id is None:
        return Target(target, line)
    if report_id is None:
        return Site(id=site_id, hostname=target)
    return Created(
        target=target, site_id=site_id, report_id=report_id, started_at=claimed_at or 0.0
    )


def check_owner(
    connection: sqlite3.Connection, *, base_url: str, key: str, site_keys: set[str] | None
) -> None:
    """Make sure that the run is of this server and organization.

    Raises:
        JournalMismatch: It is of another one, or that cannot be told.
    """
    known_url, known_key = connection.execute("SELECT base_url, token_key FROM run").fetchone()
    if known_url != base_url:
        raise JournalMismatch(f"The journal is of a run at {known_url}, not at {base_url}.")
    if known_key == key:
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


def check_changed(cursor: sqlite3.Cursor) -> None:
    """Raise JournalError when a write found its scan in another state."""
    if cursor.rowcount == 0:
        raise JournalError("The journal knows something else about this scan: nothing was written.")
