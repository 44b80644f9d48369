"""A global politeness rate: so many requests per second to one host, whatever the limits allow."""

from __future__ import annotations

import asyncio
import math

from aiolimiter import AsyncLimiter

from bestdefense_async.errors import ConfigError, WrongLoop


class Pacer:
    """Let requests pass one by one, evenly spread, in order of arrival.

    A bucket of one: aiolimiter with a larger one starts almost twice the rate in the first second.
    It is asked by one task at a time, because among several it does not keep their order.

    Args:
        requests_per_second: Above 0 and finite; below 1 is one request every few seconds.

    Raises:
        ConfigError: The rate is zero, negative, not finite or not a number.
    """

    def __init__(self, requests_per_second: float) -> None:
        rate = requests_per_second
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            raise ConfigError(f"requests_per_second is a number, not {rate!r}")
        if not (math.isfinite(rate) and rate > 0 and math.isfinite(1 / rate)):
            raise ConfigError(f"requests_per_second is above 0 and finite, not {rate!r}")
        self._limiter = AsyncLimiter(1, 1 / rate)
        self._turns = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def turn(self) -> None:
        """Wait until the next request may leave.

        Raises:
            WrongLoop: The pacer is in use in another event loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop("This pacer belongs to another event loop; use one client per loop.")
        async with self._turns:
            await self._limiter.acquire()
