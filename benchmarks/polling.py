"""How soon the end of a scan is noticed, and what that costs, in virtual time.

    python -m benchmarks.polling [--scans 1500] [--together 10000]

The package's own poll scheduler follows the same scans under each policy; the vendor's documented
loop, a poll every 30 seconds, is simulated beside it. Goals stand behind the figures.

The scans are a mix of quick (median 3 min), standard (20 min), thorough (2 h) and AI scans (1 h),
lognormal, weighted so that the fixed loop costs what the study of real use found: 84 polls per
scan, 15.0 s of lag on average, 7.5 % of a scan's length. A percentage is a power of the true share
that differs from scan to scan, so it is wrong by a third in the middle, and is cut to a whole
number. Learned are 60 earlier scans of each kind, a sixth of them cut off before their end.
"""

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import Callable

from attrs import frozen

from bestdefense_async.core.polling import Hazard, PollPolicy, learn
from bestdefense_async.models import Progress
from bestdefense_async.polling.scheduler import PollScheduler
from bestdefense_async.polling.subscription import WaitOptions
from tests.support.virtual_time import run_virtual

SEED = 20_260
FIXED = 30.0
SAMPLES = 60
ROUND_TRIP = 0.05
WORKERS = 66
"""Polls at a time: what a client with its default number of requests under way lets them."""


@frozen
class Kind:
    """One kind of scans."""

    weight: float
    median: float
    spread: float


KINDS = {
    "quick": Kind(0.60, 180.0, 0.8),
    "standard": Kind(0.12, 1_200.0, 0.6),
    "thorough": Kind(0.24, 7_200.0, 0.5),
    "ai": Kind(0.04, 3_600.0, 1.0),
}


@frozen
class Scan:
    """One scan: how long it takes, and how its percentage is bent."""

    kind: str
    duration: float
    bend: float

    def progress(self, age: float, *, has_percentage: bool) -> Progress:
        """Return what the server says about it."""
        if age >= self.duration:
            return Progress(is_completed=True, percentage=100.0)
        share = (age / self.duration) ** self.bend
        percentage = float(min(99, int(100 * share))) if has_percentage else None
        return Progress(is_completed=False, percentage=percentage)


@frozen
class Result:
    """What a policy does on average."""

    polls: float
    lag: float
    relative: float
    late: float
    """The lag that one scan in twenty exceeds."""


def duration_of(kind: Kind, chance: random.Random) -> float:
    """Return a duration in seconds."""
    return kind.median * math.exp(chance.gauss(0.0, kind.spread))


def mix(count: int) -> list[Scan]:
    """Return the scans."""
    chance = random.Random(SEED)
    kinds = chance.choices(list(KINDS), [kind.weight for kind in KINDS.values()], k=count)
    return [
        Scan(kind, duration_of(KINDS[kind], chance), math.exp(chance.gauss(0.0, 0.4)))
        for kind in kinds
    ]


def lessons() -> dict[str, Hazard | None]:
    """Return what earlier scans teach about each kind."""
    chance = random.Random(SEED + 1)
    learned = {}
    for name, kind in KINDS.items():
        samples = []
        for number in range(SAMPLES):
            duration = duration_of(kind, chance)
            is_cut = number % 6 == 0
            samples.append((duration * chance.random() if is_cut else duration, not is_cut))
        learned[name] = learn(samples)
    return learned


def summary(scans: list[Scan], polls: int, lags: list[float]) -> Result:
    """Return the averages; `lags` are in the order of `scans`."""
    return Result(
        polls=polls / len(scans),
        lag=statistics.fmean(lags),
        relative=statistics.fmean(
            lag / scan.duration for lag, scan in zip(lags, scans, strict=True)
        ),
        late=statistics.quantiles(lags, n=20)[-1],
    )


def fixed(scans: list[Scan]) -> Result:
    """Return what the documented loop does: a poll every 30 s, the first one 30 s after the start.

    The scan's start is not on its grid in real life either: the request takes a moment.
    """
    polls, lags = 0, []
    for scan in scans:
        count = math.floor(scan.duration / FIXED) + 1
        polls += count
        lags.append(count * FIXED - scan.duration)
    return summary(scans, polls, lags)


