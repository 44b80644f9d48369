"""How long starting takes, against `python -c "import aiohttp"`.

    python benchmarks/start.py [--rounds 20]

Each starts an interpreter of its own, in turns; wall and CPU time are medians. First use is a
client that has made its first call, to a port where nobody listens. Byte code is compiled before.

Goals: `bestdefense --version` at most 0.25 of the wall time of importing aiohttp, `--help` at most
0.30, import and first use at most 1.20.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

FIRST_USE = """
import asyncio
from bestdefense_async import BestDefense, BestDefenseError, RetryPolicy

async def main():
    once = RetryPolicy(attempts=1)
    async with BestDefense("a-token-of-a-benchmark", "http://127.0.0.1:9", retry=once) as bd:
        try:
            await bd.reports.progress("d4f7f3a4-5b1e-4b62-9c2f-7b1d8c1f2a3b")
        except BestDefenseError:
            pass

asyncio.run(main())
"""
WAYS = {
    "import aiohttp": (["-c", "import aiohttp"], ""),
    "bare interpreter": (["-c", "pass"], ""),
    "bestdefense --version": (["-m", "bestdefense_async", "--version"], "0.25"),
    "bestdefense --help": (["-m", "bestdefense_async", "--help"], "0.30"),
    "import bestdefense_async": (["-c", "import bestdefense_async"], ""),
    "import and first use": (["-c", FIRST_USE], "1.20"),
}


def _started(arguments: list[str]) -> tuple[float, float]:
    """Return the wall and CPU seconds of one interpreter."""
    # An environment that keeps byte code from being written would have it compiled every time.
    keeps = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=keeps)
    wall, after = time.perf_counter() - started, os.times()
    used = after.children_user - before.children_user
    return wall, used + after.children_system - before.children_system


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name, (arguments, _) in WAYS.items():
            taken = _started(arguments)
            if number:  # the first one compiles
                times[name].append(taken)
    wall, cpu = (
        {name: statistics.median(each[column] for each in taken) for name, taken in times.items()}
        for column in (0, 1)
    )
    print(f"{'':26}{'wall ms':>9}{'x':>7}{'CPU ms':>9}{'x':>7}   goal of wall")
    for name, (_, goal) in WAYS.items():
        print(
            f"{name:26}{wall[name] * 1e3:9.0f}{wall[name] / wall['import aiohttp']:7.2f}"
            f"{cpu[name] * 1e3:9.0f}{cpu[name] / cpu['import aiohttp']:7.2f}   {goal}"
        )


if __name__ == "__main__":
    main()
