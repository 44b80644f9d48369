"""The poll scheduler, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bestdefense_async.core.polling import PollPolicy, learn
from bestdefense_async.errors import (
    AuthError,
    BestDefenseError,
    ClientClosed,
    ConnectError,
    ConnectionLost,
    NotFound,
    PermissionDenied,
    PollTimeout,
    RateLimited,
    ServerError,
    TLSError,
)
from bestdefense_async.models import Progress
from bestdefense_async.polling.queues import ReadyQueue
from bestdefense_async.polling.scheduler import LAST_LOOK, LOOK_ROUND, PollScheduler
from bestdefense_async.polling.subscription import PollResult, Subscription, WaitOptions
from tests.support.fake_scans import absent, denied, run

WORKERS = 64


class Server:
    """Answers polls: each report is complete after its number of seconds, unless told otherwise."""

    def __init__(self, durations: dict[str, float] | None = None, *, delay: float = 0.05) -> None:
        self.durations = durations or {}
        self.errors: dict[str, list[BestDefenseError]] = {}
        self.always: BestDefenseError | None = None
        self.polls: list[tuple[float, str]] = []
        self.under_way = self.most = 0
        self.delay = delay
        self.start = asyncio.get_running_loop().time()

    async def progress(self, report_id: str) -> Progress:
        """Answer one poll."""
        now = asyncio.get_running_loop().time() - self.start
        self.polls.append((now, report_id))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.under_way -= 1
        if self.always is not None:
            raise self.always
        if self.errors.get(report_id):
            raise self.errors[report_id].pop(0)
        return Progress(is_completed=now >= self.durations.get(report_id, float("inf")))


def scheduler(server: Server, **words: Any) -> PollScheduler:
    """Return a scheduler that asks `server`."""
    words.setdefault("limit", WORKERS)
    return PollScheduler(server.progress, **words)


def server_error(status: int = 503) -> ServerError:
    """Return a 5xx."""
    return ServerError("The server failed.", status=status)


def test_waiting_returns_the_completed_progress_soon_after_the_end() -> None:
    """A scan of ten minutes is noticed within a wait of a tenth of it, after few polls."""

    async def main() -> None:
        server = Server({"a": 600.0})
        polls = scheduler(server)
        start = asyncio.get_running_loop().time()

        assert (await polls.wait("a")).is_completed

        assert 600.0 <= asyncio.get_running_loop().time() - start < 650.0
        assert len(server.polls) < 40
        assert len(polls) == 0

    run(main)


@pytest.mark.slow(timeout=300)
def test_ten_thousand_scans_started_together_do_not_poll_together() -> None:
    """The busiest second has at most 1.6 times the mean, and the polls stay bounded."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server, uniform=random.Random(3).uniform)
        terms = WaitOptions(notify=lambda _, __: None)
        for number in range(10_000):
            polls.follow(str(number), terms)
        await asyncio.sleep(60.0)
        tasks = len(asyncio.all_tasks())
        polls.close()
        await asyncio.sleep(0)

        per_second = [0] * 60
        for when, _ in server.polls:
            per_second[min(int(when), 59)] += 1
        assert tasks <= WORKERS + 1
        assert server.most <= WORKERS
        assert max(per_second) <= 1.6 * sum(per_second) / len(per_second)

    run(main)


def test_two_who_wait_for_one_report_share_its_polls() -> None:
    """A report is an entry by its id, not by who asks."""

    async def main() -> None:
        alone = Server({"a": 300.0})
        await scheduler(alone, uniform=lambda low, high: (low + high) / 2).wait("a")
        both = Server({"a": 300.0})
        polls = scheduler(both, uniform=lambda low, high: (low + high) / 2)

        await asyncio.gather(*(polls.wait("a") for _ in range(20)))

        assert len(both.polls) == len(alone.polls)

    run(main)


def test_one_of_two_who_wait_gives_up_and_the_other_goes_on() -> None:
    """A deadline belongs to who waits, not to the report, also when it comes in between polls."""

    async def main() -> None:
        server = Server({"a": 300.0})
        polls = scheduler(server)
        patient = asyncio.create_task(polls.wait("a"))
        await asyncio.sleep(200.0)
        start = asyncio.get_running_loop().time()

        with pytest.raises(PollTimeout) as caught:
            await polls.wait("a", timeout=3.0)

        assert 3.0 <= asyncio.get_running_loop().time() - start < 4.0
        assert caught.value.report_id == "a"
        assert (await patient).is_completed
        assert len(polls) == 0
        times = [when for when, _ in server.polls]
        assert all(later - sooner > 2.0 for sooner, later in itertools.pairwise(times[-3:]))

    run(main)


