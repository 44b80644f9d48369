"""Callers of a limited server in virtual time: a request has a way there and a way back."""

import asyncio
import random
from collections.abc import Mapping

from attrs import define, field

from bestdefense_async.transport.throttle.throttle import Throttle
from tests.support.rate_servers import Server

LIMIT_CLASS = "agents.manifest"

NO_HEADERS: Mapping[str, str] = {}


@define
class Network:
    """A server behind a network whose delays jitter, and a ledger of what happened."""

    server: Server
    chance: random.Random
    slowest_way: float = 0.3
    """Seconds: each of the two ways takes between 0 and this."""
    says_remaining: bool = False
    says_retry_after: bool = False
    served: list[float] = field(factory=list)
    refused: list[float] = field(factory=list)

    async def exchange(self) -> tuple[bool, dict[str, str]]:
        """Send one request; return whether it was served, and the headers of the answer."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self.chance.uniform(0, self.slowest_way))
        now = loop.time()
        is_served = self.server.hit(now)
        (self.served if is_served else self.refused).append(now)
        headers: dict[str, str] = {}
        if self.says_remaining:
            headers["x-ratelimit-remaining"] = str(self.server.remaining(now))
            headers["x-ratelimit-limit"] = str(self.server.calls)
        if self.says_retry_after and not is_served:
            headers["retry-after"] = str(int(self.server.retry_after(now)))
        await asyncio.sleep(self.chance.uniform(0, self.slowest_way))
        return is_served, headers


async def call(throttle: Throttle, network: Network, *, limit_class: str = LIMIT_CLASS) -> float:
    """Make one call until it is served; return the loop time of its first admission."""
    again = False
    admitted: float | None = None
    while True:
        async with throttle.admit(limit_class, again=again) as permit:
            if admitted is None:
                admitted = asyncio.get_running_loop().time()
            is_served, headers = await network.exchange()
            if is_served:
                permit.answered(headers)
                return admitted
            permit.refused(headers)
            again = True


async def saturate(throttle: Throttle, network: Network, *, workers: int, until: float) -> None:
    """Let workers call one after the other until that loop time."""

    async def work() -> None:
        while True:
            await call(throttle, network)

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    await asyncio.sleep(until - asyncio.get_running_loop().time())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
