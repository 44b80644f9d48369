"""The rules of tests/conftest.py are themselves tested, each by a test that breaks it."""

import socket
from pathlib import Path

import pytest

from tests.conftest import LeavesTheMachineError

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
CONFTEST = """
from tests.conftest import loop_errors, no_open_files, pytest_collection_modifyitems
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


@pytest.fixture
def verdict(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    """What pytest says, in a process of its own, about tests that break each rule once."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "addopts = -p no:cacheprovider -p no:bestdefense_async\n"
    )
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(RULE_BREAKERS)
    return pytester.runpytest_subprocess()


def test_a_test_that_leaves_something_behind_fails(verdict: pytest.RunResult) -> None:
    """Each thing left behind is named in the error of the test that left it, and only there."""
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