def test_who_stops_waiting_disturbs_nobody() -> None:
    """Cancelling one wait takes its entry away and leaves the others."""

    async def main() -> None:
        polls = scheduler(Server({"a": 50.0, "b": 50.0}))
        tasks = [asyncio.create_task(polls.wait(report)) for report in "aab"]
        await asyncio.sleep(20.0)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0.1)

        assert len(polls) == 1
        assert (await tasks[1]).is_completed

    run(main)


def test_a_wait_cancelled_in_the_tick_of_its_answer_harms_nobody() -> None:
    """The answer finds nobody, and the scheduler goes on."""

    async def main() -> None:
        server = Server({"a": 0.0, "b": 50.0})
        polls = scheduler(server)
        task = asyncio.create_task(polls.wait("a"))
        other = asyncio.create_task(polls.wait("b"))
        answer = server.progress

        async def and_cancel(report_id: str) -> Progress:
            progress = await answer(report_id)
            if report_id == "a":
                task.cancel()
            return progress

        polls._progress = and_cancel  # noqa: SLF001 - the only way into that tick
        with pytest.raises(asyncio.CancelledError):
            await task

        assert (await other).is_completed

    run(main)


def test_a_scan_that_never_ends_is_given_up_at_the_deadline() -> None:
    """The report's id is in the error, and the last poll is at the deadline itself."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server)

        with pytest.raises(PollTimeout) as caught:
            await polls.wait("a", timeout=100.0)

        assert caught.value.waited == pytest.approx(100.0, abs=0.2)
        assert server.polls[-1][0] == pytest.approx(100.0)

    run(main)


def test_a_poll_that_hangs_does_not_hold_up_the_deadline() -> None:
    """The last look may take a few seconds, not the time a request may take."""

    async def main() -> None:
        polls = scheduler(Server(delay=10_000.0))
        start = asyncio.get_running_loop().time()

        with pytest.raises(PollTimeout):
            await polls.wait("a", timeout=100.0)

        assert asyncio.get_running_loop().time() - start == pytest.approx(105.0, abs=0.1)

    run(main)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("Slow down.", status=429),
        server_error(),
        ConnectionLost("Reset."),
        ConnectError("Refused."),
    ],
    ids=lambda error: error.kind,
)
def test_a_poll_that_fails_for_a_while_does_not_end_the_wait(error: BestDefenseError) -> None:
    """The retry of one poll and the end of the wait are different matters."""

    async def main() -> None:
        server = Server({"a": 60.0})
        server.errors["a"] = [error] * 5

        assert (await scheduler(server).wait("a")).is_completed

    run(main)


def test_a_dead_server_is_given_up_when_patience_is_over() -> None:
    """Without a deadline too a wait ends, when every poll fails for as long as the policy says."""

    async def main() -> None:
        server = Server()
        server.always = ConnectError("Refused.")
        start = asyncio.get_running_loop().time()

        with pytest.raises(ConnectError):
            await scheduler(server).wait("a", policy=PollPolicy(patience=100.0))

        assert 100.0 < asyncio.get_running_loop().time() - start < 200.0

    run(main)


def test_a_429_is_never_the_end_and_says_when_to_come_back() -> None:
    """The next poll comes no sooner than the server asked for."""

    async def main() -> None:
        server = Server({"a": 1.0})
        limited = RateLimited("Slow down.", status=429)
        limited.retry_after = 100.0
        server.errors["a"] = [limited] * 3

        assert (await scheduler(server).wait("a", policy=PollPolicy(patience=50.0))).is_completed

        times = [when for when, _ in server.polls]
        assert all(b - a >= 100.0 for a, b in itertools.pairwise(times[:4]))

    run(main)


@pytest.mark.parametrize(
    "error",
    [RateLimited("Slow down.", status=429), ServerError("Down.", status=503)],
    ids=lambda error: error.kind,
)
def test_a_server_that_asks_for_years_is_asked_again_and_then_given_up(
    error: RateLimited | ServerError,
) -> None:
    """One answer must not park a scan for ever: beyond two minutes the patience counts."""

    async def main() -> None:
        server = Server({"a": 1.0})
        error.retry_after = 999_999_999.0
        server.errors["a"] = [error]
        assert (await scheduler(server).wait("a")).is_completed
        first, second = (when for when, _ in server.polls)
        assert 120.0 <= second - first < 150.0

        server.always = error
        with pytest.raises(type(error)):
            await scheduler(server).wait("b", policy=PollPolicy(patience=300.0))

    run(main)


@pytest.mark.parametrize(
    "error",
    [PermissionDenied("No.", status=403), TLSError("Who are you?"), BestDefenseError("Odd.")],
    ids=lambda error: error.kind,
)
def test_an_error_that_waiting_does_not_change_ends_the_wait(error: BestDefenseError) -> None:
    """Asking again would only repeat it."""

    async def main() -> None:
        server = Server({"a": 100.0})
        server.errors["a"] = [error]

        with pytest.raises(type(error)):
            await scheduler(server).wait("a")

        assert len(server.polls) == 1

    run(main)


def test_a_404_right_after_the_creation_is_waited_out() -> None:
    """The server may know a new report a moment later only."""

    async def main() -> None:
        server = Server({"a": 60.0})
        server.errors["a"] = [absent(), absent()]

        assert (await scheduler(server).wait("a")).is_completed

    run(main)


def test_a_404_that_stays_is_the_end() -> None:
    """After the grace period the report does not exist."""

    async def main() -> None:
        server = Server()
        server.always = absent()
        start = asyncio.get_running_loop().time()

        with pytest.raises(NotFound):
            await scheduler(server).wait("a")

        assert 30.0 < asyncio.get_running_loop().time() - start < 60.0

    run(main)


def test_a_404_after_the_report_was_seen_is_the_end() -> None:
    """What was there and is gone does not come back; a report that is old already has no grace."""

    async def main() -> None:
        server = Server({"a": 60.0})
        polls = scheduler(server)
        policy = PollPolicy(shortest=1.0)
        task = asyncio.create_task(polls.wait("a", policy=policy))
        await asyncio.sleep(4.0)
        server.always = absent()

        with pytest.raises(NotFound):
            await task
        assert server.polls[-1][0] < 10.0

        got: list[tuple[str, PollResult]] = []
        terms = WaitOptions(notify=lambda *told: got.append(told), policy=policy)
        polls.follow("b", terms, tag="mine", elapsed=1_000.0)
        await asyncio.sleep(5.0)
        [(tag, verdict)] = got
        assert tag == "mine"
        assert isinstance(verdict, NotFound)

    run(main)


def test_a_dead_token_ends_every_wait_and_each_names_its_report() -> None:
    """The ids are what lets somebody continue with another token."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server)
        tasks = [asyncio.create_task(polls.wait(report)) for report in "abc"]
        await asyncio.sleep(30.0)
        server.errors["b"] = [denied()]
        ended: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)

        assert all(isinstance(error, AuthError) for error in ended)
        assert [error.report_id for error in ended] == ["a", "b", "c"]

    run(main)


