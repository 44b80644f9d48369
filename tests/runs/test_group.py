"""The scan group against fake operations, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    EnvelopeError,
    JournalError,
    JournalLost,
    LifecycleError,
    OutcomeUnknown,
    PermissionDenied,
    PollTimeout,
    QuotaExceeded,
    RunStopped,
    ServerError,
    TargetError,
    UnknownSite,
)
from bestdefense_async.models import (
    Outcome,
    ScanEvent,
    ScanFinished,
    ScanOptions,
    ScanStarted,
    Site,
    TargetAccepted,
    TargetRejected,
)
from bestdefense_async.runs import ExistingScan, NullJournal, ScanGroup, Target, read_targets
from bestdefense_async.runs.group import GRACE
from bestdefense_async.runs.outcome_queue import BACKLOG
from bestdefense_async.runs.pipeline import PUT_BACKS
from bestdefense_async.runs.store.protocol import ClaimAnswer
from tests.support.fake_scans import (
    FakeScans,
    absent,
    denied,
    errors_of,
    hosts,
    kinds,
    run,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SITE_ID = "0b2f6a4e-9c1d-4e57-8a3b-5d6e7f809a1b"


async def scan(client: FakeScans, targets: Any, **options: Any) -> list[Outcome]:
    """Return the outcomes of a group that is fed `targets`."""
    async with ScanGroup(client, **options) as group:
        group.feed(targets)
        return [outcome async for outcome in group]


def test_each_target_is_done_and_yielded_in_the_order_of_completion() -> None:
    """The index says which input it was, the times say when."""

    async def main() -> None:
        client = FakeScans(3)
        client.durations = {"s0": 500.0, "s1": 20.0, "s2": 200.0}

        outcomes = await scan(client, hosts(3))

        assert [outcome.index for outcome in outcomes] == [1, 2, 0]
        first = outcomes[0]
        assert first.status == "done"
        assert (first.target, first.site_id, first.report_id) == ("h1.example", "s1", "r-s1")
        assert first.risk is not None
        assert first.risk.high == 1
        assert first.started_at is not None
        assert first.finished_at is not None
        assert client.calls("list") == 1
        assert client.calls("create") == 3

    run(main)


async def drain(group: ScanGroup, targets: Any, into: list[Outcome]) -> None:
    """Feed a group and keep what it yields, also when it raises at the end."""
    async with group:
        group.feed(targets)
        async for outcome in group:
            into.append(outcome)  # noqa: PERF401 - a comprehension loses all when the end raises


async def _generated(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(1.0)
        yield item


@pytest.mark.parametrize("kind", ["list", "generator", "asynchronous generator"])
def test_targets_come_from_any_iterable(kind: str) -> None:
    """Texts, targets, sites and ids, from whatever yields them."""

    async def main() -> None:
        items = [
            "h0.example",
            Target("https://h1.example/x"),
            Site(id="s2", hostname="any"),
            SITE_ID,
        ]
        client = FakeScans(3)
        client.durations[SITE_ID] = 1.0
        source: Any = {
            "list": items,
            "generator": iter(items),
            "asynchronous generator": _generated(items),
        }[kind]

        async with ScanGroup(client, options=ScanOptions(types=("dns",))) as group:
            group.feed(source)
            outcomes = sorted([one async for one in group], key=lambda one: one.index)

        assert [one.site_id for one in outcomes] == ["s0", "s1", "s2", SITE_ID]
        assert kinds(outcomes) == {"done": 4}

    run(main)


def test_an_empty_input_has_no_outcomes() -> None:
    """And costs no request."""

    async def main() -> None:
        client = FakeScans()

        assert await scan(client, []) == []
        assert not client.asked

    run(main)


def test_a_bad_target_disturbs_no_other() -> None:
    """Malformed, unknown and refused targets each end on their own, with the right status."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "create" and subject == "s1":
            raise PermissionDenied("Not with this plan.", status=403)
        if operation == "create" and subject == "s2":
            raise unknown("s2")
        if operation == "create" and subject == "s3":
            raise ConnectError("Refused.")
        if operation == "create" and subject == "s4":
            raise ServerError("Boom.", status=500)
        if operation == "progress" and subject == "r-s5":
            raise PermissionDenied("Not yours.", status=403)

    async def main() -> None:
        client = FakeScans(7, fault=fault)
        listed = list(read_targets(["two words", "nobody.example"]))

        outcomes = await scan(client, [*hosts(7), *listed])

        by_index = {outcome.index: outcome for outcome in outcomes}
        assert [by_index[n].status for n in range(9)] == [
            "done",
            "failed",
            "unknown",
            "not_started",
            "unknown",
            "failed",
            "done",
            "not_started",
            "not_started",
        ]
        errors = {n: getattr(one, "error", None) for n, one in by_index.items()}
        assert isinstance(errors[8], UnknownSite)
        assert errors[8].line == 2
        assert isinstance(errors[7], TargetError)
        assert by_index[5].report_id == "r-s5"
        assert by_index[3].started_at is None
        assert by_index[2].started_at is not None
        creations = {site: n for (name, site), n in client.asked.items() if name == "create"}
        assert creations.pop("s3") == 1 + PUT_BACKS  # certainly not sent: it is tried again
        assert set(creations.values()) == {1}

    run(main)


