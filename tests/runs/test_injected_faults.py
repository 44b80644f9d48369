"""What servers and machines do to a run, one thing at a time: nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.errors import PollTimeout
from bestdefense_async.models import Outcome, ScanOptions
from bestdefense_async.runs import ScanGroup, SqliteStore, Target
from bestdefense_async.runs.store.doors import load
from bestdefense_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

SPEED = 1_200.0
POLLING = PollPolicy(speed=SPEED)


async def scanned(
    sandbox: Sandbox, path: Path, *, scan_timeout: float | None = None
) -> list[Outcome]:
    """Begin a run or go on with it, and return the outcomes of this session."""
    owner: dict[str, Any] = {"base_url": sandbox.url, "token_key": "k"}
    async with SqliteStore(path) as store:
        if path.exists():
            held = await store.take("last", **owner)
        else:
            plan = [Target(name) for name in sandbox.hostnames]
            held = await store.create(**owner, options=ScanOptions(), plan=plan)
        async with (
            BestDefense(sandbox.token, sandbox.url) as client,
            ScanGroup(
                client, journal=held.journal, polling=POLLING, scan_timeout=scan_timeout
            ) as group,
        ):
            group.feed(await held.record.remaining())
            outcomes = [outcome async for outcome in group]
        await held.journal.aclose()
        return outcomes


def words_of(path: Path) -> Counter[str]:
    """Count the outcomes of the whole run."""
    return Counter(outcome.status for outcome in load(path).outcomes)


async def test_a_report_that_is_unknown_for_two_seconds_is_waited_for(tmp_path: Path) -> None:
    """404 right after a creation is no answer: the scan exists and is followed."""
    path = tmp_path / "run"
    async with Sandbox(sites=20, speed=SPEED, visible_after=2.0) as sandbox:
        await scanned(sandbox, path)
        assert words_of(path) == {"done": 20}
        assert sandbox.scans_per_site() == dict.fromkeys(sandbox.site_ids, 1)


async def test_a_scan_that_never_ends_is_given_up_and_can_be_followed_on(tmp_path: Path) -> None:
    """Its outcome names it; the next session asks for it again instead of starting another."""
    path = tmp_path / "run"
    async with Sandbox(sites=10, speed=SPEED) as sandbox:
        endless = sandbox.hostnames[4]
        sandbox.script(endless, duration=float("inf"))
        first = await scanned(sandbox, path, scan_timeout=1.5)
        (given_up,) = [outcome for outcome in first if outcome.status == "running"]
        assert given_up.target == endless
        assert isinstance(getattr(given_up, "error", None), PollTimeout)

        (again,) = await scanned(sandbox, path, scan_timeout=0.3)
        assert again.report_id == given_up.report_id
        assert words_of(path) == {"done": 9, "running": 1}
        assert sandbox.count("reports.create") == 10


async def test_states_that_go_backwards_end_in_one_result(tmp_path: Path) -> None:
    """A percentage that falls, and a scan that is complete and then is not, harm nothing."""
    path = tmp_path / "run"
    async with Sandbox(sites=10, speed=SPEED) as sandbox:
        for name in sandbox.hostnames:
            sandbox.script(name, backwards=True)
        outcomes = await scanned(sandbox, path)
        assert Counter(outcome.status for outcome in outcomes) == {"done": 10}
        assert sandbox.scans_per_site() == dict.fromkeys(sandbox.site_ids, 1)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0], ids=["back", "ahead"])
async def test_a_clock_that_jumps_a_day_in_mid_run_disturbs_nothing(
    tmp_path: Path, jump: float
) -> None:
    """What waits goes by the monotonic clock; the wall clock is only written down."""
    path = tmp_path / "run"
    async with Sandbox(sites=20, speed=SPEED) as sandbox:
        with time_machine.travel(time.time(), tick=True) as traveller:

            async def jump_soon() -> None:
                await asyncio.sleep(0.1)  # in the midst of creations and polls
                traveller.shift(jump)

            outcomes, _ = await asyncio.gather(
                scanned(sandbox, path, scan_timeout=60.0), jump_soon()
            )
            assert Counter(outcome.status for outcome in outcomes) == {"done": 20}
            await scanned(sandbox, path)
        assert words_of(path) == {"done": 20}
        assert sandbox.scans_per_site() == dict.fromkeys(sandbox.site_ids, 1)
