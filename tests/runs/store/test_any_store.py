"""What every store does, whichever database stands behind it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from bestdefense_async.errors import (
    ConfigError,
    ConnectError,
    ConnectionLost,
    IntegrityError,
    JournalBusy,
    JournalError,
    JournalLost,
    JournalMismatch,
    OutcomeUnknown,
    PermissionDenied,
    PollTimeout,
    RateLimited,
    ScanFailed,
    TargetError,
    UnknownSite,
)
from bestdefense_async.models import OutcomeStatus, ScanOptions, Site
from bestdefense_async.runs.inputs import ExistingScan
from bestdefense_async.runs.store.protocol import ClaimAnswer, Family, StoredInput
from bestdefense_async.runs.targets import Target
from tests.support.stores import (
    KEY,
    URL,
    begin,
    claim,
    create,
    done,
    ended,
    followed,
    indexes,
    statuses,
    take,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bestdefense_async.runs.store.protocol import HeldRun, Store

SITES = [Site(id=f"s{n}", hostname=f"h{n}.example") for n in range(6)]


@pytest.fixture
async def other(backend: Any) -> AsyncIterator[Store]:
    """Return the same store as another process has it."""
    store: Store = backend.open()
    yield store
    await store.aclose()


async def test_a_claim_is_ours_once(store: Store) -> None:
    """The second claim of an input is told that it was claimed."""
    journal = (await create(store)).journal

    assert await claim(journal, 0) == ClaimAnswer.OURS
    assert await claim(journal, 0) == ClaimAnswer.TAKEN


async def test_of_many_claims_at_once_exactly_one_is_ours(store: Store) -> None:
    """They arrive in one transaction, and are told apart."""
    journal = (await create(store)).journal

    answers = await asyncio.gather(*(claim(journal, index % 3) for index in range(12)))

    assert answers.count(ClaimAnswer.OURS) == 3
    assert answers.count(ClaimAnswer.TAKEN) == 9


async def test_a_site_is_claimed_once_and_the_second_input_is_told_by_whom(store: Store) -> None:
    """A site is wanted once in a run, in any letter case."""
    journal = (await create(store)).journal
    await claim(journal, 3, "S-One")

    answer = await claim(journal, 7, "s-one")

    assert (answer.is_ours, answer.duplicate_of) == (False, 3)
    assert 7 not in await statuses(store)


async def test_many_sites_named_twice_at_once_are_each_claimed_once(store: Store) -> None:
    """Duplicates within one transaction are found too."""
    journal = (await create(store)).journal

    answers = await asyncio.gather(*(claim(journal, n, f"s{n // 2}") for n in range(20)))

    assert [answer.duplicate_of for answer in answers] == [
        None if n % 2 == 0 else n - 1 for n in range(20)
    ]


async def test_a_claim_given_back_can_be_claimed_again(store: Store) -> None:
    """After a 429, or when nothing was sent; twice given back is given back."""
    run = await create(store)
    await claim(run.journal, 0)
    await run.journal.give_back(0)
    await run.journal.give_back(0)
    assert await statuses(store) == {0: "not_started"}

    assert await claim(run.journal, 0) == ClaimAnswer.OURS


async def test_a_refusal_is_told_with_its_claim_and_after_it_was_given_back(store: Store) -> None:
    """A refusal of the target is its failure; one before the sending leaves it not started."""
    run = await create(store)
    await claim(run.journal, 0)
    await run.journal.refused(0, error=PermissionDenied("No.", status=403))
    await claim(run.journal, 1)
    await run.journal.give_back(1)
    await run.journal.refused(1, error=ConnectError("No connection."))

    assert await statuses(store) == {0: "failed", 1: "not_started"}
    assert indexes(await run.record.remaining()) == [0, 1]
    assert await claim(run.journal, 0) == ClaimAnswer.OURS


async def test_an_unknown_creation_is_never_to_be_claimed_again(store: Store) -> None:
    """Its error is kept, and only a person may say that it is new."""
    run = await create(store)
    await claim(run.journal, 0)
    await run.journal.unknown(0, error=ConnectionLost("Cut."))

    assert await claim(run.journal, 0) == ClaimAnswer.TAKEN
    assert await statuses(store) == {0: "unknown"}
    assert [each.site_id for each in await run.record.unknowns()] == ["s0"]
    assert indexes(await run.record.remaining()) == []

    await run.record.forget(0)

    assert await claim(run.journal, 0) == ClaimAnswer.OURS


async def test_a_result_comes_back_as_it_was_written(store: Store) -> None:
    """Findings, counts of other words, and times."""
    run = await create(store)
    await begin(run.journal, 0)
    await run.journal.finished(done(0), security_id=5)
    await run.journal.finished(done(0), security_id=5)

    result = await run.record.result()

    assert result.outcomes == (done(0),)
    assert result.finished_at is not None
    assert (await run.record.info()).is_complete
    assert indexes(await run.record.remaining()) == []


async def test_a_scan_whose_wait_ended_can_be_followed_and_one_that_failed_cannot(
    store: Store,
) -> None:
    """Running, after a time-out; failed, by the server's word."""
    run = await create(store)
    for index in range(2):
        await begin(run.journal, index)
    late, failed = PollTimeout("r0", waited=9.0), ScanFailed("r1", status="failed")
    await run.journal.finished(ended(0, late, OutcomeStatus.RUNNING))
    await run.journal.finished(ended(1, failed, OutcomeStatus.FAILED))

    assert await statuses(store) == {0: "running", 1: "failed"}
    assert followed(await run.record.remaining()) == [0]

    await run.journal.finished(done(0))

    assert await statuses(store) == {0: "done", 1: "failed"}


