"""The rules of tests/conftest.py are themselves tested, each by a test that breaks it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LeavesTheMachineError

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
CONFTEST = """
from tests import conftest
from tests.conftest import *

conftest.GRACE = {grace}
"""
RULE_BREAKERS = """
import asyncio
import socket

import pytest

KEPT = []


async def boom():
    raise ValueError("lost")


async def test_leaves_a_task():
    KEPT.append(asyncio.ensure_future(asyncio.sleep(9)))


async def test_loses_an_exception():
    asyncio.ensure_future(boom())
    await asyncio.sleep(0)


async def test_expects_a_lost_exception(loop_errors):
    asyncio.ensure_future(boom())
    await asyncio.sleep(0.01)
    assert len(loop_errors) == 1
    loop_errors.clear()


def test_leaves_a_socket():
    KEPT.append(socket.socket())


async def test_leaves_a_file():
    KEPT.append(open(__file__))
"""


ON_A_LOOP = """
import asyncio

import pytest


async def test_on_the_loop():
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop") is USES_UVLOOP


@pytest.mark.looptime
async def test_in_virtual_time():
    await asyncio.sleep(1000)
"""
SLOW_AND_QUICK = """
import pytest


@pytest.mark.slow(timeout=77)
def test_slow(request):
    assert request.node.get_closest_marker("timeout").args == (77,)


def test_quick():
    pass
"""
# The error of a time limit does not end the second, whose task outlives it, nor the third, whose
# error hypothesis provokes once more.
HANGING = """
import asyncio
import time

import pytest
from hypothesis import given
from hypothesis.strategies import integers

soon = pytest.mark.timeout(0.5, func_only=True)


@soon
async def test_awaits_for_ever():
    await asyncio.Event().wait()


@soon
async def test_is_not_cancelled():
    while True:
        try:
            await asyncio.Event().wait()
        except BaseException:
            pass


@soon
@given(integers())
def test_hangs_again(number):
    time.sleep(60)


@pytest.mark.parametrize("number", range(6))
def test_quick(number):
    pass
"""


@pytest.fixture
def run_pytest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return what runs pytest under the house rules, in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "addopts = -p no:cacheprovider -p no:bestdefense_async -p no:faker\n"
        "timeout = 60\nmarkers = slow\n"
    )

    def run(text: str, *arguments: str, grace: float = 5.0) -> pytest.RunResult:
        pytester.makeconftest(CONFTEST.format(grace=grace))
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess(*arguments)

    return run


def test_a_test_that_leaves_something_behind_fails(
    run_pytest: Callable[..., pytest.RunResult],
) -> None:
    """Each thing left behind is named in the error of the test that left it, and only there."""
    verdict = run_pytest(RULE_BREAKERS)

    verdict.assert_outcomes(passed=5, errors=4)
    verdict.stdout.fnmatch_lines_random(
        [
            "E *tasks left behind: *sleep*",
            "E *errors that only the event loop saw*never retrieved*",
            "E *left open: *socket:*",
            "E *left open: *.py*",
            "ERROR *::test_leaves_a_task*",
            "ERROR *::test_loses_an_exception*",
            "ERROR *::test_leaves_a_socket*",
            "ERROR *::test_leaves_a_file*",
        ]
    )


def test_a_test_that_hangs_fails_alone(run_pytest: Callable[..., pytest.RunResult]) -> None:
    """Its stack is shown and all others go on, also where nothing but its worker can be ended."""
    verdict = run_pytest(HANGING, "-n2")

    assert verdict.parseoutcomes()["passed"] == 6
    verdict.stdout.fnmatch_lines_random(
        [
            "FAILED *::test_awaits_for_ever - Failed: Timeout*",
            "FAILED *::test_is_not_cancelled - worker * crashed *",
            "FAILED *::test_hangs_again - worker * crashed *",
            "E *tasks left behind: *test_awaits_for_ever() running at *.py:*",
        ]
    )
    verdict.stderr.fnmatch_lines_random(
        ["*::test_is_not_cancelled did not end *", "*::test_hangs_again did not end *"]
    )
    assert "in test_hangs_again" in verdict.stderr.str()


def test_slow_tests_run_last_and_have_their_own_bound(
    run_pytest: Callable[..., pytest.RunResult],
) -> None:
    """A failure of something quick is not waited for."""
    verdict = run_pytest(SLOW_AND_QUICK, "-v")

    verdict.assert_outcomes(passed=2)
    verdict.stdout.fnmatch_lines(["*::test_quick PASSED*", "*::test_slow PASSED*"])


@pytest.mark.parametrize(("arguments", "uses_uvloop"), [((), False), (("--loop", "uvloop"), True)])
def test_the_suite_runs_on_the_loop_that_is_asked_for(
    run_pytest: Callable[..., pytest.RunResult], arguments: tuple[str, ...], *, uses_uvloop: bool
) -> None:
    """Every asynchronous test but those of looptime, which is a loop itself."""
    text = ON_A_LOOP.replace("USES_UVLOOP", str(uses_uvloop))

    run_pytest(text, *arguments).assert_outcomes(passed=2)


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("10.0.0.1", 443)])
def test_no_test_can_reach_another_machine(address: tuple[str, int]) -> None:
    """A connection to an address outside the loopback range is refused before it is made."""
    with socket.socket() as outside, pytest.raises(LeavesTheMachineError):
        outside.connect(address)


def test_no_test_can_look_up_a_real_host() -> None:
    """A name lookup of a real host is refused before a packet is sent."""
    with pytest.raises(LeavesTheMachineError):
        socket.getaddrinfo("app.bestdefense.io", 443)


def test_a_name_reserved_for_tests_does_not_exist() -> None:
    """A name below .invalid fails like an unknown host, whatever the machine's resolver does."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)
