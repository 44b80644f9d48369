"""What a run will take, before anything is started: scans, requests, time, and what binds.

    time = the longest of  scans x duration / max_active      when they do not all fit at once
                           one scan                            else
                           for each limit: the calls beyond its first burst, at its pace
                           all calls at the politeness rate

A duration is learned where finished scans of the kind are known, else assumed. So there are two
times: the one to expect, and the one below which the run cannot end even when everything goes
well. Only the latter may refuse a deadline: it rests on limits and on the shortest scan seen.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final

from attrs import frozen

from bestdefense_async.core.polling import PollPolicy, first_wait, next_wait
from bestdefense_async.errors import ConfigError
from bestdefense_async.report.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bestdefense_async.core.limiting.limit import Limit
    from bestdefense_async.models import ScanOptions

ASSUMED: Final[Mapping[str | None, float]] = {
    "quick": 180.0,
    "standard": 1200.0,
    "thorough": 7200.0,
}
"""Seconds of a security scan by intensity, until finished ones are known. (our assumption)"""
ASSUMED_OTHERWISE: Final = 1200.0
"""The same for an intensity that is the server's choice or unknown here. (our assumption)"""
ASSUMED_WITHOUT_SECURITY: Final = 180.0
"""The same for a scan without a security part. (our assumption)"""

ENOUGH: Final = 5
"""Finished scans of a kind from which its duration is learned."""
MOST_POLLS: Final = 100_000
"""A scan so long that it is asked for more often is counted with this number."""


@frozen(kw_only=True)
class Plan:
    """What a run will take. All times are seconds."""

    targets: int
    """Inputs, repeated ones and those that cannot be scanned included."""
    repeated: int
    """Inputs that repeat an earlier one."""
    creations: int
    """Scans to be started: what may cost money and touches sites."""
    follows: int
    """Scans that exist already and are only followed."""
    calls: int
    """Expected requests of all kinds, retries not counted."""
    duration: float
    """What one scan is expected to take."""
    learned_from: int
    """Finished scans that the duration was learned from; 0 when it is assumed."""
    seconds: float
    """What the run is expected to take."""
    binding: str
    """What that time comes from, like `100 scans at a time`."""
    least_seconds: float
    """What the run takes at least, as far as that is known."""
    least_duration: float
    """What one scan takes at least, as far as that is known."""

    @property
    def reason(self) -> str:
        """Why it takes that long, in a few words: what binds and where the duration is from."""
        count = self.learned_from
        source = f"as {count} earlier ones took" if count else "by our assumption"
        return f"{self.binding}, each about {_minutes(self.duration)} {source}"

    @property
    def sentence(self) -> str:
        """The plan in one line."""
        if not self.creations and not self.follows:
            return "nothing is left to do"
        parts = [f"{counted(self.creations, 'scan')} to start"]
        if self.follows:
            parts.append(f"{self.follows} to follow")
        parts.append(f"about {counted(self.calls, 'request')}")
        return f"{', '.join(parts)}, {duration(self.seconds)} expected ({self.reason})"

    def check(self, *, run_timeout: float | None, scan_timeout: float | None) -> None:
        """Refuse deadlines that cannot be kept.

        Raises:
            ConfigError: The run, or each single scan, would be given up before its end.
        """
        if run_timeout is not None and run_timeout < self.least_seconds:
            raise ConfigError(
                f"The run takes at least {_minutes(self.least_seconds)} ({self.reason}), and "
                f"{_minutes(run_timeout)} were given: allow more time or scan fewer sites."
            )
        if scan_timeout is not None and scan_timeout < self.least_duration:
            raise ConfigError(
                f"No scan of this kind was ever done in less than {_minutes(self.least_duration)}, "
                f"and {_minutes(scan_timeout)} were given for each."
            )


