"""A run that is stopped, crashes and is resumed at random, with faults on the way.

The machine below plays one run: sessions that scan what the journal has remaining until they are
cancelled at a random await, drained, or done, while the server loses answers before and after it
has done the work. What the server knows is the truth that the journal is held against.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bestdefense_async.errors import (
    ConnectError,
    ConnectionLost,
    OutcomeUnknown,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from bestdefense_async.models import Outcome, Report, ScanOptions
from bestdefense_async.runs import ScanGroup, SqliteJournal, Target, read_journal
from tests.support.fake_scans import FakeScans, absent, denied, hosts
from tests.support.virtual_time import run_hurried

if TYPE_CHECKING:
    from collections.abc import Callable

SITES = 12
TARGETS = [*hosts(SITES), "nobody.example", "h3.example."]
"""Each site once, a name that is no site, and a site a second time."""


class Server(FakeScans):
    """Creates scans, and loses answers before or after that."""

    def __init__(self) -> None:
        super().__init__(SITES, duration=20.0, delay=0.0)
        self.creations: Counter[str] = Counter()
        self.chance = random.Random(0)
        self.rate = 0.0
        self.fuse = -1
        """Pauses until `burnt` is called; below zero never."""
        self.burnt: Callable[[], object] = lambda: None

    def arrange(self, seed: int, rate: float) -> None:
        """Decide what goes wrong from now on, for a client that is new."""
        self.chance, self.rate = random.Random(seed), rate
        self.fuse, self.burnt = -1, lambda: None
        self._polls = None

    async def pause(self) -> None:
        """Be somewhere where the run may be cancelled: now, if this is the one."""
        for _ in range(self.chance.choice([0, 1, 5])):
            self.fuse -= 1
            if self.fuse == 0:
                self.burnt()
            await asyncio.sleep(0)

    async def _ask(self, operation: str, subject: str) -> None:
        self.asked[operation, subject] += 1
        await self.pause()
        if self.chance.random() < self.rate:
            raise self.chance.choice([absent(), ServerError("Boom.", status=500), denied()])

    async def create(self, site: str, options: ScanOptions | None = None) -> Report:
        """Start a scan, or not, and answer, or not."""
        await self.pause()
        fate = self.chance.random()
        if fate < self.rate / 2:
            raise self.chance.choice(
                [
                    ConnectError("Refused."),
                    PermissionDenied("No.", status=403),
                    RateLimited("Slow down.", status=429),
                    QuotaExceeded("Spent.", status=402),
                    denied(),
                    _lost(site),
                ]
            )
        self.creations[site] += 1
        self.created[site] = asyncio.get_running_loop().time()
        await self.pause()
        if fate < self.rate:
            raise self.chance.choice([_lost(site), ConnectionLost("Reset."), KeyError("surprise")])
        return Report(id=f"r-{site}")


def _lost(site: str) -> OutcomeUnknown:
    return OutcomeUnknown("reset", operation="reports.create", subject=site, sent_at=1.0)


class PausingJournal(SqliteJournal):
    """A journal around whose writes the run may be cancelled too."""

    server: Server

    async def claimed(self, index: int, *, site_id: str, at: float) -> bool:
        """Claim it."""
        await self.server.pause()
        is_ours = await super().claimed(index, site_id=site_id, at=at)
        await self.server.pause()
        return is_ours

    async def created(self, index: int, *, report_id: str) -> None:
        """Record it."""
        await self.server.pause()
        await super().created(index, report_id=report_id)
        await self.server.pause()

    async def finished(self, outcome: Outcome) -> None:
        """Record it."""
        await self.server.pause()
        await super().finished(outcome)
        await self.server.pause()


class ResumedRuns(RuleBasedStateMachine):
    """One run and its sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.path = self.directory / "run.journal"
        self.server = Server()

    @initialize()
    def begin(self) -> None:
        """Make the journal with all targets."""

        async def main() -> None:
            journal = await SqliteJournal.create(
                self.path,
                base_url="http://x",
                token="t",
                options=ScanOptions(),
                targets=[Target(each) for each in TARGETS],
            )
            await journal.aclose()

        run_hurried(main())

    async def _open(self) -> SqliteJournal:
        journal = await PausingJournal.open(self.path, base_url="http://x", token="t")
        journal.server = self.server
        return journal

    async def _session(self, *, max_active: int, drain_after: int | None) -> list[Outcome]:
        """Go on with what remains, and return the outcomes of this session."""
        told: list[Outcome] = []
        async with await self._open() as journal:
            items = await journal.remaining()
            async with ScanGroup(
                self.server, journal=journal, max_active=max_active, scan_timeout=900.0
            ) as group:
                group.feed(items)
                if drain_after is not None:
                    for _ in range(drain_after):
                        await asyncio.sleep(0)
                    await group.drain()
                told += [outcome async for outcome in group]
        assert Counter(each.index for each in told) == Counter(each.index for each in items)
        return told

    @rule(
        seed=st.integers(0, 2**32),
        rate=st.sampled_from([0.0, 0.1, 0.5]),
        max_active=st.integers(1, SITES),
        fuse=st.integers(1, 300),
    )
    def go_on_and_be_cancelled(self, seed: int, rate: float, max_active: int, fuse: int) -> None:
        """Resume the run, and cancel everything at one of its awaits."""
        self.server.arrange(seed, rate)

        async def main() -> None:
            task = asyncio.create_task(self._session(max_active=max_active, drain_after=None))
            self.server.fuse, self.server.burnt = fuse, task.cancel
            with contextlib.suppress(asyncio.CancelledError):
                await task

        run_hurried(main())

    @rule(
        seed=st.integers(0, 2**32),
        rate=st.sampled_from([0.0, 0.3]),
        drain_after=st.none() | st.integers(0, 300),
    )
    def go_on_to_the_end(self, seed: int, rate: float, drain_after: int | None) -> None:
        """Resume the run; drain it, or wait until everything that can end has ended."""
        self.server.arrange(seed, rate)
        run_hurried(self._session(max_active=4, drain_after=drain_after))

    @invariant()
    def no_site_is_scanned_twice(self) -> None:
        """The server has never seen two creations for one site."""
        assert max(self.server.creations.values(), default=0) <= 1

    @invariant()
    def the_journal_tells_the_truth(self) -> None:
        """Each input has one outcome, and none contradicts what the server has done."""
        if not self.path.exists():
            return
        outcomes = {each.index: each for each in read_journal(self.path).outcomes}
        assert outcomes.keys() <= set(range(len(TARGETS)))
        assert outcomes.keys() >= set(range(len(TARGETS) - 1)) - {3}
        for outcome in outcomes.values():
            site_id = outcome.site_id or ""
            if outcome.status == "done" or outcome.report_id is not None:
                assert outcome.report_id == f"r-{site_id}"
                assert self.server.creations[site_id] == 1
            elif outcome.status in {"not_started", "failed"} and site_id:
                assert self.server.creations[site_id] == 0

    def teardown(self) -> None:
        """Without faults the run comes to its end: everything is done or was lost for good."""
        self.server.arrange(0, 0.0)
        if self.path.exists():
            run_hurried(self._session(max_active=SITES, drain_after=None))
            self.no_site_is_scanned_twice()
            self.the_journal_tells_the_truth()
            statuses = Counter(str(each.status) for each in read_journal(self.path).outcomes)
            assert statuses.keys() <= {"done", "unknown", "not_started"}
            assert statuses["not_started"] == 1
            assert statuses["done"] + statuses["unknown"] == SITES
        shutil.rmtree(self.directory)


TestResumedRuns = pytest.mark.slow(timeout=300)(ResumedRuns.TestCase)
TestResumedRuns.settings = settings(max_examples=25, stateful_step_count=6, deadline=None)
