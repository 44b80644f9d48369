"""A 429 pauses its class for everybody with the token; rate headers correct the limits."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.errors import LimitWaitTooLong
from bestdefense_async.transport.throttle.throttle import Throttle
from tests.transport.throttle.test_throttle import KNOWN, MINUTE, call, clock, settled, virtual

if TYPE_CHECKING:
    from bestdefense_async.transport.throttle.permit import Permit

WALL = datetime(2030, 1, 15, 12, 0, 0, tzinfo=UTC).timestamp()


def slowest(low: float, high: float) -> float:
    """Chance at its slowest."""
    return high


def free_class() -> Throttle:
    """Return limits of a token without any window."""
    return Throttle({}, uniform=slowest, wall_clock=lambda: WALL)


async def refuse(throttle: Throttle, headers: dict[str, str], *, limit_class: str = "x") -> float:
    """Make a call that is refused; return how long the pause is."""
    async with throttle.admit(limit_class) as permit:
        return permit.refused(headers)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "5"}, 6.0, id="seconds"),
        pytest.param({"retry-after": "Tue, 15 Jan 2030 12:00:05 GMT"}, 6.0, id="a date"),
        pytest.param({"x-ratelimit-retry-after": str(int(WALL) + 5)}, 6.0, id="a timestamp"),
        pytest.param({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}, 6.0, id="a reset"),
        pytest.param({}, 1.0, id="nothing"),
        pytest.param({"retry-after": "nan"}, 1.0, id="nan"),
        pytest.param({"retry-after": "inf"}, 1.0, id="inf"),
        pytest.param({"retry-after": "0"}, 1.0, id="zero"),
        pytest.param({"retry-after": "-3"}, 1.0, id="a negative number"),
        pytest.param({"retry-after": "Tue, 15 Jan 2020 12:00:05 GMT"}, 1.0, id="the past"),
        pytest.param({"retry-after": "soon"}, 1.0, id="garbage"),
    ],
)
def test_a_refusal_pauses_the_class(headers: dict[str, str], seconds: float) -> None:
    """As long as the server asks and a second more, or for our own backoff; never not at all."""

    @virtual
    async def main() -> None:
        throttle = free_class()
        assert await refuse(throttle, headers) == pytest.approx(seconds)
        assert await call(throttle) == pytest.approx(seconds)

    main()


@virtual
async def test_the_pause_is_for_everybody_on_the_class_and_for_nobody_else() -> None:
    """Another class and another token go on."""
    throttle, other = free_class(), free_class()
    await refuse(throttle, {"retry-after": "30"})
    assert await call(throttle, limit_class="y") == 0.0
    assert await call(other) == 0.0
    assert await asyncio.gather(*(call(throttle) for _ in range(3))) == [31.0] * 3


@virtual
async def test_a_thousand_refused_at_once_come_back_one_by_one() -> None:
    """One pause, none before its end, then a probe, and each success lets one more fly."""
    throttle = free_class()
    sent: list[float] = []

    async def work() -> None:
        again = False
        while True:
            async with throttle.admit("x", again=again) as permit:
                sent.append(clock())
                await asyncio.sleep(0.1)
                if again:
                    permit.answered({})
                    return
                permit.refused({"retry-after": "5"})
                again = True

    await asyncio.gather(*(work() for _ in range(1000)))
    back = [round(moment, 3) for moment in sent[1000:]]
    assert sent[:1000] == [0.0] * 1000
    assert back[0] == 6.1
    assert [back.count(moment) for moment in (6.1, 6.2, 6.3, 6.4)] == [1, 2, 4, 8]
    assert max(back.count(moment) for moment in back) <= 500


@virtual
async def test_a_probe_that_is_lost_makes_room_for_another() -> None:
    """A cancelled or broken probe proves nothing and blocks nobody."""
    throttle = free_class()
    await refuse(throttle, {"retry-after": "5"})
    with pytest.raises(ConnectionError):
        async with throttle.admit("x"):
            raise ConnectionError
    async with throttle.admit("x") as permit:
        permit.unsent()
    assert await call(throttle) == 6.0


@virtual
async def test_a_late_success_does_not_end_the_pause() -> None:
    """A pause is a deadline, not an event."""
    throttle = free_class()
    async with throttle.admit("x") as slow:
        await refuse(throttle, {"retry-after": "5"})
        await asyncio.sleep(1.0)
        slow.answered({})
    assert await call(throttle) == 6.0


@virtual
async def test_a_task_that_wakes_into_a_pause_waits_for_its_end_at_the_front() -> None:
    """It was granted in the same moment in which the refusal came."""
    throttle = Throttle({"x": (Limit(2, per=2.0),)}, known_since=KNOWN, uniform=slowest)
    order: list[tuple[str, float]] = []

    async def ask(name: str) -> None:
        async with throttle.admit("x") as permit:
            order.append((name, clock()))
            permit.answered({})

    async with throttle.admit("x") as one, throttle.admit("x") as two:
        tasks = [asyncio.create_task(ask(name)) for name in ("first", "second")]
        await settled()
        one.unsent()  # grants the first
        two.refused({"retry-after": "5"})
    await asyncio.gather(*tasks)
    assert order[0] == ("first", 6.0)
    assert order[1][0] == "second"
    assert order[1][1] > 6.0


@virtual
async def test_a_permit_granted_before_a_pause_is_stale() -> None:
    """Whoever waited for a connection in between asks again and keeps the place."""
    throttle = free_class()
    async with throttle.admit("x") as waiting:
        stale = [waiting.is_stale]
        await asyncio.sleep(1.0)
        await refuse(throttle, {"retry-after": "5"})
        stale.append(waiting.is_stale)
        await asyncio.sleep(30.0)
        stale.append(waiting.is_stale)
        assert stale == [False, True, True]
        waiting.unsent()
    async with throttle.admit("x", again=True) as permit:
        assert not permit.is_stale
        permit.answered({})


@virtual
async def test_a_pause_beyond_a_deadline_is_told_at_once_to_those_who_wait() -> None:
    """They have better things to do than to sleep to their deadline."""
    throttle = Throttle({"x": (Limit(2, per=60.0),)}, known_since=KNOWN, uniform=slowest)

    async def ask(deadline: float) -> float:
        async with throttle.admit("x", deadline=deadline) as permit:
            permit.answered({})
        return clock()

    async with throttle.admit("x"), throttle.admit("x") as refused:
        short, long = asyncio.create_task(ask(1100.0)), asyncio.create_task(ask(1500.0))
        await settled()
        refused.refused({"retry-after": "300"})
        with pytest.raises(LimitWaitTooLong) as caught:
            await short
        assert clock() == 0.0
        assert (caught.value.wait, caught.value.allowed) == (301.0, 100.0)
    assert await long == 301.0
    await refuse(throttle, {"retry-after": "300"})
    with pytest.raises(LimitWaitTooLong):
        async with throttle.admit("x", deadline=1400.0):
            pass


@virtual
async def test_a_refused_call_is_not_counted() -> None:
    """The server did no work for it, so of two calls per period two are left."""
    throttle = Throttle({"x": (Limit(2, per=10.0),)}, known_since=KNOWN, uniform=slowest)
    await refuse(throttle, {})
    first, second = [await call(throttle) for _ in range(2)]
    assert first == 5.0
    assert second == 10.0  # at the pace, but without waiting for the window


@virtual
async def test_an_answer_that_turns_out_to_be_a_refusal_still_pauses() -> None:
    """Whoever learns of the 429 after the headers may say so later."""
    throttle = Throttle(MINUTE, known_since=KNOWN, uniform=slowest)
    async with throttle.admit("x") as permit:
        permit.answered({})
        permit.refused({"retry-after": "5"})
    assert await call(throttle) == 6.0
    await asyncio.sleep(200.0)
    assert throttle.is_idle


@virtual
async def test_a_second_burst_leaves_at_once_when_the_server_welcomes_it() -> None:
    """The rule would pace, not knowing the phase; the server's own word is better."""
    throttle = Throttle(MINUTE, known_since=KNOWN)

    async def told(remaining: int) -> float:
        async with throttle.admit("x") as permit:
            admitted = clock()
            permit.answered({"x-ratelimit-remaining": str(remaining)})
            return admitted

    for remaining in reversed(range(60)):
        assert await told(remaining) == 0.0
    assert await told(59) > 60.0
    burst = [await told(remaining) for remaining in reversed(range(59))]
    assert max(burst) < 60.2
    assert await told(59) > 120.0


