"""Sites, reports, alerts and registrations.

Source: "CI/CD automation" and the vendor's GitHub action (documented), to the letter, but for
`list_reports` and `get_report`: they are described, and their paths and fields are ours. What is
answered beyond the documented fields is marked where it is made.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from bestdefense_async.sandbox.replies import (
    NOT_FOUND,
    Reply,
    encoded,
    not_found,
    page,
    refuse,
    success,
)
from bestdefense_async.sandbox.world.scans import ScanOptions
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
    from bestdefense_async.sandbox.world.scans import Scan

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


def list_sites(world: World, call: Call) -> Reply:
    """Answer the sites of the token's organization."""
    return world.fleet.listing(call.token.organization)


def create_report(world: World, call: Call) -> Reply:
    """Start a scan: the one answer whose fields stand at top level."""
    site = own_site(world, call, call.key)
    wanted = ScanOptions.of(call.json["options"])
    check_scannable(site)
    check_plan(world, call, wanted.intensity)
    visible = world.clock.after(world.delay_of(site))
    scan = world.scans.create(site, wanted, now=world.clock.now(), visible=visible)
    number = int(scan.id) if world.scenario.drift else scan.id
    return Reply(
        200,
        encoded({"success": True, "message": "Report created.", "status": 200, "id": number}),
    )


@lru_cache(maxsize=512)
def _progress(percentage: int, message: str, *, over: bool, shown: bool, drift: bool) -> Reply:
    data: dict[str, object] = {"isCompleted": over}
    if drift:
        data |= {"progressPercent": percentage, "phase": "QUANTUM_REVIEW", "workers": [None, 3]}
    elif shown:
        data["percentage"] = percentage
    return success(data, message)


def report_progress(world: World, call: Call) -> Reply:
    """Answer whether it is over; `percentage` is inferred and can be switched off."""
    scan = own_scan(world, call, world.scans.by_id.get(call.key))
    now = world.clock.now()
    scenario = world.scenario
    return _progress(
        scan.percentage(now),
        scenario.message,
        over=scan.is_over(now),
        shown=world.settings.percentage,
        drift=scenario.drift,
    )


def report_overview(world: World, call: Call) -> Reply:
    """Answer the security report's id, null while there is none."""
    scan = own_scan(world, call, world.scans.by_id.get(call.key))
    security_id = scan.security(world.clock.now())
    security: dict[str, object] | None = None if security_id is None else {"id": security_id}
    data: dict[str, object] = {"security": security}
    if world.scenario.drift:
        data |= {"generation": 3, "seo": {"score": None}, "renderHints": {"layout": "tri-fold"}}
        if security is not None:
            security["state"] = "SUPERSEDED"
    return success(data, world.scenario.message)


def vortex_alerts(world: World, call: Call) -> Reply:
    """Answer what the scan has found."""
    scan = own_scan(world, call, world.scans.by_security_id(call.key))
    now = world.clock.now()
    if scan.security(now) is None:
        not_found("Security report")
    return world.alerts.answer(scan.site.hostname, scan.percentage(now), scan.findings)


def register_scan(world: World, call: Call) -> Reply:
    """Tie a scan to a pull request."""
    own_scan(world, call, world.scans.by_id.get(call.json["reportId"]))
    return Reply(200, encoded({"success": True, "message": "Scan registered."}))


def report_page(world: World, call: Call) -> Reply:
    """Answer the page for people."""
    scan = world.scans.by_id.get(call.key)
    now = world.clock.now()
    if scan is None or now < scan.visible:
        return NOT_FOUND
    host = escape(scan.site.hostname)
    started = world.clock.calendar(scan.started)
    return page(200, f"Report of {host}", f"Started {started}, {scan.percentage(now)} % done.")


def _described(scan: Scan, clock: Clock) -> dict[str, Any]:
    return {
        "id": scan.id,
        "siteId": scan.site.id,
        "hostname": scan.site.hostname,
        "types": list(scan.options.types),
        "scanIntensity": scan.options.intensity,
        "isCompleted": scan.is_over(clock.now()),
        "createdAt": clock.calendar(scan.started),
    }


def _limit(query: Mapping[str, list[str]]) -> int | None:
    if "limit" not in query:
        return None
    text = query["limit"][-1]
    if _NUMBER.fullmatch(text) is None:
        refuse(400, "limit must be a number from 1 to 999999.")
    return int(text)


def list_reports(world: World, call: Call) -> Reply:
    """Answer the organization's reports, the latest first, all of them unless told otherwise.

    `limit=N` and `after=REPORT_ID` page through them; reports made meanwhile do not shift a page.
    (inferred: no paging is documented)
    """
    try:
        query = parse_qs(call.query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        refuse(400, "The query is malformed.")
    organization = call.token.organization
    now = world.clock.now()
    scans = (
        scan
        for scan in world.scans.newest_first()
        if scan.site.organization == organization and now >= scan.visible
    )
    if "after" in query:
        last = own_scan(world, call, world.scans.by_id.get(query["after"][-1]))
        scans = (scan for scan in scans if scan.security_id < last.security_id)
    return success(
        {"reports": [_described(scan, world.clock) for scan in islice(scans, _limit(query))]}
    )


def get_report(world: World, call: Call) -> Reply:
    """Answer one report."""
    scan = own_scan(world, call, world.scans.by_id.get(call.key))
    report = _described(scan, world.clock) | {"options": scan.options.body}
    return success({"report": report})
