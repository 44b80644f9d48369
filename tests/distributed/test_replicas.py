"""A service of several replicas on one database: a scan is found from any of them."""

from __future__ import annotations

import pytest

pytest.importorskip("psycopg")

from bestdefense_async import BestDefense
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.sandbox import Sandbox
from tests.support.workers import SPEED


async def test_a_scan_of_one_replica_is_found_from_another(database: str) -> None:
    """By its id, while it runs and when it has ended."""
    policy = PollPolicy(speed=SPEED)
    async with (
        Sandbox(sites=3, speed=SPEED) as sandbox,
        BestDefense(sandbox.token, sandbox.url) as one,
        BestDefense(sandbox.token, sandbox.url) as other,
        one.scans(store=database, polling=policy) as here,
        other.scans(store=database, polling=policy) as there,
    ):
        handle = await here.start(sandbox.hostnames[0])

        found = await there.find(handle.id)
        outcome = await handle.wait()
        again = await there.find(handle.id)

        assert found is not None
        assert again is not None
        assert (await again.wait()).report_id == outcome.report_id
        sandbox.assert_no_duplicates()