async def test_two_scans_of_a_run_never_have_one_report(store: Store) -> None:
    """An answer that belongs to another scan is refused, and that scan keeps it."""
    run = await create(store)
    await begin(run.journal, 0)
    await claim(run.journal, 1)

    with pytest.raises(IntegrityError):
        await run.journal.created(1, report_id="r0")

    await run.journal.unknown(1, error=OutcomeUnknown("x", operation="o", subject="s", sent_at=0.0))
    assert await statuses(store) == {0: "running", 1: "unknown"}


async def test_two_scans_of_a_run_never_have_one_result(store: Store) -> None:
    """A security id that another scan has is refused."""
    run = await create(store)
    for index in range(2):
        await begin(run.journal, index)
    await run.journal.finished(done(0), security_id=5)

    with pytest.raises(IntegrityError):
        await run.journal.finished(done(1), security_id=5)

    assert await statuses(store) == {0: "done", 1: "running"}


async def test_the_end_of_a_scan_counts_where_its_beginning_could_not_be_written(
    store: Store,
) -> None:
    """As on a disk that was full meanwhile; also for a scan that was never heard of."""
    run = await create(store)
    await claim(run.journal, 0)

    await run.journal.finished(done(0))
    await run.journal.finished(done(4))

    assert await statuses(store) == {0: "done", 4: "done"}


async def test_a_plan_comes_back_in_its_order_with_what_is_to_be_followed_first(
    store: Store,
) -> None:
    """Sites, hosts and the errors of a list, those that were rejected included."""
    bad = TargetError("It is malformed.", target="a b", line=3)
    run = await create(store, plan=[SITES[0], Target("b.example", 2), bad, SITES[3]])
    assert run.journal.next_index == 4
    run.journal.rejected(1, target="b.example", error=UnknownSite("None."), is_duplicate=False)
    run.journal.rejected(2, target="a b", error=bad, is_duplicate=False)
    await begin(run.journal, 3)

    items = [(each.index, each.item) for each in await run.record.remaining()]

    assert [index for index, _ in items] == [3, 0, 1, 2]
    assert isinstance(items[0][1], ExistingScan)
    assert items[1][1] == SITES[0]
    assert items[2][1] == Target("b.example", 2)
    assert isinstance(items[3][1], TargetError)
    assert await run.record.known_targets() == {
        "h0.example",
        "b.example",
        "a b",
        "h3.example",
    }


async def test_a_rejected_duplicate_is_no_outcome(store: Store) -> None:
    """It is counted nowhere, and not left to do."""
    run = await create(store)
    await begin(run.journal, 0)
    run.journal.rejected(1, target="x", error=TargetError("Again."), is_duplicate=True)

    assert (await claim(run.journal, 1, "s0")).duplicate_of == 0
    assert await statuses(store) == {0: "running"}


async def test_a_run_that_is_held_cannot_be_taken(store: Store, other: Store, backend: Any) -> None:
    """Neither by another process nor by this one; after it was left, by anybody."""
    run = await create(store)
    for each in (store, other):
        with pytest.raises(JournalBusy):
            await take(each)
    assert (await other.list())[0].is_held

    await run.journal.aclose()
    assert not (await other.list())[0].is_held
    await take(other)