def test_closing_ends_every_wait_once_and_leaves_no_poll() -> None:
    """Those whose poll is under way hear of it when it has ended; whoever comes later, too."""

    async def main() -> None:
        told: list[tuple[object, PollResult]] = []
        server = Server({"a": 0.0}, delay=5.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        terms = WaitOptions(notify=lambda *what: told.append(what))
        polls.follow("a", terms, tag="under way")
        await asyncio.sleep(1.0)
        polls.follow("b", terms, tag="not due")

        tasks = polls.close()
        assert [tag for tag, _ in told] == ["not due"]
        await asyncio.wait(tasks)
        polls.follow("c", terms, tag="late")
        await asyncio.sleep(100.0)

        assert [tag for tag, _ in told] == ["not due", "under way", "late"]
        assert {type(verdict) for _, verdict in told} == {ClientClosed}
        assert len(server.polls) == 1
        assert server.under_way == len(polls) == 0

    run(main)


def test_of_two_policies_for_one_report_the_sooner_counts() -> None:
    """Whoever joins eagerly is not made to wait for the next poll of the patient one."""

    async def main() -> None:
        server = Server({"a": 1_000.0})
        polls = scheduler(server, uniform=lambda low, high: (low + high) / 2)
        patient = PollPolicy(shortest=200.0, longest=200.0)
        eager = PollPolicy(shortest=10.0, longest=10.0)
        first = asyncio.create_task(polls.wait("a", policy=patient))
        await asyncio.sleep(410.0)
        second = asyncio.create_task(polls.wait("a", policy=eager))
        await asyncio.sleep(300.0)
        second.cancel()
        assert (await first).is_completed

        times = [when for when, _ in server.polls]
        assert len([when for when in times if when < 410.0]) == 2
        assert len([when for when in times if 410.0 <= when < 710.0]) == pytest.approx(30, abs=1)
        assert len([when for when in times if when >= 710.0]) <= 3

    run(main)


def test_the_patience_of_one_does_not_end_the_wait_of_another() -> None:
    """Each is given up by its own policy, though they share every poll."""

    async def main() -> None:
        server = Server({"a": 900.0})
        server.always = ConnectError("Refused.")
        polls = scheduler(server)
        patient = asyncio.create_task(polls.wait("a", policy=PollPolicy(patience=2_000.0)))
        with pytest.raises(ConnectError):
            await polls.wait("a", policy=PollPolicy(patience=100.0))
        server.always = None

        assert (await patient).is_completed

    run(main)


def test_states_that_go_backwards_do_no_harm() -> None:
    """A percentage that falls or says nonsense only changes when the next poll comes."""

    async def main() -> None:
        said = iter([50.0, 99.0, 10.0, float("nan"), -5.0, 100.0, 300.0, 99.9, None])
        times = []

        async def progress(report_id: str) -> Progress:
            times.append(asyncio.get_running_loop().time())
            percentage = next(said, "over")
            if percentage == "over":
                return Progress(is_completed=True)
            return Progress(is_completed=False, percentage=percentage)  # type: ignore[arg-type]

        assert (await PollScheduler(progress, limit=4).wait("a")).is_completed

        assert len(times) == 10
        assert all(3.9 < b - a < 49.0 for a, b in itertools.pairwise(times))

    run(main)


def test_a_report_that_was_complete_and_is_not_any_more_is_simply_followed_again() -> None:
    """The first wait has its answer; the next one begins anew."""

    async def main() -> None:
        server = Server({"a": 0.0})
        polls = scheduler(server)
        assert (await polls.wait("a")).is_completed
        server.durations["a"] = 500.0

        assert (await polls.wait("a")).is_completed
        assert server.polls[-1][0] >= 500.0

    run(main)


def test_a_poll_that_nobody_waits_for_any_more_is_cancelled() -> None:
    """Its task is handed out to be awaited; one that somebody else waits for goes on."""

    async def main() -> None:
        server = Server({"b": 0.0}, delay=50.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        terms = WaitOptions(notify=lambda _, __: None)
        alone, shared = polls.follow("a", terms), polls.follow("b", terms)
        other = asyncio.create_task(polls.wait("b"))
        await asyncio.sleep(1.0)
        assert server.under_way == 2

        assert polls.cancel(shared) is None
        task = polls.cancel(alone)
        assert task is not None
        await asyncio.wait([task])

        assert server.under_way == 1
        assert (await other).is_completed

    run(main)


def test_a_report_is_followed_again_while_its_last_poll_is_being_cancelled() -> None:
    """The old poll's end does not touch the new wait."""

    async def main() -> None:
        server = Server({"a": 0.0}, delay=5.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        task = asyncio.create_task(polls.wait("a"))
        await asyncio.sleep(1.0)
        task.cancel()
        again = asyncio.create_task(polls.wait("a"))

        assert (await again).is_completed
        assert len(server.polls) == 2

    run(main)


def test_a_poll_that_hangs_holds_up_the_deadline_of_none_of_those_who_share_it() -> None:
    """The impatient ones are told one after the other, also who joins while it hangs."""

    async def main() -> None:
        server = Server({"a": 0.0}, delay=400.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        start = asyncio.get_running_loop().time()
        told: list[float] = []

        async def impatient(timeout: float) -> None:
            with pytest.raises(PollTimeout):
                await polls.wait("a", timeout=timeout)
            told.append(asyncio.get_running_loop().time() - start)

        for_ever = asyncio.create_task(polls.wait("a"))
        tasks = [asyncio.create_task(impatient(timeout)) for timeout in (30.0, 60.0)]
        await asyncio.sleep(10.0)
        tasks.append(asyncio.create_task(impatient(7.0)))

        assert (await for_ever).is_completed
        await asyncio.gather(*tasks)
        assert told == pytest.approx([22.0, 35.0, 65.0], abs=0.1)
        assert len(server.polls) == 1

    run(main)


def test_deadlines_are_kept_while_a_budget_holds_the_polls_up() -> None:
    """Who waits in a backlog of an hour is told in time, to a second."""

    async def main() -> None:
        polls = scheduler(Server(), rate=0.1)
        start = asyncio.get_running_loop().time()
        errors = await asyncio.gather(
            *(polls.wait(str(number), timeout=60.0 + number % 7) for number in range(300)),
            return_exceptions=True,
        )

        assert {type(error) for error in errors} == {PollTimeout}
        assert asyncio.get_running_loop().time() - start < 66.0 + 5.0 + 1.5
        assert len(polls) == 0

    run(main)


def test_a_budget_is_kept_and_all_of_it_is_used() -> None:
    """As many polls a second as allowed, evenly, however many scans wait."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server, rate=5.0)
        terms = WaitOptions(notify=lambda _, __: None)
        watches = [polls.follow(str(number), terms) for number in range(2_000)]
        await asyncio.sleep(300.0)
        for watch in watches:
            polls.cancel(watch)

        per_second = [0] * 301
        for when, _ in server.polls:
            per_second[int(when)] += 1
        assert len(server.polls) == pytest.approx(1_500, rel=0.01)
        assert max(per_second) <= 6

    run(main)


class InTurn(ReadyQueue):
    """A backlog that ranks nobody."""

    def _rank(self, now: float) -> None:
        self._ranked.append(self._queue.popleft())


def lag_under_a_budget(*, is_ranked: bool) -> float:
    """Return the mean lag of many short scans among many long ones that wait all the time."""
    chance = random.Random(5)
    terms = {}
    late: list[float] = []

    def told(ended_at: Any, _: object) -> None:
        late.append(asyncio.get_running_loop().time() - ended_at)

    for median in (180.0, 7_200.0):
        samples = [(chance.expovariate(1 / median), True) for _ in range(300)]
        terms[median] = WaitOptions(notify=told, policy=PollPolicy(learned=learn(samples)))

    async def main() -> float:
        server = Server()
        polls = scheduler(server, rate=0.5, uniform=chance.uniform)
        if not is_ranked:
            polls._ready = InTurn()  # noqa: SLF001 - there is no such setting
        loop = asyncio.get_running_loop()

        def start(number: int, median: float) -> None:
            duration = chance.expovariate(1 / median)
            server.durations[str(number)] = loop.time() - server.start + duration
            polls.follow(str(number), terms[median], tag=loop.time() + duration)

        for number in range(200):
            start(number, 7_200.0)
        for number in range(200, 440):
            await asyncio.sleep(30.0)
            start(number, 180.0)
        await asyncio.sleep(600.0)
        polls.close()
        await asyncio.sleep(1.0)
        return sum(late[:400]) / len(late[:400])

    return run(main)


def test_when_a_budget_binds_the_order_saves_half_of_the_lag() -> None:
    """Asked first is who has most likely ended for longest, instead of one after the other."""
    assert lag_under_a_budget(is_ranked=True) < 0.6 * lag_under_a_budget(is_ranked=False)


def test_a_surprise_in_a_poll_ends_the_wait_of_that_report_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who waits gets an error of ours, and the traceback is in the log."""

    async def main() -> None:
        server = Server({"b": 100.0})
        server.errors["a"] = [KeyError("secret")]  # type: ignore[list-item]
        polls = scheduler(server)
        other = asyncio.create_task(polls.wait("b"))

        with pytest.raises(BestDefenseError, match="KeyError") as caught:
            await polls.wait("a")

        assert "secret" not in str(caught.value)
        assert (await other).is_completed

    run(main)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_one_who_waits_and_fails_disturbs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """What `notify` raises is logged, and the rest of those who share the poll are told."""

    async def main() -> None:
        polls = scheduler(Server({"a": 50.0}))

        def fail(_: object, __: object) -> None:
            raise ZeroDivisionError

        polls.follow("a", WaitOptions(notify=fail))

        assert (await polls.wait("a")).is_completed

    run(main)
    assert "ZeroDivisionError" in caplog.text


def test_a_dead_token_ends_hanging_polls_too() -> None:
    """They are cancelled, and then who waits is told what ended them."""

    async def main() -> None:
        server = Server(delay=10_000.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        tasks = [asyncio.create_task(polls.wait(report)) for report in "ab"]
        await asyncio.sleep(1.0)
        start = asyncio.get_running_loop().time()
        polls.end_all(denied())
        ended: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)

        assert asyncio.get_running_loop().time() == start
        assert [error.report_id for error in ended] == ["a", "b"]
        assert server.under_way == 0

    run(main)


def test_when_nobody_waits_any_more_nothing_is_left() -> None:
    """No timer keeps the loop or the scheduler alive, and no entry the memory."""

    async def main() -> None:
        polls = scheduler(Server(), rate=100.0)
        terms = WaitOptions(notify=lambda _, __: None, timeout=10_000.0)
        watches = [polls.follow(str(number), terms) for number in range(1_000)]
        await asyncio.sleep(30.0)
        tasks = {polls.cancel(watch) for watch in watches} - {None}
        if tasks:
            await asyncio.wait(tasks)  # type: ignore[type-var]
        await asyncio.sleep(1.0)
        gone = weakref.ref(polls)

        assert len(polls) == 0
        del polls, tasks
        gc.collect()  # a cancelled task and the frames it was cancelled in are a cycle
        assert gone() is None

    run(main)


def test_ten_thousand_who_wait_for_one_report_leave_in_any_order() -> None:
    """Each costs a step on average, whichever of them goes first; the last takes it along."""

    async def main() -> None:
        polls = scheduler(Server())
        terms = WaitOptions(notify=lambda _, __: None)
        watches = [polls.follow("a", terms) for _ in range(10_000)]
        report = watches[0]
        random.Random(1).shuffle(watches)
        for watch in watches:
            assert len(polls) == 1
            polls.cancel(watch)
            polls.cancel(watch)

        assert len(polls) == 0
        assert getattr(report, "others", None) == []

    run(main)


WAITS = st.tuples(
    st.floats(0.0, 300.0),
    st.sampled_from("abc"),
    st.none() | st.floats(0.1, 200.0),
    st.none() | st.floats(0.0, 200.0),
    st.booleans(),
)


class Wait:
    """One wait of a plan: it comes at its time, perhaps leaves early, and is told or not."""

    def __init__(self, polls: PollScheduler, plan: Any) -> None:
        self.polls = polls
        self.at, self.report, self.timeout, self.leaves_after, self.is_eager = plan
        self.told = 0
        self.is_cancelled = False
        self.is_over = asyncio.Event()
        self.lasted = 0.0

    async def carry_out(self) -> None:
        """Wait, to whatever end."""
        await asyncio.sleep(self.at)
        policy = PollPolicy(shortest=2.0, remaining_shortest=1.0) if self.is_eager else PollPolicy()
        terms = WaitOptions(notify=self._notify, policy=policy, timeout=self.timeout)
        began = asyncio.get_running_loop().time()
        watch = self.polls.follow(self.report, terms, tag=self)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.leaves_after):
                await self.is_over.wait()
        self.lasted = asyncio.get_running_loop().time() - began
        self.is_cancelled = not self.told
        task = self.polls.cancel(watch)
        if task is not None:
            await asyncio.wait([task])

    def _notify(self, tag: object, _: PollResult) -> None:
        assert tag is self
        self.told += 1
        self.is_over.set()


@pytest.mark.slow(timeout=300)
@settings(max_examples=150)
@given(
    plans=st.lists(WAITS, min_size=1, max_size=12),
    rate=st.none() | st.sampled_from([0.05, 1.0]),
    delay=st.sampled_from([0.0, 0.05, 30.0]),
    seed=st.integers(0, 2**32),
    closes_at=st.none() | st.floats(0.0, 400.0),
)
def test_each_wait_ends_once_and_in_time(
    plans: list[Any], rate: float | None, delay: float, seed: int, closes_at: float | None
) -> None:
    """Whoever joins, leaves, is late or meets errors, and whenever all is closed."""

    async def main() -> None:
        chance = random.Random(seed)
        server = Server({"a": 0.0, "b": 120.0, "c": 400.0}, delay=delay)
        for report in "abc":
            server.errors[report] = [
                chance.choice([absent(), server_error(), ConnectionLost("Reset.")])
                for _ in range(chance.randrange(4))
            ]
        polls = scheduler(server, rate=rate, uniform=chance.uniform)
        waits = [Wait(polls, plan) for plan in plans]
        if closes_at is not None:
            asyncio.get_running_loop().call_later(closes_at, polls.close)
        await asyncio.gather(*(wait.carry_out() for wait in waits))

        for wait in waits:
            assert wait.told == (not wait.is_cancelled)
            if wait.timeout is not None and wait.told:
                assert wait.lasted <= wait.timeout + LAST_LOOK + LOOK_ROUND + 0.1
        await asyncio.sleep(0)
        assert len(polls) == server.under_way == 0
        await asyncio.sleep(500.0)

    run(main)


def test_each_who_shares_a_failed_poll_raises_an_error_of_its_own() -> None:
    """One exception raised in several tasks would collect the tracebacks of all of them."""

    async def main() -> None:
        server = Server()
        server.always = PermissionDenied("No.", status=403)
        polls = scheduler(server)
        errors = await asyncio.gather(*(polls.wait("a") for _ in range(3)), return_exceptions=True)

        assert {type(error) for error in errors} == {PermissionDenied}
        assert len(set(map(id, errors))) == 3

    run(main)


def test_those_who_share_a_report_may_end_each_others_waits() -> None:
    """A group that is told of a deadline may leave at once, with its other wait for the report."""

    async def main() -> None:
        polls = scheduler(Server({"b": 200.0}))
        told: list[str] = []
        watches: list[Subscription] = []

        def leave(tag: str, _: PollResult) -> None:
            told.append(tag)
            for watch in watches:
                polls.cancel(watch)

        terms = WaitOptions(notify=leave, timeout=50.0)
        watches += [polls.follow("a", terms, tag=tag) for tag in ("first", "second")]

        assert (await polls.wait("b")).is_completed
        assert told == ["first"]

    run(main)


def test_whoever_knows_the_age_of_a_scan_tells_all_who_wait_for_it() -> None:
    """A scan of an hour is asked for every 40 s, though the first to wait took it for a new one."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server)
        terms = WaitOptions(notify=lambda _, __: None)
        polls.follow("a", terms)
        polls.follow("a", terms, elapsed=3_600.0)
        await asyncio.sleep(400.0)
        polls.close()

        assert len(server.polls) < 15

    run(main)


def test_patience_begins_anew_after_every_answer() -> None:
    """A server that fails now and then for hours is not one that is dead."""

    async def main() -> None:
        server = Server({"a": 2_000.0})
        polls = scheduler(server)
        task = asyncio.create_task(polls.wait("a", policy=PollPolicy(patience=100.0)))
        for _ in range(20):
            server.errors["a"] = [server_error()]
            await asyncio.sleep(100.0)

        assert (await task).is_completed

    run(main)


def test_a_wait_that_is_over_lets_go_of_who_waited() -> None:
    """He may keep it: in a cycle, a hundred thousand would live until they are collected."""

    async def main() -> None:
        class Waiting:
            watch: Subscription

        waiting = Waiting()
        gone = weakref.ref(waiting)
        polls = scheduler(Server({"a": 0.0}))
        waiting.watch = polls.follow("a", WaitOptions(notify=lambda _, __: None), tag=waiting)
        del waiting
        gc.disable()
        try:
            await asyncio.sleep(20.0)
            assert gone() is None
        finally:
            gc.enable()

    run(main)


def test_a_thousand_who_join_on_equal_terms_do_not_hurry_a_report() -> None:
    """Chance is drawn once for all of them, not the soonest of a thousand times."""

    async def main() -> None:
        polls = scheduler(Server(), uniform=random.Random(4).uniform)
        terms = WaitOptions(notify=lambda _, __: None)
        report: Any = polls.follow("a", terms)
        await asyncio.sleep(300.0)
        due = report.bucket.due
        for _ in range(1_000):
            polls.follow("a", terms)

        assert report.bucket.due == due
        polls.close()

    run(main)
