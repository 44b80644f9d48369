"""The durable journal: what it takes, what it refuses, and what it gives back."""

from __future__ import annotations

import asyncio
import stat
import threading
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.errors import (
    ConnectError,
    ConnectionLost,
    JournalBusy,
    JournalError,
    JournalMismatch,
    PermissionDenied,
    PollTimeout,
    Sent,
    TargetError,
    UnknownSite,
)
from bestdefense_async.models import Outcome, ScanOptions, Site
from bestdefense_async.runs import (
    ExistingScan,
    IndexedInput,
    RunStore,
    SqliteJournal,
    Target,
    read_journal,
)
from tests.support.journals import URL, claim, create, created_site, done, reopen

if TYPE_CHECKING:
    from pathlib import Path

    from bestdefense_async.runs.store.writes import PlannedItem

SPEED = 1_200.0
DENIED = PermissionDenied("No.", status=403)


async def test_a_resumed_run_knows_what_is_new_created_finished_and_unknown(tmp_path: Path) -> None:
    """Findings come back whole, and a claim without an answer is unknown and fed no more."""
    path = tmp_path / "run"
    plan = [Target(f"h{index}.example", index + 1) for index in range(6)]
    async with await create(path, targets=plan) as journal:
        assert [await claim(journal, index) for index in range(5)] == [True] * 5
        await journal.created(0, report_id="r0")
        await journal.created(1, report_id="r1")
        await journal.finished(done(1))
        await journal.refused(3, error=DENIED)
        await journal.unknown(4, error=ConnectionLost("Reset."))
    async with await reopen(path) as journal:
        remaining = await journal.remaining()
        outcomes = read_journal(path).outcomes

        assert (journal.run.fence, journal.next_index) == (2, 6)
        assert remaining == [
            IndexedInput(
                0, ExistingScan(target="h0.example", site_id="s0", report_id="r0", started_at=100.0)
            ),
            IndexedInput(3, Site(id="s3", hostname="h3.example")),
            IndexedInput(5, Target("h5.example", 6)),
        ]
        assert [each.status for each in outcomes] == [
            "running", "done", "unknown", "failed", "unknown", "not_started"
        ]  # fmt: skip
        assert outcomes[1].status == "done"
        assert (outcomes[1].findings, outcomes[1].risk) == (done(1).findings, done(1).risk)
        assert outcomes[2].started_at == 102.0
        assert outcomes[3].status == "failed"
        assert isinstance(outcomes[3].error, PermissionDenied)
        assert outcomes[4].status == "unknown"
        assert isinstance(outcomes[4].error, ConnectionLost)
        assert not await claim(journal, 2)
        assert await claim(journal, 3)


async def test_a_failure_keeps_its_error_and_is_followed_again(tmp_path: Path) -> None:
    """A scan that was given up exists still; only a result is final."""
    path = tmp_path / "run"
    error = PollTimeout("r0", waited=5.0)
    failed = Outcome(
        status="running", index=0, target="h0.example", site_id="s0", report_id="r0", error=error
    )
    async with await create(path) as journal:
        await claim(journal, 0)
        await journal.created(0, report_id="r0")
        await journal.finished(failed)
    async with await reopen(path) as journal:
        (read,) = read_journal(path).outcomes
        remaining = await journal.remaining()
        await journal.finished(done(0))
        await journal.finished(failed)
        (final,) = read_journal(path).outcomes

    assert read.status == "running"
    assert isinstance(read.error, PollTimeout)
    assert (str(read.error), read.error.waited) == (str(error), 5.0)
    assert [created_site(each) for each in remaining] == ["s0"]
    assert final.status == "done"


async def test_a_site_is_claimed_once_however_it_is_named(tmp_path: Path) -> None:
    """What the group calls a duplicate, and what only the journal knows to be one."""
    path = tmp_path / "run"
    plan = [Target("a.example"), Target("https://a.example/"), Target("A.example")]
    again = TargetError("It names the same site as target 0.", target="https://a.example/")
    async with await create(path, targets=plan) as journal:
        await journal.accepted(0, target="a.example", site_id="s0")
        await journal.rejected(1, target="https://a.example/", error=again, is_duplicate=True)
        assert await journal.claimed(0, site_id="s0", at=1.0)
        await journal.created(0, report_id="r0")
        await journal.finished(done(0))
    async with await reopen(path) as journal:
        assert [each.index for each in await journal.remaining()] == [2]
        await journal.accepted(2, target="A.example", site_id="S0")
        assert not await journal.claimed(2, site_id="S0", at=2.0)
        await journal.accepted(3, target="a.example", site_id="s0")
        assert not await journal.claimed(3, site_id="s0", at=2.0)

        assert await journal.remaining() == []
        assert journal.next_index == 4
    assert [each.status for each in read_journal(path).outcomes] == ["done"]


