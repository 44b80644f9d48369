"""A million targets of a thousand organizations, in virtual time: who waits for how long.

    python -m benchmarks.scale_out [--targets 1000000] [--organizations 1000] [--workers 20]

Takes the order in which the engine hands out shards (those first after which their organization has
had the fewest targets), the room that workers have for scans, and the time that a shard takes: its
creations at the pace that its organization's token may send, then the scans that it has started.
Sizes of organizations are spread over three orders of magnitude. Prints how long it takes, and what
the small ones lose beside the large ones; once by share, and once in the order of arrival alone. No
clock is waited for. Goal: the smallest tenth takes at most 1.5 x as long as alone. The same by real
processes, with fewer targets: `benchmarks.fair_shards`.
"""

import argparse
import heapq
import random
import statistics

SHARD = 200
SCAN = 1800.0
"""Seconds that a scan takes."""
CREATIONS = 4.0
"""Creations per second of one shard: eight at a time, two seconds each."""


def sizes_of(organizations: int, targets: int) -> list[int]:
    """Return how many targets each organization has, in a random order."""
    chance = random.Random(16)
    weights = [10 ** chance.uniform(1.0, 4.0) for _ in range(organizations)]
    return [max(1, round(targets * weight / sum(weights))) for weight in weights]


def alone(size: int) -> float:
    """Return how long an organization takes that has all workers for itself, in seconds."""
    return SCAN + min(size, SHARD) / CREATIONS


def finished(sizes: list[int], room: int, *, by_share: bool) -> list[float]:
    """Return when each organization is done, in seconds."""
    queue = []
    for organization, size in enumerate(sizes):
        for first in range(0, size, SHARD):
            count = min(SHARD, size - first)
            order = (first + count if by_share else 0, organization, first)
            queue.append((order, organization, count))
    queue.sort()
    now, busy = 0.0, list[tuple[float, int]]()
    ends = [0.0] * len(sizes)
    for _, organization, count in queue:
        while room < SHARD:
            now, left = heapq.heappop(busy)
            room += left
        room -= count
        end = now + SCAN + count / CREATIONS
        heapq.heappush(busy, (end, count))
        ends[organization] = max(ends[organization], end)
    return ends


def main() -> None:
    """Print both orders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=1_000_000)
    parser.add_argument("--organizations", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=50)
    options = parser.parse_args()
    sizes = sizes_of(options.organizations, options.targets)
    room = options.workers * options.concurrency * SHARD
    shards = sum(-(-size // SHARD) for size in sizes)
    print(
        f"{sum(sizes):,} targets of {len(sizes):,} organizations ({min(sizes)} to {max(sizes):,}), "
        f"{shards:,} shards, room for {room:,} scans"
    )
    small = sorted(range(len(sizes)), key=sizes.__getitem__)[: len(sizes) // 10]
    for name, by_share in (("by share", True), ("order of arrival", False)):
        ends = finished(sizes, room, by_share=by_share)
        ratios = sorted(ends[each] / alone(sizes[each]) for each in small)
        print(
            f"{name:17}: all done after {max(ends) / 3600:.1f} h; the smallest tenth takes "
            f"{statistics.median(ratios):.2f} x as long as alone, at most {ratios[-1]:.2f} x"
        )


if __name__ == "__main__":
    main()
