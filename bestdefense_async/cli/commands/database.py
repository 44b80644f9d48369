"""`bestdefense database`: the tables of shared runs, made and changed by order only."""

from __future__ import annotations

import click

from bestdefense_async.cli.exits import Exit
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.options.runs import DATABASE
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit


@click.group("database", cls=Group)
def command() -> None:
    """Prepare a PostgreSQL database for runs that several machines share.

    \b
      bestdefense database init --database postgresql://bestdefense@db.internal/runs
      bestdefense worker --database postgresql://bestdefense@db.internal/runs
    """  # noqa: D301  # \b is click's mark for text it must not fill


@command.command("init")
@DATABASE
def init(database: str) -> int:
    """Make the tables, in a schema called bestdefense; harmless when they are there."""
    from bestdefense_async.distributed.administration import initialize

    is_new = initialize(database)
    streams.say("bestdefense: " + ("the tables are made" if is_new else "the tables are there"))
    return Exit.OK


@command.command("upgrade")
@DATABASE
def upgrade(database: str) -> int:
    """Bring the tables to the version of this program. Stop all workers before."""
    from bestdefense_async.distributed import administration

    before, after = administration.upgrade(database)
    said = f"version {after}" if before == after else f"version {after}, they were {before}"
    streams.say(f"bestdefense: the tables are of {said}")
    return Exit.OK


@command.command("status")
@DATABASE
@FORMAT
def status(database: str, format_: str) -> int:
    """Show what is in the database; exit 2 when this program cannot use it."""
    from bestdefense_async.distributed import administration

    found = administration.status(database)
    record = {
        "database": found.database,
        "version": found.version,
        "needed": found.needed,
        "runs": found.runs,
        "megabytes": round(found.size_bytes / 1e6, 1),
        "workers": found.workers,
        "waiting": found.shards_waiting,
        "held": found.shards_held,
        "blocked": found.shards_blocked,
    }
    emit("databases", [record], format_)
    if found.version == found.needed:
        return Exit.OK
    what = "init" if found.version == 0 else "upgrade"
    newer = found.version > found.needed
    streams.say(
        "bestdefense: "
        + ("update this program" if newer else f"to use it: bestdefense database {what}")
    )
    return Exit.USAGE
