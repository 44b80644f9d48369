"""Arguments that cannot be meant: refused with one sentence, before anything is sent."""

import functools
import inspect
import math
from pathlib import Path
from typing import Any

import pytest

from bestdefense_async import AuthError, BestDefense, Binding, ConfigError, PollPolicy, RetryPolicy
from bestdefense_async.core.limiting.limit import Limit
from bestdefense_async.sandbox import Sandbox
from bestdefense_async.transport.observe import Observer

TOKEN = "bd_sandbox_of-the-test"
BOUND = Binding(method="GET", template="/a")
LIMIT = Limit(1, per=1.0)
NO_NUMBERS: tuple[Any, ...] = ("30", 0, -1, math.nan, math.inf, True, [], 10**400, b"30")


def plain_function() -> str:
    """Return a token without being awaited, which would block the loop."""
    return TOKEN


class PlainCallable:
    """The same as an object."""

    def __call__(self) -> str:
        """Return a token."""
        return TOKEN


NO_TOKENS: tuple[Any, ...] = (
    *("", " ", '"abcdefgh"', "'abcdefgh'", "\u201cabcdefgh\u201d", "`abcdefgh`", "two words"),
    *("Bearer abcdefgh", "abc\ud800defgh", "t\xf6kenabcdef", "x" * 5000, "two\nlines"),
    *(7, True, math.nan, b"abcdefgh", ["abcdefgh"], int, object()),
    *(plain_function, functools.partial(plain_function), PlainCallable()),
)
REFUSED: dict[str, tuple[Any, ...]] = {
    "token": NO_TOKENS,
    "base_url": (
        *("", "shop", "ftp://a.example", "http://a.example", "https://u:p@a.example"),
        *("https://a.example?x=1", "https://a.example:99999", "https://a.\ud800.example"),
        *("https://a.example/\ud800", 7, True, b"https://a.example", math.nan, Path("a")),
    ),
    "limits": (
        *({"reports.create": 10}, {"reports.create": None}, {"reports.create": (10,)}),
        *({"nothing": LIMIT}, {7: LIMIT}, {"\ud800": LIMIT}, {("reports.create",): LIMIT}),
        *([("reports.create", LIMIT)], LIMIT, "reports.create", 7, True, False, 0, ""),
    ),
    "timeout": (*NO_NUMBERS, None),
    "max_in_flight": (*NO_NUMBERS[:-2], 1.5, None),
    "requests_per_second": NO_NUMBERS,
    "retry": (3, True, False, "3", {}, RetryPolicy),
    "polling": (3, True, False, "3", {}, PollPolicy),
    "hooks": ([3], [None], 3, print, "abc", {"a": 1}, True, math.nan, None, b"abc"),
    "observer": (3, [3], "abc", object, Observer, [Observer], True, None),
    "bindings": (
        *({"schedules.create": 3}, {"schedules.create": None}, {"nothing": BOUND}, {3: BOUND}),
        *({"\ud800": BOUND}, [BOUND], BOUND, "schedules.create", 3, True, False),
    ),
    "allow_provisional": (1, 0, "yes", None, math.nan),
    "download_hosts": (
        *("cdn.example.com", b"cdn.example.com", ["a b"], [3], [None], [b"a.example"], [""]),
        *(["https://a.example"], ["a\ud800.example"], {"a.example": 1}, 3, True, None),
    ),
    "proxy": (
        *("", "proxy", "socks5://p:1", "https://p:1", "http://p:99999", "http://p:1/x"),
        *("http://\ud800:1", "http://user%3Aa:b@p:1"),
        "http://proxy.example:3128",  # the base URL of the test is plain http
        *(3, True, False, b"http://p:1"),
    ),
    "ssl_context": (False, True, 3, "x"),
    "state_dir": ("x", b"x", 3, True, Path("a\0b"), Path("a\ud800")),
    "shared_limits": (3, True, "postgresql://127.0.0.1/bd", Path("a")),
    "session": (3, True, False, "x"),
}


def test_every_argument_is_in_the_table() -> None:
    """A new one is not forgotten."""
    names = inspect.signature(BestDefense).parameters.keys()
    assert names == REFUSED.keys()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_a_client_is_not_made_of_what_cannot_be_meant(name: str, value: object) -> None:
    """The sentence names no secret."""
    arguments: dict[str, Any] = {"token": TOKEN, "base_url": "http://127.0.0.1:9"}
    with pytest.raises(ConfigError, match=r"^[^\n]+\.$") as caught:
        BestDefense(**arguments | {name: value})
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize("token", NO_TOKENS)
async def test_a_view_is_not_made_of_what_is_no_token(token: Any, bd_client: BestDefense) -> None:
    """As for the client itself."""
    with pytest.raises(ConfigError, match=r"^[^\n]+\.$"):
        bd_client.with_token(token)


@pytest.mark.parametrize("name", ["", 7, True, b"a", "\ud800", ["a"], math.nan])
async def test_a_view_has_a_name_that_can_be_written(name: Any, bd_client: BestDefense) -> None:
    """It stands in events and logs."""
    with pytest.raises(ConfigError, match="name"):
        bd_client.with_token(TOKEN, name=name)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        *[(("GET", "/api/sites"), {"timeout": value}) for value in NO_NUMBERS],
        *[((method, "/api/sites"), {}) for method in ("", "GE T", "TRACE", 7, None, "\ud800", b"")],
        *[
            (("GET", path), {})
            for path in ("", "api/sites", "/a b", "/a/../b", "/a#b", "/\ud800", "//h/a", 7, None)
        ],
        *[
            (("POST", "/api/sites"), {"json": value})
            for value in (math.nan, math.inf, {"a": "\ud800"}, object(), b"x", {1, 2}, {b"a": 1})
        ],
    ],
)
async def test_a_request_that_cannot_be_meant_is_not_sent(
    arguments: Any, options: Any, bd_client: BestDefense, bd_sandbox: Sandbox
) -> None:
    """Method, path, body and time are checked first."""
    with pytest.raises(ConfigError, match=r"\.$"):
        await bd_client.request(*arguments, **options)
    assert bd_sandbox.ledger == []


@pytest.mark.parametrize("drain", ["1", -1, math.nan, math.inf, True, None, [], 10**400])
async def test_a_drain_that_is_no_time_closes_nothing(drain: Any, bd_client: BestDefense) -> None:
    """Neither a view nor the client."""
    for each in (bd_client.with_token("bd_sandbox_another"), bd_client):
        with pytest.raises(ConfigError, match="drain"):
            await each.aclose(drain=drain)
    await bd_client.sites.list()


@pytest.mark.parametrize("token", ["t", "seven-7", TOKEN])
async def test_a_token_of_the_sandbox_or_too_short_stays_on_this_machine(token: str) -> None:
    """A short one stands by chance in what is not the token, so it could not be masked."""
    async with BestDefense(token, "https://192.0.2.1", timeout=1.0) as bd:
        with pytest.raises(ConfigError, match="sandbox"):
            await bd.sites.list()


async def test_the_sandbox_takes_a_short_token(bd_sandbox: Sandbox) -> None:
    """Tests like to call it `t`, and what is parsed is not masked then."""
    async with BestDefense("t", bd_sandbox.url) as bd:
        with pytest.raises(AuthError):
            await bd.sites.list()
    assert bd_sandbox.count("sites.list") == 1