def followed(
    scans: list[Scan], policy_of: Callable[[str], PollPolicy], *, has_percentage: bool
) -> Result:
    """Return what the scheduler does, one answer taking 50 ms."""
    chance = random.Random(SEED + 2)
    polls = 0
    lags = [0.0] * len(scans)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        starts: list[float] = []

        async def progress(report_id: str) -> Progress:
            nonlocal polls
            polls += 1
            number = int(report_id)
            answer = scans[number].progress(
                loop.time() - starts[number], has_percentage=has_percentage
            )
            await asyncio.sleep(ROUND_TRIP)
            return answer

        is_over = asyncio.Event()

        def told(number: int, _: object) -> None:
            if len(scheduler) == 0 and len(starts) == len(scans):
                is_over.set()
            lags[number] = loop.time() - starts[number] - scans[number].duration

        scheduler = PollScheduler(progress, limit=WORKERS, uniform=chance.uniform)
        terms = {kind: WaitOptions(notify=told, policy=policy_of(kind)) for kind in KINDS}
        for number, scan in enumerate(scans):
            starts.append(loop.time())
            scheduler.follow(str(number), terms[scan.kind], tag=number)
            await asyncio.sleep(chance.expovariate(1.0))
        await is_over.wait()

    run_virtual(main(), start=1_000.0)
    return summary(scans, polls, lags)


def peak_of(count: int) -> float:
    """Return the busiest second over the mean of a minute, of scans that begin all at once."""
    chance = random.Random(SEED)
    per_second = [0] * 60

    async def main() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def progress(_: str) -> Progress:
            per_second[min(int(loop.time() - start), 59)] += 1
            await asyncio.sleep(0.001)
            return Progress(is_completed=False)

        scheduler = PollScheduler(progress, limit=WORKERS, uniform=chance.uniform)
        terms = WaitOptions(notify=lambda _, __: None)
        for number in range(count):
            scheduler.follow(str(number), terms)
        await asyncio.sleep(60.0)
        await asyncio.wait(scheduler.close() or {asyncio.create_task(asyncio.sleep(0))})

    run_virtual(main(), start=1_000.0)
    return max(per_second) / statistics.fmean(per_second)


def show(name: str, result: Result, base: Result, goal: str) -> None:
    """Print one row."""
    print(
        f"{name:28}{result.polls:7.1f}{result.polls / base.polls:7.2f}"
        f"{result.lag:8.1f}{result.lag / base.lag:7.2f}{result.late:7.0f}"
        f"{100 * result.relative:8.1f}{result.relative / base.relative:7.2f}   {goal}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=1500)
    parser.add_argument("--together", type=int, default=10_000)
    arguments = parser.parse_args()
    scans, learned = mix(arguments.scans), lessons()
    base = fixed(scans)
    policy = PollPolicy()

    def by_kind(kind: str) -> PollPolicy:
        return PollPolicy(learned=learned[kind])

    mean = statistics.fmean(scan.duration for scan in scans)
    print(f"{len(scans)} scans of {mean:.0f} s on average; x is against the fixed loop")
    print(f"{'policy':28}{'polls':>7}{'x':>7}{'lag s':>8}{'x':>7}{'p95':>7}{'% len':>8}{'x':>7}")
    show("fixed 30 s", base, base, "(the study: 84 polls, 15.0 s, p95 28 s, 7.5 %)")
    show(
        "default",
        followed(scans, lambda _: policy, has_percentage=False),
        base,
        "polls <= 1.00, lag <= 1.05, relative <= 0.45",
    )
    show(
        "default with percentage",
        followed(scans, lambda _: policy, has_percentage=True),
        base,
        "polls <= 0.75, lag <= 0.70",
    )
    show(
        "learned",
        followed(scans, by_kind, has_percentage=False),
        base,
        "lag <= 0.65 at polls 1.00",
    )
    show("learned with percentage", followed(scans, by_kind, has_percentage=True), base, "")
    print(
        f"{arguments.together} scans begun together: the busiest second has "
        f"{peak_of(arguments.together):.2f} x the mean   peak <= 1.6"
    )


if __name__ == "__main__":
    main()
