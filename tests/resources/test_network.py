"""Network scans, against the sandbox."""

import asyncio

import pytest

from bestdefense_async import (
    BestDefense,
    ConfigError,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    PollTimeout,
    ProvisionalRoute,
)
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.sandbox import Sandbox

FAST = PollPolicy(speed=600.0)


@pytest.mark.bd_sandbox(sites=1, speed=60_000.0)
async def test_a_network_is_scanned_through_a_jump_box(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """Start, wait, read; whoever waits for the same scan shares its polls."""
    targets = ["10.0.0.0/24", "db.internal"]
    scan = await bd_client.network.start(targets, jump_box="bastion", intensity="quick")
    assert (scan.targets, scan.jump_box) == (tuple(targets), "bastion")
    waits = [bd_client.network.wait(scan.id, timeout=20, policy=FAST) for _ in range(3)]
    assert all(progress.is_completed for progress in await asyncio.gather(*waits))
    assert bd_sandbox.count("network.progress") <= 2
    found = await bd_client.network.findings(scan.id)
    assert found.risk.total == len(found.findings)


@pytest.mark.bd_sandbox(sites=1, speed=0.001)
async def test_a_wait_for_a_network_scan_ends_in_time(
    bd_sandbox: Sandbox, bd_client: BestDefense
) -> None:
    """The scan goes on, and a report with the same id is another thing."""
    scan = await bd_client.network.start(["10.0.0.1"])
    assert scan.jump_box is None
    with pytest.raises(PollTimeout) as caught:
        await bd_client.network.wait(scan.id, timeout=0.05)
    assert caught.value.report_id == scan.id
    assert bd_sandbox.count("reports.progress") == 0
    assert not (await bd_client.network.progress(scan.id)).is_completed
    with pytest.raises(NotFound):
        await bd_client.reports.progress(scan.id)


@pytest.mark.parametrize("targets", [[], "10.0.0.1", [""]])
async def test_a_scan_needs_a_list_of_targets(bd_client: BestDefense, targets: list[str]) -> None:
    """A text is a sequence of letters: a mistake that would scan hosts named 1 and 0."""
    with pytest.raises(ConfigError):
        await bd_client.network.start(targets)


@pytest.mark.bd_sandbox(sites=1)
async def test_a_lost_start_is_not_sent_again(bd_sandbox: Sandbox, bd_client: BestDefense) -> None:
    """And what the server refuses is told as it is."""
    with pytest.raises(InvalidRequest):
        await bd_client.network.start(["not a host"])
    lost = bd_sandbox.fault("network.start", kind="drop", after_effect=True)
    with pytest.raises(OutcomeUnknown, match=r"10\.0\.0\.1 and 1 more"):
        await bd_client.network.start(["10.0.0.1", "10.0.0.2"])
    assert bd_sandbox.count("network.start") == 2
    nobody = bd_client.with_token(bd_sandbox.add_token(permissions=set()))
    lost.remove()
    with pytest.raises(PermissionDenied, match="run network scans"):
        await nobody.network.start(["10.0.0.1"])


async def test_a_wait_on_a_guessed_path_is_refused_at_once(bd_sandbox: Sandbox) -> None:
    """Not asked again and again."""
    async with BestDefense("real-token", bd_sandbox.url) as bd:
        with pytest.raises(ProvisionalRoute):
            await bd.network.wait("n", policy=PollPolicy(speed=6000.0))
    assert bd_sandbox.ledger == []
