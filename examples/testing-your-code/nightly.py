"""Scan our sites and say in one line what the team has to know."""

import asyncio
import sys
from collections.abc import Iterable

from bestdefense_async import BestDefense


async def nightly(bd: BestDefense, hosts: Iterable[str]) -> tuple[str, int]:
    """Return the line to send to the team, and the exit code: 0 is well, 1 findings, 3 unknown."""
    async with bd.scan_many(hosts) as run:
        outcomes = [outcome async for outcome in run]
    verdict = run.judge(fail_on="high")
    worst = [
        f"{finding.title} on {outcome.target}"
        for outcome in outcomes
        for finding in outcome.findings or ()
        if finding.severity in {"critical", "high"}
    ]
    missing = [str(outcome.target) for outcome in outcomes if outcome.risk is None]
    if worst:
        return f"{len(worst)} to mend: " + "; ".join(worst), 1
    if missing:
        return "not scanned: " + ", ".join(missing), 3
    return verdict.sentence, 0


async def main(hosts: list[str]) -> int:
    """Scan the hosts with the token of the environment."""
    async with BestDefense() as bd:
        line, code = await nightly(bd, hosts)
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
