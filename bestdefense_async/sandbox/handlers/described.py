"""Schedules, AI remediations and network scans: described, paths and fields chosen by us.

Source: "API access & tokens" (documented): each remediation pull request consumes a credit. What
the API answers when they run out is unknown; here it is 403 with a message that names credits.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success, wrapped
from bestdefense_async.sandbox.world.chance import bell, identifier
from bestdefense_async.sandbox.world.clock import date
from bestdefense_async.sandbox.world.findings import network_findings_of
from bestdefense_async.sandbox.world.records import (
    CADENCES,
    WEEKDAYS,
    NetworkScan,
    Remediation,
    Schedule,
    zone_of,
)
from bestdefense_async.sandbox.world.scans import MEDIANS
from bestdefense_async.sandbox.world.world import (
    Call,
    World,
    check_scannable,
    not_found,
    own_scan,
    own_site,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bestdefense_async.sandbox.world.clock import Clock

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_LONGEST_MONTH = 31


def _schedule(schedule: Schedule) -> dict[str, Any]:
    options = schedule.options
    is_weekly, is_monthly = schedule.cadence == "weekly", schedule.cadence == "monthly"
    return {
        "id": schedule.id,
        "siteId": schedule.site.id,
        "hostname": schedule.site.hostname,
        "types": list(options.types),
        **options.body.get("security", {}).get("options", {}),
        "scanIntensity": options.intensity,
        "cadence": schedule.cadence,
        "dayOfWeek": WEEKDAYS[schedule.day] if is_weekly else None,
        "dayOfMonth": schedule.day if is_monthly else None,
        "time": f"{schedule.time:%H:%M}",
        "timezone": schedule.timezone,
        "testUsers": list(schedule.test_users),
        "createdAt": date(schedule.created),
        "nextRunAt": date(schedule.next_run),
    }


def _one_of(body: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    word = reading.text(body, key)
    if word not in known:
        refuse(400, f"{key} must be one of {', '.join(known)}.")
    return word


def _day(body: Mapping[str, Any], cadence: str, today: datetime) -> int:
    """Return the day of a schedule; what is left out is the day on which it is made."""
    for key, owner in (("dayOfWeek", "weekly"), ("dayOfMonth", "monthly")):
        if body.get(key) is not None and cadence != owner:
            refuse(400, f"{key} belongs to a {owner} schedule.")
    if body.get("dayOfWeek") is not None:
        return WEEKDAYS.index(_one_of(body, "dayOfWeek", WEEKDAYS))
    if cadence == "weekly":
        return today.weekday()
    day = body.get("dayOfMonth")
    if day is None:
        return today.day
    if type(day) is not int or not 1 <= day <= _LONGEST_MONTH:
        refuse(400, f"dayOfMonth must be a number from 1 to {_LONGEST_MONTH}.")
    return day


def create_schedule(world: World, call: Call) -> Reply:
    """Add a schedule: scans start by themselves when the calendar comes to its day and time."""
    body = reading.read_json(call.body)
    site = own_site(world, call, reading.text(body, "siteId"))
    if world.organization(call.token.organization).plan == "starter":
        refuse(403, "Your plan does not include scheduled reports.")
    check_scannable(site)
    cadence = _one_of(body, "cadence", CADENCES)
    created = world.clock.today()
    timezone = "UTC" if body.get("timezone") is None else reading.text(body, "timezone")
    try:
        today = datetime.fromtimestamp(created, zone_of(timezone))
    except LookupError:
        refuse(400, "timezone must be a name of the IANA database, such as Europe/Zurich.")
    at = f"{today:%H:%M}" if body.get("time") is None else reading.text(body, "time")
    if _TIME.fullmatch(at) is None:
        refuse(400, "time must be written from 00:00 to 23:59.")
    schedule = Schedule(
        id=identifier("schedule", world.seed, world.schedules.made),
        site=site,
        options=reading.flat_options(body),
        cadence=cadence,
        day=_day(body, cadence, today),
        time=time.fromisoformat(at),
        timezone=timezone,
        test_users=reading.texts(body, "testUsers") if body.get("testUsers") else (),
        created=created,
    )
    world.add_schedule(schedule)
    return success({"schedule": _schedule(schedule)}, "Schedule created.")


def list_schedules(world: World, call: Call) -> Reply:
    """Answer the organization's schedules, oldest first."""
    found = world.schedules.of(call.token.organization)
    return success({"schedules": [_schedule(schedule) for schedule in found]})


def delete_schedule(world: World, call: Call) -> Reply:
    """Delete a schedule."""
    schedule = world.schedules.find(call.key, call.token.organization)
    if schedule is None:
        not_found("Schedule")
    world.schedules.remove(schedule)
    return success({}, "Schedule deleted.")


_REVIEW = 600.0
"""Median scan seconds of a review."""


