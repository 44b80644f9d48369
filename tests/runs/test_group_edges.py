"""What a group does with odd inputs, a loop that is left, a stray 401 and sites that come later."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.core.polling import DEFAULT_POLICY as POLLING
from bestdefense_async.errors import AuthError, RunStopped, ServerError, TargetError, UnknownSite
from bestdefense_async.models import Overview, Report
from bestdefense_async.runs import ScanGroup
from tests.support.fake_scans import FakeScans, denied, hosts, kinds, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.models import Outcome


async def outcomes_of(client: FakeScans, targets: Any, **options: Any) -> list[Outcome]:
    """Return the outcomes of a group."""
    async with ScanGroup(client, **options) as group:
        group.feed(targets)
        return [outcome async for outcome in group]


def test_what_cannot_be_a_target_is_one_rejected_input() -> None:
    """None and a number end neither the group nor the other targets."""

    async def main() -> None:
        outcomes = await outcomes_of(FakeScans(3), ["h0.example", None, 5, "h2.example"])

        assert kinds(outcomes) == {"done": 2, "not_started": 2}
        odd = [one for one in outcomes if one.error is not None]
        assert {str(one.error) for one in odd} == {
            "A target is a text, a Target or a Site, not NoneType.",
            "A target is a text, a Target or a Site, not int.",
        }
        assert {type(one.error) for one in odd} == {TargetError}

    run(main)


def test_no_slot_is_held_while_an_iterable_is_waited_for() -> None:
    """A feed that never yields leaves the only slot to `start`."""

    async def silent() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "h0.example"

    async def main() -> None:
        group = ScanGroup(FakeScans(2, duration=1.0), max_active=1)
        async with group:
            group.feed(silent())
            await asyncio.sleep(1.0)
            outcome = await group.start("h1.example").outcome()
            await group.drain()

        assert outcome.status == "done"

    run(main)


def test_leaving_the_loop_early_starts_nothing_more() -> None:
    """What exists is followed to its end, what waits is told, an endless feed is left."""

    async def main() -> None:
        client = FakeScans(100, duration=50.0)
        client.durations["s0"] = 1.0
        async with ScanGroup(client, max_active=4) as group:
            group.feed(f"h{number}.example" for number in itertools.count())
            async for outcome in group:
                assert outcome.target == "h0.example"
                break
            created = len(client.created)

        assert len(client.created) <= created + 1  # one may have been on its way
        rest = [outcome async for outcome in group]
        assert kinds(rest)["done"] == len(client.created) - 1
        assert {type(one.error) for one in rest if one.status != "done"} <= {RunStopped}
        assert len(rest) < 10

    run(main)


def test_leaving_the_loop_early_gives_a_collection_all_its_outcomes() -> None:
    """Each target of a list has an outcome, also those that were never read."""

    async def main() -> None:
        async with ScanGroup(FakeScans(50), max_active=4) as group:
            group.feed(hosts(50))
            async for _ in group:
                break

        assert len([outcome async for outcome in group]) == 49

    run(main)


def test_a_drain_is_over_when_the_creations_are_although_results_keep_coming() -> None:
    """A scan that is found complete every moment does not hold it up."""

    async def main() -> None:
        client = FakeScans(400, delay=0.3)
        client.durations = dict.fromkeys((f"s{number}" for number in range(400)), 5.0)
        async with ScanGroup(client, max_active=400) as group:
            group.feed(hosts(400))
            await asyncio.sleep(12.0)
            began = asyncio.get_running_loop().time()
            await group.drain()
            assert asyncio.get_running_loop().time() - began < 2.0
            outcomes = [outcome async for outcome in group]

        assert len(outcomes) == 400
        assert kinds(outcomes)["running"] > 100

    run(main)


STRAY = {("create", "s7", 1), ("progress", "r-s3", 1), ("alerts", "5", 1)}


def test_one_stray_401_ends_nothing() -> None:
    """It is confirmed a second later: the token is good, so the scan goes on."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if (operation, subject, nth) in STRAY:
            raise denied(operation)

    async def main() -> None:
        client = FakeScans(20, fault=fault)

        outcomes = await outcomes_of(client, hosts(20), max_active=5)

        assert kinds(outcomes) == {"done": 20}
        assert len(client.created) == 20

    run(main)


