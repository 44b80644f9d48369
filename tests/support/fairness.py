"""How much longer one tenant's work takes beside another tenant's, in virtual time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.view import View
from tests.support.virtual_time import run_virtual
from tests.support.virtual_wire import BUSY, VirtualWire, client_on, close

TARGETS: Final = 10
BUSY_CALLS: Final = 5_000
AT_ONCE: Final = PollPolicy(shortest=0.1, remaining_shortest=0.1, longest=0.1)

Work = Callable[[View, int], Awaitable[object]]


def site(number: int) -> str:
    """Return the id of a site."""
    return str(uuid.UUID(int=number))


async def calls(view: View, number: int) -> None:
    """Create a scan and read its results: three calls in a row."""
    report = await view.reports.create(site(number))
    overview = await view.reports.overview(report)
    await view.vortex.alerts(overview)


async def scan(view: View, number: int) -> None:
    """Create a scan, wait until it is complete, and read its results."""
    report = await view.reports.create(site(number))
    await view.reports.wait(report)
    await view.vortex.alerts(await view.reports.overview(report))


async def creation(view: View, number: int) -> None:
    """Create a scan."""
    await view.reports.create(site(number))


async def wait(view: View, number: int) -> None:
    """Wait for a scan that never ends, with as many polls as can be."""
    await view.reports.wait(site(1_000_000 + number), policy=AT_ONCE)


async def both(view: View, number: int) -> None:
    """Create scans and wait for others."""
    await (creation if number % 2 else wait)(view, number)


LOADS: Final[dict[str, tuple[Work, set[str]]]] = {
    "creations": (creation, set()),
    "polls": (wait, set()),
    "creations and polls": (both, set()),
    "creations that hang": (creation, {"reports.create"}),
    "polls that hang": (wait, {"reports.progress"}),
}
"""What the busy tenant does 5,000 times at once, and which of it is not answered."""


def seconds(work: Work, load: str | None, *, slots: int, rate: float | None = None) -> float:
    """Return how long ten targets take one tenant, beside a load of another one or alone."""

    async def main() -> float:
        wire = VirtualWire()
        bd = client_on(wire, max_in_flight=slots, requests_per_second=rate, timeout=5.0)
        busy: list[asyncio.Task[Any]] = []
        if load is not None:
            their_work, wire.hanging = LOADS[load]
            view = bd.with_token(BUSY, name="busy")
            busy = [asyncio.ensure_future(their_work(view, number)) for number in range(BUSY_CALLS)]
            await asyncio.sleep(10.0)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(work(bd, number) for number in range(TARGETS)))
        took = asyncio.get_running_loop().time() - began
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await close(bd)
        return took

    return run_virtual(main(), start=1000.0)


def ratios(work: Work, *, slots: int, rate: float | None = None) -> Iterator[tuple[str, float]]:
    """Yield each load, and how many times as long as alone the ten targets take beside it."""
    alone = seconds(work, None, slots=slots, rate=rate)
    for load in LOADS:
        yield load, seconds(work, load, slots=slots, rate=rate) / alone
