"""Scan the sites of many customers every night, each with its own token from a vault.

    pip install bestdefense-async
    VAULT=/run/secrets/tokens CUSTOMERS=customers.json python nightly.py

`customers.json` says what each customer may have scanned, whatever its token could do:

    {"acme": ["*.acme.example"], "globex": ["shop.globex.example", "10.1.0.0/16"]}

One client serves all of them, in turns: beside a customer of five thousand sites the others take
as long as alone, and one whose token is dead changes nothing for the rest. Exits with 1 when a
customer has a critical or high finding, and with 3 when a site has no verdict.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bestdefense_async import BestDefense, BestDefenseError, OutcomeStatus, View

AT_ONCE = 20
"""Customers whose runs are open at the same time; their calls take turns anyway."""

log = logging.getLogger("nightly")


def token_of(name: str) -> Callable[[], Awaitable[str]]:
    """Return what asks the vault for a customer's token: again after each 401."""

    async def ask() -> str:
        # Replace this by a call of your vault.
        path = Path(os.environ["VAULT"]) / name
        return (await asyncio.to_thread(path.read_text)).strip()

    return ask


async def scan(view: View, store: Path) -> str:
    """Scan all sites of a customer, and return what the gate says: passed, failed, incomplete."""
    sites = await view.sites.list()
    async with view.scan_many(sites, store=store, max_active=50) as run:
        async for outcome in run:
            if outcome.status is not OutcomeStatus.DONE:
                log.warning(
                    "%s %s %s: %s", view.name, outcome.target, outcome.status, outcome.error
                )
    verdict = await asyncio.to_thread(run.judge, fail_on="high")
    await asyncio.to_thread(run.write, store.with_suffix(".html"), verdict)
    log.info("%s %s", view.name, verdict.sentence)
    return str(verdict.status)


async def main(customers: dict[str, list[str]], folder: Path) -> int:
    """Scan for every customer; one that fails is told and does not end the others."""
    places = asyncio.Semaphore(AT_ONCE)
    base_url = os.environ.get("BD_BASE_URL")

    async with BestDefense(base_url=base_url) as client:

        async def served(name: str, allow: list[str]) -> str:
            async with places:
                view = client.with_token(token_of(name), name=name, allow=allow)
                try:
                    return await scan(view, folder / f"{name}.db")
                except BestDefenseError as error:
                    log.error("%s was not scanned: %s", name, error)  # noqa: TRY400 - one sentence
                    return "incomplete"

        found = await asyncio.gather(*(served(name, allow) for name, allow in customers.items()))
    bad, missing = found.count("failed"), found.count("incomplete")
    log.info("%d customers, %d with findings, %d incomplete", len(found), bad, missing)
    return 1 if bad else 3 if missing else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    customers = json.loads(Path(os.environ["CUSTOMERS"]).read_text("utf-8"))
    folder = Path(os.environ.get("REPORTS", "reports"))
    folder.mkdir(parents=True, exist_ok=True)
    sys.exit(asyncio.run(main(customers, folder)))
