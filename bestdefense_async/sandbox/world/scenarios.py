"""Scenarios: what kind of day the sandbox has; `docs/reference/sandbox.md` describes each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from bestdefense_async.sandbox.data import read_table
from bestdefense_async.sandbox.world.faults import FaultPlan
from bestdefense_async.sandbox.world.findings import HOSTILE_MESSAGE

if TYPE_CHECKING:
    from bestdefense_async.sandbox.world.fleet import Site


@frozen(kw_only=True)
class Scenario:
    """What a scenario changes."""

    scale: float = 1.0
    """Factor on the duration of scans."""

    faults: tuple[FaultPlan, ...] = ()
    limits: Mapping[str, tuple[int, float]] = field(factory=dict)
    """Calls and seconds per token, by operation."""

    pending_site: bool = False
    """One site's ownership is not verified."""

    forbidden_site: bool = False
    """One site may not be scanned."""

    endless_site: bool = False
    """One site's scans never end."""

    findings: str = "documented"
    """How findings are written: a name of `ALERT_FORMATS`."""

    drift: bool = False
    """Answers hold what nobody has documented."""

    @property
    def message(self) -> str:
        """The envelope's message on success, and the end of it on failure."""
        return HOSTILE_MESSAGE if self.findings == "hostile" else "OK"

    def arrange(self, sites: list[Site]) -> None:
        """Mark the special sites, spread over the fleet; a single site stays usual."""
        last = len(sites) - 1
        if last < 1:
            return
        if self.pending_site:
            sites[last // 3].verified = False
        if self.forbidden_site:
            sites[last].permitted = False
        if self.endless_site:
            sites[last // 2].duration = float("inf")


def _scenario(row: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a table describes."""
    limits = {name: (calls, period) for name, (calls, period) in row.get("limits", {}).items()}
    faults = tuple(FaultPlan(**plan) for plan in row.get("faults", ()))
    return Scenario(**{**row, "limits": limits, "faults": faults})


SCENARIOS: Mapping[str, Scenario] = {
    name: _scenario(row) for name, row in read_table("scenarios.toml").items()
}
