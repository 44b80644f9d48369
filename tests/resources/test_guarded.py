"""An organization's own list of what it may scan: refused before anything is sent, and recorded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from bestdefense_async import ConfigError, ScanGroup, Site, TargetError

if TYPE_CHECKING:
    from bestdefense_async import BestDefense, View
    from bestdefense_async.sandbox import Sandbox

STARTING = ("reports.create", "schedules.create", "network.start")

pytestmark = pytest.mark.bd_sandbox(sites=3, speed=3600.0)


@pytest.fixture
def view(bd_client: BestDefense, bd_sandbox: Sandbox) -> View:
    """An organization that may scan its first site and one network."""
    allow = [bd_sandbox.hostnames[0], "10.1.0.0/16"]
    return bd_client.with_token(bd_sandbox.token, name="acme", allow=allow)


async def test_every_way_to_start_a_scan_is_guarded(view: View, bd_sandbox: Sandbox) -> None:
    """By id, by a site that says another name, at once, on a schedule, of a network, by hand."""
    bad, forged = (
        bd_sandbox.site_ids[1],
        Site(id=bd_sandbox.site_ids[1], hostname=bd_sandbox.hostnames[0]),
    )
    calls = [
        view.reports.create(bad),
        view.reports.create(forged),
        view.reports.create("0d4f7f3a-0000-4b62-9c2f-7b1d8c1f2a3b"),
        view.schedules.create(bad, cadence="daily"),
        view.network.start(["10.1.2.3", "10.2.0.1"]),
        view.scan(bd_sandbox.hostnames[1]),
        view.scan(bad),
    ]
    for call in calls:
        with pytest.raises(TargetError, match="outside of what acme may scan"):
            await call
    with pytest.raises(ConfigError):
        await view.request("POST", f"/api/report/create/for-target/{bad}", json={})

    assert [bd_sandbox.count(operation) for operation in STARTING] == [0, 0, 0]


async def test_what_is_on_the_list_is_scanned(view: View, bd_sandbox: Sandbox) -> None:
    """By each of the ways."""
    good = bd_sandbox.site_ids[0]
    await view.reports.create(good)
    await view.schedules.create(good, cadence="daily")
    await view.network.start(["10.1.2.3", "10.1.4.0/24"])

    assert [bd_sandbox.count(operation) for operation in STARTING] == [1, 1, 1]


async def test_a_target_outside_is_refused_before_anything_is_sent(
    view: View, bd_sandbox: Sandbox
) -> None:
    """In a group one target is rejected, and not even the sites are asked for."""
    async with ScanGroup(view) as group:
        outcome = await group.start(bd_sandbox.hostnames[1]).outcome()

    assert (outcome.status, type(outcome.error)) == ("not_started", TargetError)
    assert bd_sandbox.requests() == []


async def test_who_asked_is_recorded(
    bd_client: BestDefense, view: View, bd_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """With the organization and the target, as fields of a log record."""
    async with bd_client.scans() as scans:
        for site in (
            bd_sandbox.hostnames[1],
            bd_sandbox.site_ids[1],
            Site(id=bd_sandbox.site_ids[1], hostname=bd_sandbox.hostnames[0]),
        ):
            with caplog.at_level(logging.WARNING), pytest.raises(TargetError):
                await scans.start(site, tenant=view, asked_by="user 4711")

    fields = [each.__dict__["bestdefense"] for each in caplog.records]
    assert fields == 3 * [
        {
            "event": "scope.refused",
            "tenant": "acme",
            "target": bd_sandbox.hostnames[1],
            "asked_by": "user 4711",
        }
    ]
    assert bd_sandbox.count("reports.create") == 0


async def test_the_list_is_the_organizations(
    bd_client: BestDefense, view: View, bd_sandbox: Sandbox
) -> None:
    """Another view of the name without a list has it, too; one with another list replaces it."""
    again = bd_client.with_token(bd_sandbox.token, name="acme")
    with pytest.raises(TargetError):
        await again.reports.create(bd_sandbox.site_ids[1])

    bd_client.with_token(bd_sandbox.token, name="acme", allow=[bd_sandbox.hostnames[1]])

    await again.reports.create(bd_sandbox.site_ids[1])
    with pytest.raises(TargetError):
        await view.reports.create(bd_sandbox.site_ids[0])