def test_a_401_that_is_confirmed_ends_the_run() -> None:
    """One request is sent to confirm it, however many scans met it."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if asyncio.get_running_loop().time() > 1_020.0:
            raise denied(operation)

    async def main() -> None:
        client = FakeScans(30, duration=1_000.0, fault=fault)

        outcomes = await outcomes_of(client, hosts(30), max_active=10)

        assert kinds(outcomes) == {"running": 10, "not_started": 20}
        assert {type(one.error) for one in outcomes} == {AuthError}
        assert client.calls("list") == 2

    run(main)


def test_a_site_that_was_added_later_is_found() -> None:
    """All groups of a token share one list; a miss asks again, at most every ten seconds."""

    async def main() -> None:
        client = FakeScans(3, duration=5.0)
        assert kinds(await outcomes_of(client, hosts(3))) == {"done": 3}
        assert client.calls("list") == 1
        await asyncio.sleep(11.0)
        assert asyncio.get_running_loop().time() < 1_060.0  # the list is still good
        client._sites = 4  # noqa: SLF001 - the server has one more now

        [outcome] = await outcomes_of(client, ["h3.example"])

        assert outcome.status == "done"
        strangers = [f"stranger{n}.example" for n in range(50)]
        rejected = await outcomes_of(client, strangers)
        assert {type(one.error) for one in rejected} == {UnknownSite}
        assert client.calls("list") <= 3

    run(main)


def test_an_error_of_the_list_of_sites_is_not_kept() -> None:
    """A group that lives on finds its sites once the server answers again."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "list" and nth == 1:
            raise ServerError("Down.", status=503)

    async def main() -> None:
        client = FakeScans(5, fault=fault)
        async with ScanGroup(client) as group:
            first = await group.start("h0.example").outcome()
            second = await group.start("h1.example").outcome()
            await asyncio.sleep(10.0)
            third = await group.start("h2.example").outcome()

        assert (first.status, second.status, third.status) == ("not_started", "not_started", "done")
        assert client.calls("list") == 2

    run(main)


def test_a_list_of_sites_that_fails_later_ends_nothing_for_names_that_were_in_it() -> None:
    """It is asked for again each minute; a name that is new is told the error."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "list" and nth > 1:
            raise ServerError("Down.", status=503)

    async def main() -> None:
        client = FakeScans(60, duration=30.0, fault=fault)

        outcomes = await outcomes_of(client, [*hosts(60), "stranger.example"], max_active=5)

        assert kinds(outcomes) == {"done": 60, "not_started": 1}
        assert client.calls("list") > 3

    run(main)


class Doubled(FakeScans):
    """Answers the creation and the overview of the second site with those of the first."""

    doubles_report = True

    async def create(self, site: str, *args: Any, **more: Any) -> Report:
        """Start a scan."""
        made = await super().create(site, *args, **more)
        return Report(id="r-s0") if self.doubles_report and site == "s1" else made

    async def overview(self, report_id: str) -> Overview:
        """Return the overview."""
        found = await super().overview(report_id)
        return Overview(security_id=0) if report_id == "r-s1" else found


@pytest.mark.parametrize(("is_report", "status"), [(True, "unknown"), (False, "running")])
def test_no_two_scans_of_a_run_have_the_same_id(*, is_report: bool, status: str) -> None:
    """An answer that another target has had is nobody's result: a gate would judge it twice."""

    async def main() -> None:
        client = Doubled(3)
        client.doubles_report = is_report

        outcomes = await outcomes_of(client, hosts(3), max_active=1)

        assert [one.status for one in outcomes] == ["done", status, "done"]
        told = str(outcomes[1].error)
        assert "target 0 has had" in told

    run(main)


@pytest.mark.parametrize("away", [60.0, float("inf")])
def test_complete_scans_wait_for_the_host_as_long_as_their_polls_would(away: float) -> None:
    """A minute without results costs no verdict; past the patience the scans stay `running`."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def fault(operation: str, subject: str, nth: int) -> None:
            if operation == "alerts" and loop.time() < began + 60.0 + away:
                raise ServerError("away", status=503)

        began = loop.time()
        outcomes = await outcomes_of(FakeScans(40, duration=60.0, fault=fault), hosts(40))

        if away < POLLING.patience:
            assert kinds(outcomes) == {"done": 40}
        else:
            assert kinds(outcomes) == {"running": 40}
            assert POLLING.patience < loop.time() - began < 3.0 * POLLING.patience

    run(main)


def test_a_result_that_fails_alone_is_not_waited_for() -> None:
    """The host gives others their results: this scan does not hold its slot for five minutes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def fault(operation: str, subject: str, nth: int) -> None:
            if (operation, subject) == ("alerts", "1"):
                raise ServerError("broken", status=500)

        client = FakeScans(400, duration=30.0, fault=fault)
        began = loop.time()
        async with ScanGroup(client, max_active=20) as group:
            group.feed(hosts(400))
            ended = {one.target: loop.time() - began async for one in group}

        assert ended["h1.example"] < 120.0
        assert len(ended) == 400

    run(main)


def test_a_drain_does_not_wait_for_a_host_that_gives_no_results() -> None:
    """What is being read then is `running`, after the few attempts that every result has."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def fault(operation: str, subject: str, nth: int) -> None:
            if operation == "overview":
                raise ServerError("away", status=503)

        async with ScanGroup(FakeScans(5, duration=30.0, fault=fault)) as group:
            group.feed(hosts(5))
            await asyncio.sleep(100.0)
            began = loop.time()
            await group.drain()
            assert loop.time() - began < 10.0
            assert kinds([one async for one in group]) == {"running": 5}

    run(main)