@virtual
async def test_no_more_calls_fly_than_the_server_says_are_left() -> None:
    """Somebody else uses the token; our empty log does not mean an empty window."""
    throttle = Throttle(MINUTE, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        permit.answered({"x-ratelimit-remaining": "2", "x-ratelimit-limit": "60"})
    admitted = await asyncio.gather(*(call(throttle, took=0.5) for _ in range(4)))
    assert admitted == pytest.approx([0.0, 0.0, 1.0, 2.0])


@virtual
async def test_nothing_left_waits_for_the_servers_reset() -> None:
    """And a second more: resets are floored."""
    throttle = Throttle(MINUTE, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        permit.answered({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"})
    assert await call(throttle) == 31.0


@virtual
async def test_a_refusal_is_newer_than_what_was_said_before() -> None:
    """The reset in five minutes belongs to an older answer than the refusal's five seconds."""
    throttle = Throttle(MINUTE, known_since=KNOWN, uniform=slowest)
    async with throttle.admit("x") as late:
        async with throttle.admit("x") as permit:
            permit.answered({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "300"})
        late.refused({"retry-after": "5"})
    assert await call(throttle) == 6.0


@virtual
async def test_a_share_that_grows_lets_waiting_calls_go() -> None:
    """After repeated refusals a quarter of the 60 is left; 17 seconds later it is one call more."""
    throttle = Throttle(MINUTE, known_since=KNOWN, uniform=slowest)
    for _ in range(2):
        await refuse(throttle, {})
    admitted = [await call(throttle) for _ in range(17)]
    assert admitted[:15] == [3.0 + second for second in range(15)]
    assert 17.0 < admitted[15] < 20.0
    assert admitted[16] < 40.0


@virtual
async def test_with_two_windows_rate_headers_loosen_and_replace_nothing() -> None:
    """Nobody knows which of the two they are about; the number left still bounds."""
    throttle = Throttle({"x": (Limit(2, per=1.0), Limit(20, per=60.0))}, known_since=KNOWN)

    async def told(remaining: int) -> float:
        async with throttle.admit("x") as permit:
            permit.answered({"x-ratelimit-remaining": str(remaining), "x-ratelimit-limit": "20"})
            return clock()

    assert [await told(remaining) for remaining in (19, 18)] == [0.0, 0.0]
    assert await told(17) > 1.0
    async with throttle.admit("x") as permit:
        permit.answered({"x-ratelimit-limit": "1"})
    await asyncio.sleep(200.0)
    begun = clock()
    assert await asyncio.gather(*(call(throttle) for _ in range(2))) == [begun, begun]


@virtual
async def test_a_smaller_limit_of_the_server_replaces_ours() -> None:
    """The documentation said 60, the server says 10."""
    throttle = Throttle(MINUTE, known_since=KNOWN)
    async with throttle.admit("x") as permit:
        permit.answered({"x-ratelimit-limit": "10"})
    admitted = await asyncio.gather(*(call(throttle) for _ in range(10)))
    assert admitted[:9] == [0.0] * 9
    assert admitted[9] > 60.0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"x-ratelimit-remaining": "900", "x-ratelimit-limit": "1000"}, id="larger"),
        pytest.param({"x-ratelimit-remaining": "900"}, id="more left than we may"),
        pytest.param({"x-ratelimit-remaining": "-1"}, id="negative"),
        pytest.param({"x-ratelimit-remaining": "NaN"}, id="not a number"),
        pytest.param({"x-ratelimit-limit": "0"}, id="a limit of zero"),
        pytest.param({"x-ratelimit-reset": "-5"}, id="a reset in the past"),
    ],
)
def test_headers_that_cannot_be_about_our_limit_change_nothing(headers: dict[str, str]) -> None:
    """A larger limit around ours, or garbage, neither loosens nor tightens it."""

    @virtual
    async def main() -> None:
        throttle = Throttle({"x": (Limit(3, per=60.0),)}, known_since=KNOWN)
        async with throttle.admit("x") as permit:
            permit.answered(headers)
        assert [await call(throttle) for _ in range(2)] == [0.0, 0.0]
        assert await call(throttle) > 60.0

    main()


@virtual
async def test_a_permit_that_was_never_entered_settles_nothing() -> None:
    """Misuse must not make places out of nothing."""
    throttle = Throttle({"x": (Limit(1, per=60.0),)}, known_since=KNOWN)
    permit: Permit = throttle.admit("x")
    permit.answered({})
    permit.unsent()
    assert await call(throttle) == 0.0
    assert await call(throttle) > 60.0
