"""The real throttle against simulated servers of every policy, at any phase, in virtual time.

The network delays each request and each answer at random, so calls overtake each other. What the
server counted is the truth; the client sees only its answers.
"""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.transport.throttle.throttle import Throttle
from tests.support.rate_clients import LIMIT_CLASS, Network, call, saturate
from tests.support.rate_servers import POLICIES, SlidingLog
from tests.support.virtual_time import run_virtual

EXAMPLES = settings(max_examples=20)
MINUTE = Limit(60, per=60.0)
HOUR = Limit(20, per=3600.0)

every_policy = pytest.mark.parametrize("policy", POLICIES)
every_limit = pytest.mark.parametrize(
    ("limit", "periods", "share"),
    [
        pytest.param(MINUTE, 12, 0.98, id="60 a minute"),
        pytest.param(HOUR, 12, 0.92, id="20 an hour"),
    ],
)
seeds = st.integers(0, 2**32)


def network(
    policy: str,
    limit: Limit,
    chance: random.Random,
    *,
    says_remaining: bool = False,
    says_retry_after: bool = False,
) -> Network:
    """Return a server of that policy at a random phase, behind a network."""
    phase = 1000.0 + chance.uniform(0, limit.per)
    return Network(
        POLICIES[policy](limit.calls, limit.per, phase),
        chance,
        says_remaining=says_remaining,
        says_retry_after=says_retry_after,
    )


def throttle_of(*limits: Limit, chance: random.Random, known: bool) -> Throttle:
    """Return a throttle that keeps these limits."""
    return Throttle(
        {LIMIT_CLASS: limits}, known_since=-1e9 if known else None, uniform=chance.uniform
    )


@every_policy
@every_limit
@EXAMPLES
@given(seeds, st.sampled_from([1, 3, 20, 100]), st.booleans(), st.booleans())
def test_a_saturating_client_is_never_refused_and_gets_its_due(
    policy: str,
    limit: Limit,
    periods: int,
    share: float,
    seed: int,
    workers: int,
    says_remaining: bool,  # noqa: FBT001 - drawn by hypothesis
    known: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """No refusal at any phase, and close to N calls per P in the long run."""
    chance = random.Random(seed)
    net = network(policy, limit, chance, says_remaining=says_remaining)

    async def main() -> None:
        throttle = throttle_of(limit, chance=chance, known=known)
        until = asyncio.get_running_loop().time() + periods * limit.per
        await saturate(throttle, net, workers=workers, until=until)

    run_virtual(main(), start=1000.0)
    assert net.refused == []
    if workers > 1:  # one worker alone is slowed by its own round trips
        assert len(net.served) >= share * periods * limit.calls


async def _bursts(throttle: Throttle, net: Network, chance: random.Random, most: int) -> list[int]:
    """Ask in bursts of any size at any time, cancel some; return the order of admission."""
    order: list[int] = []

    async def ask(number: int) -> None:
        async with throttle.admit(LIMIT_CLASS) as permit:
            order.append(number)
            is_served, headers = await net.exchange()
            if is_served:
                permit.answered(headers)
            else:
                permit.refused(headers)

    tasks: list[asyncio.Task[None]] = []
    for _ in range(chance.randint(1, 12)):
        for _ in range(chance.randint(1, most)):
            tasks.append(asyncio.create_task(ask(len(tasks))))
        await asyncio.sleep(chance.choice([0.0, 0.2, 5.0, 70.0, 130.0]))
        for task in chance.sample(tasks, len(tasks) // 5):
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return order


@every_policy
@EXAMPLES
@given(seeds, st.booleans())
def test_bursts_and_cancellations_are_never_refused_and_keep_their_order(
    policy: str,
    seed: int,
    says_remaining: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """A cancelled call may or may not have reached the server; either way nothing leaks."""
    chance = random.Random(seed)
    limit = Limit(20, per=60.0)
    net = network(policy, limit, chance, says_remaining=says_remaining)

    async def main() -> None:
        throttle = throttle_of(limit, chance=chance, known=True)
        order = await _bursts(throttle, net, chance, most=50)
        assert order == sorted(order)
        await asyncio.sleep(3 * limit.per)
        assert throttle.is_idle
        net.slowest_way = 0.0
        before = asyncio.get_running_loop().time()
        admitted = await asyncio.gather(*(call(throttle, net) for _ in range(limit.calls)))
        assert set(admitted) == {before}

    run_virtual(main(), start=1000.0)
    assert net.refused == []


@EXAMPLES
@given(seeds)
def test_two_limits_of_one_server_are_both_kept(seed: int) -> None:
    """A minute's and an hour's limit at once, counted by two logs."""
    chance = random.Random(seed)
    minute, hour = Limit(10, per=60.0), Limit(40, per=3600.0)
    nets = [Network(SlidingLog(limit.calls, limit.per), chance) for limit in (minute, hour)]

    async def main() -> None:
        throttle = throttle_of(minute, hour, chance=chance, known=True)

        async def work() -> None:
            while True:
                async with throttle.admit(LIMIT_CLASS) as permit:
                    await nets[0].exchange()
                    _, headers = await nets[1].exchange()
                    permit.answered(headers)

        tasks = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(4 * hour.per)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main(), start=1000.0)
    assert [net.refused for net in nets] == [[], []]
    assert len(nets[1].served) >= 0.92 * 4 * hour.calls


@pytest.mark.parametrize("says_remaining", [False, True], ids=["no headers", "rate headers"])
@every_policy
def test_two_clients_on_one_token_settle(
    policy: str,
    says_remaining: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Neither knows of the other: at most 80 of 1,000 answers are refusals, and none starves."""
    chance = random.Random(7)
    first = network(policy, MINUTE, chance, says_remaining=says_remaining)
    second = Network(first.server, chance, says_remaining=says_remaining)

    async def main() -> None:
        until = asyncio.get_running_loop().time() + 3000.0
        throttles = [throttle_of(MINUTE, chance=chance, known=False) for _ in range(2)]
        await asyncio.gather(
            saturate(throttles[0], first, workers=10, until=until),
            saturate(throttles[1], second, workers=10, until=until),
        )

    run_virtual(main(), start=1000.0)
    served = [len(first.served), len(second.served)]
    refused = len(first.refused) + len(second.refused)
    assert refused <= 0.080 * (sum(served) + refused)
    assert sum(served) >= 0.8 * 3000
    assert min(served) >= 0.25 * max(served)


@every_policy
def test_a_restart_under_load_is_refused_a_few_times_only(policy: str) -> None:
    """A new process with no memory starts slowly, and finds its pace again."""
    chance = random.Random(3)
    net = network(policy, MINUTE, chance, says_retry_after=True)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(6):
            throttle = throttle_of(MINUTE, chance=chance, known=False)
            await saturate(throttle, net, workers=20, until=loop.time() + 150.0)

    run_virtual(main(), start=1000.0)
    assert len(net.refused) <= 5 * 20
    assert len(net.served) >= 0.9 * 900


@every_policy
def test_a_paced_limit_is_never_refused_either(policy: str) -> None:
    """Spread evenly with a small burst, at a price in throughput."""
    chance = random.Random(5)
    limit = Limit(60, per=60.0, policy="paced", burst=6)
    net = network(policy, limit, chance)

    async def main() -> None:
        throttle = throttle_of(limit, chance=chance, known=True)
        until = asyncio.get_running_loop().time() + 1200.0
        await saturate(throttle, net, workers=20, until=until)

    run_virtual(main(), start=1000.0)
    assert net.refused == []
    assert len(net.served) >= 0.88 * 1200