async def test_of_two_who_take_a_run_at_once_one_has_it(
    store: Store, other: Store, backend: Any
) -> None:
    """The other one is told that it is held."""
    await (await create(store)).journal.aclose()

    answers = await asyncio.gather(take(store), take(other), return_exceptions=True)

    assert [type(each) for each in answers].count(JournalBusy) == 1


async def test_an_owner_that_was_given_up_can_change_nothing(
    store: Store, other: Store, backend: Any
) -> None:
    """Every write with an old fence is lost, a claim included; the new owner is undisturbed."""
    run = await create(store, plan=SITES)
    await claim(run.journal, 1)
    await begin(run.journal, 2)
    backend.give_up(store)
    new = await take(other, run.name)

    for write in (
        claim(run.journal, 0),
        run.journal.give_back(1),
        run.journal.finished(done(2)),
        run.journal.end(),
    ):
        with pytest.raises(JournalLost):
            await write
    run.journal.rejected(4, target="x", error=TargetError("No."), is_duplicate=False)
    await asyncio.sleep(0.05)

    assert await statuses(other, run.name) == {
        0: "not_started",
        1: "unknown",
        2: "running",
        3: "not_started",
        4: "not_started",
        5: "not_started",
    }
    assert await claim(new.journal, 0) == ClaimAnswer.OURS


async def test_a_late_answer_is_welcome_and_followed_by_the_new_owner(
    store: Store, other: Store, backend: Any
) -> None:
    """It is knowledge, not a decision; the run does not end while nobody follows it."""
    run = await create(store, plan=SITES[:2])
    await claim(run.journal, 0)
    backend.give_up(store)
    new = await take(other, run.name)
    assert await statuses(other, run.name) == {0: "unknown", 1: "not_started"}

    await run.journal.created(0, report_id="r0")

    late = await new.journal.end()
    assert followed(late) == [0]
    await new.journal.finished(done(0))
    assert await new.journal.end() == []


async def test_a_late_answer_to_a_run_that_has_ended_makes_it_ready_again(
    store: Store, other: Store, backend: Any
) -> None:
    """Otherwise a scan would be paid for and followed by nobody."""
    run = await create(store, plan=SITES[:1])
    await claim(run.journal, 0)
    backend.give_up(store)
    new = await take(other, run.name)
    assert await new.journal.end() == []
    assert (await new.record.info()).has_ended

    await run.journal.created(0, report_id="r0")

    assert not (await new.record.info()).has_ended
    again = await take(other, run.name)
    assert followed(await again.record.remaining()) == [0]


async def test_an_answer_after_a_person_has_forgotten_the_creation_is_kept(
    store: Store, other: Store, backend: Any
) -> None:
    """Nothing is created twice then."""
    run = await create(store)
    await claim(run.journal, 0)
    backend.give_up(store)
    new = await take(other, run.name)
    await new.record.forget(0)

    await run.journal.created(0, report_id="r0")

    assert await claim(new.journal, 0) == ClaimAnswer.TAKEN


async def test_a_lost_creation_that_was_found_is_followed(store: Store) -> None:
    """But not with the report of another input, and only while the run is held."""
    run = await create(store)
    await begin(run.journal, 0)
    await claim(run.journal, 1)
    await run.journal.unknown(1, error=ConnectionLost("Cut."))
    with pytest.raises(JournalError, match="input 0 already"):
        await run.record.found(1, report_id="r0")
    with pytest.raises(JournalError, match="only read"):
        await (await store.record("last")).found(1, report_id="r1")

    await run.record.found(1, report_id="r1")

    assert followed(await run.record.remaining()) == [0, 1]
    with pytest.raises(JournalError, match="not unknown"):
        await run.record.forget(1)


async def test_runs_are_ordered_by_their_sequence(store: Store) -> None:
    """The newest is the last that began, whatever the clock said; each knows the one before it."""
    names = [(await create(store)).name for _ in range(3)]

    listed = await store.list()

    assert [each.name for each in listed] == names[::-1]
    assert [each.previous for each in listed] == [names[1], names[0], None]
    assert await store.find("last") == names[-1]


async def test_a_run_is_read_without_a_loop_and_last_is_older_beside_it(store: Store) -> None:
    """For judging: beside a run, `last` is what was the newest when it began."""
    first, second, third = [(await create(store)).name for _ in range(3)]

    assert len(store.load(second).outcomes) == len(store.load("last").outcomes)
    assert store.load("last").name == third
    assert store.load("last", beside=third).name == second
    assert store.load("last", beside=second).name == first
    assert store.load("last", beside="a run of elsewhere").name == third
    assert store.load(first, beside=third).name == first
    with pytest.raises(JournalError, match=f"no run before {first}"):
        store.load("last", beside=first)
    with pytest.raises(JournalError, match="no run 'absent'"):
        store.load("absent")


