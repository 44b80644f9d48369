"""Limits count per token and operation, under every policy, and say when to come back."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise

import pytest

from bestdefense_async.sandbox import Sandbox
from bestdefense_async.sandbox.world.limits import COUNTERS, Counter
from tests.support.sandbox_api import Api, api_on

LIMIT, PERIOD = 6, 10.0


@pytest.fixture(params=sorted(COUNTERS))
def counter(request: pytest.FixtureRequest) -> Counter:
    """A counter of each policy."""
    return COUNTERS[request.param](LIMIT, PERIOD)


def admitted(counter: Counter, *, start: float, until: float, step: float) -> Iterator[float]:
    """Yield when calls were let in, of one call in each step."""
    now = start
    while now < until:
        if counter.admit(now) <= 0:
            yield now
        now += step


def test_a_full_burst_is_let_in_at_once(counter: Counter) -> None:
    """Every policy begins with all of its calls free."""
    waits = [counter.admit(3.0) for _ in range(LIMIT)]

    assert waits == [0.0] * LIMIT
    assert counter.remaining(3.0) == 0
    assert counter.admit(3.0) > 0


def test_a_refusal_costs_nothing_and_its_wait_is_enough(counter: Counter) -> None:
    """Who waits as long as told is let in, however often it was refused before."""
    for _ in range(LIMIT):
        counter.admit(3.0)
    for moment in range(50):
        counter.admit(3.0 + moment / 1000)
    wait = counter.admit(3.1)

    assert counter.admit(3.1 + wait + 1e-6) == 0.0


def test_asking_early_is_refused(counter: Counter) -> None:
    """The wait is not longer than it must be: just before its end the answer is still no."""
    for _ in range(LIMIT):
        counter.admit(3.0)
    wait = counter.admit(3.0)

    assert counter.admit(3.0 + wait - 0.01) > 0


def test_the_long_run_gets_what_is_permitted(counter: Counter) -> None:
    """Under constant demand, N calls per period are let in, within one burst.

    Two counters give one call less: the N-th would be due when its window is over.
    """
    calls = list(admitted(counter, start=0.0, until=20 * PERIOD, step=0.05))

    assert 20 * (LIMIT - 1) <= len(calls) <= 21 * LIMIT + 1


def test_a_sliding_log_never_lets_more_in_during_any_period() -> None:
    """The strictest policy: N + 1 calls always span more than a period."""
    counter = COUNTERS["sliding-log"](LIMIT, PERIOD)
    calls = list(admitted(counter, start=0.0, until=100.0, step=0.07))

    assert all(late - early >= PERIOD for early, late in zip(calls, calls[LIMIT:], strict=False))


def test_fixed_windows_let_two_bursts_touch() -> None:
    """2N calls pass around the edge of a window cut by the clock; a log would refuse half."""
    clock = COUNTERS["clock"](LIMIT, PERIOD)
    log = COUNTERS["sliding-log"](LIMIT, PERIOD)

    def burst(counter: Counter) -> int:
        moments = [9.9] * LIMIT + [10.1] * LIMIT
        return sum(counter.admit(moment) <= 0 for moment in moments)

    assert burst(clock) == 2 * LIMIT
    assert burst(log) == LIMIT


def test_the_weighted_estimate_fades_over_the_next_window() -> None:
    """A full previous window lets calls in one by one, each N-th of a period, from its end on."""
    counter = COUNTERS["weighted"](LIMIT, PERIOD)
    for _ in range(LIMIT):
        counter.admit(0.0)

    calls = list(admitted(counter, start=0.01, until=2 * PERIOD, step=0.01))

    assert PERIOD < calls[0] <= PERIOD + 0.02
    assert len(calls) == LIMIT
    assert all(late - early >= PERIOD / LIMIT - 0.02 for early, late in pairwise(calls))


def test_a_bucket_refills_one_by_one() -> None:
    """An N-th of a period after the burst, exactly one call is let in."""
    counter = COUNTERS["bucket"](LIMIT, PERIOD)
    for _ in range(LIMIT):
        counter.admit(0.0)

    assert counter.admit(PERIOD / LIMIT) == 0.0
    assert counter.admit(PERIOD / LIMIT) > 0


@pytest.mark.bd_sandbox(limits={"sites.list": (3, 60.0)}, rate_headers=True)
async def test_each_token_has_its_own_count(api: Api, bd_sandbox: Sandbox) -> None:
    """One token's refusals do not touch another's, nor other operations."""
    other = bd_sandbox.add_token()
    first = [await api.get("/api/sites") for _ in range(4)]
    second = [await api.get("/api/sites", token=other) for _ in range(3)]
    elsewhere = await api.get("/api/reports")

    assert [answer.status for answer in first] == [200, 200, 200, 429]
    assert [answer.status for answer in second] == [200, 200, 200]
    assert elsewhere.status == 200
    assert "X-RateLimit-Limit" not in elsewhere.headers
    remaining = [answer.headers["X-RateLimit-Remaining"] for answer in first]
    assert remaining == ["2", "1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in first} == {"3"}
    assert first[3].json["success"] is False
    assert 58 <= int(first[3].headers["Retry-After"]) <= 60


async def test_the_documented_limits_hold_without_being_asked_for(api: Api) -> None:
    """60 manifests per minute and 20 downloads per hour."""
    manifests = [(await api.get("/api/agents/manifest")).status for _ in range(61)]
    name = "bestdefense-device-monitor-linux-amd64.sha256"
    downloads = [(await api.get(f"/api/agents/download/{name}")).status for _ in range(21)]

    assert manifests == [200] * 60 + [429]
    assert downloads == [200] * 20 + [429]


@pytest.mark.bd_sandbox(limits={"agents.manifest": None})
async def test_a_documented_limit_can_be_lifted(api: Api) -> None:
    """None means no limit."""
    statuses = {(await api.get("/api/agents/manifest")).status for _ in range(70)}

    assert statuses == {200}


@pytest.mark.bd_sandbox(limits={"sites.list": (1, 0.2)})
async def test_a_limit_lasts_its_seconds_of_the_loop(api: Api) -> None:
    """Scan time is sped up, the client's waiting is not, and neither are limits."""
    statuses: list[int] = []
    deadline = time.monotonic() + 5
    while statuses.count(200) < 2 and time.monotonic() < deadline:
        statuses.append((await api.get("/api/sites")).status)

    assert statuses[0] == statuses[-1] == 200
    assert 429 in statuses


@pytest.mark.parametrize("style", ["none", "seconds", "http-date", "epoch"])
async def test_a_refusal_says_when_in_the_chosen_form(style: str) -> None:
    """Seconds, an HTTP date, a Unix time, or nothing."""
    settings = {"limits": {"sites.list": (1, 100.0)}, "retry_after": style}
    async with Sandbox(**settings) as sandbox, api_on(sandbox) as api:  # type: ignore[arg-type]
        await api.get("/api/sites")
        headers = (await api.get("/api/sites")).headers
    hint = headers.get("Retry-After")
    now = time.time()

    if style == "seconds":
        assert hint is not None
        assert 99 <= int(hint) <= 100
    elif style == "http-date":
        assert hint is not None
        assert 98 <= parsedate_to_datetime(hint).timestamp() - now <= 102
    else:
        assert hint is None
    assert ("X-RateLimit-Retry-After" in headers) == (style == "epoch")
    if style == "epoch":
        assert 98 <= int(headers["X-RateLimit-Retry-After"]) - now <= 102
