"""One started target of a group is given up, at each point of its way; the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bestdefense_async import BestDefense, OutcomeStatus, PollPolicy, ScanGroup
from bestdefense_async.errors import ScanCancelled
from bestdefense_async.runs.inputs import Handle, ScanState
from tests.support.waiting import until

if TYPE_CHECKING:
    from bestdefense_async.sandbox import Sandbox

FAST = PollPolicy(speed=3600.0)

pytestmark = pytest.mark.bd_sandbox(sites=3, speed=3600.0)


async def reached(handle: Handle, state: ScanState) -> None:
    """Wait until a scan is in a state."""
    await until(lambda: handle.state is state)


async def test_what_waits_for_a_slot_ends_at_once_and_is_never_sent(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """It frees no slot that it does not hold, and its site may be started again."""
    first, second, _ = bd_sandbox.hostnames
    bd_sandbox.script(first, duration=float("inf"))
    async with ScanGroup(bd_client, polling=FAST, max_active=1) as group:
        running = group.start(first)
        await reached(running, ScanState.RUNNING)
        waiting = group.start(second)

        group.cancel(waiting)

        outcome = await waiting.outcome()
        assert (outcome.status, type(outcome.error)) == ("not_started", ScanCancelled)
        assert bd_sandbox.count("reports.create") == 1
        group.cancel(running)
        assert (await running.outcome()).status is OutcomeStatus.RUNNING
        assert (await group.start(second).outcome()).status is OutcomeStatus.DONE


async def test_what_waits_for_a_limit_ends_at_once_and_is_never_sent(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """The claim is refused when its turn has come."""
    bd_sandbox.fault("reports.create", status=429, headers={"Retry-After": "1"}, times=1)
    async with ScanGroup(bd_client, polling=FAST) as group:
        handle = group.start(bd_sandbox.hostnames[0])
        await until(lambda: bd_sandbox.count("reports.create") == 1)
        await reached(handle, ScanState.WAITING)

        group.cancel(handle)

        assert (await handle.outcome()).status is OutcomeStatus.NOT_STARTED
        assert handle.state is ScanState.ENDED
    assert bd_sandbox.scans_per_site() == {}


async def test_a_creation_on_its_way_is_answered_and_not_followed(
    bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """The outcome knows the scan that was created: nothing becomes unknown for a cancellation."""
    bd_sandbox.fault("reports.create", delay=0.3)
    async with ScanGroup(bd_client, polling=FAST) as group:
        handle = group.start(bd_sandbox.hostnames[0])
        await reached(handle, ScanState.CREATING)

        group.cancel(handle)
        group.cancel(handle)

        outcome = await handle.outcome()
    assert (outcome.status, type(outcome.error)) == ("running", ScanCancelled)
    assert outcome.report_id is not None
    assert bd_sandbox.count("reports.progress") == 0


async def test_what_has_ended_stays_as_it_is(bd_client: BestDefense, bd_sandbox: Sandbox) -> None:
    """A cancellation that comes too late changes nothing."""
    async with ScanGroup(bd_client, polling=FAST) as group:
        handle = group.start(bd_sandbox.hostnames[0])
        outcome = await handle.outcome()

        group.cancel(handle)

        assert await handle.outcome() is outcome
        assert (group.refusal, outcome.status) == (None, OutcomeStatus.DONE)
