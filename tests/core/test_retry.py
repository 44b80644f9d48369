"""Whether to try again, as a table."""

from collections.abc import Callable
from typing import Any

import pytest

from bestdefense_async import errors
from bestdefense_async.core.polling import PollPolicy
from bestdefense_async.core.retry import (
    Again,
    RetryBudget,
    RetryPolicy,
    Stop,
    asked_wait,
    decide,
    is_fate_unknown,
)
from bestdefense_async.errors import BestDefenseError, ConfigError


def api(kind: type[errors.ApiError], status: int) -> errors.ApiError:
    """Return an API error of a status."""
    return kind("no", status=status)


def throttled(retry_after: float | None) -> errors.RateLimited:
    """Return a 429 with a hint."""
    error = errors.RateLimited("no", status=429)
    error.retry_after = retry_after
    return error


def decision(
    error: BestDefenseError,
    *,
    attempt: int = 1,
    may_repeat: bool = True,
    pause: float | None = None,
) -> Again | Stop:
    """Decide with the longest random wait, so that ceilings show."""
    return decide(
        error,
        attempt=attempt,
        may_repeat=may_repeat,
        pause=pause,
        policy=RetryPolicy(),
        uniform=lambda _, ceiling: ceiling,
    )


@pytest.mark.parametrize(
    ("error", "idempotent", "creation"),
    [
        pytest.param(errors.ConnectError("x"), True, True, id="refused: nothing was sent"),
        pytest.param(errors.ProxyError("x"), True, True, id="the proxy failed"),
        pytest.param(errors.TLSError("x"), False, False, id="wrong certificate"),
        pytest.param(errors.ConnectionLost("x"), True, False, id="lost on the way"),
        pytest.param(errors.ConnectionLost("x", sent=errors.Sent.NO), True, True, id="lost unsent"),
        pytest.param(errors.AttemptTimeout("x"), True, False, id="no answer in time"),
        pytest.param(errors.Truncated("x"), True, False, id="cut answer"),
        pytest.param(errors.RedirectRefused("x"), False, False, id="redirect"),
        pytest.param(errors.ProtocolError("x"), False, False, id="not HTTP"),
        pytest.param(errors.DecodeError("x"), False, False, id="a page instead of JSON"),
        pytest.param(errors.EnvelopeError("x"), False, False, id="another shape"),
        pytest.param(errors.ResponseTooLarge("x"), False, False, id="too large"),
        pytest.param(throttled(None), True, True, id="429: the server did no work"),
        pytest.param(throttled(121.0), False, False, id="429 with too long a wait"),
        pytest.param(api(errors.ServerError, 500), True, False, id="500"),
        pytest.param(api(errors.ServerError, 503), True, False, id="503"),
        pytest.param(api(errors.ServerError, 501), False, False, id="501"),
        pytest.param(api(errors.ServerError, 505), False, False, id="505"),
        pytest.param(api(errors.ClientError, 408), True, False, id="408"),
        pytest.param(api(errors.ClientError, 425), True, False, id="425"),
        pytest.param(api(errors.ClientError, 421), False, False, id="421"),
        pytest.param(api(errors.ClientError, 431), False, False, id="431"),
        pytest.param(api(errors.AuthError, 401), False, False, id="401"),
        pytest.param(api(errors.PermissionDenied, 403), False, False, id="403"),
        pytest.param(api(errors.NotFound, 404), False, False, id="404"),
        pytest.param(api(errors.QuotaExceeded, 429), False, False, id="a spent quota"),
        pytest.param(api(errors.ApiError, 200), False, False, id="200 that says no"),
        pytest.param(
            errors.LimitWaitTooLong(limit_class="x", wait=9, allowed=1), False, False, id="deadline"
        ),
    ],
)
def test_what_is_tried_again(error: BestDefenseError, *, idempotent: bool, creation: bool) -> None:
    """A creation is repeated only when the server certainly did no work."""
    assert isinstance(decision(error), Again) is idempotent
    assert isinstance(decision(error, may_repeat=False), Again) is creation


def test_attempts_are_bounded() -> None:
    """The fourth failure is the last."""
    error = errors.ConnectionLost("x")
    assert [isinstance(decision(error, attempt=n), Again) for n in range(1, 6)] == [True] * 3 + [
        False
    ] * 2


@pytest.mark.parametrize(
    "error",
    [errors.ConnectError("x", is_unknown_host=True), errors.IntegrityError("x")],
    ids=["an unknown host", "a wrong checksum"],
)
def test_what_rarely_heals_is_tried_once_more(error: BestDefenseError) -> None:
    """A name that does not resolve rarely comes back, and a wrong file is rarely mended."""
    assert isinstance(decision(error, attempt=1), Again)
    assert isinstance(decision(error, attempt=2), Stop)


