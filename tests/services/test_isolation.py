"""Two hundred organizations in one service: what ails four of them, nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense, PollPolicy
from bestdefense_async.sandbox import Sandbox
from tests.support.waiting import until

if TYPE_CHECKING:
    from bestdefense_async import Scans, View

COUNT = 200
ILL = ("org-000", "org-001", "org-002", "org-003")
ONCE = ("reports.create", "reports.overview", "vortex.alerts")

FAST = PollPolicy(speed=600.0)


async def outcomes_of(sandbox: Sandbox, scans: Scans, views: dict[str, View]) -> dict[str, str]:
    """Scan the site of each organization; return how those ended that are well."""

    async def ended(name: str, view: View) -> str:
        handle = await scans.start(f"www.{name}.example", tenant=view)
        return str((await handle.wait()).status)

    tasks = {name: asyncio.create_task(ended(name, view)) for name, view in views.items()}
    well = [task for name, task in tasks.items() if name not in ILL]
    await asyncio.wait(well)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    return {name: task.result() for name, task in tasks.items() if name not in ILL}


async def test_what_ails_some_organizations_changes_nothing_for_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One with only 503, one with only 429, one with an expired token, one that hangs.

    The others have their results after one creation each, and nothing of one organization shows at
    another: neither a site nor a token.
    """
    names = [f"org-{number:03}" for number in range(COUNT)]
    async with Sandbox(sites=0, speed=600.0) as sandbox:
        tokens = {
            name: sandbox.add_organization(name, sites=[f"www.{name}.example"]) for name in names
        }
        sandbox.fault("reports.create", status=503, site="www.org-000.example")
        sandbox.fault("reports.create", status=429, site="www.org-001.example")
        sandbox.revoke(tokens["org-002"])
        sandbox.fault("reports.create", delay=60.0, site="www.org-003.example")
        async with (
            BestDefense(base_url=sandbox.url, polling=FAST) as client,
            client.scans(drain=0.0) as scans,
        ):
            views = {name: client.with_token(tokens[name], name=name) for name in names}
            with caplog.at_level(logging.DEBUG):
                outcomes = await outcomes_of(sandbox, scans, views)
        requests = sandbox.requests()
        sites = {name: [site.id for site in sandbox.sites_of(name)] for name in ILL}

    assert Counter(outcomes.values()) == {"done": COUNT - len(ILL)}
    owners = {(each.token, each.site_id) for each in requests if each.operation == ONCE[0]}
    assert len(owners) == len(dict(owners)) == len({site for _, site in owners})
    ill = {site for each in sites.values() for site in each}
    well = {token for token, site in owners if site not in ill}
    sent = Counter((each.token, each.operation) for each in requests)
    assert len(well) == COUNT - len(ILL)
    assert {sent[token, operation] for token in well for operation in ONCE} == {1}
    text = caplog.text
    assert not any(token in text for token in tokens.values())
    for record in caplog.records:
        fields = record.__dict__.get("bestdefense", {})
        if fields.get("target"):
            assert fields["target"] == f"www.{fields['tenant']}.example"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
@pytest.mark.bd_sandbox(sites=1, speed=60.0)
async def test_descriptors_do_not_grow_with_the_runs_in_a_store(
    bd_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A run for each of a hundred organizations: one file, one writer, one pool."""
    bd_sandbox.script(bd_sandbox.hostnames[0], duration=float("inf"))
    async with (
        BestDefense(bd_sandbox.token, bd_sandbox.url, max_in_flight=10) as client,
        client.scans(store=tmp_path / "runs.db", drain=5.0) as scans,
    ):
        await scans.start(bd_sandbox.hostnames[0])
        await until(lambda: scans.running()[0].state == "running")
        before = descriptors()
        for number in range(100):
            view = client.with_token(bd_sandbox.token, name=f"org-{number}")
            await scans.start(bd_sandbox.hostnames[0], tenant=view)
        await until(lambda: all(each.state == "running" for each in scans.running()))

        assert len({each.id.rpartition("-")[0] for each in scans.running()}) == 101
        assert descriptors() <= before + 30  # both ends of ten connections, and a reader


def descriptors() -> int:
    """Return how many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
