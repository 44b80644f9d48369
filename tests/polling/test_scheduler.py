"""The poll scheduler, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from bestdefense_async.core.polling import PollPolicy
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
from bestdefense_async.polling.scheduler import WORKERS, PollScheduler
from bestdefense_async.polling.watch import Terms, Verdict
from tests.support.fake_scans import absent, denied, run


class Server:
    """Answers polls: each report is complete after its number of seconds, unless told otherwise."""

    def __init__(self, durations: dict[str, float] | None = None, *, delay: float = 0.05) -> None:
        self.durations = durations or {}
        self.errors: dict[str, list[BestDefenseError]] = {}
        self.always: BestDefenseError | None = None
        self.polls: list[tuple[float, str]] = []
        self.under_way = self.most = 0
        self.delay = delay
        self._start = asyncio.get_running_loop().time()

    async def progress(self, report_id: str) -> Progress:
        """Answer one poll."""
        now = asyncio.get_running_loop().time() - self._start
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


def test_ten_thousand_scans_started_together_do_not_poll_together() -> None:
    """The busiest second has at most 1.6 times the mean, and the polls stay bounded."""

    async def main() -> None:
        server = Server()
        polls = scheduler(server, uniform=random.Random(3).uniform)
        terms = Terms(notify=lambda _, __: None)
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
        limited.retry_after = 500.0
        server.errors["a"] = [limited] * 3

        assert (await scheduler(server).wait("a", policy=PollPolicy(patience=100.0))).is_completed

        times = [when for when, _ in server.polls]
        assert all(b - a >= 500.0 for a, b in itertools.pairwise(times[:4]))

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

        got: list[tuple[str, Verdict]] = []
        terms = Terms(notify=lambda *told: got.append(told), policy=policy)
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
        told: list[tuple[object, Verdict]] = []
        server = Server({"a": 0.0}, delay=5.0)
        polls = scheduler(server, uniform=lambda low, _: low)
        terms = Terms(notify=lambda *what: told.append(what))
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