def test_a_surprise_in_one_scan_is_logged_and_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault of the program costs one target; after a creation it counts as unknown."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if (operation, subject) in {("create", "s1"), ("progress", "r-s2"), ("alerts", "3")}:
            raise KeyError(operation)

    async def main() -> None:
        outcomes = await scan(FakeScans(5, fault=fault), hosts(5))

        by_index = {outcome.index: outcome.status for outcome in outcomes}
        assert by_index == {0: "done", 1: "unknown", 2: "running", 3: "running", 4: "done"}

    run(main)
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 3


def test_running_out_of_memory_is_raised_and_every_target_has_its_outcome() -> None:
    """What is no target's fault ends the run and reaches the caller."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if (operation, subject) == ("create", "s1"):
            raise MemoryError

    async def main() -> None:
        outcomes: list[Outcome] = []
        with pytest.raises(MemoryError):
            await drain(ScanGroup(FakeScans(5, fault=fault)), hosts(5), outcomes)

        assert sorted(outcome.index for outcome in outcomes) == list(range(5))
        assert next(one for one in outcomes if one.index == 1).status == "unknown"

    run(main)


def test_the_same_site_twice_is_scanned_once() -> None:
    """Recognised by the site, however it is written; the second one names the first."""

    async def main() -> None:
        events: list[ScanEvent] = []
        client = FakeScans(3)
        items = ["h1.example", "h2.example", "https://H1.example./", SITE_ID, SITE_ID.upper()]
        async with ScanGroup(
            client, options=ScanOptions(types=("seo",)), on_event=events.append
        ) as group:
            group.feed(items)
            outcomes = {one.index: one async for one in group}

        assert [outcomes[n].status for n in range(5)] == [
            "done",
            "done",
            "not_started",
            "done",
            "not_started",
        ]
        twice = outcomes[2]
        assert twice.status == "not_started"
        assert "target 0" in str(twice.error)
        assert client.calls("create") == 3
        rejected = [event for event in events if isinstance(event, TargetRejected)]
        assert [(event.index, event.reason) for event in rejected] == [
            (2, "duplicate"),
            (4, "duplicate"),
        ]

    run(main)


def test_two_sites_of_one_name_are_not_guessed_between() -> None:
    """The id of one of them is accepted."""

    class Twins(FakeScans):
        async def list(self) -> tuple[Site, ...]:
            return (Site(id="s1", hostname="h.example"), Site(id="s2", hostname="H.example"))

    async def main() -> None:
        [outcome] = await scan(Twins(), ["h.example"])

        assert outcome.status == "not_started"
        assert type(outcome.error) is TargetError

    run(main)


def test_every_input_has_its_events_in_order() -> None:
    """Accepted or rejected, started when created, and finished exactly once."""

    async def main() -> None:
        events: list[Any] = []
        await scan(FakeScans(2), ["h0.example", "what?", "h0.example"], on_event=events.append)

        def of(index: int) -> list[type]:
            return [
                type(event)
                for event in events
                if getattr(event, "index", getattr(getattr(event, "outcome", None), "index", None))
                == index
            ]

        assert of(0) == [TargetAccepted, ScanStarted, ScanFinished]
        assert of(1) == [TargetRejected, ScanFinished]
        assert of(2) == [TargetRejected, ScanFinished]

    run(main)


@pytest.mark.parametrize("error", [ValueError("oops"), asyncio.CancelledError()], ids=repr)
def test_a_callback_that_fails_harms_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported through the logger, and every outcome comes."""

    def fail(event: ScanEvent) -> None:
        raise error

    async def main() -> None:
        assert kinds(await scan(FakeScans(3), hosts(3), on_event=fail)) == {"done": 3}

    run(main)
    assert len(caplog.records) == 9