async def test_rejected_inputs_are_recorded_and_given_again(tmp_path: Path) -> None:
    """A malformed one as its error, an unknown site as a target: it may be known by now."""
    path = tmp_path / "run"
    malformed = TargetError("No.", target="a b", line=1)
    stranger = UnknownSite("No site is called b.example.", target="b.example", line=2)
    site = Site(id="s2", hostname="c.example")
    plan: list[PlannedItem] = [malformed, Target("b.example", 2), site]
    async with await create(path, targets=plan) as journal:
        await journal.rejected(0, target="a b", error=malformed, is_duplicate=False)
        await journal.rejected(1, target="b.example", error=stranger, is_duplicate=False)
        await journal.rejected(3, target="d.example", error=stranger, is_duplicate=False)
    async with await reopen(path) as journal:
        first, *others = await journal.remaining()
    outcomes = read_journal(path).outcomes

    assert first.index == 0
    assert isinstance(first.item, TargetError)
    assert (str(first.item), first.item.target) == (str(malformed), "a b")
    assert others == [
        IndexedInput(1, Target("b.example", 2)),
        IndexedInput(2, site),
        IndexedInput(3, Target("d.example", 2)),
    ]
    assert {each.status for each in outcomes} == {"not_started"}
    assert [str(each.error) for each in outcomes] == [
        str(malformed), str(stranger), "It was not started yet.", str(stranger)
    ]  # fmt: skip


async def test_a_refusal_is_no_failure_when_nothing_was_sent(tmp_path: Path) -> None:
    """The journal has the outcome that the group yielded."""
    path = tmp_path / "run.journal"
    errors = [ConnectError("Refused."), ConnectionLost("Reset.", sent=Sent.NO), DENIED]
    async with await create(path) as journal:
        for index, error in enumerate(errors):
            await claim(journal, index)
            await journal.refused(index, error=error)
    refused, unsent, denied = read_journal(path).outcomes
    (info,) = RunStore(tmp_path).list()

    assert refused.status == "not_started"
    assert isinstance(refused.error, ConnectError)
    assert unsent.status == "not_started"
    assert unsent.error is not None
    assert unsent.error.sent is Sent.NO
    assert denied.status == "failed"
    assert info.counts == {"done": 0, "running": 0, "failed": 1, "unknown": 0, "not_started": 2}


async def test_an_old_owner_changes_nothing_but_its_late_answer_is_welcome(tmp_path: Path) -> None:
    """After its lock file was removed, two think they own the run; the later one does."""
    path = tmp_path / "run"
    async with await create(path) as old:
        for index in range(3):
            await claim(old, index)
        await old.created(0, report_id="r0")
        (tmp_path / "run.lock").unlink()
        async with await reopen(path) as new:
            with pytest.raises(JournalError, match="taken over"):
                await claim(old, 9)
            with pytest.raises(JournalError, match="taken over"):
                await old.refused(1, error=DENIED)
            with pytest.raises(JournalError, match="taken over"):
                await old.finished(done(0))
            await old.created(2, report_id="r2")

            remaining = await new.remaining()
            unknown = [each.site_id for each in await new.unknowns()]

    assert [created_site(each) for each in remaining] == ["s0", "s2"]
    assert unknown == ["s1"]


async def test_a_rejection_that_could_not_be_written_is_raised_with_the_next_or_the_end(
    tmp_path: Path,
) -> None:
    """The group does not wait for it, but it is not lost in silence either."""
    error = TargetError("No.")
    old = await create(tmp_path / "run")
    (tmp_path / "run.lock").unlink()
    async with await reopen(tmp_path / "run") as new:
        await old.rejected(0, target="", error=error, is_duplicate=False)
        await old.remaining()
        with pytest.raises(JournalError, match="taken over"):
            await old.accepted(1, target="h1.example", site_id="s1")
        await old.rejected(2, target="", error=error, is_duplicate=False)
        with pytest.raises(JournalError, match="taken over"):
            await old.aclose()
        await old.aclose()

        assert await new.remaining() == []


async def test_a_lost_creation_is_found_or_forgotten_by_a_persons_order(tmp_path: Path) -> None:
    """What was found is followed; what was forgotten is sent again, unless its answer comes."""
    path = tmp_path / "run"
    async with await create(path) as old:
        for index in range(4):
            await claim(old, index)
        await old.created(3, report_id="r3")
        (tmp_path / "run.lock").unlink()
        async with await reopen(path) as new:
            lost = [(each.index, each.target, each.site_id, each.claimed_at)
                    for each in await new.unknowns()]  # fmt: skip
            with pytest.raises(JournalError, match="input 3 already"):
                await new.found(0, report_id="r3")
            await new.found(0, report_id="r0")
            await new.forget(1)
            await new.forget(2)
            with pytest.raises(JournalError, match="not unknown"):
                await new.forget(0)
            with pytest.raises(JournalError, match="not unknown"):
                await new.found(1, report_id="r9")
            assert await claim(new, 1)
            with pytest.raises(JournalError, match="something else"):
                await old.created(1, report_id="r1")
            await old.created(2, report_id="r2")
            assert not await claim(new, 2)

            remaining = await new.remaining()

    assert lost == [(index, f"h{index}.example", f"s{index}", 100.0 + index) for index in range(3)]
    assert [created_site(each) for each in remaining] == ["s0", "s2", "s3"]


