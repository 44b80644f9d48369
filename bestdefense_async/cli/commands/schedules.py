"""`bestdefense schedules`: sites that are scanned again and again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from bestdefense_async import vendor
from bestdefense_async.cli.options import params
from bestdefense_async.cli.options.connection import ApiCommand, Connection, connected
from bestdefense_async.cli.options.grammar import Group
from bestdefense_async.cli.options.runs import SITE
from bestdefense_async.cli.options.targets import site_named
from bestdefense_async.cli.terminal import streams
from bestdefense_async.cli.terminal.tables import FORMAT, emit, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bestdefense_async.client import BestDefense
    from bestdefense_async.models import Schedule

_COLUMNS = ("id", "hostname", "types", "mode", "intensity", "when", "next_run_at")


def _day(text: str) -> str | int:
    """Return a day of a week or of a month, as `schedules.create` takes it.

    Raises:
        ValueError: It is neither; the message fits after "must be".
    """
    lowered = text.strip().lower()
    if lowered.isdecimal():
        return params.whole_number(lowered, least=1, most=31)
    found = [day for day in vendor.WEEKDAYS if len(lowered) > 1 and day.startswith(lowered)]
    if len(found) != 1:
        raise ValueError("a day of the week like monday, or a day of the month from 1 to 31")
    return found[0]


def _time(text: str) -> str:
    """Return a time of day as `schedules.create` takes it; `3:00` is 03:00.

    Raises:
        ValueError: It is none; the message fits after "must be".
    """
    if not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("a time from 00:00 to 23:59")
    return text.rjust(5, "0")


@click.group("schedules", cls=Group)
def command() -> None:
    """List, create or delete scheduled reports."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_schedules(format_: str, connection: Connection) -> int:
    """List all schedules of the organization."""
    return connection.call(lambda bd: bd.schedules.list(), lambda found: _emit(found, format_))


@command.command("create", cls=ApiCommand)
@click.argument("site", type=SITE)
@click.option(
    "--every",
    "cadence",
    type=params.Word(*vendor.CADENCES),
    required=True,
    help="How often to scan.",
)
@click.option(
    "--on",
    "day",
    type=params.Parsed("DAY", _day),
    help="monday to sunday for weekly, 1 to 31 for monthly.",
)
@click.option("--at", "time", type=params.Parsed("HH:MM", _time), help="When to begin, in UTC.")
@click.option("--timezone", metavar="NAME", help="Zone of --at instead of UTC, as Europe/Zurich.")
@params.TYPES
@params.MODE
@params.TEST
@params.INTENSITY
@click.option(
    "--test-user",
    "test_users",
    multiple=True,
    metavar="NAME",
    help="An account the scan signs in with. Repeatable.",
)
@connected
@FORMAT
def create_schedule(
    site: str,
    *,
    cadence: str,
    day: str | int | None,
    time: str | None,
    timezone: str | None,
    types: tuple[str, ...],
    mode: str | None,
    test: str | None,
    intensity: str | None,
    test_users: tuple[str, ...],
    format_: str,
    connection: Connection,
) -> int:
    """Scan a SITE, given by host name, URL or id, again and again."""
    from bestdefense_async.models import ScanOptions

    options = ScanOptions(types=types, intensity=intensity, mode=mode, testing_type=test)

    async def ask(bd: BestDefense) -> Schedule:
        return await bd.schedules.create(
            await site_named(bd, site),
            options,
            cadence=cadence,
            day=day,
            time=time,
            timezone=timezone,
            test_users=test_users,
        )

    return connection.call(ask, lambda made: _emit([made], format_))


@command.command("delete", cls=ApiCommand)
@click.argument("schedule_id", type=params.SCHEDULE_ID)
@connected
def delete_schedule(schedule_id: str, connection: Connection) -> int:
    """Delete a schedule; the reports it has made stay."""
    return connection.call(
        lambda bd: bd.schedules.delete(schedule_id),
        lambda _: streams.say(f"schedule {schedule_id} is deleted"),
    )


def _emit(schedules: Sequence[Schedule], format_: str) -> None:
    records = [_record(one) for one in schedules]
    extra = ("mode", "types", "intensity")
    nothing = "There are no schedules."
    emit("schedules", records, format_, columns=_COLUMNS, extra=extra, nothing=nothing)


def _record(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "site_id": schedule.site_id,
        "hostname": schedule.hostname,
        "types": list(schedule.types),
        "mode": schedule.mode,
        "testing_type": schedule.testing_type,
        "intensity": schedule.intensity,
        "when": schedule.when,
        "cadence": schedule.cadence,
        "day": schedule.day_of_week or schedule.day_of_month,
        "time": schedule.time,
        "timezone": schedule.timezone,
        "test_users": list(schedule.test_users),
        "created_at": iso(schedule.created_at),
        "next_run_at": iso(schedule.next_run_at),
    }