def test_no_more_scans_are_active_than_allowed() -> None:
    """An input counts from its reading to its outcome."""

    async def main() -> None:
        client = FakeScans(50)
        most = 0
        async with ScanGroup(client, max_active=7) as group:
            group.feed(hosts(50))
            async for _ in group:
                most = max(most, client.active)

        assert most <= 7
        assert len(client.created) == 50

    run(main)


def test_a_group_may_be_fed_again_and_again() -> None:
    """An iterable that has ended gives back what it held."""

    async def main() -> None:
        async with ScanGroup(FakeScans(3), max_active=1) as group:
            for name in hosts(3):
                group.feed([name])
            first = [outcome.status async for outcome in group]
            group.feed(["h0.example"])
            second = [outcome.status async for outcome in group]

        assert first == ["done"] * 3
        assert second == ["not_started"]

    run(main)


def test_reading_a_long_list_lets_other_tasks_run() -> None:
    """Also when nothing in it has to be waited for."""

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async with ScanGroup(FakeScans()) as group:
            group.feed(["not a target"] * 5_000)
        task.cancel()

        assert turns >= 50

    run(main)


def test_a_slow_consumer_holds_back_the_reading() -> None:
    """What is read is bounded by the backlog and the active scans."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for number in itertools.count():
            taken = number + 1
            yield "malformed target"

    async def main() -> None:
        async with ScanGroup(FakeScans(), max_active=5) as group:
            group.feed(endless())
            await asyncio.sleep(1_000.0)
            assert taken <= BACKLOG + 5
            for _ in range(1_000):
                await anext(group)
            assert taken <= BACKLOG + 1_005
            raise ConnectError("Enough.")

    with pytest.raises(ConnectError):
        run(main)


def test_results_come_before_the_error_of_the_input() -> None:
    """An iterator that raises at item 20 loses none of the 20 before."""

    def broken() -> Iterator[str]:
        yield from hosts(20)
        raise OSError("The disk is gone.")

    async def main() -> None:
        outcomes: list[Outcome] = []
        with pytest.raises(OSError, match="disk"):
            await drain(ScanGroup(FakeScans(20), max_active=3), broken(), outcomes)
        assert kinds(outcomes) == {"done": 20}

        group = ScanGroup(FakeScans(20))
        with pytest.raises(OSError, match="disk"):
            async with group:
                group.feed(broken())
        assert kinds([outcome async for outcome in group]) == {"done": 20}

    run(main)


def test_an_input_that_was_cancelled_does_not_look_complete() -> None:
    """A generator that ends in a cancellation of its own has not named all its targets."""

    async def cut() -> AsyncIterator[str]:
        yield "h0.example"
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(RunStopped):
            await scan(FakeScans(), cut())

    run(main)


def test_leaving_the_block_waits_and_keeps_the_outcomes() -> None:
    """Like a task group; who did not iterate may do so afterwards."""

    async def main() -> None:
        async with ScanGroup(FakeScans(400), max_active=5) as group:
            group.feed(hosts(400))

        assert kinds([outcome async for outcome in group]) == {"done": 400}
        assert [outcome async for outcome in group] == []

    run(main)


def test_a_dead_token_ends_everything_with_that_error_for_each() -> None:
    """Scans that exist keep their ids; the rest of the input is read and not started."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if asyncio.get_running_loop().time() > 1_100.0:
            raise denied(operation)

    async def main() -> None:
        client = FakeScans(30, duration=1_000.0, fault=fault)

        outcomes = await scan(client, iter(hosts(30)), max_active=10)

        assert kinds(outcomes) == {"running": 10, "not_started": 20}
        assert set(errors_of(outcomes)) == {AuthError}
        for outcome in outcomes:
            if outcome.status == "running":
                assert isinstance(outcome.error, AuthError)
                assert outcome.error.report_id == outcome.report_id is not None
        assert client.calls("create") == 10

    run(main)


