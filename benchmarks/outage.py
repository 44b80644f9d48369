"""How many requests a full outage costs: 10,000 calls against a server that only fails.

    python benchmarks/outage.py [--calls 10000]

Prints requests that arrived per call, with the retry budget and for a loop that retries each call
four times, in the same run. Goal: at most 1.05.
"""

import argparse
import asyncio

from bestdefense_async import BestDefense, RetryPolicy, ServerError
from bestdefense_async.sandbox import Sandbox

POLICY = RetryPolicy(base=0.001, longest_backoff=0.002)


async def _attempt(bd: BestDefense) -> bool:
    try:
        await bd.sites.list()
    except ServerError:
        return False
    return True


async def _with_budget(calls: int) -> float:
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("sites.list", status=503)
        async with BestDefense(sandbox.token, sandbox.url, retry=POLICY) as bd:
            await asyncio.gather(*(_attempt(bd) for _ in range(calls)))
        return sandbox.count("sites.list") / calls


async def _four_times_each(calls: int) -> float:
    async with Sandbox(sites=1) as sandbox:
        sandbox.fault("sites.list", status=503)
        once = RetryPolicy(attempts=1)
        async with BestDefense(sandbox.token, sandbox.url, retry=once) as bd:

            async def stubborn() -> None:
                for _ in range(POLICY.attempts):
                    if await _attempt(bd):
                        return

            await asyncio.gather(*(stubborn() for _ in range(calls)))
        return sandbox.count("sites.list") / calls


def main() -> None:
    """Run both and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    calls = parser.parse_args().calls
    print(f"requests per call in an outage, {calls} calls")
    print(f"  with the retry budget       {asyncio.run(_with_budget(calls)):.4f}")
    print(f"  every call four times       {asyncio.run(_four_times_each(calls)):.4f}")


if __name__ == "__main__":
    main()
