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
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bestdefense_async.errors import (
    ConnectError,
    ConnectionLost,
    JournalLost,
    OutcomeUnknown,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from bestdefense_async.models import Outcome, Report, ScanOptions
from bestdefense_async.runs import ExistingScan, Journal, ScanGroup, Target
from tests.support.fake_scans import FakeScans, absent, claimed, denied, hosts
from tests.support.stores import Sqlite, create, take
from tests.support.virtual_time import run_hurried

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bestdefense_async.core.request import Claim

MEMORY = Path("/dev/shm")  # noqa: S108 - to wait for no disk where there is one in memory
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

    async def create(
        self, site: str, options: ScanOptions | None = None, *, claim: Claim | None = None
    ) -> Report:
        """Start a scan, or not, and answer, or not."""
        async with claimed(claim):
            return await self._create(site)

    async def _create(self, site: str) -> Report:
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


class PausingJournal:
    """A journal around whose writes the run may be cancelled too."""

    def __init__(self, journal: Journal, server: Server) -> None:
        self._journal = journal
        self._server = server

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if name not in {"claim", "give_back", "created", "finished"}:
            return method

        async def paused(*values: Any, **members: Any) -> Any:
            await self._server.pause()
            answer = await method(*values, **members)
            await self._server.pause()
            return answer

        return paused


class ResumedRuns(RuleBasedStateMachine):
    """One run and its sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.backend = Sqlite(self.directory)
        self.server = Server()
        self.has_begun = False

    @initialize()
    def begin(self) -> None:
        """Begin the run with all targets."""

        async def main() -> None:
            async with self.backend.open() as store:
                held = await create(store, plan=[Target(each) for each in TARGETS])
                await held.journal.aclose()

        run_hurried(main())
        self.has_begun = True

    async def outcomes(self) -> dict[int, Outcome]:
        """Return how everything stands."""
        async with self.backend.open() as store:
            result = await (await store.record("last")).result()
        return {each.index: each for each in result.outcomes}

    async def _session(
        self, *, max_active: int, drain_after: int | None, late: str = ""
    ) -> list[Outcome]:
        """Go on with what remains, and return the outcomes of this session.

        With `late`, another owner takes the run first and hangs after its first claims; what it has
        sent is answered in the midst of this session, or not at all.
        """
        told: list[Outcome] = []
        async with self.backend.open() as store:
            wake_up = await self._hung_owner(late) if late else None
            held = await take(store)
            items = await held.record.remaining()
            journal: Any = PausingJournal(held.journal, self.server)
            async with ScanGroup(
                self.server, journal=journal, max_active=max_active, scan_timeout=900.0
            ) as group:
                group.feed(items)
                if wake_up is not None:
                    await wake_up()
                if drain_after is not None:
                    for _ in range(drain_after):
                        await asyncio.sleep(0)
                    await group.drain()
                told += [outcome async for outcome in group]
            told_late = [outcome async for outcome in group]
            await held.journal.aclose()
        assert Counter(each.index for each in told) == Counter(each.index for each in items)
        assert {each.index for each in told_late}.isdisjoint(each.index for each in told)
        return told

    async def _hung_owner(self, late: str) -> Callable[[], Awaitable[None]]:
        """Let an owner claim and send some creations and then hang; return what it does later."""
        store = self.backend.open()
        held = await take(store)
        sent = []
        new = [each for each in await held.record.remaining() if each.index < SITES]
        for each in [each for each in new if not isinstance(each.item, ExistingScan)][:3]:
            site = f"s{each.index}"
            answer = await held.journal.claim(each.index, target="h", site_id=site, at=1.0)
            if answer.is_ours:
                self.server.creations[site] += 1
                self.server.created[site] = asyncio.get_running_loop().time()
                sent.append((each.index, site))
        self.backend.give_up(store)

        async def wake_up() -> None:
            for index, site in sent if late == "answered" else ():
                await held.journal.created(index, report_id=f"r-{site}")
            with pytest.raises(JournalLost):
                await held.journal.claim(99, target="h", site_id="other", at=1.0)
            await store.aclose()

        return wake_up

    @rule(
        seed=st.integers(0, 2**32),
        rate=st.sampled_from([0.0, 0.3]),
        late=st.sampled_from(["answered", "silent"]),
    )
    def go_on_where_another_owner_hangs(self, seed: int, rate: float, late: str) -> None:
        """Take the run over from an owner that wakes up later."""
        self.server.arrange(seed, rate)
        run_hurried(self._session(max_active=4, drain_after=None, late=late))

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
        if not self.has_begun:
            return
        outcomes = run_hurried(self.outcomes())
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
        if self.has_begun:
            run_hurried(self._session(max_active=SITES, drain_after=None))
            self.no_site_is_scanned_twice()
            self.the_journal_tells_the_truth()
            statuses = Counter(str(each.status) for each in run_hurried(self.outcomes()).values())
            assert statuses.keys() <= {"done", "failed", "unknown", "not_started"}
            assert statuses["not_started"] == 1
            assert statuses["done"] + statuses["failed"] + statuses["unknown"] == SITES
        shutil.rmtree(self.directory)


TestResumedRuns = pytest.mark.slow(timeout=300)(ResumedRuns.TestCase)
TestResumedRuns.settings = settings(max_examples=25, stateful_step_count=6, deadline=None)
