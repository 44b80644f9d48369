"""Reports as a list and one by one: described, paths and fields chosen by us."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from bestdefense_async.sandbox.replies import Reply, success
from bestdefense_async.sandbox.world.world import Call, World, own_scan, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bestdefense_async.sandbox.world.clock import Clock
    from bestdefense_async.sandbox.world.scans import Scan

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


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


def _limit(words: Mapping[str, list[str]]) -> int | None:
    if "limit" not in words:
        return None
    text = words["limit"][-1]
    if _NUMBER.fullmatch(text) is None:
        refuse(400, "limit must be a number from 1 to 999999.")
    return int(text)


def list_reports(world: World, call: Call) -> Reply:
    """Answer the organization's reports, the latest first, all of them unless told otherwise.

    `limit=N` and `after=REPORT_ID` page through them; reports made meanwhile do not shift a page.
    (inferred: no paging is documented)
    """
    try:
        words = parse_qs(call.query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        refuse(400, "The query is malformed.")
    organization = call.token.organization
    now = world.clock.now()
    scans = (
        scan
        for scan in world.scans.newest_first()
        if scan.site.organization == organization and now >= scan.visible
    )
    if "after" in words:
        last = own_scan(world, call, world.scans.by_id.get(words["after"][-1]))
        scans = (scan for scan in scans if scan.security_id < last.security_id)
    return success(
        {"reports": [_described(scan, world.clock) for scan in islice(scans, _limit(words))]}
    )


def show_report(world: World, call: Call) -> Reply:
    """Answer one report."""
    scan = own_scan(world, call, world.scans.by_id.get(call.key))
    report = _described(scan, world.clock) | {"options": scan.options.body}
    return success({"report": report})


HANDLERS: Mapping[str, Callable[[World, Call], Reply]] = {
    "reports.list": list_reports,
    "reports.get": show_report,
}
