"""The claim rule of every store, against a model: owners come and go, answers come late."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from attrs import define, evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bestdefense_async.errors import (
    ConnectionLost,
    JournalError,
    JournalLost,
    PermissionDenied,
    PollTimeout,
    TargetError,
)
from bestdefense_async.models import OutcomeStatus
from bestdefense_async.runs.inputs import ExistingScan
from tests.support.stores import Backend, Postgres, Sqlite, create, done, ended, take

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bestdefense_async.runs.store.protocol import HeldRun, Journal, Store

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # noqa: S108 - to wait for no disk where there is one in memory
INDEXES = st.integers(0, 2)
STATUSES = {"created": "running", "claimed": "unknown", "unknown": "unknown", "finished": "done"}
SITES = 2


def site_of(index: int) -> str:
    """Return the site an input names: the last one names again what the first one did."""
    return f"s{index % SITES}"


@define
class Row:
    """What the store ought to know about an input."""

    state: str = "new"
    has_site: bool = False
    is_duplicate: bool = False
    is_refused: bool = False
    has_error: bool = False
    attempt: int | None = None
    report: str | None = None


class ClaimRule(RuleBasedStateMachine):
    """One run, its owners of whom only the last one counts, and what they remember."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.backend = self.make_backend()
        self.stores: list[Store] = []
        self.runs: list[HeldRun] = []
        self.asked: list[dict[int, int]] = []
        """By owner: the attempts that were claimed and not answered, by index."""
        self.rows: dict[int, Row] = {}
        self.attempts = 0
        self.has_ended = False
        self.is_held = True
        """Whether the last owner still has it: not after it ended the run."""

    def make_backend(self) -> Backend:
        """Return what opens stores of a kind."""
        return Sqlite(self.directory)

    def do(self, work: Coroutine[object, object, T]) -> T:
        """Run something to its end."""
        return self.runner.run(work)

    def is_refused(self, work: Coroutine[object, object, object]) -> bool:
        """Run something, and return whether the store did not take it."""
        try:
            self.do(work)
        except JournalError:
            return True
        return False

    @property
    def journal(self) -> Journal:
        """The journal of the owner who counts."""
        return self.runs[-1].journal

    @initialize(is_repeated=st.booleans())
    def begin(self, *, is_repeated: bool) -> None:
        """Begin a run without a plan; perhaps every write of its owners arrives twice."""
        self.is_repeated = is_repeated
        self.own(self.backend.open(), None)

    def own(self, store: Store, name: str | None) -> None:
        """Go on with another owner."""

        async def held() -> HeldRun:
            return await (create(store) if name is None else take(store, name))

        self.runs.append(self.do(held()))
        self.stores.append(store)
        self.asked.append({})
        if self.is_repeated:
            self.backend.repeat(store)

    async def call(self, write: str, *values: object, **members: object) -> None:
        """Call a method of the journal that does not wait."""
        getattr(self.journal, write)(*values, **members)

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

    @precondition(lambda self: self.is_held)
    @rule(index=INDEXES)
    def accept(self, index: int) -> None:
        """Name the site of an input."""
        self.take_in(index)
        self.do(self.call("accepted", index, target="h", site_id=site_of(index)))

    @precondition(lambda self: self.is_held)
    @rule(index=INDEXES, is_duplicate=st.booleans())
    def reject(self, index: int, *, is_duplicate: bool) -> None:
        """Say that an input is not to be scanned, which is no news about one that is."""
        row = self.rows.setdefault(index, Row())
        if row.state == "new":
            row.is_duplicate = row.is_duplicate or is_duplicate
            row.is_refused = False
        error = TargetError("No.")
        self.do(self.call("rejected", index, target="h", error=error, is_duplicate=is_duplicate))

    @precondition(lambda self: self.is_held)
    @rule(index=INDEXES)
    def claim(self, index: int) -> None:
        """Only what is new and no duplicate can be claimed, so no site is claimed twice."""
        row = self.take_in(index)
        is_free = row.state == "new" and not row.is_duplicate
        answer = self.do(self.journal.claim(index, target="h", site_id=site_of(index), at=1.0))
        assert answer.is_ours is is_free
        if answer.duplicate_of is not None:
            assert self.rows[answer.duplicate_of].has_site
            assert site_of(answer.duplicate_of) == site_of(index)
        if is_free:
            self.attempts += 1
            row.state, row.attempt, row.is_refused = "claimed", self.attempts, False
            self.asked[-1][index] = self.attempts

    @precondition(lambda self: len(self.runs) > 1)
    @rule(index=INDEXES, owner=st.integers(0, 99))
    def claim_with_a_wrong_fence(self, index: int, owner: int) -> None:
        """An earlier owner claims nothing."""
        number = owner % (len(self.runs) - 1)
        if index in self.asked[number]:
            return
        with pytest.raises(JournalLost):
            self.do(
                self.runs[number].journal.claim(index, target="h", site_id=site_of(index), at=1.0)
            )

    @precondition(lambda self: any(self.asked))
    @rule(
        owner=st.integers(0, 99),
        number=st.integers(0, 99),
        answer=st.sampled_from(["created", "refused", "given back", "unknown"]),
    )
    def answer(self, owner: int, number: int, answer: str) -> None:
        """An answer comes, perhaps to an earlier owner."""
        waiting = [number for number, asked in enumerate(self.asked) if asked]
        owner = waiting[owner % len(waiting)]
        asked, journal = self.asked[owner], self.runs[owner].journal
        index = sorted(asked)[number % len(asked)]
        attempt, row = asked.pop(index), self.rows[index]
        is_open = row.attempt == attempt and row.state in {"new", "claimed", "unknown"}
        if answer == "created":
            report = f"r{attempt}"
            assert self.is_refused(journal.created(index, report_id=report)) is not is_open
            if is_open:
                row.state, row.report, row.is_refused = "created", report, False
                row.has_error = False
                self.has_ended = False
            else:
                asked[index] = attempt
            return
        is_current = owner == len(self.runs) - 1 and self.is_held
        is_taken = is_current and row.state == "claimed" and row.attempt == attempt
        if answer == "unknown":
            lost = ConnectionLost("Reset.")
            assert self.is_refused(journal.unknown(index, error=lost)) is not is_taken
            if is_taken:
                row.state = "unknown"
            else:
                asked[index] = attempt
        elif answer == "refused":
            error = PermissionDenied("No.", status=403)
            is_refused = self.is_refused(journal.refused(index, error=error))
            is_new = is_current and row.state == "new"
            assert is_refused is not (is_taken or is_new)
            if is_taken or is_new:
                row.state, row.is_refused = "new", True
            if is_taken:
                row.attempt = None
        else:
            is_refused = self.is_refused(journal.give_back(index))
            assert is_refused is not (is_taken or (is_current and row.state == "new"))
            if is_taken:
                row.state, row.attempt, row.is_refused = "new", None, False

    @rule(number=st.integers(0, 99), is_done=st.booleans(), owner=st.integers(0, 99))
    def finish(self, number: int, *, is_done: bool, owner: int) -> None:
        """A result comes; only that of the owner counts, and only what is done is final."""
        created = [index for index, row in self.rows.items() if row.report is not None]
        if not created:
            return
        index = created[number % len(created)]
        row, owner = self.rows[index], owner % len(self.runs)
        late = PollTimeout("r", waited=1.0)
        outcome = done(index) if is_done else ended(index, late, OutcomeStatus.RUNNING)
        outcome = evolve(outcome, site_id=site_of(index), report_id=row.report)
        is_current = owner == len(self.runs) - 1 and self.is_held
        is_news = row.state != "finished" or is_done
        refused = self.is_refused(self.runs[owner].journal.finished(outcome))
        assert refused is not is_current or not is_news
        if is_current:
            self.asked[owner].pop(index, None)
            row.has_error = not is_done
            if is_done:
                row.state = "finished"

    @precondition(
        lambda self: self.is_held and any(r.state == "unknown" for r in self.rows.values())
    )
    @rule(number=st.integers(0, 99), is_found=st.booleans())
    def reconcile(self, number: int, *, is_found: bool) -> None:
        """A person finds a lost scan, or says that there is none."""
        lost = sorted(index for index, row in self.rows.items() if row.state == "unknown")
        index = lost[number % len(lost)]
        row, record = self.rows[index], self.runs[-1].record
        if is_found:
            self.do(record.found(index, report_id=f"found-{index}"))
            row.state, row.report, row.has_error = "created", f"found-{index}", False
        else:
            self.do(record.forget(index))
            row.state, row.is_refused = "new", False

    @precondition(lambda self: len(self.runs) < 6)
    @rule()
    def take_over(self) -> None:
        """Another process goes on; the one before only seems to be dead, and will wake up."""
        self.do(self.runs[-1].record.remaining())  # what nobody waits for is written
        self.backend.give_up(self.stores[-1])
        self.own(self.backend.open(), self.runs[0].name)
        self.has_ended, self.is_held = False, True
        for row in self.rows.values():
            if row.state == "claimed":
                row.state = "unknown"

    @precondition(lambda self: self.is_held)
    @rule()
    def end(self) -> None:
        """The run ends only when nobody has to be followed: what has to be is returned."""
        late = self.do(self.journal.end())
        assert [each.index for each in late] == [
            index
            for index, row in sorted(self.rows.items())
            if row.state == "created" and not row.has_error and not row.is_duplicate
        ]
        self.has_ended, self.is_held = not late, bool(late)

    @invariant()
    def the_store_knows_what_happened(self) -> None:
        """What is left to do, and how everything stands, for the owner and for a reader."""
        if not self.runs:
            return
        record = self.runs[-1].record
        remaining = self.do(record.remaining())
        wanted = {index: row for index, row in self.rows.items() if not row.is_duplicate}
        todo = [
            (index, wanted[index].report)
            for state in ("created", "new")
            for index, row in sorted(wanted.items())
            if row.state == state
        ]
        assert todo == [
            (each.index, each.item.report_id if isinstance(each.item, ExistingScan) else None)
            for each in remaining
        ]
        result = self.do(record.result())
        statuses = {
            index: STATUSES.get(row.state, "failed" if row.is_refused else "not_started")
            for index, row in sorted(wanted.items())
        }
        assert {each.index: str(each.status) for each in result.outcomes} == statuses
        info = self.do(record.info())
        assert info.has_ended is self.has_ended
        assert {word: n for word, n in info.counts.items() if n} == {
            word: list(statuses.values()).count(word) for word in set(statuses.values())
        }
        if self.has_ended:
            assert not any(row.state == "created" and not row.has_error for row in wanted.values())

    def teardown(self) -> None:
        """Close everything."""
        for store in self.stores:
            self.is_refused(store.aclose())
        self.runner.close()
        shutil.rmtree(self.directory)


TestSqlite = pytest.mark.slow(timeout=300)(ClaimRule.TestCase)
TestSqlite.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


class ClaimRuleInPostgres(ClaimRule):
    """The same, in a database."""

    database = ""

    def make_backend(self) -> Backend:
        """Return what opens stores of a kind."""
        return Postgres(self.database)


@pytest.mark.slow(timeout=300)
def test_the_claim_rule_holds_in_postgres(database: str) -> None:
    """The model and a real server agree, step by step."""
    ClaimRuleInPostgres.database = database
    run_state_machine_as_test(
        ClaimRuleInPostgres,
        settings=settings(max_examples=10, stateful_step_count=20, deadline=None),
    )
