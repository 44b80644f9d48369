"""Scenarios: what kind of day the sandbox has.

| name | what happens |
|---|---|
| `clean` | nothing goes wrong; scans take their time |
| `mixed` | a usual day: one site is pending and one is not permitted, a burst of creations and one poll are throttled for a second, scans take half their time (0.5 to 4 s at speed 60, quick) |
| `outage` | after 40 requests the next 120 are answered 503 by something in front of the API, then all is well |
| `throttled` | every operation is limited per token, tightly |
| `slow` | every answer takes 0.3 s, scans take four times as long, one site's scans never end |
| `hostile` | titles, evidence, locations and messages attack whoever shows them |
| `drift` | the API has moved on: ids are numbers, fields are renamed or new, severities and states are unknown |
"""  # noqa: E501 -- a table row is one line

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from bestdefense_async.sandbox.world.alerts import DOCUMENTED, DRIFTED, HOSTILE, MESSAGE, Hand
from bestdefense_async.sandbox.world.faults import EVERYWHERE, FaultPlan

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.fleet import Site

_CLOUD_PAGE = (
    "<!DOCTYPE html><html><head><title>503 Service Temporarily Unavailable</title></head>"
    "<body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>"
)
_COME_BACK = {"Retry-After": "1"}


@frozen(kw_only=True)
class Scenario:
    """What a scenario changes."""

    scale: float = 1.0
    """Factor on the duration of scans."""

    faults: tuple[FaultPlan, ...] = ()
    limits: Mapping[str, tuple[int, float]] = field(factory=dict)
    pending_site: bool = False
    """One site's ownership is not verified."""

    forbidden_site: bool = False
    """One site may not be scanned."""

    endless_site: bool = False
    """One site's scans never end."""

    hand: Hand = DOCUMENTED
    """In which the findings are written."""

    drift: bool = False
    """Answers hold what nobody has documented."""

    message: str = "OK"
    """The envelope's message on success, and the end of it on failure."""

    def arrange(self, sites: list[Site]) -> None:
        """Make the sites special that are, spread over the fleet; a single site stays usual."""
        last = len(sites) - 1
        if last < 1:
            return
        if self.pending_site:
            sites[last // 3].verified = False
        if self.forbidden_site:
            sites[last].permitted = False
        if self.endless_site:
            sites[last // 2].duration = float("inf")


SCENARIOS: Mapping[str, Scenario] = {
    "clean": Scenario(),
    "mixed": Scenario(
        scale=0.5,
        pending_site=True,
        forbidden_site=True,
        faults=(
            FaultPlan(operation="reports.create", status=429, headers=_COME_BACK, nth=31, times=3),
            FaultPlan(
                operation="reports.progress", status=429, headers=_COME_BACK, nth=60, times=1
            ),
        ),
    ),
    "outage": Scenario(
        faults=(FaultPlan(operation=EVERYWHERE, status=503, body=_CLOUD_PAGE, nth=41, times=120),),
    ),
    "throttled": Scenario(
        limits={
            "sites.list": (5, 10.0),
            "reports.create": (20, 5.0),
            "reports.progress": (60, 5.0),
            "reports.overview": (20, 5.0),
            "vortex.alerts": (20, 5.0),
        },
    ),
    "slow": Scenario(
        scale=4.0,
        endless_site=True,
        faults=(FaultPlan(operation=EVERYWHERE, kind="delay", delay=0.3),),
    ),
    "hostile": Scenario(hand=HOSTILE, message=MESSAGE),
    "drift": Scenario(hand=DRIFTED, drift=True),
}
