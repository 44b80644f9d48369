"""Control of a sandbox that runs in another process: faults, tokens, sites, ledger.

Served only by a sandbox made with `control=True`, on loopback, to whoever has its control token.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.world import Call, World, refuse

_Control = Callable[[World, Call], Reply]


def _guarded(handler: _Control) -> _Control:
    """Return the handler behind the control token; mistakes in its body answer 400."""

    @wraps(handler)
    def guarded(world: World, call: Call) -> Reply:
        shown = call.headers.get("Authorization", "").removeprefix("Bearer ")
        if world.control_token is None or not hmac.compare_digest(
            shown.encode(errors="surrogateescape"), world.control_token.encode()
        ):
            refuse(401, "The control token is missing or wrong.")
        try:
            return handler(world, call)
        except (LookupError, TypeError, ValueError) as error:
            # The caller owns this sandbox, so it may read what was wrong.
            refuse(400, str(error))

    return guarded


def read_ledger(world: World, _: Call) -> Reply:
    """Answer arrivals by operation, scans by site, and the sites scanned twice."""
    return success(
        {
            "counts": world.ledger.counts(),
            "scansPerSite": world.scans.per_site(),
            "duplicates": world.scans.sites_scanned_twice(),
        }
    )


def set_fault(world: World, call: Call) -> Reply:
    """Set a fault: `operation` and the fields of `FaultPlan`."""
    body: dict[str, Any] = reading.read_json(call.body)
    operation = reading.text(body, "operation")
    del body["operation"]
    world.plan_fault(operation, body)
    return success({"active": len(world.faults.active)})


def clear_faults(world: World, _: Call) -> Reply:
    """End every fault."""
    world.faults.active.clear()
    return success({"active": 0})


def add_token(world: World, call: Call) -> Reply:
    """Make a token: `organization`, `permissions`, `expired`, `revoked`."""
    body = reading.read_json(call.body)
    token = world.issue(
        organization=reading.text(body, "organization") if "organization" in body else "main",
        permissions=body.get("permissions"),
        expired=reading.flag(body, "expired"),
        revoked=reading.flag(body, "revoked"),
    )
    return success({"token": token})


def revoke_token(world: World, call: Call) -> Reply:
    """Refuse `token` from now on."""
    world.tokens.revoke(reading.text(reading.read_json(call.body), "token"))
    return success({})


def script_site(world: World, call: Call) -> Reply:
    """Decide how the site's scans run: `duration` ("never" for no end), `visibleAfter` etc."""
    body = reading.read_json(call.body)
    duration = body.get("duration")
    world.fleet.find(call.key).script(
        duration=math.inf if duration == "never" else duration,
        visible_after=body.get("visibleAfter"),
        backwards=reading.flag(body, "backwards"),
    )
    return success({})


HANDLERS: Mapping[str, _Control] = {
    "control.ledger": _guarded(read_ledger),
    "control.fault": _guarded(set_fault),
    "control.clear": _guarded(clear_faults),
    "control.token": _guarded(add_token),
    "control.revoke": _guarded(revoke_token),
    "control.site": _guarded(script_site),
}
