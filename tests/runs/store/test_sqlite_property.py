"""The claim rule, against a model: owners come and go, answers come late, in any order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bestdefense_async.errors import (
    ConnectionLost,
    JournalError,
    PermissionDenied,
    PollTimeout,
    TargetError,
)
from bestdefense_async.models import Outcome
from bestdefense_async.runs import ExistingScan, SqliteJournal, read_journal
from tests.support.journals import create, reopen

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # noqa: S108 - to wait for no disk where there is one in memory
INDEXES = st.integers(0, 2)
ANSWERS = st.sampled_from(["created", "refused", "unknown"])
STATUSES = {"created": "running", "claimed": "unknown", "unknown": "unknown", "finished": "done"}
SITES = 2


def site_of(index: int) -> str:
    """Return the site an input names: the last one names again what the first one did."""
    return f"s{index % SITES}"


@define
class Row:
    """What the journal ought to know about an input."""

    state: str = "new"
    has_site: bool = False
    is_duplicate: bool = False
    is_refused: bool = False
    attempt: int | None = None
    report: str | None = None


class ClaimRule(RuleBasedStateMachine):
    """One run, its owners of whom only the last one counts, and what they remember."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.directory / "run"
        self.owners: list[SqliteJournal] = []
        self.asked: list[dict[int, int]] = []
        """By owner: the attempts that were claimed and not answered, by index."""
        self.rows: dict[int, Row] = {}
        self.attempts = 0

    def do(self, work: Coroutine[object, object, T]) -> T:
        """Run something to its end."""
        return self.runner.run(work)

    def is_refused(self, work: Coroutine[object, object, object]) -> bool:
        """Run something, and return whether the journal did not take it."""
        try:
            self.do(work)
        except JournalError:
            return True
        return False

    def own(self, journal: SqliteJournal) -> None:
        """Go on with another owner."""
        self.owners.append(journal)
        self.asked.append({})

    @initialize()
    def begin(self) -> None:
        """Make the journal of a run without a plan."""
        self.own(self.do(create(self.path)))

    def take_in(self, index: int) -> Row:
        """Let the model do what naming a site does."""
        row = self.rows.setdefault(index, Row())
        if not row.has_site:
            row.has_site = True
            row.is_duplicate = any(
                other.has_site and not other.is_duplicate and site_of(earlier) == site_of(index)
                for earlier, other in self.rows.items()
                if earlier != index
            )
            row.is_refused = False
        return row

    @rule(index=INDEXES)
    def accept(self, index: int) -> None:
        """Name the site of an input."""
        self.take_in(index)
        self.do(self.owners[-1].accepted(index, target="h", site_id=site_of(index)))

    @rule(index=INDEXES, is_duplicate=st.booleans())
    def reject(self, index: int, *, is_duplicate: bool) -> None:
        """Say that an input is not to be scanned, which is no news about one that is."""
        row = self.rows.setdefault(index, Row())
        if row.state == "new":
            row.is_duplicate = row.is_duplicate or is_duplicate
            row.is_refused = False
        error = TargetError("No.")
        self.do(self.owners[-1].rejected(index, target="h", error=error, is_duplicate=is_duplicate))

    @rule(index=INDEXES)
    def claim(self, index: int) -> None:
        """Only what is new and no duplicate can be claimed, so no site is claimed twice."""
        row = self.take_in(index)
        is_free = row.state == "new" and not row.is_duplicate
        assert self.do(self.owners[-1].claimed(index, site_id=site_of(index), at=1.0)) is is_free
        if is_free:
            self.attempts += 1
            row.state, row.attempt, row.is_refused = "claimed", self.attempts, False
            self.asked[-1][index] = self.attempts

    @precondition(lambda self: len(self.owners) > 1)
    @rule(index=INDEXES, owner=st.integers(0, 99))
    def claim_with_a_wrong_fence(self, index: int, owner: int) -> None:
        """An earlier owner claims nothing."""
        old = self.owners[owner % (len(self.owners) - 1)]
        with pytest.raises(JournalError, match="taken over"):
            self.do(old.claimed(index, site_id=site_of(index), at=1.0))

    @precondition(lambda self: any(self.asked))
    @rule(owner=st.integers(0, 99), number=st.integers(0, 99), answer=ANSWERS)
    def answer(self, owner: int, number: int, answer: str) -> None:
        """An answer comes, perhaps to an earlier owner."""
        waiting = [number for number, asked in enumerate(self.asked) if asked]
        number = waiting[owner % len(waiting)]
        asked, journal = self.asked[number], self.owners[number]
        index = sorted(asked)[number % len(asked)]
        attempt, row = asked[index], self.rows[index]
        is_current = number == len(self.owners) - 1
        if answer == "created":
            report = f"r{attempt}"
            is_known = row.report == report
            is_open = row.state in {"new", "claimed", "unknown"} and row.attempt == attempt
            refused = self.is_refused(journal.created(index, report_id=report))
            assert refused is not (is_known or is_open)
            if is_open:
                row.state, row.report, row.is_refused = "created", report, False
            if not refused:
                del asked[index]
            return
        is_taken = is_current and row.state == "claimed" and row.attempt == attempt
        if answer == "refused":
            error = PermissionDenied("No.", status=403)
            assert self.is_refused(journal.refused(index, error=error)) is not is_taken
            if is_taken:
                row.state, row.attempt, row.is_refused = "new", None, True
                del asked[index]
        else:
            lost = ConnectionLost("Reset.")
            assert self.is_refused(journal.unknown(index, error=lost)) is not is_taken
            if is_taken:
                row.state = "unknown"

    @rule(number=st.integers(0, 99), is_done=st.booleans(), owner=st.integers(0, 99))
    def finish(self, number: int, *, is_done: bool, owner: int) -> None:
        """A result comes; only that of the owner counts, and only what is done is final."""
        created = [index for index, row in self.rows.items() if row.report is not None]
        if not created:
            return
        index = created[number % len(created)]
        row, number = self.rows[index], owner % len(self.owners)
        common = {"target": "h", "site_id": site_of(index), "report_id": row.report}
        late = PollTimeout("r", waited=1.0)
        outcome = (
            Outcome(status="done", index=index, risk=None, **common)  # type: ignore[arg-type]
            if is_done
            else Outcome(status="running", index=index, error=late, **common)  # type: ignore[arg-type]
        )
        is_current = number == len(self.owners) - 1
        assert self.is_refused(self.owners[number].finished(outcome)) is not is_current
        if is_current:
            self.asked[number].pop(index, None)
            if is_done:
                row.state = "finished"

    @precondition(lambda self: any(row.state == "unknown" for row in self.rows.values()))
    @rule(number=st.integers(0, 99), is_found=st.booleans())
    def reconcile(self, number: int, *, is_found: bool) -> None:
        """A person finds a lost scan, or says that there is none."""
        lost = sorted(index for index, row in self.rows.items() if row.state == "unknown")
        index = lost[number % len(lost)]
        row = self.rows[index]
        if is_found:
            self.do(self.owners[-1].found(index, report_id=f"found-{index}"))
            row.state, row.report = "created", f"found-{index}"
        else:
            self.do(self.owners[-1].forget(index))
            row.state, row.is_refused = "new", False

    @precondition(lambda self: len(self.owners) < 6)
    @rule()
    def take_over(self) -> None:
        """Another process goes on; the one before only seems to be dead, and will wake up."""
        self.do(self.owners[-1].remaining())  # what nobody waits for is written
        self.path.with_name("run.lock").unlink()
        self.own(self.do(reopen(self.path)))
        for row in self.rows.values():
            if row.state == "claimed":
                row.state = "unknown"

    @invariant()
    def the_journal_knows_what_happened(self) -> None:
        """What is left to do, and how everything stands, for the owner and for a reader."""
        if not self.owners:
            return
        remaining = self.do(self.owners[-1].remaining())
        wanted = {index: row for index, row in self.rows.items() if not row.is_duplicate}
        todo = [
            (index, index in wanted and wanted[index].report)
            for state in ("created", "new")
            for index, row in sorted(wanted.items())
            if row.state == state
        ]
        assert todo == [
            (each.index, each.item.report_id if isinstance(each.item, ExistingScan) else None)
            for each in remaining
        ]
        snapshot = read_journal(self.path)
        statuses = {
            index: STATUSES.get(row.state, "failed" if row.is_refused else "not_started")
            for index, row in sorted(wanted.items())
        }
        assert {each.index: each.status for each in snapshot.outcomes} == statuses
        assert snapshot.run.fence == len(self.owners)
        assert self.owners[-1].next_index == max(self.rows, default=-1) + 1

    def teardown(self) -> None:
        """Close everything."""
        for journal in self.owners:
            self.is_refused(journal.aclose())
        self.runner.close()
        shutil.rmtree(self.directory)


TestClaimRule = pytest.mark.slow(timeout=300)(ClaimRule.TestCase)
TestClaimRule.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