def test_a_token_found_dead_by_a_creation_is_not_tried_for_polls() -> None:
    """All that is followed ends at once, not with its next poll."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "create" and subject == "s3":
            raise denied(operation)

    async def main() -> None:
        outcomes = await scan(FakeScans(5, duration=1_000.0, fault=fault), hosts(5), max_active=4)

        assert asyncio.get_running_loop().time() < 1_003.0  # a second for the doubt
        assert kinds(outcomes) == {"running": 3, "not_started": 2}
        assert set(errors_of(outcomes)) == {AuthError}

    run(main)


def test_a_spent_quota_stops_new_starts_and_the_rest_is_followed() -> None:
    """What was started is paid for: it is followed to its result."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "create" and subject not in {"s0", "s1", "s2"}:
            raise QuotaExceeded("Nothing left.", status=402)

    async def main() -> None:
        client = FakeScans(100, fault=fault)

        outcomes = await scan(client, hosts(100), max_active=2)

        assert kinds(outcomes) == {"done": 3, "not_started": 97}
        assert set(errors_of(outcomes)) == {QuotaExceeded}
        assert client.calls("create") <= 5

    run(main)


def test_when_the_sites_cannot_be_listed_names_fail_and_ids_go_on() -> None:
    """One request resolves all host names."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "list":
            raise ServerError("Boom.", status=500)

    async def main() -> None:
        client = FakeScans(fault=fault)
        outcomes = await scan(
            client, [*hosts(5), SITE_ID], options=ScanOptions(types=("dns", "seo"))
        )

        assert kinds(outcomes) == {"done": 1, "not_started": 5}
        assert client.calls("list") == 1

    run(main)


def test_a_scan_that_never_ends_fails_at_its_deadline_with_its_id() -> None:
    """The scan goes on at the server, and so does the group."""

    async def main() -> None:
        client = FakeScans(2)
        client.durations["s0"] = float("inf")

        outcomes = await scan(client, hosts(2), scan_timeout=600.0)

        assert errors_of(outcomes) == [PollTimeout]
        assert outcomes[-1].report_id == "r-s0"

    run(main)


def test_a_run_that_takes_too_long_is_stopped_and_accounts_for_everything() -> None:
    """Each input says how far it came; nothing is raised and nothing goes on."""

    async def main() -> None:
        client = FakeScans(30, duration=50.0)
        client.durations = {f"s{n}": float("inf") for n in range(5, 10)}
        start = asyncio.get_running_loop().time()

        outcomes = await scan(client, hosts(30), max_active=10, run_timeout=66.0)

        assert asyncio.get_running_loop().time() - start == pytest.approx(66.0, abs=1.0)
        assert sorted(outcome.index for outcome in outcomes) == list(range(30))
        assert kinds(outcomes)["done"] >= 1
        assert kinds(outcomes)["not_started"] >= 15
        assert set(errors_of(outcomes)) <= {DeadlineExceeded, OutcomeUnknown}

    run(main)


def test_failing_fast_stops_the_others_and_raises_a_group() -> None:
    """The outcomes come first, then an ExceptionGroup with the error that was the reason."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "progress" and subject == "r-s1":
            raise PermissionDenied("No.", status=403)

    async def main() -> None:
        outcomes: list[Outcome] = []
        client = FakeScans(20, fault=fault, duration=500.0)
        targets = [*hosts(1), *hosts(20)]  # a duplicate is no failure
        with pytest.raises(ExceptionGroup) as caught:
            await drain(ScanGroup(client, max_active=5, fail_fast=True), targets, outcomes)

        assert [type(error) for error in caught.value.exceptions] == [PermissionDenied]
        assert sorted(outcome.index for outcome in outcomes) == list(range(21))
        assert (kinds(outcomes)["failed"], kinds(outcomes)["running"]) == (1, 4)
        assert RunStopped in errors_of(outcomes)

    run(main)


