"""House rules that hold for every test: nothing is left behind and nothing leaves the machine.

The rules act through fixtures that each test gets without asking. A test that provokes an error in
the event loop on purpose asks for `loop_errors`, looks at what is in it and empties it.
"""

import asyncio
import gc
import inspect
import ipaddress
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
OPEN_FILES = Path("/proc/self/fd")
TICKS_TO_CLOSE = 20
SENDING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})

# Our own suite uses exactly the fixtures that users get, from this checkout.
pytest_plugins = (
    ["bestdefense_async.testing.plugin"]
    if (ROOT / "bestdefense_async" / "testing" / "plugin.py").exists()
    else []
)

# The machine may be slow, so no example has a deadline; in CI every run tries the same examples.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


class LeavesTheMachineError(Exception):
    """A test was about to talk to something that is not on this machine."""


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or host in {"", "localhost"} or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _stay_here(event: str, args: tuple[Any, ...]) -> None:
    """Refuse to look up or reach any other machine, before the first packet is sent."""
    if event == "socket.getaddrinfo" and not _is_here(args[0]):
        if str(args[0]).endswith((".invalid", ".test")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        raise LeavesTheMachineError(f"this test looks up {args[0]!r}")
    if event in SENDING and isinstance(args[1], tuple) and not _is_here(args[1][0]):
        raise LeavesTheMachineError(f"this test talks to {args[1][0]!r}")


def pytest_configure() -> None:
    """Close the machine for the tests; the interpreter's audit events see every socket.

    A plugin asks for the current loop before plain tests too, and Python 3.11 would make one.
    """
    sys.addaudithook(_stay_here)
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every asynchronous test the loop's rules, and no loop to the others."""
    for item in items:
        if isinstance(item, pytest.Function) and _is_asynchronous(item.function):
            item.fixturenames.insert(0, "loop_errors")


def _is_asynchronous(function: Any) -> bool:
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return inspect.iscoroutinefunction(inner)


def _open_files() -> set[tuple[str, str]]:
    """Return what this process has open: descriptor and target; empty where /proc is not."""
    found = set()
    for each in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        try:
            target = str(each.readlink())
        except OSError:  # the descriptor of this very listing
            continue
        if not target.startswith(("anon_inode:", "/dev/", "/proc/")):
            found.add((each.name, target))
    return found


@pytest.fixture(autouse=True)
def no_open_files() -> Iterator[None]:
    """Fail a test that leaves a socket, pipe or file open."""
    before = _open_files()
    yield
    left = _open_files() - before
    assert not left, f"left open: {sorted(target for _, target in left)}"


@pytest.fixture
async def loop_errors() -> AsyncIterator[list[dict[str, Any]]]:
    """Errors that reached the event loop and nobody else; a test that wants some empties this.

    When the test and its other fixtures are over, no task may be left, and no error either, such
    as "Task exception was never retrieved".
    """
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    before = asyncio.all_tasks()
    yield errors
    for _ in range(TICKS_TO_CLOSE):  # what was closed may still need its last callbacks
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    gc.collect(1)  # a lost task tells its error when it is collected
    assert not left, f"tasks left behind: {[str(task.get_coro()) for task in left]}"
    assert not errors, f"errors that only the event loop saw: {errors}"