def make_plan(
    *,
    targets: int,
    creations: int,
    follows: int = 0,
    repeated: int = 0,
    options: ScanOptions,
    max_active: int,
    polling: PollPolicy | None = None,
    limits: Mapping[str, tuple[Limit, ...]] | None = None,
    requests_per_second: float | None = None,
    samples: Sequence[tuple[float, bool]] = (),
) -> Plan:
    """Return the plan of a run.

    Args:
        targets: Inputs of the run.
        creations: Scans to be started.
        follows: Scans that exist and are followed.
        repeated: Inputs that repeat an earlier one.
        options: What is scanned.
        max_active: Scans under way at the same time.
        polling: How often scans are asked for.
        limits: Limits by operation, as the client keeps them.
        requests_per_second: The client's politeness rate.
        samples: Durations of earlier scans of the kind in seconds, and whether each finished.
    """
    policy = PollPolicy() if polling is None else polling
    finished = [seconds for seconds, is_finished in samples if is_finished]
    is_learned = len(finished) >= ENOUGH
    duration = statistics.fmean(finished) if is_learned else _assumed(options) / policy.speed
    shortest = min(finished) if is_learned else 0.0
    scans = creations + follows
    reads = 2 * scans if "security" in options.types else 0
    calls = {
        "sites.list": 1,
        "reports.create": creations,
        "reports.progress": round(scans * expected_polls(policy, duration)),
        "reports.overview": reads // 2,
        "vortex.alerts": reads // 2,
    }
    total = sum(calls.values()) if scans else 1
    bounds = [
        _by_activity(scans, max_active, duration),
        *_by_limits(calls, limits or {}, duration if scans else 0.0),
        *_by_pace(total, requests_per_second),
    ]
    least = [
        _by_activity(scans, max_active, shortest),
        *_by_limits(calls | {"reports.progress": scans}, limits or {}, shortest),
        *_by_pace(1 + creations + scans + reads, requests_per_second),
    ]
    seconds, binding = max(bounds)
    return Plan(
        targets=targets,
        repeated=repeated,
        creations=creations,
        follows=follows,
        calls=total,
        duration=duration,
        learned_from=len(finished) if is_learned else 0,
        seconds=seconds,
        binding=binding,
        least_seconds=max(least)[0],
        least_duration=shortest,
    )


def expected_polls(policy: PollPolicy, duration: float) -> float:
    """Return how often a scan of that many seconds is asked for, the last time included."""
    elapsed = first_wait(policy, uniform=_middle)
    polls = 1
    while elapsed < duration and polls < MOST_POLLS:
        elapsed += next_wait(policy, elapsed=elapsed, uniform=_middle)
        polls += 1
    return polls


def _middle(least: float, most: float) -> float:
    return (least + most) / 2


def _assumed(options: ScanOptions) -> float:
    if "security" not in options.types:
        return ASSUMED_WITHOUT_SECURITY
    return ASSUMED.get(options.intensity, ASSUMED_OTHERWISE)


def _by_activity(scans: int, max_active: int, duration: float) -> tuple[float, str]:
    if scans > max_active:
        binding = "one scan at a time" if max_active == 1 else f"{max_active} scans at a time"
        return scans * duration / max_active, binding
    return (duration if scans else 0.0), "all scans at once"


def _by_limits(
    calls: Mapping[str, int], limits: Mapping[str, tuple[Limit, ...]], duration: float
) -> Iterator[tuple[float, str]]:
    """Yield the time that each limit asks for: the last call and the scan it belongs to."""
    for operation, count in calls.items():
        for limit in limits.get(operation, ()):
            beyond = max(count - (limit.burst or limit.calls), 0)
            if limit.policy == "paced" and limit.burst is None:
                beyond = max(count - 1, 0)
            binding = f"the limit of {operation}, {limit.calls} in {limit.per:g} s"
            yield beyond * limit.per / limit.calls + duration, binding


def _by_pace(calls: int, requests_per_second: float | None) -> Iterator[tuple[float, str]]:
    if requests_per_second is not None:
        yield calls / requests_per_second, f"{requests_per_second:g} requests per second"


def _minutes(seconds: float) -> str:
    """Return a time as people write it."""
    if seconds < 90:  # noqa: PLR2004 - below that, seconds are clearer
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004