def test_cancelling_is_prompt_and_every_input_has_one_outcome() -> None:
    """By how far it came: created ones keep their id, sent ones are unknown, others not started.

    An answer that comes within a moment is waited for.
    """

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "create" and subject in {"s3", "s4"}:
            await asyncio.sleep(10_000.0 if subject == "s3" else 101.0)

    async def main() -> None:
        client = FakeScans(20, duration=1_000.0, fault=fault)
        group = ScanGroup(client, max_active=8)

        async def work() -> None:
            async with group:
                group.feed(hosts(20))
                async for _ in group:
                    pass

        task = asyncio.create_task(work())
        await asyncio.sleep(100.0)
        start = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert asyncio.get_running_loop().time() == start + GRACE
        outcomes = {one.index: one async for one in group}
        assert sorted(outcomes) == list(range(20))
        assert outcomes[3].status == "unknown"
        assert kinds(list(outcomes.values())) == {"running": 7, "unknown": 1, "not_started": 12}
        assert {outcomes[n].report_id for n in (0, 1, 2, 4, 5, 6, 7)} == set(
            map("r-{}".format, client.created)
        )

    run(main)


def test_cancelling_does_not_read_an_endless_input_to_its_end() -> None:
    """Only a collection is; an endless iterator would never let go."""
    closed = []

    async def endless() -> AsyncIterator[str]:
        try:
            for number in itertools.count():
                yield f"h{number}.example"
        finally:
            closed.append(True)

    async def main() -> None:
        group = ScanGroup(FakeScans(100), max_active=5)
        with pytest.raises(KeyError):  # noqa: PT012 - leaving the block is what is tested
            async with group:
                group.feed(endless())
                group.feed(f"h{number}.example" for number in itertools.count(50))
                await asyncio.sleep(1.0)
                raise KeyError
        assert closed == [True]
        outcomes = [outcome async for outcome in group]
        assert [outcome.index for outcome in sorted(outcomes, key=lambda one: one.index)] == list(
            range(7)  # five that were active, and one more of each iterable
        )

    run(main)


def test_a_handle_gives_its_outcome_also_after_the_block() -> None:
    """It knows the report as soon as there is one, and a wait that is cancelled changes nothing."""

    async def main() -> None:
        client = FakeScans(3)
        async with ScanGroup(client, max_active=1) as group:
            first, second = group.start("h0.example"), group.start("h1.example")
            bad = group.start("-h")
            impatient = asyncio.create_task(first.outcome())
            await asyncio.sleep(1.0)
            assert (first.report_id, second.report_id) == ("r-s0", None)
            impatient.cancel()
            assert not first.is_done
            assert [outcome async for outcome in group] == []
            assert (await first.outcome()).status == "done"

        assert (await second.outcome()).status == "done"
        assert (await bad.outcome()).status == "not_started"
        assert (second.index, second.target, second.is_done) == (1, "h1.example", True)

    run(main)


def test_a_handle_of_a_cancelled_group_still_answers() -> None:
    """With what is known: the id of the scan, or that there is none."""

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
            async with ScanGroup(FakeScans(3), max_active=1) as group:
                handles = [group.start("h0.example"), group.start("h1.example")]
                await asyncio.sleep(5.0)
                raise ZeroDivisionError

        outcomes = [await handle.outcome() for handle in handles]
        assert [outcome.status for outcome in outcomes] == ["running", "not_started"]
        assert outcomes[0].report_id == "r-s0"

    run(main)


def test_a_service_may_scan_a_site_again_later() -> None:
    """While a scan of it runs a second start is a duplicate; afterwards it is a new scan."""

    async def main() -> None:
        client = FakeScans(1)
        async with ScanGroup(client) as group:
            first, twice = group.start("h0.example"), group.start("h0.example")
            statuses = [(await one.outcome()).status for one in (first, twice)]
            again = await group.start("h0.example").outcome()

        assert statuses == ["done", "not_started"]
        assert again.status == "done"
        assert client.calls("create") == 2

    run(main)


