"""The politeness rate of a client."""

import asyncio
from typing import Any

import pytest

from bestdefense_async.errors import ConfigError, WrongLoop
from bestdefense_async.transport.throttle.throttle import Pacer
from tests.support.virtual_time import run_virtual


def test_requests_leave_evenly_and_in_order() -> None:
    """Four per second: the first at once, each next one a quarter of a second later."""

    async def main() -> list[tuple[int, float]]:
        pacer, left = Pacer(4.0), []

        async def one(number: int) -> None:
            await pacer.turn()
            left.append((number, asyncio.get_running_loop().time()))

        await asyncio.gather(*(one(number) for number in range(40)))
        return left

    left = run_virtual(main(), start=1000.0)
    assert [number for number, _ in left] == list(range(40))
    assert [when - 1000.0 for _, when in left] == pytest.approx(
        [number / 4 for number in range(40)], abs=0.001
    )


def test_an_idle_hour_saves_nothing_up() -> None:
    """Politeness is about every moment, so there is no burst."""

    async def main() -> None:
        pacer, loop = Pacer(0.5), asyncio.get_running_loop()
        await pacer.turn()
        await asyncio.sleep(3600.0)
        begun = loop.time()
        for _ in range(3):
            await pacer.turn()
        assert loop.time() - begun == pytest.approx(4.0, abs=0.001)

    run_virtual(main(), start=1000.0)


def test_a_cancelled_turn_takes_no_time_from_others() -> None:
    """Cancelled at any place in the queue, the others keep their rate."""

    async def main() -> None:
        pacer, loop = Pacer(1.0), asyncio.get_running_loop()
        await pacer.turn()
        tasks = [asyncio.create_task(pacer.turn()) for _ in range(6)]
        await asyncio.sleep(0.5)
        for task in tasks[0], tasks[3], tasks[5]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert loop.time() == pytest.approx(1003.0, abs=0.001)

    run_virtual(main(), start=1000.0)


@pytest.mark.parametrize(
    "rate", [0, -1, float("nan"), float("inf"), True, "4", None, 5e-324], ids=repr
)
def test_a_rate_that_is_none_is_a_wrong_setting(rate: Any) -> None:
    """Said when it is set, not by a division later."""
    with pytest.raises(ConfigError):
        Pacer(rate)


def test_a_pacer_used_in_a_second_loop_says_so() -> None:
    """A typed error instead of aiolimiter's warning."""
    pacer = Pacer(1.0)
    run_virtual(pacer.turn())
    with pytest.raises(WrongLoop):
        run_virtual(pacer.turn())
