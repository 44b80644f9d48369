"""`bestdefense schedules`: sites that are scanned again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bestdefense_async import vendor
from bestdefense_async.cli.jobs.one_call import call, site_named
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Schedule

_COLUMNS = ("id", "hostname", "types", "intensity", "cadence", "next_run_at")


@click.group("schedules", cls=Group)
def command() -> None:
    """List, create or delete scheduled reports."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_schedules(format_: str, connection: Connection) -> int:
    """List all schedules of the organization."""
    streams.require_stdout()

    def write(schedules: Sequence[Schedule]) -> None:
        emit("schedules", [_record(one) for one in schedules], format_, columns=_COLUMNS)
        if not schedules:
            streams.note("There are no schedules.")

    return call(connection, lambda bd: bd.schedules.list(), write)


@command.command("create", cls=ApiCommand)
@click.argument("site")
@click.option(
    "--cadence",
    type=params.Word(*vendor.CADENCES),
    required=True,
    help="How often to scan.",
)
@params.TYPES
@params.INTENSITY
@click.option(
    "--test-user",
    "test_users",
    multiple=True,
    metavar="NAME",
    help="An account the scan signs in with; may be repeated.",
)
@connected
@FORMAT
def create_schedule(
    site: str,
    *,
    cadence: str,
    types: tuple[str, ...],
    intensity: str | None,
    test_users: tuple[str, ...],
    format_: str,
    connection: Connection,
) -> int:
    """Scan a SITE, given by host name or id, again and again."""
    from bestdefense_async.models import ScanOptions

    streams.require_stdout()
    options = ScanOptions(types=types, intensity=intensity)

    async def ask(bd: BestDefense) -> Schedule:
        return await bd.schedules.create(
            await site_named(bd, site),
            options,
            cadence=cadence,
            test_users=test_users,
        )

    return call(
        connection, ask, lambda made: emit("schedules", [_record(made)], format_, columns=_COLUMNS)
    )


@command.command("delete", cls=ApiCommand)
@click.argument("schedule_id")
@connected
def delete_schedule(schedule_id: str, connection: Connection) -> int:
    """Delete a schedule; the reports it has made stay."""
    return call(
        connection,
        lambda bd: bd.schedules.delete(schedule_id),
        lambda _: streams.say(f"schedule {schedule_id} is deleted"),
    )


def _record(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "site_id": schedule.site_id,
        "hostname": schedule.hostname,
        "types": list(schedule.types),
        "intensity": schedule.intensity,
        "cadence": schedule.cadence,
        "test_users": list(schedule.test_users),
        "created_at": iso(schedule.created_at),
        "next_run_at": iso(schedule.next_run_at),
    }