def test_a_scan_that_exists_is_followed_and_not_created() -> None:
    """That is how a run is continued."""

    async def main() -> None:
        client = FakeScans(1)
        one = ExistingScan(target="h0.example", site_id="s0", report_id="r-s0", started_at=0.0)

        [outcome] = await scan(client, [one])

        assert outcome.status == "done"
        assert client.calls("create") == client.calls("list") == 0

    run(main)


@pytest.mark.parametrize("nulls", [1, 3])
def test_the_result_may_come_a_moment_after_the_end(nulls: int) -> None:
    """The overview without a security part, or a 404 for the alerts, is asked for again."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "alerts" and nth == 1:
            raise absent()

    async def main() -> None:
        client = FakeScans(1, fault=fault)
        client.null_overviews = nulls

        assert kinds(await scan(client, hosts(1))) == {"done": 1}

    run(main)


def test_a_result_that_does_not_come_leaves_the_scan_running_and_no_clean_site() -> None:
    """Complete without a security part means no verdict."""

    async def main() -> None:
        client = FakeScans(1)
        client.null_overviews = 1_000

        [outcome] = await scan(client, hosts(1))

        assert outcome.status == "running"
        assert isinstance(outcome.error, EnvelopeError)
        assert outcome.report_id == "r-s0"

    run(main)


def test_a_scan_without_the_security_type_has_no_risk() -> None:
    """There is nothing to judge, which is not the same as zero findings."""

    async def main() -> None:
        client = FakeScans(1)

        [outcome] = await scan(client, hosts(1), options=ScanOptions(types=("dns", "seo")))

        assert outcome.status == "done"
        assert outcome.risk is None
        assert client.calls("overview") == 0

    run(main)


class Recorder(NullJournal):
    """Remembers the calls, and fails where it is asked to."""

    def __init__(self, client: FakeScans, *, full_at: str = "") -> None:
        self.client = client
        self.full_at = full_at
        self.calls: list[tuple[str, int]] = []
        self.claims: dict[int, int] = {}
        self.lost: set[int] = set()

    def _note(self, what: str, index: int) -> None:
        self.calls.append((what, index))
        if what == self.full_at:
            raise JournalError("The disk is full.")

    def accepted(self, index: int, *, target: str, site_id: str) -> None:
        """Record it."""
        self._note("accepted", index)

    def rejected(
        self, index: int, *, target: str, error: BestDefenseError, is_duplicate: bool
    ) -> None:
        """Record it."""
        self._note("duplicate" if is_duplicate else "rejected", index)

    async def claim(self, index: int, *, target: str, site_id: str, at: float) -> ClaimAnswer:
        """Take half a second, and record whether the creation has left already."""
        self._note("claimed", index)
        await asyncio.sleep(0.5)
        self.claims[index] = self.client.asked["create", site_id]
        return ClaimAnswer.TAKEN if index in self.lost else ClaimAnswer.OURS

    async def give_back(self, index: int) -> None:
        """Record it."""
        self._note("given back", index)

    async def created(self, index: int, *, report_id: str) -> None:
        """Record it."""
        self._note("created", index)

    async def refused(self, index: int, *, error: BestDefenseError) -> None:
        """Record it."""
        self._note("refused", index)

    async def unknown(self, index: int, *, error: BestDefenseError) -> None:
        """Record it."""
        self._note("unknown", index)

    async def finished(self, outcome: Outcome, *, security_id: int | None = None) -> None:
        """Record it."""
        self._note("finished", outcome.index)

    def of(self, index: int) -> list[str]:
        """Return the calls about one input."""
        return [what for what, whose in self.calls if whose == index]


def test_the_journal_records_before_anything_relies_on_it() -> None:
    """The claim is written before the creation leaves; each way of ending has its entry."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if (operation, subject) == ("create", "s1"):
            raise PermissionDenied("No.", status=403)
        if (operation, subject) == ("create", "s2"):
            raise unknown("s2")

    async def main() -> None:
        client = FakeScans(4, fault=fault)
        journal = Recorder(client)
        journal.lost = {3}

        outcomes = await scan(client, hosts(4), journal=journal)

        assert journal.of(0) == ["accepted", "claimed", "created", "finished"]
        assert journal.of(1) == ["accepted", "claimed", "refused"]
        assert journal.of(2) == ["accepted", "claimed", "unknown"]
        assert journal.of(3) == ["accepted", "claimed"]
        assert set(journal.claims.values()) == {0}
        assert client.asked["create", "s3"] == 0
        assert kinds(outcomes) == {"done": 1, "failed": 1, "unknown": 1, "not_started": 1}

    run(main)