async def test_a_result_counts_where_the_scans_id_could_not_be_written(tmp_path: Path) -> None:
    """As when the disk was full for a moment; another scan's result does not count."""
    async with await create(tmp_path / "run") as journal:
        await claim(journal, 0)
        await journal.finished(done(0))
        await claim(journal, 1)
        await journal.created(1, report_id="another")
        with pytest.raises(JournalError, match="something else"):
            await journal.finished(done(1))
        outcomes = read_journal(journal.path).outcomes

    assert [each.status for each in outcomes] == ["done", "running"]


async def test_a_scan_from_elsewhere_is_written_when_it_is_done(tmp_path: Path) -> None:
    """It was fed with its id, so it was neither accepted nor claimed here."""
    async with await create(tmp_path / "run") as journal:
        await journal.finished(done(7))
        assert journal.next_index == 8
        assert read_journal(journal.path).outcomes == (done(7),)


async def test_writes_that_arrive_together_are_committed_together(tmp_path: Path) -> None:
    """Two hundred claims at once cost a few commits."""
    async with await create(tmp_path / "run") as journal:
        before = journal.commits
        assert all(await asyncio.gather(*(claim(journal, index) for index in range(200))))
        assert journal.commits - before <= 20


async def test_one_bad_write_does_not_undo_its_neighbours(tmp_path: Path) -> None:
    """An id that cannot be stored fails alone."""
    async with await create(tmp_path / "run") as journal:
        await asyncio.gather(*(claim(journal, index) for index in range(2)))
        bad, good = await asyncio.gather(
            journal.created(0, report_id="\ud800"),
            journal.created(1, report_id="r1"),
            return_exceptions=True,
        )
        remaining = await journal.remaining()

    assert isinstance(bad, JournalError)
    assert good is None
    assert [created_site(each) for each in remaining] == ["s1"]


async def test_a_target_that_is_no_proper_text_can_be_written(tmp_path: Path) -> None:
    """A path in another encoding than the terminal's: its host name counts."""
    async with await create(tmp_path / "run", targets=[Target("http://a.example/\udcff")]) as run:
        ((_, item),) = [(each.index, each.item) for each in await run.remaining()]

    assert isinstance(item, Target)
    assert item.host == "a.example"


async def test_a_second_holder_is_refused_at_once_and_closing_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Closing twice is harmless, leaves no thread and one plain file; only we may read it."""
    path = tmp_path / "run"
    journal = await create(path)
    with pytest.raises(JournalBusy):
        await reopen(path)
    files = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert files == dict.fromkeys(("run", "run-shm", "run-wal", "run.lock"), 0o600)
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(JournalError, match="closed"):
        await claim(journal, 0)
    await (await reopen(path)).aclose()

    assert not [each for each in threading.enumerate() if "journal" in each.name]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "run.lock"]


async def test_a_write_that_comes_while_it_is_closed_is_refused(tmp_path: Path) -> None:
    """And does not wait for ever."""
    journal = await create(tmp_path / "run")
    closing = asyncio.ensure_future(journal.aclose())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        with pytest.raises(JournalError, match="closed"):
            await journal.claimed(0, site_id="s0", at=1.0)
        await closing


async def test_a_run_is_resumed_only_by_its_own_organization(tmp_path: Path) -> None:
    """A renewed token needs a site in common; another server is never accepted."""
    path = tmp_path / "run"
    async with await create(path) as journal:
        await claim(journal, 0)
    before = path.read_bytes()
    for values in ({"token": "u"}, {"token": "u", "site_ids": ["z"]}, {"base_url": "http://other"}):
        with pytest.raises(JournalMismatch):
            await SqliteJournal.open(path, **{"base_url": URL, "token": "t", **values})  # type: ignore[arg-type]
    assert path.read_bytes() == before
    await (await SqliteJournal.open(path, base_url=URL, token="u", site_ids=["S0"])).aclose()


async def test_neither_the_token_nor_the_callback_secret_is_written(tmp_path: Path) -> None:
    """The file alone is not enough to start anything."""
    token, secret = "bd-" + "token" * 5, "ab" * 32
    options = ScanOptions(callback_secret=secret)
    path = tmp_path / "run"
    async with await SqliteJournal.create(path, base_url=URL, token=token, options=options):
        written = b"".join(each.read_bytes() for each in tmp_path.iterdir())

    assert token.encode() not in written
    assert secret.encode() not in written
    assert b"security" in written