def _remediation(item: Remediation, clock: Clock) -> dict[str, Any]:
    stage = item.stage(clock.now())
    return {
        "id": item.id,
        "reportId": item.report_id,
        "findingId": item.finding_id,
        "weakness": item.weakness,
        "stage": stage,
        "createdAt": clock.calendar(item.created),
        "pullRequestUrl": None
        if stage == "Blocked"
        else f"https://git.example/main/web/pull/{int(item.id[:4], 16)}",
    }


def trigger_remediation(world: World, call: Call) -> Reply:
    """Start the remediation of one finding (`findingId`) or of a weakness type (`weakness`)."""
    body = reading.read_json(call.body)
    scan = own_scan(world, call, world.scans.by_id.get(reading.text(body, "reportId")))
    single = body.get("findingId") is not None
    if single == (body.get("weakness") is not None):
        refuse(400, "Give either findingId or weakness.")
    wanted = reading.text(body, "findingId" if single else "weakness")
    found = next(
        (
            finding
            for finding in world.alerts.findings(scan.site.hostname, scan.findings)
            if wanted == (finding.id if single else finding.weakness.name)
        ),
        None,
    )
    if found is None:
        not_found("Finding")
    organization = call.token.organization
    account = world.organization(organization)
    if account.credits == 0:
        refuse(403, "Your organization has no AI remediation credits left.")
    now = world.clock.now()
    made = world.remediations.made
    item = world.remediations.add(
        Remediation(
            id=identifier("remediation", world.seed, made),
            organization=organization,
            report_id=scan.id,
            finding_id=found.id if single else None,
            weakness=found.weakness.name,
            created=now,
            review=_REVIEW * math.exp(0.5 * bell("review", world.seed, made)),
        )
    )
    account.credits -= 1
    data = {"remediation": _remediation(item, world.clock), "creditsRemaining": account.credits}
    return success(data, "Remediation started.")


def list_remediations(world: World, call: Call) -> Reply:
    """Answer the organization's remediations, oldest first."""
    items = world.remediations.of(call.token.organization)
    return success(
        {
            "remediations": [_remediation(item, world.clock) for item in items],
            "creditsRemaining": world.organization(call.token.organization).credits,
        }
    )


def get_remediation(world: World, call: Call) -> Reply:
    """Answer one remediation."""
    item = world.remediations.find(call.key, call.token.organization)
    if item is None:
        not_found("Remediation")
    return success({"remediation": _remediation(item, world.clock)})


_TARGET = re.compile(r"[A-Za-z0-9._:/\[\]-]{1,255}")


def start_network_scan(world: World, call: Call) -> Reply:
    """Start a scan of `targets` (names, addresses, networks), through `jumpBox` if given."""
    body = reading.read_json(call.body)
    targets = reading.texts(body, "targets")
    if not all(_TARGET.fullmatch(target) for target in targets):
        refuse(400, "targets must be host names, addresses or networks.")
    jump_box = None if body.get("jumpBox") is None else reading.text(body, "jumpBox", most=255)
    made = world.network_scans.made
    scan = NetworkScan(
        id=identifier("network", world.seed, made),
        organization=call.token.organization,
        targets=targets,
        jump_box=jump_box,
        started=world.clock.now(),
        duration=MEDIANS[reading.intensity(body)] * (1 + len(targets) / 50),
    )
    world.network_scans.add(scan)
    described = {"id": scan.id, "targets": list(scan.targets), "jumpBox": scan.jump_box}
    return success({"scan": described}, "Network scan started.")


def _own(world: World, call: Call) -> NetworkScan:
    scan = world.network_scans.find(call.key, call.token.organization)
    if scan is None:
        not_found("Network scan")
    return scan


def network_progress(world: World, call: Call) -> Reply:
    """Answer whether it is over, and how far it has come."""
    scan = _own(world, call)
    now = world.clock.now()
    return success({"isCompleted": scan.is_over(now), "percentage": scan.percentage(now)})


def network_findings(world: World, call: Call) -> Reply:
    """Answer what it has found on the targets it is through with."""
    scan = _own(world, call)
    done = len(scan.targets) * scan.percentage(world.clock.now()) // 100
    found = [
        (finding, target)
        for target in scan.targets[:done]
        for finding in network_findings_of(world.seed, target)
    ]
    return Reply(200, wrapped(world.alerts.payload(found)))


HANDLERS: Mapping[str, Callable[[World, Call], Reply]] = {
    "schedules.create": create_schedule,
    "schedules.list": list_schedules,
    "schedules.delete": delete_schedule,
    "remediation.trigger": trigger_remediation,
    "remediation.list": list_remediations,
    "remediation.get": get_remediation,
    "network.start": start_network_scan,
    "network.progress": network_progress,
    "network.findings": network_findings,
}
