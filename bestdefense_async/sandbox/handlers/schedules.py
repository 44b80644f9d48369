"""Scheduled reports: described, paths and fields chosen by us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.chance import identifier
from bestdefense_async.sandbox.world.records import CADENCES, Schedule
from bestdefense_async.sandbox.world.world import Call, World, not_found, own_site, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.sandbox.world.clock import Clock


def _described(schedule: Schedule, clock: Clock) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "siteId": schedule.site.id,
        "hostname": schedule.site.hostname,
        "types": list(schedule.types),
        "scanIntensity": schedule.intensity,
        "cadence": schedule.cadence,
        "testUsers": list(schedule.test_users),
        "createdAt": clock.calendar(schedule.created),
        "nextRunAt": clock.calendar(schedule.next_run(clock.now())),
    }


def create_schedule(world: World, call: Call) -> Reply:
    """Add a schedule; it only says when it would run, and starts no scans."""
    body = reading.read_json(call.body)
    site = own_site(world, call, reading.text(body, "siteId"))
    if world.plan == "starter":
        refuse(403, "Your plan does not include scheduled reports.")
    cadence = reading.text(body, "cadence")
    if cadence not in CADENCES:
        refuse(400, f"cadence must be one of {', '.join(CADENCES)}.")
    now = world.clock.now()
    schedule = Schedule(
        id=identifier("schedule", world.seed, world.schedules.made),
        site=site,
        types=reading.texts(body, "types"),
        intensity=reading.intensity(body),
        cadence=cadence,
        test_users=reading.texts(body, "testUsers") if body.get("testUsers") else (),
        created=now,
    )
    world.schedules.add(schedule)
    return success({"schedule": _described(schedule, world.clock)}, "Schedule created.")


def list_schedules(world: World, call: Call) -> Reply:
    """Answer the organization's schedules, oldest first."""
    found = world.schedules.of(call.token.organization)
    return success({"schedules": [_described(schedule, world.clock) for schedule in found]})


def delete_schedule(world: World, call: Call) -> Reply:
    """Delete a schedule."""
    schedule = world.schedules.find(call.key, call.token.organization)
    if schedule is None:
        not_found("Schedule")
    world.schedules.remove(schedule)
    return success({}, "Schedule deleted.")


HANDLERS: Mapping[str, Callable[[World, Call], Reply]] = {
    "schedules.create": create_schedule,
    "schedules.list": list_schedules,
    "schedules.delete": delete_schedule,
}
