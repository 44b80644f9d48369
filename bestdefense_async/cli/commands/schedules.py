"""`bestdefense schedules`: sites that are scanned again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bestdefense_async.cli import params, streams
from bestdefense_async.cli.connection import ApiCommand, connected, connection
from bestdefense_async.cli.records import FORMAT, emit
from bestdefense_async.cli.running import Interruption, run_async

if TYPE_CHECKING:
    from bestdefense_async.models import Schedule

_COLUMNS = ("id", "hostname", "types", "intensity", "cadence", "next_run_at")


@click.group("schedules")
def command() -> None:
    """List, create or delete scheduled reports."""


@command.command("list", cls=ApiCommand)
@connected
@FORMAT
def list_schedules(form: str) -> int:
    """List all schedules of the organization."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            schedules = await bd.schedules.list()
        emit("schedules", [_record(one) for one in schedules], form, columns=_COLUMNS)
        if not schedules:
            streams.say("There are no schedules.")
        return 0

    return run_async(work)


@command.command("create", cls=ApiCommand)
@click.argument("site")
@click.option(
    "--cadence",
    type=click.Choice(params.CADENCE_WORDS),
    required=True,
    help="How often to scan.",
)
@click.option(
    "--type",
    "types",
    type=params.TYPES,
    default="security",
    show_default=True,
    help="What to scan for: security,seo,dns,whois.",
)
@click.option(
    "--intensity",
    type=click.Choice(params.INTENSITY_WORDS),
    help="How hard to scan; quick is on every plan.",
)
@click.option(
    "--test-user",
    "test_users",
    multiple=True,
    metavar="NAME",
    help="An account the scan signs in with; may be repeated.",
)
@connected
@FORMAT
def create_schedule(site: str, form: str, **words: Any) -> int:  # noqa: ANN401  # click's options
    """Let a SITE, given by host name or id, be scanned again and again."""
    streams.require_stdout()
    client = connection().client

    async def work(_: Interruption) -> int:
        from bestdefense_async.models import ScanOptions

        options = ScanOptions(types=words["types"], intensity=words["intensity"])
        async with client() as bd:
            by_id = [one for one in await bd.sites.list() if one.id == site]
            found = by_id[0] if by_id else await bd.sites.find(site)
            made = await bd.schedules.create(
                found, options, cadence=words["cadence"], test_users=words["test_users"]
            )
        emit("schedules", [_record(made)], form, columns=_COLUMNS)
        return 0

    return run_async(work)


@command.command("delete", cls=ApiCommand)
@click.argument("schedule_id")
@connected
def delete_schedule(schedule_id: str) -> int:
    """Delete a schedule; the reports it has made stay."""
    client = connection().client

    async def work(_: Interruption) -> int:
        async with client() as bd:
            await bd.schedules.delete(schedule_id)
        streams.say(f"schedule {schedule_id} is deleted")
        return 0

    return run_async(work)


def _record(schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "site_id": schedule.site_id,
        "hostname": schedule.hostname,
        "types": list(schedule.types),
        "intensity": schedule.intensity,
        "cadence": schedule.cadence,
        "test_users": list(schedule.test_users),
        "created_at": None if schedule.created_at is None else schedule.created_at.isoformat(),
        "next_run_at": None if schedule.next_run_at is None else schedule.next_run_at.isoformat(),
    }
