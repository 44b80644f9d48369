"""Network scans: described, paths and fields chosen by us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success, wrapped
from bestdefense_async.sandbox.world.chance import identifier
from bestdefense_async.sandbox.world.findings import network_findings_of
from bestdefense_async.sandbox.world.records import NetworkScan
from bestdefense_async.sandbox.world.scans import MEDIANS
from bestdefense_async.sandbox.world.world import Call, World, not_found, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TARGET = re.compile(r"[A-Za-z0-9._:/\[\]-]{1,255}")


def start(world: World, call: Call) -> Reply:
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


def progress(world: World, call: Call) -> Reply:
    """Answer whether it is over, and how far it has come."""
    scan = _own(world, call)
    now = world.clock.now()
    return success({"isCompleted": scan.is_over(now), "percentage": scan.percentage(now)})


def findings(world: World, call: Call) -> Reply:
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
    "network.start": start,
    "network.progress": progress,
    "network.findings": findings,
}
