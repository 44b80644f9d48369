"""AI remediation: described, paths and fields chosen by us.

Source: "API access & tokens" (documented): each remediation pull request consumes a credit. What
the API answers when they run out is unknown; here it is 403 with a message that names credits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.chance import bell, identifier
from bestdefense_async.sandbox.world.findings import findings_of
from bestdefense_async.sandbox.world.records import Remediation
from bestdefense_async.sandbox.world.world import Call, World, not_found, own_scan, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.sandbox.world.clock import Clock

_REVIEW = 600.0
"""Median scan seconds of a review."""


def _described(item: Remediation, clock: Clock) -> dict[str, Any]:
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


def trigger(world: World, call: Call) -> Reply:
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
            for finding in findings_of(world.seed, scan.site.hostname)
            if wanted == (finding.id if single else finding.weakness.name)
        ),
        None,
    )
    if found is None:
        not_found("Finding")
    organization = call.token.organization
    left = world.credits_of(organization)
    if left == 0:
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
    world.credits[organization] = left - 1
    data = {"remediation": _described(item, world.clock), "creditsRemaining": left - 1}
    return success(data, "Remediation started.")


def list_remediations(world: World, call: Call) -> Reply:
    """Answer the organization's remediations, oldest first."""
    items = world.remediations.of(call.token.organization)
    return success(
        {
            "remediations": [_described(item, world.clock) for item in items],
            "creditsRemaining": world.credits_of(call.token.organization),
        }
    )


def get_remediation(world: World, call: Call) -> Reply:
    """Answer one remediation."""
    item = world.remediations.find(call.key, call.token.organization)
    if item is None:
        not_found("Remediation")
    return success({"remediation": _described(item, world.clock)})


HANDLERS: Mapping[str, Callable[[World, Call], Reply]] = {
    "remediation.trigger": trigger,
    "remediation.list": list_remediations,
    "remediation.get": get_remediation,
}
