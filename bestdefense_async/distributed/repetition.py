"""Runs that are begun again and again, by the calendar: each one is a copy of the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from croniter import croniter  # type: ignore[import-untyped]

from bestdefense_async.distributed.shards import SHARD_SIZE
from bestdefense_async.errors import ConfigError, JournalError, clean_text
from bestdefense_async.runs.store.schema import POLICY
from bestdefense_async.runs.store.store import new_name

if TYPE_CHECKING:
    from bestdefense_async.runs.store.connection import StoreConnection


def next_moment(cron: str, now: float) -> float:
    """Return when a run is due next, in seconds since the epoch; the calendar is UTC's.

    Raises:
        ConfigError: It is no expression of cron with five fields.
    """
    if len(cron.split()) != len("mhdMw") or not croniter.is_valid(cron):
        shown = clean_text(repr(cron), longest=80)
        raise ConfigError(f"{shown} is no time of cron: five fields like '0 3 * * 1-5', in UTC.")
    return float(croniter(cron, now).get_next(float))


def plan_repetition(connection: StoreConnection, name: str, cron: str | None) -> float | None:
    """Let a run be begun again whenever it is due, or never again; return the next moment.

    Raises:
        ConfigError: The time makes no sense.
        JournalError: Workers do not carry out that run.
    """
    row = connection.execute(
        "SELECT id FROM run WHERE name = ? AND credential IS NOT NULL", (name,)
    ).fetchone()
    if row is None:
        raise JournalError(f"Run {name} is not one that workers carry out.")
    if cron is None:
        connection.execute("DELETE FROM repetition WHERE run = ?", row)
        return None
    moment = next_moment(cron, connection.now())
    connection.execute(
        "INSERT INTO repetition (run, cron, next_at) VALUES (?, ?, to_timestamp(?))"
        " ON CONFLICT (run) DO UPDATE SET cron = excluded.cron, next_at = excluded.next_at",
        (row[0], cron, moment),
    )
    return moment


def begin_due(connection: StoreConnection) -> list[str]:
    """Begin the runs that are due, and return their names.

    One whose last run has not ended yet is left out this time.
    """
    begun = []
    due = connection.execute(
        "SELECT repetition.run, cron, run.id IS NULL, EXISTS (SELECT 1 FROM shard"
        "  WHERE shard.run = repetition.run AND state <> 'ended' AND cancelled_at IS NULL)"
        " FROM repetition LEFT JOIN run ON run.id = repetition.run"
        " WHERE next_at <= clock_timestamp() FOR UPDATE OF repetition SKIP LOCKED"
    ).fetchall()
    for run, cron, is_gone, is_busy in due:
        if is_gone:  # somebody has deleted it
            connection.execute("DELETE FROM repetition WHERE run = ?", (run,))
            continue
        successor = run
        if not is_busy:
            successor, name = _copied(connection, run)
            begun.append(name)
        connection.execute(
            "UPDATE repetition SET run = ?, next_at = to_timestamp(?) WHERE run = ?",
            (successor, next_moment(cron, connection.now()), run),
        )
    return begun


def _copied(connection: StoreConnection, run: int) -> tuple[int, str]:
    """Return number and name of a new run with the inputs of an earlier one."""
    name = new_name(connection)
    row: tuple[Any, ...] = connection.execute(
        "INSERT INTO run (name, created_at, base_url, token_key, options, previous, credential)"
        " SELECT ?, ?, base_url, token_key, options, name, credential FROM run WHERE id = ?"
        " RETURNING id",
        (name, connection.now(), run),
    ).fetchone()
    connection.execute(
        "INSERT INTO scan (run, input_index, shard, target, line, site_id, site_key, is_duplicate,"
        " error) SELECT ?, input_index, input_index / ?, target, line, site_id, site_key,"
        " is_duplicate, CASE WHEN site_key IS NULL THEN error END FROM scan WHERE run = ?",
        (row[0], SHARD_SIZE, run),
    )
    connection.execute(
        "INSERT INTO shard (run, shard, first, last, fence, state)"
        " SELECT run, shard, min(input_index), max(input_index), 0, 'ready' FROM scan"
        " WHERE run = ? GROUP BY run, shard",
        (row[0],),
    )
    connection.execute(
        "INSERT INTO result (run, input_index, result)"
        " SELECT ?, input_index, result FROM result WHERE run = ? AND input_index = ?",
        (row[0], run, POLICY),
    )
    return row[0], name
