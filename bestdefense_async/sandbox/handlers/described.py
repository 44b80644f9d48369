"""Schedules, AI remediations and network scans: described, paths and fields chosen by us.

Source: "API access & tokens" (documented): each remediation pull request consumes a credit. What
the API answers when they run out is unknown; here it is 403 with a message that names credits.
"""

from __future__ import annotations

import math
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from bestdefense_async.sandbox.replies import Reply, not_found, refuse, success, wrapped
from bestdefense_async.sandbox.world.chance import bell, identifier
from bestdefense_async.sandbox.world.clock import date
from bestdefense_async.sandbox.world.findings import network_findings_of
from bestdefense_async.sandbox.world.records import (
    WEEKDAYS,
    NetworkScan,
    Remediation,
    Schedule,
    zone_of,
)
from bestdefense_async.sandbox.world.scans import MEDIANS, ScanOptions
from bestdefense_async.sandbox.world.world import (
    Call,
    World,
    check_plan,
    check_scannable,
    own_scan,
    own_site,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bestdefense_async.sandbox.world.clock import Clock


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


def _day(body: Mapping[str, Any], cadence: str, today: datetime) -> int:
    """Return the day of a schedule; what is left out is the day on which it is made."""
    for key, owner in (("dayOfWeek", "weekly"), ("dayOfMonth", "monthly")):
        if key in body and cadence != owner:
            refuse(400, f"{key} belongs to a {owner} schedule.")
    if cadence == "weekly":
        return WEEKDAYS.index(body["dayOfWeek"]) if "dayOfWeek" in body else today.weekday()
    day: int = body.get("dayOfMonth", today.day)
    return day


def create_schedule(world: World, call: Call) -> Reply:
    """Add a schedule: scans start by themselves when the calendar comes to its day and time."""
    body = call.json
    site = own_site(world, call, body["siteId"])
    if world.organization(call.token.organization).plan == "starter":
        refuse(403, "Your plan does not include scheduled reports.")
    check_scannable(site)
    created = world.clock.today()
    timezone = body.get("timezone", "UTC")
    try:
        today = datetime.fromtimestamp(created, zone_of(timezone))
    except LookupError:
        refuse(400, "timezone must be a name of the IANA database, such as Europe/Zurich.")
    chosen = {"vortexType": "analog", "testingType": "web", "scanIntensity": "quick"}
    options: dict[str, Any] = {kind: {"enabled": True} for kind in body["types"]}
    if "security" in options:
        options["security"]["options"] = {name: body.get(name, chosen[name]) for name in chosen}
    schedule = Schedule(
        id=identifier("schedule", world.seed, world.schedules.made),
        site=site,
        options=ScanOptions.of(options),
        cadence=body["cadence"],
        day=_day(body, body["cadence"], today),
        time=time.fromisoformat(body.get("time", f"{today:%H:%M}")),
        timezone=timezone,
        test_users=tuple(body.get("testUsers", ())),
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
    body = call.json
    scan = own_scan(world, call, world.scans.by_id.get(body["reportId"]))
    single = "findingId" in body
    if single == ("weakness" in body):
        refuse(400, "Give either findingId or weakness.")
    wanted = body["findingId" if single else "weakness"]
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


def start_network_scan(world: World, call: Call) -> Reply:
    """Start a scan of `targets` (names, addresses, networks), through `jumpBox` if given."""
    body = call.json
    targets, intensity = tuple(body["targets"]), body.get("scanIntensity", "quick")
    check_plan(world, call, intensity)
    made = world.network_scans.made
    scan = NetworkScan(
        id=identifier("network", world.seed, made),
        organization=call.token.organization,
        targets=targets,
        jump_box=body.get("jumpBox"),
        started=world.clock.now(),
        duration=MEDIANS[intensity] * (1 + len(targets) / 50),
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