async def test_a_run_is_found_by_what_means_one_only(store: Store) -> None:
    """A beginning that fits two is refused with both names, a name that fits none with some."""
    with pytest.raises(JournalError, match="none at all"):
        await store.find("last")
    names = [(await create(store)).name for _ in range(2)]

    assert await store.find(names[0]) == names[0]
    assert await store.find(names[1][:-1]) == names[1]
    with pytest.raises(JournalError, match="fits 2 runs"):
        await store.find(names[0][:6])
    with pytest.raises(JournalError, match="There is no run"):
        await store.find("")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"base_url": "http://127.0.0.1:2"}, "127.0.0.1:2"),
        ({"token_key": "another"}, "another token"),
        ({"token_key": "another", "site_ids": ["s9"]}, "another organization"),
    ],
    ids=["another server", "another token", "another organization"],
)
async def test_a_run_of_somebody_else_is_not_taken(
    store: Store, asked: dict[str, object], message: str
) -> None:
    """Nothing of it is changed: it can be taken by whom it belongs to."""
    run = await create(store, plan=SITES)
    await claim(run.journal, 0)
    await run.journal.aclose()

    with pytest.raises(JournalMismatch, match=message):
        await store.take("last", **{"base_url": URL, "token_key": KEY, **asked})  # type: ignore[arg-type]

    assert len(await (await take(store)).record.unknowns()) == 1


async def test_a_renewed_token_is_known_by_a_site_of_the_run(store: Store) -> None:
    """No two organizations share a site."""
    run = await create(store, plan=SITES)
    await run.journal.aclose()

    await store.take("last", base_url=URL, token_key="new", site_ids=["S3", "s9"])


async def test_old_runs_are_pruned_but_never_one_that_is_held(store: Store) -> None:
    """The newest stay, and what is incomplete, unless it is named."""
    for index in range(4):
        run = await create(store)
        await begin(run.journal, 0)
        if index != 1:
            await run.journal.finished(done(0))
        if index != 2:
            await run.journal.aclose()
    names = [each.name for each in await store.list()]
    with pytest.raises(ConfigError):
        await store.prune()
    with pytest.raises(ConfigError):
        await store.prune(keep=-1)

    assert [each.name for each in await store.prune(keep=1)] == [names[3]]
    assert await store.prune(older_than=3600.0, include_incomplete=True) == ()
    assert [each.name for each in await store.prune(keep=0, include_incomplete=True)] == [
        names[0],
        names[2],
    ]
    assert [each.name for each in await store.list()] == [names[1]]


async def test_durations_are_learned_from_scans_that_were_followed_throughout(
    store: Store,
) -> None:
    """What was left for a while is no sample, nor is another kind or another host."""
    run = await create(store)
    for index in range(3):
        await begin(run.journal, index)
    await run.journal.finished(done(0))
    await run.journal.aclose()
    run = await take(store)
    await run.journal.finished(done(1))
    kind = ScanOptions().kind

    assert await store.samples(kind, base_url=URL) == [(100.0, True)]
    assert await store.samples("seo:-:-", base_url=URL) == []
    assert await store.samples(kind, base_url="http://127.0.0.1:2") == []


async def test_spans_in_which_nothing_could_start_are_kept(store: Store) -> None:
    """One that has no end yet ends with the run."""
    run = await create(store)
    await begin(run.journal, 0)
    await run.journal.finished(done(0))
    run.journal.span("throttled", 10.0, 20.0)
    run.journal.span("outage", 30.0, None, RateLimited("x", status=429))
    run.journal.span("outage", 30.0, 40.0, RateLimited("x", status=429))
    await run.journal.end()

    assert (await run.record.result()).throttled == ((10.0, 20.0),)


async def test_what_is_closed_takes_nothing_more(store: Store) -> None:
    """Neither a run nor the store; closing again is harmless."""
    run = await create(store)
    await run.journal.aclose()
    await run.journal.aclose()
    with pytest.raises(JournalLost):
        await claim(run.journal, 0)
    await store.aclose()
    await store.aclose()

    with pytest.raises(JournalError, match="closed"):
        await claim(run.journal, 0)


