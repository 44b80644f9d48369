"""Whatever goes wrong, and whenever the group is stopped: one outcome per input, one creation."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

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
from bestdefense_async.orchestration import (
    Outcome,
    ScanFinished,
    ScanGroup,
    ScanStarted,
    TargetAccepted,
)
from tests.support.fake_scans import FakeScans, absent, denied, hosts, run, unknown

FAULTS: dict[str, Any] = {
    "create": [
        lambda site: unknown(site),
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
        self.ending = self.chance.choice([denied, lambda: QuotaExceeded("Spent.", status=402)])

    async def __call__(self, operation: str, subject: str, nth: int) -> None:
        await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.3, 4.0]))
        now = asyncio.get_running_loop().time()
        if self.ends_at is not None and now > self.ends_at and operation in {"create", "progress"}:
            raise self.ending()
        if self.chance.random() < self.rate:
            raise self.chance.choice(FAULTS[operation])(subject)


@settings(max_examples=150)
@given(
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
def test_each_input_has_one_outcome_and_at_most_one_creation(
    seed: int,
    rate: float,
    ends_at: float | None,
    stop_after: float | None,
    cancels: int,
    max_active: int,
    run_timeout: float | None,
    *,
    fail_fast: bool,
    slow: float,
) -> None:
    """Faults, delays, dead tokens, deadlines and cancellations at random moments."""
    chance = random.Random(seed)
    targets = [*hosts(20), "not a target", "nobody.example", *hosts(3)]
    chance.shuffle(targets)
    finished: list[Outcome] = []
    started: dict[int, str] = {}
    accepted: set[int] = set()

    def on_event(event: Any) -> None:
        if isinstance(event, ScanFinished):
            finished.append(event.outcome)
        elif isinstance(event, ScanStarted):
            started[event.index] = event.report_id
        elif isinstance(event, TargetAccepted):
            accepted.add(event.index)

    async def main() -> None:
        client = FakeScans(20, fault=Chaos(seed, rate=rate, ends_at=ends_at))
        client.durations = {f"s{n}": chance.choice([1.0, 60.0, 400.0]) for n in range(20)}
        group = ScanGroup(
            client,
            max_active=max_active,
            scan_timeout=300.0,
            run_timeout=run_timeout,
            fail_fast=fail_fast,
            on_event=on_event,
        )
        streamed: list[Outcome] = []
        handles = []

        async def work() -> None:
            async with group:
                group.feed(targets)
                handles.append(group.start("h7.example"))
                async for outcome in group:
                    streamed.append(outcome)
                    await asyncio.sleep(slow)

        task = asyncio.create_task(work())
        if stop_after is not None:
            await asyncio.sleep(stop_after)
            for _ in range(cancels):
                task.cancel()
                await asyncio.sleep(0)
        try:
            await task
        except (asyncio.CancelledError, ExceptionGroup):
            pass
        while True:
            try:
                streamed += [outcome async for outcome in group]
                break
            except ExceptionGroup:
                continue

        given_out = [*streamed, *[await handle.outcome() for handle in handles]]
        assert Counter(outcome.index for outcome in given_out) == Counter(range(len(given_out)))
        assert len(given_out) == (len(targets) + 1 if handles else 0)
        assert {id(one) for one in finished} == {id(one) for one in given_out}
        for (operation, _), count in client.asked.items():
            assert operation != "create" or count <= 1
        by_site = {one.site_id: one for one in given_out if one.index in accepted}
        for site_id in client.created:  # a scan that exists is never said not to
            assert by_site[site_id].word in {"done", "failed", "unknown"}
        for outcome in given_out:
            assert outcome.report_id == started.get(outcome.index, outcome.report_id)
            if outcome.word in {"unknown", "not_started"}:
                assert outcome.report_id is None

    run(main)


def test_a_hundred_thousand_targets_take_bounded_tasks_and_memory() -> None:
    """A stream of any length is worked off with the tasks and the memory of a short one."""
    count = 100_000

    class Quick(FakeScans):
        """Keeps no record, so that what grows is the group's."""

        async def _ask(self, operation: str, subject: str) -> None:
            await asyncio.sleep(0.01)

        async def create(self, site: str, options: Any = None) -> Any:
            report = await super().create(site, options)
            del self.created[site]
            return report

    def stream() -> Iterator[str]:
        return (f"{number:08x}-0000-4000-8000-000000000000" for number in range(count))

    async def main() -> None:
        most_tasks = done = 0
        tracemalloc.start()
        try:
            async with ScanGroup(
                Quick(0, duration=0.0), max_active=1_000, options=_without_verdict()
            ) as group:
                group.feed(stream())
                async for _ in group:
                    done += 1
                    if done % 1_000 == 0:
                        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert done == count
        assert most_tasks <= 150
        print(peak)

    run(main)


def _without_verdict() -> Any:
    from bestdefense_async.models import ScanOptions

    return ScanOptions(types=("dns",))
