"""Whatever goes wrong, and whenever the group is stopped: one outcome per input, one creation."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.errors import (
    ConnectError,
    ConnectionLost,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerError,
)
from bestdefense_async.models import (
    Outcome,
    Report,
    ScanEvent,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    TargetAccepted,
)
from bestdefense_async.runs import Handle, ScanGroup
from tests.support.fake_scans import FakeScans, absent, denied, hosts, run, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from bestdefense_async.core.request import Claim

FAULTS: dict[str, list[Callable[[str], Exception]]] = {
    "create": [
        unknown,
        lambda _: ConnectError("Refused."),
        lambda _: ConnectionLost("Reset."),
        lambda _: PermissionDenied("No.", status=403),
        lambda _: RateLimited("Slow down.", status=429),
        lambda _: ServerError("Boom.", status=503),
        lambda _: KeyError("surprise"),
    ],
    "progress": [
        lambda _: ConnectError("Refused."),
        lambda _: ServerError("Boom.", status=502),
        lambda _: RateLimited("Slow down.", status=429),
        lambda _: absent(),
        lambda _: PermissionDenied("No.", status=403),
        lambda _: KeyError("surprise"),
    ],
    "overview": [lambda _: absent(), lambda _: ConnectionLost("Reset.")],
    "alerts": [lambda _: absent(), lambda _: ServerError("Boom.", status=500)],
    "list": [lambda _: ServerError("Boom.", status=500)],
}


class Chaos:
    """Random delays and faults, sometimes a dead token or a spent quota."""

    def __init__(self, seed: int, *, rate: float, ends_at: float | None) -> None:
        self.chance = random.Random(seed)
        self.rate = rate
        self.ends_at = ends_at
        self.ending = self.chance.choice([denied(), QuotaExceeded("Spent.", status=402)])

    async def __call__(self, operation: str, subject: str, nth: int) -> None:
        """Let something go wrong, or not."""
        await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.3, 4.0]))
        now = asyncio.get_running_loop().time()
        if self.ends_at is not None and now > self.ends_at and operation in {"create", "progress"}:
            raise self.ending
        if self.chance.random() < self.rate:
            raise self.chance.choice(FAULTS[operation])(subject)


@frozen(kw_only=True)
class Plan:
    """What happens in one run."""

    seed: int
    rate: float
    ends_at: float | None
    """When the token dies or the quota is spent."""
    stop_after: float | None
    """When the run is cancelled, so many times."""
    cancels: int
    max_active: int
    run_timeout: float | None
    fail_fast: bool
    slow: float
    """What the consumer takes for each outcome."""


PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**32),
    rate=st.sampled_from([0.0, 0.05, 0.4]),
    ends_at=st.none() | st.floats(1_000.0, 1_300.0),
    stop_after=st.none() | st.floats(0.0, 300.0),
    cancels=st.integers(1, 2),
    max_active=st.integers(1, 12),
    run_timeout=st.none() | st.floats(0.1, 400.0),
    fail_fast=st.booleans(),
    slow=st.sampled_from([0.0, 7.0]),
)


class Run:
    """One run of a plan, and what came out of it."""

    def __init__(self, plan: Plan) -> None:
        chance = random.Random(plan.seed)
        self.plan = plan
        self.targets = [*hosts(20), "not a target", "nobody.example", *hosts(3)]
        chance.shuffle(self.targets)
        self.client = FakeScans(21, fault=Chaos(plan.seed, rate=plan.rate, ends_at=plan.ends_at))
        self.client.durations = {f"s{n}": chance.choice([1.0, 60.0, 400.0]) for n in range(21)}
        self.group = ScanGroup(
            self.client,
            max_active=plan.max_active,
            scan_timeout=300.0,
            run_timeout=plan.run_timeout,
            fail_fast=plan.fail_fast,
            on_event=self._note,
        )
        self.handles: list[Handle] = []
        self.outcomes: list[Outcome] = []
        self.finished: list[Outcome] = []
        self.started: dict[int, str] = {}
        self.accepted: set[int] = set()

    def _note(self, event: ScanEvent) -> None:
        if isinstance(event, ScanFinished):
            self.finished.append(event.outcome)
        elif isinstance(event, ScanStarted):
            self.started[event.index] = event.report_id
        elif isinstance(event, TargetAccepted):
            self.accepted.add(event.index)

    async def _work(self) -> None:
        async with self.group as group:
            group.feed(self.targets)
            self.handles.append(group.start("h20.example"))
            async for outcome in group:
                self.outcomes.append(outcome)
                await asyncio.sleep(self.plan.slow)

    async def _collect(self) -> None:
        async for outcome in self.group:
            self.outcomes.append(outcome)

    async def carry_out(self) -> None:
        """Run it, perhaps cancel it, and collect every outcome."""
        task = asyncio.create_task(self._work())
        if self.plan.stop_after is not None:
            await asyncio.sleep(self.plan.stop_after)
            for _ in range(self.plan.cancels):
                task.cancel()
                await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        with contextlib.suppress(ExceptionGroup):
            await self._collect()
        self.outcomes += [await handle.outcome() for handle in self.handles]


@settings(max_examples=300)
@given(plan=PLANS)
def test_each_input_has_one_outcome_and_at_most_one_creation(plan: Plan) -> None:
    """Faults, delays, dead tokens, deadlines and cancellations at random moments."""

    async def main() -> None:
        one = Run(plan)
        await one.carry_out()

        inputs = len(one.targets) + 1 if one.handles else 0  # cancelled before it began: none
        assert Counter(outcome.index for outcome in one.outcomes) == Counter(range(inputs))
        assert {id(each) for each in one.finished} == {id(each) for each in one.outcomes}
        sent = one.client.asked - one.client.denied
        creations = [n for (name, _), n in sent.items() if name == "create"]
        assert max(creations, default=0) <= 1
        words = {each.site_id: each.status for each in one.outcomes if each.index in one.accepted}
        for site_id in one.client.created:  # a scan that exists is never said not to
            assert words[site_id] in {"done", "running", "failed", "unknown"}
        for outcome in one.outcomes:
            assert outcome.report_id == one.started.get(outcome.index, outcome.report_id)
            assert outcome.report_id is None or outcome.status in {"done", "running", "failed"}

    run(main)


class Forgetful(FakeScans):
    """Answers at once and keeps no record, so that what grows is the group's."""

    async def _ask(self, operation: str, subject: str) -> None:
        await asyncio.sleep(0)

    async def create(
        self, site: str, options: ScanOptions | None = None, *, claim: Claim | None = None
    ) -> Report:
        """Start a scan and forget it."""
        if claim is not None:
            await claim.take()
        return Report(id=f"r-{site}")


@pytest.mark.slow(timeout=300)
def test_a_hundred_thousand_targets_take_bounded_tasks_and_memory() -> None:
    """A stream of any length is worked off with the tasks and the objects of a short one."""
    count = 100_000

    async def main() -> None:
        tasks, objects = [], []
        outcomes = 0
        # Site ids, and a type without findings, so that little else happens than the group.
        ids = (f"{number:08x}-0000-4000-8000-000000000000" for number in range(count))
        async with ScanGroup(
            Forgetful(duration=0.0), max_active=1_000, options=ScanOptions(types=("dns",))
        ) as group:
            group.feed(ids)
            async for _ in group:
                outcomes += 1
                if outcomes % 20_000 == 10_000:
                    tasks.append(len(asyncio.all_tasks()))
                    objects.append(len(gc.get_objects()))
        assert outcomes == count
        assert max(tasks) <= 150
        assert max(objects[1:]) <= objects[0] + 5_000

    run(main)
