"""What observing a call costs: nothing, an observer that does nothing, metrics, metrics and spans.

    python -m benchmarks.telemetry [--calls 2000] [--blocks 10]

CPU of this process per `reports.progress` on a small server in another one; spans are exported to
nowhere. The differences to a client that nobody observes are what counts.

Goals: nothing when unused; metrics cost less than half of what spans with them cost.
"""

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.tenants import REPORT, server
from bestdefense_async import BestDefense, Observer
from bestdefense_async.telemetry import OpenTelemetry


def _telemetry(*, spans: bool) -> OpenTelemetry:
    return OpenTelemetry(
        tracer_provider=TracerProvider(shutdown_on_exit=False),
        meter_provider=MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False),
        spans=spans,
        polls=True,
    )


class Quiet(Observer):
    """Hears of attempts and does nothing."""

    def attempt_began(self, call: object, attempt: int) -> None:
        """Do nothing."""

    def attempt_ended(self, call: object, attempt: object) -> None:
        """Do nothing."""


CASES: dict[str, Callable[[], tuple[Observer, ...]]] = {
    "nobody": lambda: (),
    "observer": lambda: (Quiet(),),
    "metrics": lambda: (_telemetry(spans=False),),
    "and spans": lambda: (_telemetry(spans=True),),
}


async def measure(url: str, calls: int, blocks: int) -> dict[str, list[float]]:
    """Return the microseconds of CPU per call, by case and block."""
    took: dict[str, list[float]] = {name: [] for name in CASES}
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(BestDefense("t" * 20, url, observer=make()))
            for name, make in CASES.items()
        }
        for _ in range(blocks):
            for name, client in clients.items():
                began = time.process_time()
                for _ in range(calls):
                    await client.reports.progress(REPORT)
                took[name].append((time.process_time() - began) / calls * 1e6)
    return took


def main() -> None:
    """Print the cost of each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=10)
    arguments = parser.parse_args()
    with server() as url:
        took = asyncio.run(measure(url, arguments.calls, arguments.blocks))
    base = statistics.median(took["nobody"])
    for name, values in took.items():
        median = statistics.median(values)
        print(f"{name:10} {median:7.1f} us a call  {median - base:+7.1f} us")


if __name__ == "__main__":
    main()
