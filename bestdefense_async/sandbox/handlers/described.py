"""Schedules, AI remediations and network scans: described, paths and fields chosen by us.

Source: "API access & tokens" (documented): each remediation pull request consumes a credit. What
the API answers when they run out is unknown; here it is 403 with a message that names credits.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success, wrapped
from bestdefense_async.sandbox.world.chance import bell, identifier
from bestdefense_async.sandbox.world.findings import network_findings_of
from bestdefense_async.sandbox.world.records import CADENCES, NetworkScan, Remediation, Schedule
from bestdefense_async.sandbox.world.scans import MEDIANS
from bestdefense_async.sandbox.world.world import (
    Call,
    World,
    not_found,
    own_scan,
    own_site,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.sandbox.world.clock import Clock


def _schedule(schedule: Schedule, clock: Clock) -> dict[str, Any]:
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
    if world.organization(call.token.organization).plan == "starter":
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
    return success({"schedule": _schedule(schedule, world.clock)}, "Schedule created.")


def list_schedules(world: World, call: Call) -> Reply:
    """Answer the organization's schedules, oldest first."""
    found = world.schedules.of(call.token.organization)
    return success({"schedules": [_schedule(schedule, world.clock) for schedule in found]})


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