def test_waits_double_below_a_ceiling_and_a_hint_is_a_floor() -> None:
    """Jitter comes on top of what the server asks for, never instead of it."""
    lost = errors.ConnectionLost("x")
    policy = RetryPolicy(attempts=20)
    waits = [
        decide(
            lost, attempt=n, may_repeat=True, pause=None, policy=policy, uniform=lambda _, top: top
        )
        for n in range(1, 10)
    ]
    assert waits == [Again(min(20.0, 0.25 * 2**n)) for n in range(9)]
    assert decide(
        lost, attempt=9, may_repeat=True, pause=None, policy=policy, uniform=lambda low, _: low
    ) == Again(0.0)
    busy = errors.ServerError("no", status=503)
    busy.retry_after = 5.0
    assert decision(busy) == Again(5.25)


def test_the_pause_after_a_429_is_the_whole_wait() -> None:
    """The limit decides it, for everybody; one that is too long ends the call."""
    assert decision(throttled(5.0), pause=7.5) == Again(7.5)
    assert decision(throttled(None), pause=120.0) == Again(120.0)
    assert decision(throttled(1.0), pause=121.0) == Stop()


def test_a_hint_lengthens_the_wait_of_a_poll_up_to_a_bound() -> None:
    """A header cannot park a scan for thirty years."""
    failing = api(errors.ServerError, 503)
    assert asked_wait(failing) == 0.0
    for hint, wait in ((5.0, 5.0), (119.0, 119.0), (1e9, 120.0)):
        assert isinstance(failing, errors.ServerError)
        failing.retry_after = hint
        assert asked_wait(failing) == asked_wait(throttled(hint)) == wait
    assert asked_wait(failing, longest=7.0) == 7.0
    assert asked_wait(errors.ConnectionLost("x")) == 0.0


def test_the_budget_bounds_the_retries_of_an_outage() -> None:
    """10,000 calls that all fail make at most 36 retries together."""
    budget = RetryBudget()
    lost = errors.ConnectionLost("x")
    assert sum(budget.spend(lost) for _ in range(10_000)) == 35
    for _ in range(4):
        budget.earn()
    assert budget.spend(lost)
    assert not budget.spend(lost)


def test_a_retry_after_a_429_is_the_cheaper_one() -> None:
    """The server did no work, so a hundred of them are paid before the budget is empty."""
    budget = RetryBudget()
    assert sum(budget.spend(throttled(None)) for _ in range(10_000)) == 100


def test_a_budget_that_is_full_earns_nothing() -> None:
    """A good hour does not pay for a worse outage."""
    budget = RetryBudget()
    budget.earn(1e6)
    assert budget == RetryBudget()
    budget.units = 0.0
    for _ in range(14):
        assert not budget.spend(errors.ConnectionLost("x"))
        budget.earn()
    assert budget.spend(errors.ConnectionLost("x"))


@pytest.mark.parametrize(
    ("error", "unknown"),
    [
        pytest.param(errors.ConnectError("x"), False, id="nothing was sent"),
        pytest.param(errors.ConnectionLost("x"), True, id="lost after sending"),
        pytest.param(errors.ConnectionLost("x", sent=errors.Sent.NO), False, id="lost unsent"),
        pytest.param(errors.AttemptTimeout("x"), True, id="no answer in time"),
        pytest.param(errors.DecodeError("x"), True, id="a success that cannot be read"),
        pytest.param(errors.EnvelopeError("x"), True, id="a success of another shape"),
        pytest.param(errors.RedirectRefused("x"), True, id="a redirect"),
        pytest.param(api(errors.ServerError, 500), True, id="500"),
        pytest.param(api(errors.ServerError, 504), True, id="504"),
        pytest.param(api(errors.ClientError, 408), True, id="408"),
        pytest.param(api(errors.InvalidRequest, 422), False, id="422 is a plain no"),
        pytest.param(api(errors.NotFound, 404), False, id="404 is a plain no"),
        pytest.param(api(errors.ApiError, 200), False, id="success: false is a plain no"),
        pytest.param(throttled(1.0), False, id="429 did no work"),
        pytest.param(
            errors.LimitWaitTooLong(limit_class="x", wait=9, allowed=1), False, id="never admitted"
        ),
    ],
)
def test_when_the_fate_of_a_creation_is_unknown(error: BestDefenseError, *, unknown: bool) -> None:
    """The fate is unknown exactly when a scan may exist that nobody has the id of."""
    assert is_fate_unknown(error) is unknown


def test_every_time_of_a_policy_may_be_zero() -> None:
    """Nothing to wait for is a wish that makes sense."""
    at_once = RetryPolicy(base=0.0, longest_backoff=0.0, longest_wait=0.0)
    assert (at_once.base, at_once.longest_backoff, at_once.longest_wait) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("policy", [RetryPolicy, PollPolicy])
def test_the_rules_of_a_policy_are_given_by_name(policy: Callable[..., object]) -> None:
    """Nobody could tell from a row of numbers which is which."""
    with pytest.raises(TypeError, match="positional"):
        policy(5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"attempts": 0},
        {"attempts": True},
        {"attempts": "3"},
        {"base": -1.0},
        {"base": None},
        {"longest_backoff": "20"},
        {"longest_wait": float("nan")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    """Not-a-number passes `< 0` and `> 0` alike as false, so it is checked the other way round."""
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        RetryPolicy(**arguments)
