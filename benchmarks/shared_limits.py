"""Four processes with one token on one limit, kept in a database or in a file of the machine.

    python -m benchmarks.shared_limits [--calls 60] [--per 6 60] [--periods 4]

Starts a PostgreSQL of its own, a sandbox that counts by each policy that a server may have, and
four processes that call one operation as fast as they may. Prints refusals, and the calls that
came through as a share of what is permitted since the first one. Then what disturbs it: a process
killed with calls in flight, another one with a clock ten minutes ahead (in a file the machine's
clock is everybody's, so only in a database), and a refusal out of the blue, after which all of
them should keep still for as long as the server asks.

Goals: 0 refusals of our own doing, at least 95 % of what is permitted, no call in a pause.
"""

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from attrs import frozen

from bestdefense_async.sandbox import Sandbox
from tests.support.callers import OPERATION, Callers
from tests.support.postgres import Server, new_database, own_server

PROCESSES = 4
POLICIES = ("fixed", "clock", "sliding-log", "weighted", "bucket")
PAUSE = 5
"""Seconds that the server asks for in the middle of things."""
SETTLED = 0.5
"""Seconds after a refusal in which calls may still arrive that had left before."""


@frozen
class Limited:
    """A limit and how it is tried."""

    place: str
    calls: int
    per: float
    seconds: float

    async def measure(
        self, policy: str, what: str, disturb: Callable[[Sandbox, Callers], Awaitable[None]]
    ) -> None:
        """Print how a limit is kept while something happens."""
        limit = (self.calls, self.per)
        is_file = "://" not in self.place
        async with Sandbox(sites=1, limits={OPERATION: limit}, policy=policy) as sandbox:
            with Callers(sandbox, limit, self.place) as callers:
                wrong = 600.0 if what == "clock" and not is_file else 0.0
                await asyncio.gather(
                    callers.start(clock_ahead=wrong),
                    *(callers.start() for _ in range(PROCESSES - 1)),
                )
                callers.go()
                while not sandbox.ledger:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
                first = sandbox.ledger[0].at
                await asyncio.sleep(self.seconds / 3)
                await disturb(sandbox, callers)
                loop = asyncio.get_running_loop()
                await asyncio.sleep(first + self.seconds - loop.time())
            arrived = [each for each in sandbox.ledger if each.at < first + self.seconds]
        refused = [each.at for each in arrived if each.status == HTTPStatus.TOO_MANY_REQUESTS]
        served = len(arrived) - len(refused)
        paused = [
            each
            for each in arrived
            if refused and refused[0] + SETTLED < each.at < refused[0] + PAUSE
        ]
        permitted = self.calls * self.seconds / self.per
        print(
            f"{self.calls} per {self.per:g} s  {'file' if is_file else 'database':9} {policy:12} "
            f"{what:8} {len(refused):4} refusals {served:5} calls {served / permitted:7.1%}"
            + (f"  {len(paused)} in the pause" if what == "refused" else ""),
            flush=True,
        )


async def nothing(_: Sandbox, __: Callers) -> None:
    """Let them call."""


async def kill(_: Sandbox, callers: Callers) -> None:
    """End one with what it has in flight."""
    callers.processes[-1].kill()


async def refuse(sandbox: Sandbox, _: Callers) -> None:
    """Refuse one call although the limit is kept."""
    sandbox.fault(OPERATION, status=429, headers={"Retry-After": str(PAUSE)}, times=1)


async def table(server: Server, calls: int, per: float, periods: float) -> None:
    """Print all rows of one limit."""
    rows = [(policy, "", nothing) for policy in POLICIES]
    rows += [("weighted", "clock", nothing), ("weighted", "killed", kill)]
    rows += [("weighted", "refused", refuse)]
    for in_database in (True, False):
        for policy, what, disturb in rows:
            with contextlib.ExitStack() as stack:
                if in_database:
                    place = stack.enter_context(new_database(server.url("postgres")))
                elif what == "clock":
                    continue
                else:
                    place = stack.enter_context(tempfile.TemporaryDirectory())
                await Limited(place, calls, per, periods * per).measure(policy, what, disturb)


async def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--per", type=float, nargs="+", default=[6.0, 60.0])
    parser.add_argument("--periods", type=float, default=4.0)
    options = parser.parse_args()
    with own_server() as server:
        for per in options.per:
            await table(server, options.calls, per, options.periods)


if __name__ == "__main__":
    asyncio.run(main())