@pytest.mark.parametrize(
    ("full_at", "expected"),
    [
        ("accepted", {"not_started": 20}),
        ("claimed", {"not_started": 20}),
        ("created", {"done": 4, "not_started": 16}),
        ("finished", {"done": 4, "not_started": 16}),
    ],
)
def test_a_full_disk_stops_new_starts_and_loses_nothing(
    full_at: str, expected: dict[str, int]
) -> None:
    """Nothing is sent that could not be written down; what exists is followed."""

    async def main() -> None:
        client = FakeScans(20)
        journal = Recorder(client, full_at=full_at)

        outcomes = await scan(client, hosts(20), journal=journal, max_active=4)

        assert kinds(outcomes) == expected
        assert set(errors_of(outcomes)) == {JournalError}
        assert client.calls("create") == expected.get("done", 0)
        assert len([what for what, _ in journal.calls if what == "accepted"]) <= 8

    run(main)


def test_a_run_that_was_lost_to_another_owner_ends_at_once() -> None:
    """Nothing more is started, followed or written: it is the other owner's."""

    class Lost(Recorder):
        async def claim(self, index: int, *, target: str, site_id: str, at: float) -> ClaimAnswer:
            if index == 5:
                raise JournalLost("Taken over.")
            return await super().claim(index, target=target, site_id=site_id, at=at)

    async def main() -> None:
        client = FakeScans(20, duration=1_000.0)
        journal = Lost(client)

        outcomes = await scan(client, hosts(20), journal=journal, max_active=6, max_starting=1)

        assert asyncio.get_running_loop().time() < 1_100.0
        assert kinds(outcomes) == {"running": 5, "not_started": 15}
        assert set(errors_of(outcomes)) == {JournalLost}
        assert client.calls("create") == 5
        assert not [what for what, _ in journal.calls if what == "finished"]

    run(main)


def test_the_journal_hears_why_a_scan_that_exists_has_no_result() -> None:
    """A dead token is recorded in the journal, which keeps such a scan open for another one."""

    async def fault(operation: str, subject: str, nth: int) -> None:
        if operation == "progress":
            raise denied()

    async def main() -> None:
        client = FakeScans(1, fault=fault)
        journal = Recorder(client)

        assert kinds(await scan(client, hosts(1), journal=journal)) == {"running": 1}
        assert journal.of(0) == ["accepted", "claimed", "created", "finished"]

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"max_active": 0},
        {"max_active": True},
        {"max_active": 1.5},
        {"max_starting": 0},
        {"scan_timeout": 0},
        {"run_timeout": float("nan")},
        {"run_timeout": float("inf")},
    ],
    ids=str,
)
def test_an_impossible_number_is_refused(options: dict[str, Any]) -> None:
    """Before anything is opened."""

    async def main() -> None:
        with pytest.raises(ConfigError):
            ScanGroup(FakeScans(), **options)

    run(main)


def test_a_group_is_used_once_and_inside_its_block() -> None:
    """Anything else is a mistake that is raised at once."""

    async def main() -> None:
        group = ScanGroup(FakeScans())
        with pytest.raises(LifecycleError):
            group.feed([])
        async with group:
            with pytest.raises(ConfigError):
                group.feed("h0.example")
            with pytest.raises(ConfigError):
                group.feed(5)  # type: ignore[arg-type]
            with pytest.raises(LifecycleError):
                await group.__aenter__()
        for misuse in (lambda: group.feed([]), lambda: group.start("h0.example")):
            with pytest.raises(LifecycleError):
                misuse()

    run(main)