async def test_two_stores_write_side_by_side(store: Store, other: Store) -> None:
    """Each run is whole, as if it were alone."""

    async def scan(each: Store) -> str:
        run = await create(each, plan=SITES)
        for index in range(6):
            await begin(run.journal, index)
            await run.journal.finished(done(index))
        await run.journal.end()
        return run.name

    names = await asyncio.gather(*(scan(each) for each in (store, other) * 3))

    for name in names:
        assert await statuses(store, name) == dict.fromkeys(range(6), "done")


async def test_what_was_flushed_is_there_for_others(store: Store, other: Store) -> None:
    """An input that was accepted and flushed may be promised: whoever takes over has it."""
    journal = (await create(store)).journal
    journal.accepted(4, target="h4.example", site_id="s4")

    await journal.flush()

    assert await statuses(other) == {4: "not_started"}


async def test_one_outcome_is_read_without_the_others(store: Store) -> None:
    """It is the one that the whole run has; an index without an input has none."""
    run = await create(store)
    await begin(run.journal, 0)
    await begin(run.journal, 1)
    await run.journal.finished(done(0))
    record = run.record

    assert [await record.outcome(n) for n in (0, 1)] == list((await record.result()).outcomes)
    assert await record.outcome(2) is None


async def test_a_run_is_called_as_it_was_asked_for_and_no_other_is(store: Store) -> None:
    """A name that is taken is refused."""

    async def make() -> HeldRun:
        return await store.create(
            base_url=URL, token_key=KEY, options=ScanOptions(), name="scans-acme-1"
        )

    run = await make()

    assert (run.name, await store.find("scans-acme")) == ("scans-acme-1", "scans-acme-1")
    with pytest.raises(JournalError):
        await make()


async def test_the_runs_that_are_not_ended_are_listed_without_the_others(store: Store) -> None:
    """Those that somebody may have to go on with, whether they are held or not."""
    ended_one, held, left = [await create(store) for _ in range(3)]
    await ended_one.journal.end()
    await left.journal.aclose()

    assert [each.name for each in await store.list(only_unended=True)] == [left.name, held.name]
    assert len(await store.list()) == 3


async def test_runs_are_listed_without_their_counts(store: Store, other: Store) -> None:
    """All else is told as ever, and what was not counted never looks as if nothing were open."""
    held, left = [await create(store, plan=[Target("a.example")]) for _ in range(2)]
    await left.journal.aclose()

    counted = await other.list()
    plain = await other.list(with_counts=False)

    assert [(each.name, each.is_held) for each in plain] == [(left.name, False), (held.name, True)]
    assert [evolve(each, counts={}) for each in counted] == list(plain)
    assert not any(each.is_settled for each in plain)


async def accept(run: HeldRun, index: int, site_id: str = "s1") -> StoredInput | None:
    """Accept a site, unless another run of the tests' family has it."""
    family = Family(
        has=lambda name: name.startswith("ours"),
        is_open=lambda outcome: outcome.status in {"not_started", "running", "unknown"},
    )
    return await run.journal.accept(index, target="t", site_id=site_id, unless=family)


async def test_a_site_is_under_way_in_one_run_of_a_family(store: Store, other: Store) -> None:
    """Who comes second is told where it is, in any letter case, and records nothing."""
    one, two = await create(store, name="ours-1"), await create(other, name="ours-2")

    assert await accept(one, 4) is None
    assert await accept(two, 0, "S1") == StoredInput("ours-1", 4)
    assert await two.record.outcome(0) is None
    assert await accept(two, 1, "s2") is None
    assert await accept(one, 4) is None  # once more


async def test_a_site_that_a_dead_process_has_claimed_is_under_way(
    store: Store, other: Store
) -> None:
    """Somebody has to find out first whether its scan was created."""
    one, two = await create(store, name="ours-1"), await create(other, name="ours-2")
    await accept(one, 0)
    await claim(one.journal, 0, "s1")
    await one.journal.aclose()

    assert await accept(two, 0) == StoredInput("ours-1", 0)


async def test_other_families_and_ended_scans_hold_no_site(store: Store, other: Store) -> None:
    """Neither what has other options or another name, nor what has its result."""
    two = await create(other, name="ours-2")
    quick = await store.create(
        base_url=URL, token_key=KEY, options=ScanOptions(intensity="quick"), name="ours-3"
    )
    theirs, finished = await create(store, name="theirs"), await create(store, name="ours-1")
    for run in (quick, theirs, finished):
        run.journal.accepted(1, target="t", site_id="s1")
    await begin(finished.journal, 1)
    await finished.journal.finished(done(1))

    assert await accept(two, 0) is None
