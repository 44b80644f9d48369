"""Control of a sandbox that runs in another process: faults, tokens, sites, ledger.

Served only by a sandbox made with `control=True`, on loopback, to whoever has its control token.
"""

from __future__ import annotations

import base64
import hmac
import math
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import attrs

from bestdefense_async.sandbox.handlers import reading
from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.clock import date
from bestdefense_async.sandbox.world.specs import plant, read_findings, read_organizations
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


def requests(world: World, call: Call) -> Reply:
    """Answer the requests to `address`, about `site` if it is given, as they are recorded."""
    body = reading.read_json(call.body)
    site = reading.text(body, "site") if body.get("site") is not None else None
    found = world.requests(reading.text(body, "address"), site)
    rows = [attrs.asdict(each, filter=lambda field, _: field.name != "body") for each in found]
    for row, each in zip(rows, found, strict=True):
        row["body"] = base64.b64encode(each.body).decode()
    return success({"requests": rows})


def advance(world: World, call: Call) -> Reply:
    """Let `seconds` pass at once."""
    world.clock.skip(reading.read_json(call.body).get("seconds", 0))
    return success({})


def reset(world: World, _: Call) -> Reply:
    """Begin again as after the start."""
    world.begin_again()
    return success({})


def add_organization(world: World, call: Call) -> Reply:
    """Add an organization: the fields of `OrganizationSpec`."""
    (spec,) = read_organizations([reading.read_json(call.body)])
    world.add_organization(spec)
    return success({"token": world.issue(organization=spec.name)})


def list_tokens(world: World, _: Call) -> Reply:
    """Answer what is known about every token, never its text."""
    today = world.clock.today()
    rows = [
        {
            "id": token.key,
            "name": token.name,
            "organization": token.organization,
            "permissions": sorted(token.permissions),
            "createdAt": date(token.created),
            "expiresAt": None if math.isinf(token.expires) else date(token.expires),
            "isGood": token.refusal(today) is None,
        }
        for token in world.tokens.listed()
    ]
    return success({"tokens": rows})


def add_token(world: World, call: Call) -> Reply:
    """Make a token: `organization`, `permissions`, `name`, `days`, `expired`, `revoked`."""
    body = reading.read_json(call.body)
    token = world.issue(
        organization=reading.text(body, "organization") if "organization" in body else "main",
        permissions=body.get("permissions"),
        name=reading.text(body, "name") if body.get("name") else "",
        days=body.get("days", 30),
        expired=reading.flag(body, "expired"),
        revoked=reading.flag(body, "revoked"),
    )
    return success({"token": token, "id": world.tokens.of(token).key})


def revoke_token(world: World, call: Call) -> Reply:
    """Refuse `token`, which may be the id of one, from now on."""
    world.tokens.revoke(reading.text(reading.read_json(call.body), "token"))
    return success({})


def script_site(world: World, call: Call) -> Reply:
    """Decide how the site's scans run: `duration` ("never" for no end), `visibleAfter` etc.

    With `findings` it decides what they find, and nothing else.
    """
    body = reading.read_json(call.body)
    site = world.fleet.find(call.key)
    if "findings" in body:
        site.findings = plant(site.hostname, read_findings(body["findings"]))
        return success({})
    duration = body.get("duration")
    site.script(
        duration=math.inf if duration == "never" else duration,
        visible_after=body.get("visibleAfter"),
        backwards=reading.flag(body, "backwards"),
    )
    return success({})


HANDLERS: Mapping[str, _Control] = {
    "control.ledger": _guarded(read_ledger),
    "control.fault": _guarded(set_fault),
    "control.clear": _guarded(clear_faults),
    "control.requests": _guarded(requests),
    "control.time": _guarded(advance),
    "control.reset": _guarded(reset),
    "control.organization": _guarded(add_organization),
    "control.tokens": _guarded(list_tokens),
    "control.token": _guarded(add_token),
    "control.revoke": _guarded(revoke_token),
    "control.site": _guarded(script_site),
}
